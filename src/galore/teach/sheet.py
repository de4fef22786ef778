"""The experiment's sheet: everything that is shown, to whom, in which order, and what the right answers are.

The sheet stays with the experimenter. The page is made from it alone and from the data set's images, and a result
file is judged by it. Its identifier is a hash of its contents, so that a result names the sheet it belongs to.
"""

import dataclasses
import hashlib
import json
import math
import os
import re
from pathlib import Path
from typing import Any

from galore import foreign
from galore.errors import InputError

FORMAT, EXPECTED = "galore-sheet", "the sheet of an experiment, as galore wrote it"
VERSION = 2
ANSWERS = ("A", "B", "?")
"""What a person can answer; "?" is "don't know", or "cannot tell" in the agreement experiment."""

TEACH, AGREE = "teach", "agree"


@dataclasses.dataclass(frozen=True)
class Picture:
    """An image of the data set under a name that tells nothing.

    Attributes:
        id: of the file in the page.
        path: relative to the data set's folder of images.
        sha256: of the original file.
        label: the position of its class in the sheet's `classes`.
        window: what is shown of it: x0, y0, x1, y1 in pixels of the original.
        split: "training" or "test".
    """

    id: str
    path: str
    sha256: str
    label: int
    window: tuple[float, float, float, float]
    split: str


@dataclasses.dataclass(frozen=True)
class Mark:
    """A named part: where it is, in units of the picture's side."""

    name: str
    x: float
    y: float


@dataclasses.dataclass(frozen=True)
class LitRegion:
    """What is lit: the outline as an SVG path (even-odd, in 1/1000 of the picture's side; "" is everything)."""

    outline: str
    marks: tuple[Mark, ...] = ()


@dataclasses.dataclass(frozen=True)
class Trial:
    """One question.

    Attributes:
        id: a name that tells nothing.
        picture: the id of the picture asked about.
        truth: "A" or "B".
        counter: the id of the picture of the other class that answers a mistake; "" without one.
        lit: what is lit in the picture and in the counter picture, by condition, once the answer is given.
        shown: the only part of the picture that can be seen while the question is asked; None: all of it.
        group: what `shown` is: "insecurity softmax", "discriminant", "random".
        examples: the ids of pictures of A and of B that are shown beside the question.
        names: the classes that A and B stand for, positions in the sheet's `classes`.
    """

    id: str
    picture: str
    truth: str
    counter: str = ""
    lit: dict[str, tuple[LitRegion, LitRegion]] = dataclasses.field(default_factory=dict)
    shown: LitRegion | None = None
    group: str = ""
    examples: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    names: tuple[int, int] = (0, 1)


@dataclasses.dataclass(frozen=True)
class Place:
    """A learner's place: the code in the link, the condition, and which of the orders."""

    code: str
    condition: str
    order: int


@dataclasses.dataclass(frozen=True)
class Sheet:
    """One experiment.

    Attributes:
        kind: "teach" or "agree".
        data: the name of the data set's folder.
        classes: names of the classes.
        labels: what A and B are called on the page.
        subject: what the pictures show, in the plural, for the instructions ("birds").
        network: name, layer and hash of the parameters.
        settings: the choices that made the sheet, the seed among them.
        conditions: the conditions in the order in which the page numbers them.
        pictures: every picture that the page holds.
        trials: every question.
        orders: trial ids in the order in which they are asked.
        places: one for each expected learner.
        contact: who runs the experiment, for the consent; may be empty.
        consent: what the experimenter adds to the page's own words of consent, paragraphs between empty lines.
        post_to: where the page offers to send the result; "" for nowhere.
        provenance: versions, code and device that made the sheet; no part of its identifier.
    """

    kind: str
    data: str
    classes: tuple[str, ...]
    labels: tuple[str, str]
    subject: str
    network: dict[str, Any]
    settings: dict[str, Any]
    conditions: tuple[str, ...]
    pictures: tuple[Picture, ...]
    trials: tuple[Trial, ...]
    orders: tuple[tuple[str, ...], ...]
    places: tuple[Place, ...]
    contact: str = ""
    consent: str = ""
    post_to: str = ""
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict, compare=False)

    @property
    def experiment(self) -> str:
        """The identifier: the first 16 hexadecimal digits of the hash of everything but the provenance."""
        body = dataclasses.asdict(self) | {"provenance": None, "version": VERSION}
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode(errors="backslashreplace")).hexdigest()[:16]

    def phases(self, order: int) -> tuple[str, ...]:
        """What each question of an order is part of: "before", "training" or "after"; "agree" throughout."""
        if self.kind == AGREE:
            return (AGREE,) * len(self.orders[order])
        teaching = {trial.id for trial in self.trials if trial.counter}
        is_training = [trial in teaching for trial in self.orders[order]]
        first = is_training.index(True)
        return tuple(
            "training" if training else "before" if position < first else "after"
            for position, training in enumerate(is_training)
        )


def opaque(seed: int, *words: object) -> str:
    """A name that tells nothing: 10 hexadecimal digits that depend on the seed and on what is named."""
    return hashlib.sha256(repr((seed, *words)).encode()).hexdigest()[:10]


def is_address(text: str) -> bool:
    """Whether results can be sent there: http or https, and nothing that a policy or a page would read as more."""
    return re.fullmatch(r"https?://[\w.-]+(?::\d{1,5})?(?:[/?][!#-&(-:<-~]*)?", text, re.ASCII) is not None


def write(sheet: Sheet, path: Path) -> None:
    """Writes the sheet as JSON, for people to read too."""
    head = {"format": FORMAT, "version": VERSION, "experiment": sheet.experiment}
    path.write_text(
        json.dumps(head | dataclasses.asdict(sheet), indent=1, ensure_ascii=False) + "\n", "utf-8", "backslashreplace"
    )


def read(path: str | Path) -> Sheet:
    """Reads a sheet back.

    Raises:
        InputError: no such file, no sheet, another version, a sheet that was changed since it was written, or one that
            contradicts itself.
    """
    path = Path(path)
    path = path / "sheet.json" if os.path.isdir(path) else path
    content = foreign.read_bytes(path, EXPECTED)
    body = foreign.json_text(content, Any, str(path), EXPECTED)
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise InputError(f"{path} is not {EXPECTED}")
    if body.get("version") != VERSION:
        raise InputError(f"{path} is a sheet of version {body.get('version')}, expected version {VERSION}")
    foreign.json_text(content, Sheet, str(path), EXPECTED)  # the types; numbers stay as they stand there
    with foreign.understood(path, EXPECTED):
        sheet = from_json(body)
    if sheet.experiment != body.get("experiment"):
        raise InputError(f"{path} was changed after it was written: its contents do not give {body.get('experiment')}")
    if problem := _problem(sheet):
        raise InputError(f"{path} is damaged, expected {EXPECTED}: {problem}")
    return sheet


def _problem(sheet: Sheet) -> str:
    """Where a sheet of the right types contradicts itself or holds what no sheet does, in words; "" for nowhere."""
    pictures, trials = {picture.id for picture in sheet.pictures}, {trial.id for trial in sheet.trials}
    if sheet.kind not in (TEACH, AGREE) or not isinstance(sheet.settings.get("sizes"), dict):
        return f"there is no experiment {foreign.name(sheet.kind)!r} of such settings"
    if sheet.post_to and not is_address(sheet.post_to):
        return f"results cannot be sent to {foreign.name(sheet.post_to)!r}"
    names = [*pictures, *trials, *(place.code for place in sheet.places)]
    names += [*sheet.conditions, *(trial.group for trial in sheet.trials if trial.group)]
    for name in names:
        if not re.fullmatch(r"[\w -]{1,60}", name):
            return f"{foreign.name(name)!r} is no name that it gives"
    if not sheet.orders or not all(order and trials.issuperset(order) for order in sheet.orders):
        return "its orders are not about its questions"
    teaching = {trial.id for trial in sheet.trials if trial.counter}
    if sheet.kind == TEACH and not all(teaching.intersection(order) for order in sheet.orders):
        return "nothing is explained in one of its orders"
    for place in sheet.places:
        if place.condition not in sheet.conditions or place.order not in range(len(sheet.orders)):
            return f"the place {place.code} is of a condition or an order that there is not"
    wrong = [one.id for one in sheet.pictures if not _is_possible(one, len(sheet.classes))]
    wrong += [one.id for one in sheet.trials if not _fits(one, sheet, pictures)]
    return f"{wrong[0]} is impossible" if wrong else ""


def _is_possible(picture: Picture, classes: int) -> bool:
    x0, y0, x1, y1 = picture.window
    return all(map(math.isfinite, picture.window)) and x0 < x1 and y0 < y1 and picture.label in range(classes)


def _fits(trial: Trial, sheet: Sheet, pictures: set[str]) -> bool:
    """Whether a question is about pictures, conditions and classes that there are, and its outlines can be drawn."""
    used = {trial.picture, *trial.examples[0], *trial.examples[1], *([trial.counter] if trial.counter else [])}
    regions = [region for pair in trial.lit.values() for region in pair] + ([trial.shown] if trial.shown else [])
    return (
        used <= pictures
        and trial.truth in ("A", "B")
        and set(trial.lit) == (set(sheet.conditions) if trial.counter else set())
        and all(name in range(len(sheet.classes)) for name in trial.names)
        and all(_can_be_drawn(region) for region in regions)
        and all(len(one.marks) == len(other.marks) for one, other in trial.lit.values())
    )


def _can_be_drawn(region: LitRegion) -> bool:
    is_outline = re.fullmatch(r"(?:M\d{1,4} \d{1,4}(?:L\d{1,4} \d{1,4}){2,}Z)*", region.outline, re.ASCII)
    return is_outline is not None and all(math.isfinite(mark.x) and math.isfinite(mark.y) for mark in region.marks)


def from_json(body: dict[str, Any]) -> Sheet:
    """A sheet from the data that it was written as, whose types are right."""
    names = {field.name for field in dataclasses.fields(Sheet)}
    plain = {name: value for name, value in body.items() if name in names}
    return Sheet(
        **plain
        | {
            "classes": tuple(body["classes"]),
            "labels": tuple(body["labels"]),
            "conditions": tuple(body["conditions"]),
            "pictures": tuple(Picture(**entry | {"window": tuple(entry["window"])}) for entry in body["pictures"]),
            "trials": tuple(_trial(entry) for entry in body["trials"]),
            "orders": tuple(tuple(order) for order in body["orders"]),
            "places": tuple(Place(**entry) for entry in body["places"]),
        }
    )


def _trial(entry: dict[str, Any]) -> Trial:
    lit = {name: (_region(query), _region(counter)) for name, (query, counter) in entry["lit"].items()}
    shown = None if entry["shown"] is None else _region(entry["shown"])
    first, second = entry["examples"]
    examples = (tuple(first), tuple(second))
    return Trial(**entry | {"lit": lit, "shown": shown, "examples": examples, "names": tuple(entry["names"])})


def _region(entry: dict[str, Any]) -> LitRegion:
    return LitRegion(entry["outline"], tuple(Mark(**mark) for mark in entry["marks"]))
