"""The phrases that the terminal and the page share."""

import numpy as np
from jaxtyping import Bool

from galore import regions
from galore.report.answer import Answer, Candidate, CounterPhoto, Finding

CONFIDENCE = {"softmax": "softmax score (the highest probability)", "certainty": "certainty (one minus the entropy)"}

NARROW = "\u202f"
"""A narrow space at which no line breaks."""


NAMED = 4
"""Parts of an object that are named; of more it is said how many."""


SURE = 0.1
"""Of a photo that is less difficult the network is sure."""


def percent(share: float) -> str:
    """A share of 1 as a reader says it: no false precision, and never 0 % or 100 % unless it is exactly that."""
    if 0 < share < 0.01:
        return f"under 1{NARROW}%"
    if 0.995 <= share < 1:
        return f"over 99{NARROW}%"
    return f"{100 * share:.0f}{NARROW}%"


def amount(value: float) -> str:
    """A value of a map as it is, in three significant digits: the same in figures, tables and pages."""
    return f"{value:.3g}"


def place(region: Bool[np.ndarray, "size_y size_x"]) -> str:
    """Where the middle of a region lies, in words: "upper left", "centre", or "nowhere" when it is empty."""
    if not region.any():
        return "nowhere"
    rows, columns = np.nonzero(region)
    row = min(int(3 * (rows.mean() + 0.5) / region.shape[0]), 2)
    column = min(int(3 * (columns.mean() + 0.5) / region.shape[1]), 2)
    vertical, horizontal = ("upper", "", "lower")[row], ("left", "", "right")[column]
    if vertical and horizontal:
        return f"{vertical} {horizontal}"
    if vertical:
        return f"{vertical} middle"
    return horizontal or "centre"


def parts(finding: Finding) -> str:
    """Where a region lies: the names of the object's parts in it, as "beak, crown"; where none is known, where its
    connected parts lie: "centre", or "3 parts, the largest lower left"."""
    if finding.parts:
        more = len(finding.parts) - NAMED
        return ", ".join(finding.parts[:NAMED]) + (f" and {more} more" if more > 0 else "")
    connected = regions.connected(finding.region)
    if not connected:
        return "no region"
    largest = place(connected[0].mask)
    return largest if len(connected) == 1 else f"{len(connected)} parts, the largest {largest}"


def headline(answer: Answer) -> str:
    """How sure the network is, in one sentence."""
    best, *rest = answer.candidates
    if not rest:
        return f"The network says {best.name} ({percent(best.probability)})."
    second = rest[0]
    if best.probability - second.probability < 0.15:
        return (
            f"The network can hardly decide between {best.name} ({percent(best.probability)}) and {second.name} "
            f"({percent(second.probability)})."
        )
    sure = "is sure" if best.probability > 0.9 else "leans towards" if best.probability < 0.5 else "says"
    verb = f"is sure: {best.name}" if sure == "is sure" else f"{sure} {best.name}"
    return (
        f"The network {verb} ({percent(best.probability)}); next comes {second.name} ({percent(second.probability)})."
    )


def attributive(answer: Answer) -> str:
    if not answer.attributive.boxes:
        return f"No part of the photo stands out in what speaks for {answer.prediction.name}."
    return (
        f"The lit region speaks for {answer.prediction.name} more than the rest of the photo does "
        f"({parts(answer.attributive)})."
    )


def deliberative(answer: Answer) -> str:
    if is_sure(answer):
        return sure(answer)
    lit = [insecurity for insecurity in answer.insecurities if insecurity.finding.boxes]
    if not lit:
        return "No region was found where the network hesitates between two classes."
    first = lit[0]
    return f"It hesitates most between {first.first.name} and {first.second.name} ({parts(first.finding)})."


def is_sure(answer: Answer) -> bool:
    """Whether the photo is so easy that no hesitation is worth a picture."""
    return 1 - answer.confidence < SURE


def sure(answer: Answer) -> str:
    """All that is said about the hesitation of a sure network."""
    hard = f"its difficulty is {amount(1 - answer.confidence)}, from 0 (sure) to 1 (lost)"
    return f"Of this photo the network is sure ({hard}), so no region where it hesitates is shown."


def difficulty(answer: Answer) -> str:
    """How hard the photo is to the network as a whole."""
    hard = 1 - answer.confidence
    feeling = "sure" if is_sure(answer) else "fairly sure" if hard < 0.4 else "unsure"
    return f"Of the photo as a whole the network is {feeling}: its difficulty is {hard:.2f}, from 0 (sure) to 1 (lost)."


def says(rule: str, speaks: str, against: str) -> str:
    """What a region that sets two classes apart does, by the rule that found it."""
    return {
        "standardised": f"speaks less for {against} than for other classes",
        "part-tables": f"shows parts by which {speaks} and {against} differ",
        "counterparts": f"speaks for {speaks}, measured against what {against} would show there",
    }.get(rule, f"speaks for {speaks} and not for {against}")


def meaning(rule: str, speaks: str, against: str) -> str:
    """What such a map shows."""
    said = says(rule, speaks, against)
    return said.removeprefix("shows ") if rule == "part-tables" else f"what {said}"


def counterfactual(answer: Answer) -> str:
    why_not = answer.why_not
    said = says(answer.methods["rule"], answer.prediction.name, why_not.counter.name)
    if not why_not.finding.boxes:
        return f"No region was found that {said}."
    return f"The lit region {said} ({parts(why_not.finding)})."


def rule(answer: Answer) -> str:
    """How the map of what sets the two classes apart was made."""
    predicted, counter = answer.prediction.name, answer.why_not.counter.name
    return {
        "discriminant": f"The map is the discriminant one: what speaks for {predicted}, times what does not speak for "
        f"{counter}, times where the network is sure.",
        "margin": f"The map is that of the margin: of the score of {predicted} minus the score of {counter}.",
        "standardised": f"The map is what speaks against {counter}, compared at each place with what speaks against "
        f"all other classes; {predicted} is one class among them. Such maps follow the question better than others, "
        "and find no better what the decision hangs on.",
        "part-tables": f"The map is the classes' difference, placed on this photo's parts: by which parts {predicted} "
        f"and {counter} differ was found in other photos. Whether this photo shows the difference the map does not "
        "ask, nor whether the network looked at it.",
        "counterparts": f"The map is how far the score of {predicted} minus the score of {counter} would fall if a "
        f"place looked as {counter} does there, which was learnt from other photos: what both classes show alike says "
        "nothing.",
    }[answer.methods["rule"]]


def example(answer: Answer) -> str:
    """What the photo of the counter class shows; empty without one."""
    shown = answer.why_not.example
    if shown is None:
        return ""
    if not shown.finding.boxes:
        return f"In the second photo no region speaks for {answer.why_not.counter.name} alone."
    said = says(answer.methods["rule"], answer.why_not.counter.name, answer.prediction.name)
    return f"In the second photo, the lit region {said} ({parts(shown.finding)})."


def counter_photo(example: CounterPhoto, counter: Candidate) -> str:
    """What the second photo is: of the counter class only where the network sees that class in it."""
    if example.prediction.index == counter.index:
        return f"{example.photo.name}, a photo of {counter.name}"
    return f"{example.photo.name}, which the network takes for {example.prediction.name}"


def example_hint(answer: Answer) -> str:
    """The same in brief for a terminal, or how to get it."""
    counter, shown = answer.why_not.counter.name, answer.why_not.example
    if shown is None:
        return f"--counter-image with a photo of {counter} shows what it has that this photo lacks"
    return f"in {shown.photo.name}, for {counter}: {parts(shown.finding)}"


def resolution(answer: Answer) -> str:
    """What the map can and cannot resolve."""
    height, width = answer.attributive.map.shape
    return (
        f"Each map has {height} × {width} cells; a cell is {percent(1 / (height * width))} of what the network saw. "
        "Light fades over one cell: where exactly a region ends, the map does not say."
    )
