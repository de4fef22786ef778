"""The answers as a piece of HTML inside a notebook.

It has no script, no identifiers and no style sheet, so it may be shown twice beside anything; it takes the notebook's
own colours, light or dark.
"""

from html import escape

from galore import overlay
from galore.report import words
from galore.report.answer import Answer, Finding, Photo

WIDTH = 300
"""Of a picture, in pixels of the page."""

_SOFT = "opacity:.75;font-size:.9em"


def html(answer: Answer) -> str:
    """The three questions and their answers, with pictures."""
    predicted, counter, example = answer.prediction.name, answer.why_not.counter, answer.why_not.example
    query = f"Speaks for {predicted}, not for {counter.name}."
    figures = [_figure(answer.photo, answer.why_not.finding, query)]
    if example is not None:
        reverse = f"{words.counter_photo(example, counter)}: speaks for {counter.name}, not for {predicted}."
        figures.append(_figure(example.photo, example.finding, reverse))
    hesitation = [
        _figure(answer.photo, one.finding, f"{one.first.name} or {one.second.name}: {words.amount(one.strength)}.")
        for one in answer.insecurities[:3]
    ]
    attributive = [_figure(answer.photo, answer.attributive, f"Speaks for {predicted}.")]
    notes = "".join(f'<p style="{_SOFT}">{escape(note)}</p>' for note in answer.notes)
    return (
        f'<div style="max-width:62em"><p><strong>{escape(answer.photo.name)}.</strong> '
        f"{escape(words.headline(answer))}</p>{notes}"
        + _section(f"What speaks for {predicted}?", words.attributive(answer), attributive)
        + _section("Where does it hesitate?", words.deliberative(answer), hesitation)
        + _section(f"Why {predicted} and not {counter.name}?", words.counterfactual(answer), figures)
        + f'<p style="{_SOFT}">{escape(words.resolution(answer))}</p></div>'
    )


def _section(question: str, said: str, figures: list[str]) -> str:
    row = f'<div style="display:flex;flex-wrap:wrap;gap:12px">{"".join(figures)}</div>' if figures else ""
    return f'<p style="margin:1em 0 .3em"><strong>{escape(question)}</strong> {escape(said)}</p>{row}'


def _figure(photo: Photo, finding: Finding, caption: str) -> str:
    picture = overlay.data_uri(overlay.lit(photo.view, finding.region))
    alternative = f"{photo.name}. {caption} Lit: {words.parts(finding)}."
    return (
        f'<figure style="margin:0;width:{WIDTH}px"><img src="{picture}" alt="{escape(alternative)}" '
        f'style="width:100%;border-radius:4px"><figcaption style="{_SOFT}">{escape(caption)}</figcaption></figure>'
    )
