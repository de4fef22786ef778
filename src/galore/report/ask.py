"""The section of the page that answers further questions: its controls, and the maps that its script computes with."""

import base64
import json
import math
from html import escape
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from galore import overlay, regions
from galore.report import elements, words
from galore.report.answer import Answer, Photo

CLASSES = 10
"""Classes that can be asked about, at most."""

ROOM = 600_000
"""Characters of all maps in the page, about; where maps are fine, it takes fewer classes and attributions."""

HINT = "Point at a cell, or go there with the arrow keys, for its value."


class Question(NamedTuple):
    """What the reader may ask: the formula, in the script, of the maps of some classes on one of the photos.

    Attributes:
        group: the question that it is a case of.
        text: in one sentence.
        meaning: what the map shows.
        photo: 0 the photo, 1 the counter photo.
        kind: the formula.
        classes: what it is about.
    """

    group: str
    text: str
    meaning: str
    photo: int
    kind: str
    classes: tuple[int, ...]


def section(answer: Answer) -> str:
    """The section, which the script uncovers: without a script there is nothing to see."""
    methods = _methods(answer)
    options = "".join(
        f'<optgroup label="{escape(group)}">{"".join(_option(question, answer) for question in some)}</optgroup>'
        for group, some in groupby(questions(answer), lambda question: question.group)
    )
    choice = "".join(f"<option>{escape(method)}</option>" for method in methods)
    chosen = _control("method", "Attribution", f'<select id="method">{choice}</select>') if len(methods) > 1 else ""
    size = _slider("size", "Size of the lit region", round(100 * answer.methods["fraction"]), 1, 99)
    opacity = _slider("opacity", "Opacity of the map", round(100 * overlay.STRONG), 0, 100)
    rows, columns = answer.attributive.map.shape
    side = answer.photo.view.shape[0]
    canvas = f'width="{side}" height="{side}"'
    return f"""<section id="ask" hidden>
<p class="kicker">4 · Ask it yourself</p>
<h2>Another class, another size</h2>
<p>This page computes what you ask for from the maps that are stored in it. Nothing is sent anywhere.</p>
<div class="controls" role="group" aria-label="What is shown">
{_control("question", "Question", f'<select id="question">{options}</select>')}
{chosen}
</div>
<div class="pair">
<figure><canvas id="lit" {canvas} role="img" aria-label="The photo with a region lit"></canvas>
<figcaption id="lit-said"></figcaption>{size}</figure>
<figure><canvas id="heat" {canvas} role="application" tabindex="0" aria-describedby="cell"
aria-label="The {rows} × {columns} cells of the map; the arrow keys go from cell to cell, Home to the highest"></canvas>
<figcaption><output id="cell" aria-live="polite">{HINT}</output></figcaption>
{elements.heat_scale('<span id="lowest"></span>', '<span id="highest"></span>')}{opacity}</figure>
</div>
</section>
<script type="application/json" id="data">{_json(data(answer))}</script>"""


def questions(answer: Answer) -> list[Question]:
    """Everything that can be asked, in the order of the page's sections."""
    prediction, counter, example = answer.prediction, answer.why_not.counter, answer.why_not.example
    rule = answer.methods["rule"]
    known = _classes(answer)
    name = {one.index: one.name for one in (*answer.candidates, counter)}
    asked = [_supports(name[y], y) for y in known]
    pairs = [(one.first.index, one.second.index) for one in answer.insecurities]
    asked += [
        Question(
            "Where does it hesitate?",
            f"Where does it hesitate between {name[a]} and {name[b]}?",
            f"where the network hesitates between {name[a]} and {name[b]}",
            0,
            "deliberative",
            (a, b),
        )
        for a, b in pairs
        if a in known and b in known
    ]
    against = [c for c in known[1:] if rule == "discriminant" or f"{rule}_{c}" in answer.maps]
    asked += [_apart("Why not the other?", prediction.name, name[c], 0, rule, (prediction.index, c)) for c in against]
    if example is not None:
        classes = counter.index, prediction.index
        asked.append(_apart(f"In {example.photo.name}", counter.name, prediction.name, 1, rule, classes))
    return asked


def data(answer: Answer) -> dict[str, Any]:
    """What the script reads: the questions, the photos, and every map that they need, as float32 in base64."""
    asked, example = questions(answer), answer.why_not.example
    shown = [answer.photo, *([example.photo] if example else [])]
    kinds = "class", answer.methods["rule"]
    wanted = {f"{kind}_{index}" for kind in kinds for index in _classes(answer)} | {"confidence", "difficulty"}
    prefixes = ["", *(f"{method}_" for method in _methods(answer)[1:])]
    keys = {f"{photo}{prefix}{key}" for photo in ("", "counter_") for prefix in prefixes for key in wanted}
    return {
        "grid": answer.attributive.map.shape,
        "side": answer.photo.view.shape[0],
        "methods": _methods(answer),
        "questions": [question._asdict() for question in asked],
        "photos": [_photo(photo) for photo in shown],
        "maps": {key: _floats(values) for key, values in answer.maps.items() if key in keys},
        "colours": base64.b64encode(overlay.colours(np.linspace(0, 1, 256)).tobytes()).decode(),
        **{name: getattr(overlay, name.upper()) for name in ("line", "dark", "under", "faint", "strong")},
        "softness": regions.SOFTNESS,
        "hint": HINT,
    }


def _supports(name: str, index: int) -> Question:
    meaning = f"what speaks for {name}"
    return Question("What speaks for it?", f"What speaks for {name}?", meaning, 0, "attributive", (index,))


def _apart(group: str, speaks: str, against: str, photo: int, rule: str, classes: tuple[int, int]) -> Question:
    meaning = words.meaning(rule, speaks, against)
    return Question(group, f"Why {speaks} and not {against}?", meaning, photo, rule, classes)


def _methods(answer: Answer) -> list[str]:
    """The attributions to choose from, as many as there is room for with two classes."""
    most = max(_maps_in(ROOM, answer) // 4, 1)
    return [answer.methods["attribution"], *answer.methods.get("also", ())][:most]


def _classes(answer: Answer) -> list[int]:
    """The classes that can be asked about, the prediction first, as many as there is room for beside a(s), a(1 - s)."""
    most = min(CLASSES, max(_maps_in(ROOM, answer) // len(_methods(answer)) - 2, 2))
    counter = answer.why_not.counter.index
    first = [candidate.index for candidate in answer.candidates[:most]]
    return first if counter in first else [*first[: most - 1], counter]


def _maps_in(room: int, answer: Answer) -> int:
    """How many maps take so many characters: base64 has four for three bytes."""
    return room // math.ceil(answer.attributive.map.size * 4 * 4 / 3)


def _photo(photo: Photo) -> dict[str, Any]:
    """The picture, and the parts where they lie in it, from 0 to 1."""
    x0, y0, x1, y1 = photo.window
    places = [(part.name, (part.x - x0) / (x1 - x0), (part.y - y0) / (y1 - y0)) for part in photo.parts]
    inside = [(name, round(x, 4), round(y, 4)) for name, x, y in places if 0 <= x < 1 and 0 <= y < 1]
    return {"name": photo.name, "picture": overlay.data_uri(photo.view), "parts": inside}


def _floats(values: Float[np.ndarray, "h w"]) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def _json(value: Any) -> str:
    """JSON that ends no element of HTML."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _option(question: Question, answer: Answer) -> str:
    """The question of the page's third section is the one to begin with."""
    is_first = question.photo == 0 and question.classes == (answer.prediction.index, answer.why_not.counter.index)
    chosen = " selected" if is_first and question.kind == answer.methods["rule"] else ""
    return f"<option{chosen}>{escape(question.text)}</option>"


def _control(name: str, label: str, control: str) -> str:
    return f'<p><label for="{name}">{label}</label>{control}</p>'


def _slider(name: str, label: str, value: int, low: int, high: int) -> str:
    slider = f'<input type="range" id="{name}" min="{low}" max="{high}" value="{value}">'
    said = f'<output id="{name}-said" for="{name}">{value}{words.NARROW}%</output>'
    return f'<p class="slider"><span class="row"><label for="{name}">{label}</label>{said}</span>{slider}</p>'
