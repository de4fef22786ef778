"""The explanations as figures, each complete with a title, what is lit, the scale of its maps and their resolution."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from matplotlib.figure import Figure

from galore import overlay, plotting
from galore.plotting import Panel, Scale, scale_of
from galore.report import words
from galore.report.answer import Answer, Finding, Photo

Question = Literal["attributive", "deliberative", "counterfactual"]

PAIRS = 5


def save(answer: Answer, folder: Path, formats: Sequence[str] = (".png",)) -> tuple[str, ...]:
    """Writes attributive, deliberative, counterfactual and, of an answer with a counter photo, pair.

    Args:
        answer: what to draw.
        folder: where to; it exists.
        formats: some of `plotting.FORMATS`.

    Returns:
        The names of the files.
    """
    drawn = {"attributive": attributive, "deliberative": deliberative, "counterfactual": counterfactual}
    drawn |= {"pair": pair} if answer.why_not.example else {}
    names = []
    for name, draw in drawn.items():
        figure = draw(answer)
        for suffix in formats:
            plotting.save(figure, folder / f"{name}{suffix}")
            names.append(f"{name}{suffix}")
    return tuple(names)


def attributive(answer: Answer) -> Figure:
    """The photo, the region that supports the prediction, and the map with its values."""
    finding, photo = answer.attributive, answer.photo
    panels = [
        Panel(photo.view, "what the network saw"),
        _lit(photo, finding, _covered(finding)),
        _heat(photo, finding, "the map behind it", scale_of(finding.map)),
    ]
    return plotting.row(panels, f"What speaks for {answer.prediction.name}?", words.resolution(answer))


def deliberative(answer: Answer) -> Figure:
    """The strongest insecurities, side by side."""
    panels = [
        _lit(
            answer.photo,
            insecurity.finding,
            f"{rank}. {insecurity.first.name}\nor {insecurity.second.name}?\n"
            f"strength {words.amount(insecurity.strength)}",
        )
        for rank, insecurity in enumerate(answer.insecurities[:PAIRS], 1)
    ] or [Panel(answer.photo.view, "no insecurity was found")]
    return plotting.row(panels, "Where does the network hesitate?", words.resolution(answer))


def counterfactual(answer: Answer) -> Figure:
    """The two regions that tell the prediction from the counter class, and their maps on one scale."""
    finding, example = answer.why_not.finding, answer.why_not.example
    if example is None:
        panels = [_query(answer), _heat(answer.photo, finding, "its map", scale_of(finding.map))]
    else:
        scale = scale_of(finding.map, example.finding.map)
        panels = [
            _query(answer),
            _counter(answer),
            _heat(answer.photo, finding, "map of the first", scale),
            _heat(example.photo, example.finding, "map of the second", scale),
        ]
    title = f"Why {answer.prediction.name} and not {answer.why_not.counter.name}?"
    return plotting.row(panels, title, words.resolution(answer))


def pair(answer: Answer) -> Figure:
    """The photo and the counter photo with the regions lit that tell the classes apart, as papers print them."""
    panels = [_query(answer)] + ([_counter(answer)] if answer.why_not.example else [])
    return plotting.row(panels)


def overview(answer: Answer) -> Figure:
    """The answers to the three questions in a row, each the photo with one region lit; a sure network's hesitation is
    left out."""
    hesitation = [] if words.is_sure(answer) else [panel(answer, "deliberative")]
    panels = [panel(answer, "attributive"), *hesitation, _query(answer)]
    panels += [_counter(answer)] if answer.why_not.example else []
    return plotting.row(panels)


def panel(answer: Answer, question: Question) -> Panel:
    """The one picture that answers a question."""
    photo = answer.photo
    if question == "attributive":
        return _lit(photo, answer.attributive, f"speaks for {answer.prediction.name}")
    if question == "counterfactual":
        return _query(answer)
    if not answer.insecurities:
        return Panel(photo.view, "no insecurity was found")
    strongest = answer.insecurities[0]
    return _lit(photo, strongest.finding, f"{strongest.first.name}\nor {strongest.second.name}?")


def _query(answer: Answer) -> Panel:
    caption = _says(answer, answer.prediction.name, answer.why_not.counter.name)
    return _lit(answer.photo, answer.why_not.finding, caption)


def _counter(answer: Answer) -> Panel:
    predicted, counter, example = answer.prediction.name, answer.why_not.counter, answer.why_not.example
    assert example is not None, "asked for only where there is one"
    caption = _says(answer, counter.name, predicted)
    if example.prediction.index != counter.index:
        caption += f"\n({words.counter_photo(example, counter)})"
    return _lit(example.photo, example.finding, caption)


def _says(answer: Answer, speaks: str, against: str) -> str:
    """What the region does that sets two classes apart, on two lines."""
    return {
        "standardised": f"speaks less for {against}\nthan for other classes",
        "part-tables": f"parts by which {speaks}\nand {against} differ",
        "counterparts": f"for {speaks}, beside\nwhat {against} shows",
    }.get(answer.methods["rule"], f"speaks for {speaks},\nnot for {against}")


def _lit(photo: Photo, finding: Finding, caption: str) -> Panel:
    return Panel(overlay.lit(photo.view, finding.region, finding.map.shape), caption)


def _heat(photo: Photo, finding: Finding, caption: str, scale: Scale) -> Panel:
    return Panel(overlay.heat(photo.view, finding.map, scale), caption, scale)


def _covered(finding: Finding) -> str:
    if not finding.boxes:
        return "the map is the same everywhere: no region"
    return f"lit: the {words.percent(finding.covered)} with the highest values"
