"""Ends commands at random moments, by SIGKILL, SIGTERM and Ctrl-C, and looks at what they leave.

    python scripts/kill_commands.py --moments 20
    python scripts/kill_commands.py --moments 2 --only make-birds,train

Every command is run undisturbed first. Then, for each moment and each signal, it is started anew, ended a random part
of its time later, and started again with the same arguments. A folder that stands before the second start must be
whole, or one that the command resumes; after it the command must have ended well, with the same bytes in the same files
as the undisturbed run, and nothing temporary may lie beside them or among them. 5 to 20 seconds a moment and signal.
"""

from galore import program

program.guard(__name__)

import argparse
import hashlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
BIRDS = ("--classes", "4", "--per-class", "60", "--size", "32", "--workers", "2")
TRAIN = (
    "experiment=synthetic_birds_fast", "dataset.classes=4", "dataset.per_class=60", "dataset.size=32",
    "model.name=small_cnn_narrow", "train.epochs=4", "train.batch_size=8", "train.evaluate_every=4",
    "train.early_size=null", "train.save_every=3", "train.hardness=none", "train.students=[]",
)  # fmt: skip
OF_A_RUN = {
    "run.json",
    "provenance.json",
    "explanation.json",
    "explanation.html",
    "train.log",
    "metrics.jsonl",
    "result.json",
}
"""Files that say when, where and how fast: compared by their names alone."""


@dataclass(frozen=True)
class Command:
    """What is ended, and whether it resumes what it finds in its folder.

    Attributes:
        arguments: of Python, for a folder to write.
        resumes: whether an unfinished folder is there to be resumed.
        contents: the bytes that two runs must share, by the names of files.
    """

    arguments: Callable[[Path], list[str]]
    resumes: bool
    contents: Callable[[Path], dict[str, str]]


def main() -> int:
    """The program; exit code 1 where something was left behind, or was not the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=20, help="for each command and signal")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--only", default="", help="some of make-birds, train, explain, stream, teach")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        for name, command in commands(Path(scratch)).items():
            whole = Path(scratch) / name
            seconds = timed(command.arguments(whole))
            if options.only and name not in options.only.split(","):
                continue
            problems = [
                problem
                for moment in range(options.moments)
                for sent in SIGNALS
                for problem in ended_once(command, whole, Path(scratch) / f"{name}-{moment}", sent, rng, seconds)
            ]
            print(f"{name}: {len(SIGNALS) * options.moments} times ended, {len(problems)} problems", flush=True)
            for problem in problems:
                print(f"  {problem}", flush=True)
            wrong += len(problems)
    return int(wrong > 0)


def commands(folder: Path) -> dict[str, Command]:
    """The commands, each on what the ones before it wrote undisturbed."""
    galore = [sys.executable, "-m", "galore"]
    birds, trained = folder / "make-birds", folder / "train"

    def train(out: Path) -> list[str]:
        program = str(ROOT / "experiments" / "train.py")
        return [sys.executable, program, *TRAIN, f"model.checkpoint={out}", f"dataset.root={birds}"]

    def explain(out: Path) -> list[str]:
        photo = min(path for path in (birds / "images").rglob("*") if path.is_file())
        return [*galore, "explain", str(photo), "--model", str(trained), "--out", str(out)]

    def stream(out: Path) -> list[str]:
        options = ("--model", str(trained), "--batch", "8", "--shard", "16", "--out", str(out))
        return [*galore, "stream", str(birds / "images"), *options]

    def teach(out: Path) -> list[str]:
        sizes = ("--before", "2", "--pairs", "2", "--after", "2", "--learners", "4")
        return [*galore, "teach", str(birds), "--model", str(trained), "--classes", "1", "2", *sizes, "--out", str(out)]

    return {
        "make-birds": Command(lambda out: [*galore, "make-birds", str(out), *BIRDS], False, files),
        "train": Command(train, True, parameters),
        "explain": Command(explain, False, files),
        "stream": Command(stream, True, files),
        "teach": Command(teach, False, files),
    }


def ended_once(
    command: Command, whole: Path, out: Path, sent: signal.Signals, rng: random.Random, seconds: float
) -> list[str]:
    """What is wrong after a command was ended at a random moment and started again."""
    process = subprocess.Popen(command.arguments(out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait = rng.random() * seconds
    time.sleep(wait)
    process.send_signal(sent)
    _, said = process.communicate(timeout=300)
    at = f"{sent.name} after {wait:.1f} s"
    problems = []
    if sent != signal.SIGKILL and "Traceback" in said:
        problems.append(f"{at}: a traceback: {said.strip()[-300:]}")
    expected = command.contents(whole)
    if out.exists() and not command.resumes and command.contents(out) != expected:
        problems.append(f"{at}: half an output stands")
    if not (out.exists() and not command.resumes):  # else it had finished, and its folder is not written over
        again = subprocess.run(command.arguments(out), capture_output=True, text=True)
        if again.returncode:
            problems.append(f"{at}: the next run ended with {again.returncode}: {again.stderr.strip()[-300:]}")
    if not problems and command.contents(out) != expected:
        problems.append(f"{at}: other bytes")
    usual = {path.relative_to(whole) for path in whole.rglob(".*")}
    hidden = [path for path in out.rglob(".*") if path.relative_to(out) not in usual]
    left = [*hidden, *out.parent.glob(f".{out.name}*")]
    problems += [f"{at}: {path.relative_to(out.parent)} is left" for path in left]
    shutil.rmtree(out, ignore_errors=True)
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return problems


def timed(arguments: list[str]) -> float:
    """Runs a command to its end."""
    start = time.monotonic()
    subprocess.run(arguments, check=True, capture_output=True)
    return time.monotonic() - start


def files(folder: Path) -> dict[str, str]:
    """The hash of every file, of those `OF_A_RUN` the name alone."""
    return {
        str(path.relative_to(folder)): "" if path.name in OF_A_RUN else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def parameters(folder: Path) -> dict[str, str]:
    """The hashes of the parameters and the optimiser at the end of a training."""
    from galore.training import checkpoint

    header = checkpoint.read_header(folder / "checkpoints" / "last")
    return {name: str(header[name]) for name in ("params_sha256", "optimiser_sha256")}


if __name__ == "__main__":
    sys.exit(program.ended("error", main))
