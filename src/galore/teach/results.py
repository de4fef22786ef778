"""Result files: which can be trusted to be whole, and what their learners did."""

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from galore import foreign
from galore.errors import InputError
from galore.teach import seal
from galore.teach.sheet import ANSWERS, VERSION, Sheet

FORMAT = "galore-result"
LARGEST = 1_000_000
"""Bytes of a file that can be a result."""

DAY = 24 * 60 * 60 * 1000
"""Milliseconds after which an answer time is no answer time."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What one learner did.

    Attributes:
        file: where it was read.
        learner: the random code.
        place: the code of the link; "" for a learner who came without one.
        condition: the name.
        order: which of the sheet's orders.
        simulation: the kind of simulated learner; "" for a person.
        answers: "A", "B" or "?", in the order of the questions.
        seconds: how long each took.
        interrupted: whether the page was loaded again before the answer, so that its time is too short.
        studied: seconds for which the reply to an answer of the training was looked at; 0 elsewhere.
    """

    file: str
    learner: str
    place: str
    condition: str
    order: int
    simulation: str
    answers: tuple[str, ...]
    seconds: tuple[float, ...]
    interrupted: tuple[bool, ...]
    studied: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Refusal:
    """A file that is not counted, and why; both as they may be shown."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


def join(sheet: Sheet, files: Sequence[str | Path]) -> tuple[list[Result], list[Refusal]]:
    """Reads every file, keeps what is whole and belongs to the experiment, and says why the rest does not count.

    Args:
        sheet: the experiment.
        files: result files, in any order.

    Returns:
        The results in the order of the files, and the refusals. Of several files of one learner the first counts.
    """
    results: dict[str, Result] = {}
    refusals = []
    for file in files:
        outcome = check(sheet, Path(file))
        if isinstance(outcome, Refusal):
            refusals.append(outcome)
        elif outcome.learner in results:
            first = results[outcome.learner]
            same = dataclasses.replace(first, file=outcome.file) == outcome
            what = "the same as" if same else "of the same learner as, but differs from,"
            refusals.append(Refusal(outcome.file, f"doubled: {what} {first.file}"))
        else:
            results[outcome.learner] = outcome
    return list(results.values()), refusals


def check(sheet: Sheet, file: Path) -> Result | Refusal:
    """Reads one file: the result, or why it does not count."""
    shown = foreign.text(file, foreign.LONGEST_PATH)
    try:
        content = foreign.read_bytes(file, "a result file")
    except InputError as error:
        return Refusal(shown, f"cannot be read: {error}")
    return check_content(sheet, content, shown)


def check_content(sheet: Sheet, content: bytes, file: str) -> Result | Refusal:
    """As `check`, for what is in memory; `file` is what it is called."""
    if len(content) > LARGEST:
        return Refusal(file, "too large for a result file")
    try:
        body = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        return Refusal(file, "truncated, or no result file: it is not JSON")
    reason = _problem(sheet, body)
    if reason:
        return Refusal(file, foreign.text(reason))
    given = body["answers"]
    return Result(
        file=file,
        learner=body["learner"],
        place=body["place"],
        condition=sheet.conditions[body["condition"] - 1],
        order=body["order"],
        simulation=body["simulation"],
        answers=tuple(answer["answer"] for answer in given),
        seconds=tuple(answer["milliseconds"] / 1000 for answer in given),
        interrupted=tuple(bool(answer["interrupted"]) for answer in given),
        studied=tuple(answer["studied"] / 1000 for answer in given),
    )


def _problem(sheet: Sheet, body: Any) -> str:
    """What is wrong with a file's contents, in words; "" for nothing."""
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        return "no result file of galore"
    if body.get("version") != VERSION:
        return f"of another version: {body.get('version')!r}, expected {VERSION}"
    if body.get("experiment") != sheet.experiment:
        return f"of another experiment: {body.get('experiment')!r}, expected {sheet.experiment}"
    wrong = next((name for name, right in _FIELDS.items() if name not in body or not right(body[name])), None)
    if wrong:
        return f"truncated or edited: the field {wrong!r} is missing or has no sensible value"
    if seal.checksum(body) != body["checksum"]:
        return "edited or damaged: its checksum does not fit its contents"
    if body["condition"] > len(sheet.conditions) or body["order"] >= len(sheet.orders):
        return "edited: it names a condition or an order that the experiment does not have"
    return _disagreement(sheet, body)


def _disagreement(sheet: Sheet, body: dict[str, Any]) -> str:
    """Where a well-formed file contradicts the sheet; "" for nowhere."""
    if body["place"]:
        place = next((place for place in sheet.places if place.code == body["place"]), None)
        if place is None:
            return f"edited: the code {body['place']!r} is none of the experiment's"
        if (place.condition, place.order) != (sheet.conditions[body["condition"] - 1], body["order"]):
            return f"edited: the code {body['place']!r} stands for another condition or order"
    given = [answer["trial"] for answer in body["answers"]]
    expected = list(sheet.orders[body["order"]])
    if given == expected[: len(given)] and len(given) < len(expected):
        return f"truncated: {len(given)} of {len(expected)} questions are answered"
    return "" if given == expected else "edited: its questions are not those of the sheet in their order"


def _is_whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_word(value: Any, pattern: str) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _is_answer(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and _is_word(value.get("trial"), r"[0-9a-f]{1,16}")
        and value.get("answer") in ANSWERS
        and _is_whole(value.get("milliseconds"), 0, DAY)
        and _is_whole(value.get("interrupted"), 0, 1)
        and _is_whole(value.get("studied"), 0, DAY)
    )


_FIELDS = {
    "learner": lambda value: _is_word(value, r"[0-9a-z]{1,16}"),
    "place": lambda value: _is_word(value, r"[0-9a-z]{0,12}"),
    "condition": lambda value: _is_whole(value, 1, 100),
    "order": lambda value: _is_whole(value, 0, 100),
    "simulation": lambda value: _is_word(value, r"[a-z ]{0,40}"),
    "answers": lambda value: isinstance(value, list) and all(_is_answer(answer) for answer in value),
    "checksum": lambda value: isinstance(value, str),
}


def right(sheet: Sheet, result: Result) -> Bool[np.ndarray, " questions"]:
    """Which answers are right, in the order of the questions."""
    truth = {trial.id: trial.truth for trial in sheet.trials}
    return np.array([truth[id] == answer for id, answer in zip(sheet.orders[result.order], result.answers)])


def accuracy(sheet: Sheet, result: Result, phase: str, unsure: float = 0.0) -> float:
    """The share of right answers in a phase; "don't know" counts as `unsure` of a right one."""
    score = right(sheet, result) + unsure * (np.array(result.answers) == "?")
    return float(score[in_phase(sheet, result, phase)].mean())


def gains(sheet: Sheet, members: Sequence[Result], unsure: float = 0.0) -> Float[np.ndarray, " members"]:
    """How much more of the last test than of the first each learner got right."""
    return np.array(
        [accuracy(sheet, r, "after", unsure) - accuracy(sheet, r, "before", unsure) for r in members], float
    )


def in_phase(sheet: Sheet, result: Result, phase: str) -> Bool[np.ndarray, " questions"]:
    """Which questions belong to a phase."""
    return np.array([name == phase for name in sheet.phases(result.order)])


def seconds(sheet: Sheet, result: Result, phase: str) -> Float[np.ndarray, " answers"]:
    """How long the answers of a phase took, without those that were interrupted."""
    return np.array(result.seconds)[in_phase(sheet, result, phase) & ~np.array(result.interrupted, bool)]


def explained(sheet: Sheet, result: Result) -> Float[np.ndarray, " pairs"]:
    """For how many seconds each explanation was looked at; there is one for each answer of the training not right."""
    return np.array(result.studied)[in_phase(sheet, result, "training") & ~right(sheet, result)]


def shared_codes(members: Sequence[Result]) -> list[str]:
    """Codes by which more than one learner came: all of them count, but the conditions may be out of balance."""
    places = [result.place for result in members if result.place]
    return sorted({place for place in places if places.count(place) > 1})
