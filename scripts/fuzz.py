"""Random inputs wherever files and options of others come in: each must end in an answer or in one clear sentence.

    .venv/bin/python scripts/fuzz.py --cases 20000 --seed 0 --minutes 60
    .venv/bin/python scripts/fuzz.py --only photos --cases 1000

Right inputs are mutated (hypothesis draws how): photos, weights, headers of checkpoints, tables of data sets, arrays,
part tables, records of trainings, sheets and results of learners, options. Anything but an answer or an `InputError`
is a failure, and so is an answer that takes longer than `PATIENCE`; the input and the traceback are kept in --out, one
of each kind of failure. Exit code 1 after one.
"""

from galore import program

program.guard(__name__)

import argparse
import contextlib
import dataclasses
import io
import json
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from hydra.errors import HydraException
from hypothesis import strategies as st
from PIL import Image

from galore import Network, counterparts, foreign, npz, part_tables
from galore.data import ade20k, cub
from galore.data.photo import read_image, read_size
from galore.data.preprocessing import Preprocessing
from galore.data.synthetic import birds, scenes
from galore.errors import InputError
from galore.experiment import config
from galore.models import weights
from galore.teach import build, design, results, seal, sheet
from galore.training import architectures, header
from galore.training.figures import training_curve
from galore.training.run import read_metrics

PATIENCE = 10.0
"""Seconds in which every input must be answered; the machine may be busy."""

ROUND = 50
"""Inputs of a subject that are drawn before the next subject has its turn."""

Edits = list[tuple[str, float, int, bytes]]


class Subject(NamedTuple):
    """A way in.

    Attributes:
        inputs: draws what comes in.
        ask: what is done with it, in an empty folder of its own; any other exception than `InputError` is a failure.
        saved: what to keep of an input that failed.
    """

    inputs: st.SearchStrategy[Any]
    ask: Callable[[Any, Path], Any]
    saved: Callable[[Any], bytes]


class Failure(NamedTuple):
    """A kind of failure: of which subject, where it was raised, how often, and the first input."""

    subject: str
    where: str
    traceback: str
    input: bytes


NUMBERS = ("0", "-1", "1e400", "nan", "inf", "1_0", "٣", "9" * 5000, "0x10", "1.5", "2147483648", "", "true", "null")
WORDS = (
    "\0",
    "\x1b[2J",
    "../../x",
    "=1+1",
    "a" * 3000,
    "\udcff",
    "\u202e",
    "[",
    "{",
    "&a [*a, *a]",
    "${seed}",
    "'",
    "#",
)
BYTES = (b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\x80", b"[", b"(", b"." * 9, b"\x1b")
JSON = st.recursive(
    st.sampled_from([None, True, 0, -1, 5, 10**400, 1e308, float("nan"), "", "x", "\0", "a" * 3000, "conv9"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "x", ""]), inner, max_size=3),
    max_leaves=6,
)


def byte_edits() -> st.SearchStrategy[Edits]:
    """Some changes; half of them in the first hundred bytes, where sizes and types stand."""
    kinds = st.sampled_from(["set", "insert", "delete", "double", "cut"])
    place = st.floats(0, 1) | st.floats(0, 0.03)
    some = st.sampled_from(BYTES) | st.binary(min_size=1, max_size=4)
    return st.lists(st.tuples(kinds, place, st.integers(1, 40), some), min_size=1, max_size=3)


def mutated(content: bytes, edits: Edits) -> bytes:
    """Some bytes after changes: set, inserted, deleted, doubled, or all the rest cut off."""
    for kind, place, length, some in edits:
        at = int(place * len(content))
        before, here, after = content[:at], content[at : at + length], content[at + length :]
        content = {
            "set": before + some + content[at + len(some) :],
            "insert": before + some + here + after,
            "delete": before + after,
            "double": before + here + here + after,
            "cut": before,
        }[kind]
    return content


def of_files(
    originals: dict[str, bytes], ask: Callable[[Path], Any], wrap: Callable[[bytes], bytes] = lambda b: b
) -> Subject:
    """A subject that reads one file, a mutated one of some right ones by their names."""

    def read(given: tuple[str, Edits], folder: Path) -> Any:
        path = folder / given[0]
        path.write_bytes(content(given))
        return ask(path)

    def content(given: tuple[str, Edits]) -> bytes:
        return wrap(mutated(originals[given[0]], given[1]))

    return Subject(st.tuples(st.sampled_from(sorted(originals)), byte_edits()), read, content)


def of_json(body: dict[str, Any], ask: Callable[[Any, Path], Any]) -> Subject:
    """A subject that reads JSON: some values anywhere are replaced or left out."""
    places = sorted(_places(body), key=repr)
    changes = st.lists(st.tuples(st.sampled_from(places), st.none() | st.tuples(JSON)), min_size=1, max_size=3)

    def changed(edits: Any) -> Any:
        copy = json.loads(json.dumps(body))
        for place, value in edits:
            _change(copy, place, value)
        return copy

    return Subject(
        changes,
        lambda edits, folder: ask(changed(edits), folder),
        lambda edits: json.dumps(changed(edits)).encode(),
    )


def _places(value: Any, here: tuple = ()) -> list[tuple]:
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    return [place for key, inner in items for place in ((*here, key), *_places(inner, (*here, key)))]


def _change(copy: Any, place: tuple, value: Any) -> None:
    """Sets a place to a value, or removes it; nothing, where an earlier change took it away."""
    for key in place[:-1]:
        copy = copy.get(key) if isinstance(copy, dict) and isinstance(key, str) else _item(copy, key)
    if value is None and isinstance(copy, dict):
        copy.pop(place[-1], None)
    elif value is not None and (isinstance(copy, dict) or (isinstance(copy, list) and _item(copy, place[-1]))):
        copy[place[-1]] = value[0]


def _item(value: Any, key: Any) -> Any:
    return value[key] if isinstance(value, list) and isinstance(key, int) and key < len(value) else None


def photos() -> Subject:
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    rgb, exif = Image.fromarray(pixels), Image.Exif()
    exif[0x0112], exif[0x011A], exif[0x010E] = 6, 72.0, "a bird"
    made: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "photo.jpg": (rgb, {"exif": exif}),
        "progressive.jpg": (rgb, {"progressive": True, "exif": exif, "icc_profile": b"no profile"}),
        "photo.png": (rgb, {"exif": exif}),
        "palette.png": (rgb.convert("P"), {"transparency": 0}),
        "deep.png": (Image.fromarray(pixels[..., 0].astype(np.uint16) * 257), {}),
        "photo.webp": (rgb, {"lossless": True, "exif": exif}),
        "photo.tif": (rgb, {"compression": "tiff_lzw"}),
        "plain.tif": (rgb, {}),
        "photo.gif": (rgb.convert("P"), {"save_all": True, "append_images": [rgb.convert("P")]}),
    }
    originals = {}
    for name, (image, options) in made.items():
        buffer = io.BytesIO()
        kind = {"jpg": "JPEG", "tif": "TIFF"}.get(name[-3:], name.split(".")[1].upper())
        image.save(buffer, kind, **options)
        originals[name] = buffer.getvalue()

    def ask(path: Path) -> None:
        """Whoever reads the pixels also finds the size that they have."""
        found = read_image(path)
        if found.dtype != np.uint8 or found.shape[:2] != read_size(path):
            raise AssertionError(f"the size is {read_size(path)}, but the pixels are {found.dtype}{found.shape}")

    return of_files(originals, ask)


def safetensors_files() -> Subject:
    tensors = {"fc.weight": np.ones((3, 2), np.float32), "fc.bias": np.zeros(3, np.float16)}
    content = safetensors.numpy.save(tensors, metadata={"class_names": '["a", "b", "c"]'})
    return of_files({"weights.safetensors": content}, _read_weights)


def safetensors_headers() -> Subject:
    """The same with headers that are JSON, whatever they say."""
    tensor = {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]}
    body = {"fc.weight": tensor, "__metadata__": {"class_names": '["a"]', "format": "pt"}}

    def ask(given: Any, folder: Path) -> None:
        head, path = json.dumps(given).encode(), folder / "weights.safetensors"
        path.write_bytes(struct.pack("<Q", len(head)) + head + bytes(24))
        _read_weights(path)

    return of_json(body, ask)


def _read_weights(path: Path) -> None:
    for name, tensor in weights.read(path).tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, np.ndarray):
            raise AssertionError(f"{name!r} is {type(tensor)}")


def _torch_pickle() -> bytes:
    """A dictionary of one tensor, as torch pickles it."""

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x06tQ"
    ordered = b"ccollections\nOrderedDict\n)R"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\0(K\x02K\x03t(K\x03K\x01t\x89" + ordered + b"tR"
    return b"\x80\x02" + ordered + b"(" + text("fc.weight") + tensor + b"u."


def _torch_zip(pickle: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("w/data.pkl", pickle)
        archive.writestr("w/data/0", bytes(24))
        archive.writestr("w/version", "3\n")
    return buffer.getvalue()


def torch_zips() -> Subject:
    return of_files({"weights.pth": _torch_zip(_torch_pickle())}, _read_weights)


def torch_pickles() -> Subject:
    return of_files({"weights.pth": _torch_pickle()}, _read_weights, _torch_zip)


def checkpoint_headers() -> Subject:
    description = header.Description("small_cnn_narrow", ("a", "b", "c"), Preprocessing(32, 32), "conv3")
    params = architectures.random_params("small_cnn_narrow", 3, seed=0)
    # The commit is left out, so that the same seed draws the same headers after it.
    body = header.make(description, params, {}, 7, {"seed": 3}) | {"git": None}

    def ask(given: Any, folder: Path) -> None:
        (folder / "header.json").write_text(json.dumps(given))
        header.expected_shapes(header.read_description(folder))

    return of_json(body, ask)


def tables() -> Subject:
    """Tables of birds and scenes: changed bytes, and numbers and words that stand in the place of others."""
    originals: dict[str, dict[str, bytes]] = {}
    with tempfile.TemporaryDirectory() as made:
        birds.write(Path(made) / "birds", birds.SyntheticBirds(classes=2, per_class=2, seed=0, size=32))
        scenes.write(Path(made) / "scenes", scenes.SyntheticScenes(classes=2, per_class=2, seed=0, size=32))
        for kind in ("birds", "scenes"):
            root = Path(made) / kind
            originals[kind] = {str(f.relative_to(root)): f.read_bytes() for f in root.rglob("*") if f.is_file()}
    texts = [(kind, name) for kind in sorted(originals) for name in sorted(originals[kind]) if name.endswith(".txt")]
    replaced = st.tuples(st.floats(0, 0.999), st.sampled_from(NUMBERS + WORDS))
    inputs = st.tuples(st.sampled_from(texts), st.lists(replaced, max_size=3), byte_edits() | st.just([]))

    def content(given: Any) -> bytes:
        (kind, name), words, edits = given
        fields = originals[kind][name].decode().split(" ")
        for place, word in words:
            fields[int(place * len(fields))] = word
        return mutated(" ".join(fields).encode("utf-8", "surrogatepass"), edits)

    def ask(given: Any, folder: Path) -> None:
        kind, name = given[0]
        for other, original in originals[kind].items():
            (folder / other).parent.mkdir(parents=True, exist_ok=True)
            (folder / other).write_bytes(content(given) if other == name else original)
        dataset = cub.read(folder) if kind == "birds" else ade20k.read(folder)
        if not len(dataset) or dataset.labels.max() >= len(dataset.class_names):
            raise AssertionError("a data set without images, or with labels without a class")

    return Subject(inputs, ask, content)


def archives() -> Subject:
    """Arrays as tables, predictions and streams keep them, compressed and not."""
    arrays = {"0": np.arange(12, dtype=np.float32), "0 classes": np.zeros(3, np.int32), "paths": np.array(["a", "b"])}
    originals = {}
    for name, save in (("stored.npz", np.savez), ("deflated.npz", np.savez_compressed)):
        buffer = io.BytesIO()
        save(buffer, allow_pickle=False, **arrays)
        originals[name] = buffer.getvalue()

    def ask(path: Path) -> None:
        with (
            foreign.open_regular(path, "arrays") as file,
            foreign.understood(path, "arrays"),
            npz.opened(file) as found,
        ):
            dict(found)

    return of_files(originals, ask)


def fitted_files() -> Subject:
    """Part tables and counterparts of a small network."""
    net = Network(params=np.zeros(2, np.float32), features=None, head=lambda params, F: F)
    numbers = [np.ones(shape, np.float32) for shape in ((2, 3), (), (3, 3, 2), (4,), (4, 3))]
    centres, scale, table, mean, projection = map(jnp.asarray, numbers)
    clustering = part_tables.Clustering(centres, scale, table)
    tables = part_tables.PartTables(mean, projection, (clustering,), jnp.arange(3))
    others = counterparts.Counterparts(mean, projection, jnp.ones((2, 4, 4)), jnp.arange(2))
    with tempfile.TemporaryDirectory() as folder:
        part_tables.save(Path(folder, "parts.npz"), tables, net)
        counterparts.save(Path(folder, "counterparts.npz"), others, net)
        contents = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    load = {"parts.npz": part_tables.load, "counterparts.npz": counterparts.load}
    return of_files(contents, lambda path: load[path.name](path, net))


def records() -> Subject:
    """What a training writes about its steps."""
    steps = [{"step": k, "loss": 1.0 / k, "accuracy": 0.5, "waited": 0.1, "seconds": 0.2} for k in range(1, 5)]
    lines = [*steps[:2], {"step": 2, "validation": {"loss": 1.5, "accuracy": 0.4}}, *steps[2:]]
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    return of_files({"metrics.jsonl": content}, lambda path: training_curve(read_metrics(path)))


def _sheet() -> sheet.Sheet:
    """An experiment of two questions."""
    trials = tuple(sheet.Trial(sheet.opaque(0, k), f"p{k}", "AB"[k]) for k in (0, 1))
    order = tuple(trial.id for trial in trials)
    pictures = tuple(sheet.Picture(f"p{k}", f"a/{k}.jpg", "0" * 64, k, (0.0, 0.0, 9.0, 9.0), "test") for k in (0, 1))
    settings = {"seed": 0, "sizes": {"trials": 2}}
    places = design.places((sheet.AGREE,), 2, 0, count=2)
    names: Any = {"classes": ("Cod", "Eel"), "labels": ("A", "B"), "subject": "fish", "network": {}}
    return sheet.Sheet(
        sheet.AGREE, "invented", settings=settings, conditions=(sheet.AGREE,), pictures=pictures, trials=trials,
        orders=(order, order[::-1]), places=places, **names,
    )  # fmt: skip


def sheets(sign: Callable[[Any], Any] = lambda body: body) -> Subject:
    with tempfile.TemporaryDirectory() as made:
        sheet.write(_sheet(), Path(made) / "sheet.json")
        body = json.loads((Path(made) / "sheet.json").read_text())

    def ask(given: Any, folder: Path) -> None:
        (folder / "sheet.json").write_text(json.dumps(sign(given)))
        made = sheet.read(folder)
        build.page(made)
        build.links(made)

    return of_json(body, ask)


def signed_sheets() -> Subject:
    """The same with the hash that their contents give: whoever changes a sheet can change that, too."""

    def sign(body: Any) -> Any:
        with contextlib.suppress(Exception):  # no sheet, whatever its hash
            return body | {"experiment": sheet.from_json(body).experiment}
        return body

    return sheets(sign)


def learners() -> Subject:
    """Result files, half of them with a checksum that fits."""
    made = _sheet()
    place = made.places[0]
    answers = [
        {"trial": id, "answer": "A", "milliseconds": 1500, "interrupted": 0, "studied": 0}
        for id in made.orders[place.order]
    ]
    body: dict[str, Any] = {
        "format": results.FORMAT, "version": sheet.VERSION, "experiment": made.experiment, "learner": "l1",
        "place": place.code, "condition": 1, "order": place.order, "simulation": "", "answers": answers,
    }  # fmt: skip
    body["checksum"] = seal.checksum(body)

    def ask(given: Any, folder: Path) -> None:
        try:
            if given.get("checksum"):
                given["checksum"] = seal.checksum(given)
        except (KeyError, TypeError, AttributeError):
            pass  # nobody can make a checksum of this
        path = folder / "result.json"
        path.write_text(json.dumps(given))
        found, refusals = results.join(made, [path])
        if len(found) + len(refusals) != 1:
            raise AssertionError("neither counted nor refused")

    return of_json(body, ask)


def options() -> Subject:
    """Options as Hydra takes them."""
    names = sorted(config.flat(config.plain(config.compose([]), resolve=False)))
    names += ["dataset", "model", "attribution", "experiment", "+new", "~seed", "modle.size", "hydra.job.name"]
    values = st.sampled_from((*NUMBERS, *WORDS, "cub", "[1,2]", "{a:1}", "1,2", "-5", "1e9", "'", "???", "a=b"))
    given = st.lists(st.tuples(st.sampled_from(names), values | st.text(max_size=12)), min_size=1, max_size=3)

    def ask(drawn: list[tuple[str, str]], folder: Path) -> None:
        arguments = [f"{name}={value}" for name, value in drawn]
        try:
            config.check_names(arguments)
            config.typed(config.compose(arguments))
        except HydraException as error:  # whoever runs the programs prints it as one line
            raise InputError(str(error)) from error

    return Subject(given, ask, lambda drawn: json.dumps(drawn).encode())


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "photos": photos,
    "safetensors": safetensors_files,
    "safetensors-headers": safetensors_headers,
    "torch-zips": torch_zips,
    "torch-pickles": torch_pickles,
    "checkpoint-headers": checkpoint_headers,
    "tables": tables,
    "archives": archives,
    "fitted-files": fitted_files,
    "records": records,
    "sheets": sheets,
    "signed-sheets": signed_sheets,
    "results": learners,
    "options": options,
}


@dataclasses.dataclass
class Outcome:
    """What came of the inputs: how many there were, how many were refused, and the kinds of failures."""

    tried: Counter[str] = dataclasses.field(default_factory=Counter)
    refused: Counter[str] = dataclasses.field(default_factory=Counter)
    failures: dict[tuple[str, str], Failure] = dataclasses.field(default_factory=dict)
    repeated: Counter[tuple[str, str]] = dataclasses.field(default_factory=Counter)


def run(subjects: dict[str, Subject], cases: int, seed: int, seconds: float = float("inf")) -> Outcome:
    """Asks the subjects in turn, as often as there is time for; the same seed draws the same inputs.

    Args:
        subjects: by name.
        cases: how many inputs for all of them together.
        seed: of what hypothesis draws.
        seconds: when to stop, whatever is left.
    """
    outcome, started = Outcome(), time.monotonic()
    left = {name: -(-cases // len(subjects)) for name in subjects}
    for turn in range(max(left.values())):
        for name, subject in subjects.items():
            if left[name] > 0 and time.monotonic() - started < seconds:
                _round(name, subject, min(ROUND, left[name]), seed + 1000 * turn, outcome)
                left[name] -= ROUND
    return outcome


def _round(name: str, subject: Subject, cases: int, seed: int, outcome: Outcome) -> None:
    settings = hypothesis.settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),  # pyright: ignore[reportArgumentType]
    )

    @hypothesis.seed(seed)
    @settings
    @hypothesis.given(subject.inputs)
    def each(given: Any) -> None:
        _one(name, subject, given, outcome)

    each()


def _one(name: str, subject: Subject, given: Any, outcome: Outcome) -> None:
    outcome.tried[name] += 1
    started = time.monotonic()
    where, trace = "", ""
    with tempfile.TemporaryDirectory() as folder:
        try:
            subject.ask(given, Path(folder))
        except InputError as error:
            outcome.refused[name] += 1
            if len(str(error)) > 1200 or not str(error).isprintable():
                where, trace = "a message that is no line", str(error)
        except Exception as error:
            steps = traceback.extract_tb(error.__traceback__)
            steps = [step for step in steps if f"{config.ROOT}/src" in step.filename] or steps
            where = f"{type(error).__name__} in {Path(steps[-1].filename).name}:{steps[-1].lineno}"
            trace = traceback.format_exc()
    if time.monotonic() - started > PATIENCE:
        where, trace = where or "slow", trace or f"took {time.monotonic() - started:.0f} seconds"
    if where:
        outcome.failures.setdefault((name, where), Failure(name, where, trace, subject.saved(given)))
        outcome.repeated[name, where] += 1


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # pyright: ignore[reportOptionalMemberAccess]
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--only", choices=SUBJECTS, action="append")
    parser.add_argument("--out", type=Path, default=Path("outputs/fuzz"))
    args = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    subjects = {name: SUBJECTS[name]() for name in args.only or SUBJECTS}
    started = time.monotonic()
    outcome = run(subjects, args.cases, args.seed, 60 * args.minutes)
    taken, count = time.monotonic() - started, outcome.tried.total()
    for name in subjects:
        print(f"{name}: {outcome.tried[name]} inputs, {outcome.refused[name]} refused")
    print(f"{count} inputs in {taken:.0f} s, {count / taken:.1f} a second, {len(outcome.failures)} kinds of failures")
    for number, (key, failure) in enumerate(outcome.failures.items()):
        args.out.mkdir(parents=True, exist_ok=True)
        place = args.out / f"{number:03d}-{failure.subject}"
        place.with_suffix(".input").write_bytes(failure.input)
        place.with_suffix(".txt").write_text(failure.traceback, encoding="utf-8", errors="backslashreplace")
        print(f"  {failure.subject}: {failure.where}, {outcome.repeated[key]} times: {place}.input")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(program.ended("error", main))
