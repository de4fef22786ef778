"""Runs every command and every block of Python that README.md and docs/ show, and says what it left out and why.

    python scripts/run_documents.py                    # hours on two cores: for the night
    python scripts/run_documents.py --quick            # what takes a minute at most each
    python scripts/run_documents.py --only streaming   # pages whose name contains the word

Each page starts in a fresh copy of the checkout, with the photos and the model that the pages speak of beside it. Its
commands run in the order in which they stand, its blocks of Python as one program at the place of the first. The
notebooks of docs/gallery are run by `make docs`. Exits with 1 where something fails.
"""

from galore import program

program.guard(__name__)

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[1]
SHOWN_ONLY = ("text", "json", "bibtex", "{toctree}", "{eval-rst}")
"""Languages of blocks that nobody would run."""
LONGEST = 4 * 3600


@dataclass(frozen=True)
class Step:
    """What a reader would run at once: a command, or the Python of a page.

    Attributes:
        page: relative to the checkout.
        line: where it stands, from 1.
        language: "bash" or "python".
        text: the command without its comment, or the program.
    """

    page: str
    line: int
    language: str
    text: str


@dataclass(frozen=True)
class LeftOut:
    """Steps that do not run, by a pattern of their text.

    Attributes:
        pattern: found anywhere in "page: text".
        reason: why, for a reader.
        folder: with which they do run, relative to the checkout; None: none.
        package: with which they do run; None: none.
    """

    pattern: str
    reason: str
    folder: str | None = None
    package: str | None = None

    def applies(self, step: Step) -> bool:
        """Whether it is about this step."""
        return re.search(self.pattern, f"{step.page}: {step.text}", flags=re.DOTALL) is not None

    def holds(self) -> bool:
        """Whether nothing that would make them run is there."""
        has_folder = self.folder is not None and (ROOT / self.folder).exists()
        return not has_folder and (self.package is None or importlib.util.find_spec(self.package) is None)


CUB = "../shared/data/CUB_200_2011"
LEFT_OUT = (
    LeftOut(r"install.md: (make|source|python -m pip)", "installing is what CI and tests/test_package.py do"),
    LeftOut(r"README.md: (make|source)", "installing is what CI and tests/test_package.py do"),
    LeftOut(r"setting=papers data=|fetch_data.py", "wants a GPU, the data sets and ImageNet weights from the network"),
    LeftOut(r"train=authors", "wants a GPU and ImageNet weights from the network"),
    LeftOut(r"config-name=search", "needs the package hydra-optuna-sweeper", package="optuna"),
    LeftOut(r"hosts.coordinator=HOST", "needs two machines; tests/training/test_hosts.py starts two processes"),
    LeftOut(r"take_results.py", "a server, which does not end; tests/teach tries it"),
    LeftOut(r"teach-results", "needs the answers of people; tests/teach invents them"),
    LeftOut(r"frameworks/onnx.md", "needs the package jaxonnxruntime", package="jaxonnxruntime"),
    LeftOut(r"frameworks/torch.md", "needs the package torchax", package="torchax"),
    LeftOut(r"frameworks/transformers.md", "needs the package transformers", package="transformers"),
    LeftOut(
        r"galore (teach|agree|stream) CUB_200_2011",
        "needs a network trained on CUB-200-2011 in runs/birds",
        folder="runs/birds",
    ),
    LeftOut(r"CUB_200_2011|dataset=cub|cub_lite0", "needs CUB-200-2011", folder=CUB),
)
SLOW = (
    r"experiments/(train|reproduce|collect|discriminant_vs_attributive|answering(_sanity)?)\.py",
    r"scripts/(answering_ladder|answering_trained|cost_curves|simulate_verdicts|measure_evaluation|kill_and_resume)\.py",
    r"galore bench",
    r"galore (part-tables|counterparts)|--rule (part-tables|counterparts)|draw_answering\.py",
)
"""Steps of minutes or hours, and what rests on them."""


def pages() -> list[Path]:
    """README and the documentation, in the order of their names; the gallery's notebooks are not among them."""
    found = sorted((ROOT / "docs").rglob("*.md"))
    return [ROOT / "README.md", *(page for page in found if page.parent.name != "gallery")]


def steps(page: Path) -> list[Step]:
    """What there is to run on a page.

    Raises:
        ValueError: a block that does not say its language, or one that is not known.
    """
    found: list[Step] = []
    name = page.relative_to(ROOT).as_posix()
    for token in _blocks(page):
        line = (token.map or [0])[0] + 1
        if token.info == "bash":
            found += [Step(name, line, "bash", command) for command in commands(token.content)]
        elif token.info == "python" and not any(step.language == "python" for step in found):
            found.append(Step(name, line, "python", "\n".join(_python(page))))
        elif token.info not in ("python", *SHOWN_ONLY):
            raise ValueError(f"{name}:{line}: a block of {token.info or 'no language'}, expected bash, python or text")
    return found


def commands(block: str) -> list[str]:
    """The commands of a block: lines joined where they end in a backslash, without comments."""
    joined = re.sub(r"\\\n\s*", "", block)
    lines = (re.sub(r"(^|\s+)# .*$", "", line) for line in joined.splitlines())
    return [line for line in lines if line]


def reason_against(step: Step, *, quick: bool) -> str | None:
    """Why a step does not run here; None where it does."""
    for left in LEFT_OUT:
        if left.applies(step) and left.holds():
            return left.reason
    return "takes minutes or hours" if quick and any(re.search(slow, step.text) for slow in SLOW) else None


def prepare(folder: Path) -> Path:
    """A copy of the checkout, and what the pages speak of: photos, a folder of them, a data set, a model."""
    import skimage
    from PIL import Image

    from galore.data.synthetic import birds

    checkout = folder / "checkout"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, checkout / name)
    photos = Path(skimage.__file__).parent / "data"
    (checkout / "PHOTOS").mkdir()
    for source, name in (("chelsea.png", "PHOTO.jpg"), ("coffee.png", "OTHER.jpg")):
        Image.open(photos / source).convert("RGB").save(checkout / name)
        shutil.copyfile(checkout / name, checkout / "PHOTOS" / name)
    birds.write(checkout / "DIR", birds.SyntheticBirds(classes=3, per_class=4, seed=0))
    own = _python(ROOT / "docs" / "other_models.md")
    end = next(i for i, block in enumerate(own) if "def network()" in block)
    (checkout / "my_models.py").write_text("\n".join(own[: end + 1]), encoding="utf-8")
    if (ROOT / CUB).exists():
        (folder / "shared").symlink_to((ROOT / CUB).parents[1].resolve())
        (checkout / "CUB_200_2011").symlink_to((ROOT / CUB).resolve())
    if (ROOT / "runs").exists():
        (checkout / "runs").symlink_to((ROOT / "runs").resolve())
    return checkout


def run(step: Step, checkout: Path) -> str | None:
    """Runs a step as a reader would; the end of what it said where it fails."""
    programs = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(checkout / "src"),
        "KERAS_BACKEND": "jax",
    }
    shell = ["bash", "-c", step.text] if step.language == "bash" else [sys.executable, "-c", step.text]
    try:
        done = subprocess.run(shell, cwd=checkout, env=environment, capture_output=True, text=True, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return f"did not end in {LONGEST} s"
    return None if done.returncode == 0 else (done.stdout + done.stderr)[-2000:]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="leave out what takes more than a minute")
    parser.add_argument("--only", default="", metavar="WORD", help="pages whose name contains it")
    options = parser.parse_args()
    failed = 0
    for page in pages():
        if options.only not in page.as_posix() or not (found := steps(page)):
            continue
        with tempfile.TemporaryDirectory() as folder:
            checkout = prepare(Path(folder))
            for step in found:
                start, reason = time.monotonic(), reason_against(step, quick=options.quick)
                said = None if reason else run(step, checkout)
                failed += said is not None
                outcome = f"left out: {reason}" if reason else "failed" if said else "ran"
                print(
                    f"{step.page}:{step.line}  {outcome}  {time.monotonic() - start:.0f} s  {_short(step)}", flush=True
                )
                if said:
                    print(said, flush=True)
    return int(failed > 0)


def _blocks(page: Path) -> list[Token]:
    tokens = MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8"))
    return [token for token in tokens if token.type in ("fence", "code_block")]


def _python(page: Path) -> list[str]:
    return [token.content for token in _blocks(page) if token.info == "python"]


def _short(step: Step) -> str:
    return step.text if step.language == "bash" else "its Python"


if __name__ == "__main__":
    sys.exit(program.ended("error", main))
