"""The answers as a piece of HTML inside a notebook.

It has no script, no identifiers and no style sheet, so it may be shown twice beside anything; it takes the notebook's
own colours, light or dark.
"""

from html import escape

import numpy as np
from jaxtyping import UInt8

from galore import overlay
from galore.report import words
from galore.report.answer import Answer, Finding, Insecurity, Photo, grouped

WIDTH = 300
"""Of a picture, in pixels of the page."""

REGIONS = 3
"""Where it hesitates, at most."""

_SOFT = "opacity:.75;font-size:.9em"


def html(answer: Answer) -> str:
    """The three questions and their answers, with pictures."""
    predicted, counter, photo = answer.prediction.name, answer.why_not.counter.name, answer.photo
    attributive = [_lit(photo, answer.attributive, f"Speaks for {predicted}."), _heat(photo, answer.attributive)]
    shown = [] if words.is_sure(answer) else grouped(answer.insecurities)[:REGIONS]
    hesitation = [_lit(photo, group[0].finding, " ".join(map(_pair, group))) for group in shown]
    notes = "".join(f'<p style="{_SOFT}">{escape(note)}</p>' for note in answer.notes)
    return (
        f'<div style="max-width:64em"><p><strong>{escape(photo.name)}.</strong> {escape(words.headline(answer))}</p>'
        + notes
        + _section(f"What speaks for {predicted}?", words.attributive(answer), attributive)
        + _section("Where does it hesitate?", words.deliberative(answer), hesitation)
        + _section(f"Why {predicted} and not {counter}?", words.counterfactual(answer), _apart(answer))
        + f'<p style="{_SOFT}">{escape(words.resolution(answer))}</p></div>'
    )


def _pair(insecurity: Insecurity) -> str:
    between = f"{insecurity.first.name} or {insecurity.second.name}?"
    return f"{between} Strength {words.amount(insecurity.strength)}."


def _apart(answer: Answer) -> list[str]:
    """What tells the two classes apart, in the photo and in the counter photo, or else its map."""
    predicted, counter, example = answer.prediction.name, answer.why_not.counter, answer.why_not.example
    rule = answer.methods["rule"]
    said = words.says(rule, predicted, counter.name)
    query = _lit(answer.photo, answer.why_not.finding, f"{said[0].upper()}{said[1:]}.")
    if example is None:
        return [query, _heat(answer.photo, answer.why_not.finding)]
    reverse = f"{words.counter_photo(example, counter)}: {words.says(rule, counter.name, predicted)}."
    return [query, _lit(example.photo, example.finding, reverse)]


def _section(question: str, said: str, figures: list[str]) -> str:
    row = f'<div style="display:flex;flex-wrap:wrap;gap:12px">{"".join(figures)}</div>' if figures else ""
    return f'<p style="margin:1em 0 .3em"><strong>{escape(question)}</strong> {escape(said)}</p>{row}'


def _lit(photo: Photo, finding: Finding, caption: str) -> str:
    picture = overlay.lit(photo.view, finding.region, finding.map.shape)
    return _figure(picture, f"{photo.name}. {caption} Lit: {words.parts(finding)}.", caption)


def _heat(photo: Photo, finding: Finding) -> str:
    lowest, highest = (words.amount(float(end)) for end in (finding.map.min(), finding.map.max()))
    caption = f"How much: the cells of the map, from {lowest} to {highest}."
    return _figure(overlay.heat(photo.view, finding.map), f"{photo.name}. {caption}", caption)


def _figure(picture: UInt8[np.ndarray, "height width 3"], alternative: str, caption: str) -> str:
    return (
        f'<figure style="margin:0;width:{WIDTH}px"><img src="{overlay.data_uri(picture)}" alt="{escape(alternative)}" '
        f'style="width:100%;border-radius:4px"><figcaption style="{_SOFT}">{escape(caption)}</figcaption></figure>'
    )
