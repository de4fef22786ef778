"""The report as one HTML file: no request to anyone, readable on a phone, offline, and without its script."""

import base64
import hashlib
import importlib.resources
import shlex
from html import escape
from typing import Any

from galore import foreign, overlay
from galore.report import ask, elements, words
from galore.report.answer import Answer, Candidate, Insecurity, Photo, grouped

CARDS = 6

WEAKEST = 0.01
"""Of the strongest insecurity's strength; weaker ones are numbers in a table."""


def page(answer: Answer) -> str:
    """The whole page.

    Args:
        answer: what to show.

    Returns:
        HTML with its style, script and pictures inside. Its content security policy allows nothing else.
    """
    style, script = _packaged("page.css"), _packaged("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    title = f"{answer.prediction.name}: why, and why not {answer.why_not.counter.name}?"
    body = "\n".join(
        [
            _header(answer),
            _attributive(answer),
            _deliberative(answer),
            _counterfactual(answer),
            ask.section(answer),
            _how_to_read(answer),
            _numbers(answer),
        ]
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="galore">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
{_footer(answer)}
<script>{script}</script>
</body>
</html>
"""


def _packaged(name: str) -> str:
    return importlib.resources.files("galore.report").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """How a content security policy names an inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _header(answer: Answer) -> str:
    photo = answer.photo
    caption = (
        "The photo."
        if _saw_all(photo)
        else ("The photo. The network saw only the part inside the line: it takes a square from the middle.")
    )
    whole = overlay.framed(photo.pixels, photo.window, longest=720)
    classes = "".join(
        f'<li><span class="row"><span>{escape(candidate.name)}</span>'
        f'<span class="number">{words.percent(candidate.probability)}</span></span>'
        f"{elements.bar(candidate.probability)}</li>"
        for candidate in answer.candidates
    )
    return f"""<header>
<div>
<p class="kicker">Three questions to a network</p>
<h1>It sees: {escape(answer.prediction.name)}</h1>
<p class="lead">{escape(words.headline(answer))}</p>
<ul class="classes">{classes}</ul>
</div>
{elements.figure(whole, f"The photo {photo.name}", caption)}
</header>
{_notes(answer)}"""


def _attributive(answer: Answer) -> str:
    name, finding = answer.prediction.name, answer.attributive
    meaning, scale = f"what speaks for {name}", elements.scale(finding)
    return f"""<section>
<p class="kicker">1 · What supports it?</p>
<h2>What in the photo speaks for {escape(name)}?</h2>
<p>{escape(words.attributive(answer))}</p>
<div class="pair">
{elements.lit_figure(answer.photo, finding, meaning, "<strong>Where.</strong> " + elements.lit_key(finding))}
{elements.heat_figure(answer.photo, finding, meaning, scale)}
</div>
{elements.heat_scale(*map(words.amount, scale))}
<p class="soft">{escape(words.resolution(answer))}</p>
</section>"""


def _deliberative(answer: Answer) -> str:
    return f"""<section>
<p class="kicker">2 · Where does it hesitate?</p>
{_sure(answer) if words.is_sure(answer) else _hesitations(answer)}
</section>"""


def _sure(answer: Answer) -> str:
    return f"""<h2>Nowhere that matters</h2>
<p>{escape(words.sure(answer))}</p>"""


def _hesitations(answer: Answer) -> str:
    strongest = max((insecurity.strength for insecurity in answer.insecurities), default=0.0)
    lit = [insecurity for insecurity in answer.insecurities if insecurity.strength >= WEAKEST * strongest]
    groups = grouped(lit)[:CARDS]
    cards = "".join(_card(answer, rank, group, strongest) for rank, group in enumerate(groups, 1))
    more = len(answer.insecurities) - sum(map(len, groups))
    rest = f"{more} weaker {'pair is' if more == 1 else 'pairs are'} in the table below."
    return f"""<h2>Regions that fit two classes at once</h2>
<p>{escape(words.deliberative(answer))} Each lit region speaks for both classes, and the network finds it hard.
Strongest first: a strength is the mean of the map over its region; bars compare it to the strongest.</p>
<p>{escape(words.difficulty(answer))}</p>
<ol class="cards">{cards}</ol>
{f'<p class="soft">{rest}</p>' if more else ""}"""


def _card(answer: Answer, rank: int, group: list[Insecurity], strongest: float) -> str:
    """One region, and every pair of classes between which the network hesitates there."""
    first, finding = group[0], group[0].finding
    classes = " or ".join(dict.fromkeys(one.name for pair in group for one in (pair.first, pair.second)))
    alternative = f"Photo with the region lit where the network hesitates between {classes}: {words.parts(finding)}."
    picture = elements.image(overlay.lit(answer.photo.view, finding.region, finding.map.shape), alternative)
    pairs = "".join(_pair(pair, strongest) for pair in group[1:])
    others = f'<p class="soft">The same region for</p><ul class="pairs">{pairs}</ul>' if pairs else ""
    return f"""<li class="card">{picture}<div class="text">
<h3>{rank}. {_versus(first)}?</h3>
<p class="soft">{escape(words.parts(finding))}</p>
{_strength(first, strongest)}{others}</div></li>"""


def _pair(pair: Insecurity, strongest: float) -> str:
    return f"<li>{_versus(pair)}{_strength(pair, strongest)}</li>"


def _versus(pair: Insecurity) -> str:
    return f'{escape(pair.first.name)} <span class="versus">or</span> {escape(pair.second.name)}'


def _strength(pair: Insecurity, strongest: float) -> str:
    value = f'<span class="number">{words.amount(pair.strength)}</span>'
    bar = elements.bar(pair.strength / strongest if strongest > 0 else 0.0)
    return f'<p class="row soft"><span>Strength</span>{value}</p>{bar}'


def _counterfactual(answer: Answer) -> str:
    why_not, example = answer.why_not, answer.why_not.example
    predicted, counter = answer.prediction.name, why_not.counter.name
    rule = answer.methods["rule"]
    meaning, reverse = (words.meaning(rule, *two) for two in ((predicted, counter), (counter, predicted)))
    caption = f"<strong>This photo.</strong> Lit: {escape(meaning)}."
    query = elements.lit_figure(answer.photo, why_not.finding, meaning, caption)
    scale = elements.scale(why_not.finding, *([example.finding] if example else []))
    legend = elements.heat_scale(*map(words.amount, scale))
    query_map = elements.heat_figure(answer.photo, why_not.finding, meaning, scale)
    if example is None:
        other = query_map
        below = (
            f'{legend}<div class="empty"><p><strong>The other half of the answer.</strong> Give the '
            f"network a photo of the class {escape(counter)} too, and you see what that photo has and this one lacks:"
            f"</p><pre>{escape(_command(answer))}</pre></div>"
        )
    else:
        shown = words.counter_photo(example, why_not.counter)
        caption = f"<strong>{escape(shown)}.</strong> Lit: {escape(reverse)}."
        other = elements.lit_figure(example.photo, example.finding, reverse, caption)
        maps = query_map + elements.heat_figure(example.photo, example.finding, reverse, scale)
        below = f'<div class="pair">{maps}</div>{legend}'
    return f"""<section>
<p class="kicker">3 · Why not the other?</p>
<h2>Why {escape(predicted)} and not {escape(counter)}?</h2>
<p>{escape(words.counterfactual(answer))} {escape(words.example(answer))}</p>
<p class="soft">{escape(words.rule(answer))}</p>
{_runner_up(answer)}
<div class="pair">
{query}
{other}
</div>
{below}
</section>"""


def _runner_up(answer: Answer) -> str:
    if answer.why_not.named:
        return ""
    text = f"{answer.why_not.counter.name} is the network's second choice; --why-not asks about any other class."
    return f'<p class="soft">{elements.with_options(text)}</p>'


def _how_to_read(answer: Answer) -> str:
    fraction = words.percent(answer.methods["fraction"])
    apart = " (question 3: where two classes differ)" if answer.methods["rule"] == "part-tables" else ""
    return f"""<section>
<h2>How to read this</h2>
<dl>
<div><dt>Lit region</dt><dd>The {fraction} of the picture with the highest values of a map. It always has about
this size, also when nothing stands out: compare it with the map beside it.</dd></div>
<div><dt>Coloured cells</dt><dd>{escape(words.resolution(answer))} Colours run from the lowest to the highest value,
which stand beside them; two maps side by side share them.</dd></div>
<div><dt>Hesitation</dt><dd>A region counts when it speaks for both classes and lowers the network's confidence. The
strength is the mean of these three, multiplied, over the region.</dd></div>
<div><dt>What this is not</dt><dd>It shows what moved this network on this photo{apart}. It does not show that the
network is right, nor what would happen if the region were changed.</dd></div>
</dl>
</section>"""


def _numbers(answer: Answer) -> str:
    classes = elements.table(
        "Classes",
        ("Class", "Index", "Logit", "Probability"),
        [(c.name, str(c.index), f"{c.logit:.2f}", f"{c.probability:.4f}") for c in _shown_classes(answer)],
    )
    pairs = elements.table(
        "Hesitation",
        ("Between", "Strength", "Parts"),
        [
            (f"{i.first.name} or {i.second.name}", words.amount(i.strength), str(len(i.finding.boxes)))
            for i in answer.insecurities
        ],
    )
    maps = elements.table(
        "Maps (in maps.npz)",
        ("Name", "Lowest", "Highest", "Sum"),
        [(key, *(words.amount(float(v)) for v in (m.min(), m.max(), m.sum()))) for key, m in answer.maps.items()],
    )
    score = str(answer.methods["confidence"])
    name = words.CONFIDENCE.get(score, score)
    return f"""<section>
<h2>The numbers</h2>
<p>Confidence: <strong>{answer.confidence:.3f}</strong>, {escape(name)}.
All numbers are in <code>explanation.json</code>, the raw maps in <code>maps.npz</code>.</p>
{classes}
{pairs}
<details><summary>Every map</summary>{maps}</details>
</section>"""


def _footer(answer: Answer) -> str:
    rows = [*_flat({"choices": answer.methods}), *_flat(answer.provenance)]
    cells = "".join(f"<tr><th scope=row>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"""<footer>
<p class="soft">Made by galore from {escape(answer.photo.name)}.</p>
<details><summary>What made this page</summary>
<div class="scroll"><table><tbody>{cells}</tbody></table></div></details>
</footer>"""


def _notes(answer: Answer) -> str:
    notes = "".join(f'<p class="note" role="note">{elements.with_options(note)}</p>' for note in answer.notes)
    return f'<div class="notes">{notes}</div>' if notes else ""


def _shown_classes(answer: Answer) -> list[Candidate]:
    counter = answer.why_not.counter
    known = {candidate.index for candidate in answer.candidates}
    return [*answer.candidates, *([] if counter.index in known else [counter])]


def _saw_all(photo: Photo) -> bool:
    height, width = photo.pixels.shape[:2]
    x0, y0, x1, y1 = photo.window
    return x0 <= 0.5 and y0 <= 0.5 and x1 >= width - 0.5 and y1 >= height - 0.5


def _command(answer: Answer) -> str:
    counter, photo = answer.why_not.counter.index, foreign.text(answer.photo.path, foreign.LONGEST_PATH)
    return f"galore explain {shlex.quote(photo)} --why-not index:{counter} --counter-image PHOTO"


def _flat(nested: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in nested.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, dict):
            rows += _flat(value, f"{name}: ")
        else:
            shown = ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else value
            rows.append((foreign.name(name), foreign.text(shown, 400)))
    return rows
