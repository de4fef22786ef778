"""The page of results: one folder per data set and network, and an index over all of them."""

import html
import json
import re
from pathlib import Path
from typing import Any

import claims
import summary
from claims import FAILS, HOLDS, UNKNOWN, VERDICTS, Claim
from markdown_it import MarkdownIt
from table import words

from galore import atomic

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h1,h2,h3{line-height:1.2}h2{margin-top:2.5rem;border-top:1px solid #ddd;padding-top:1rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem}
th,td{border-bottom:1px solid #e3e3e3;padding:.25rem .6rem;text-align:left;vertical-align:top}
th{background:#f6f6f6}img{max-width:100%;height:auto}code{background:#f3f3f3;padding:0 .2rem}
.interval{white-space:nowrap}
.holds{background:#dcf3df}.does-not-hold{background:#fbdcd9}.cannot-tell{background:#eeeeee}
"""
_WORDS = (
    "**The numbers.** *AUROC* is how often a map is larger at a part (a pixel of an object) that it should point at "
    "than at another visible one of the same image: 0.5 is chance, 1 the best. Counterfactual maps should point at "
    "what tells the two classes apart, insecurities at what their two classes have in common. A *beginner* asks "
    "about a class drawn at random, an *advanced* user about the class that a weaker network mistook the image for.",
    "",
    "**The maps.** *a* supports the predicted class, *b* the counter class, *comp(b)* is max(b) - b, *s* supports "
    "the confidence (softmax score, certainty, or easiness by the hardness predictor); *margin* supports the "
    "difference of the two classes' logits. An insecurity multiplies the maps of two classes and of a difficulty: "
    "*hesitancy* (1 - softmax score), *entropy*, *hardness* (by the predictor), or *none*. Four maps know nothing "
    "of the network: *random map*, *centred Gaussian*, *whole object* (its bounding box), and *oracle*, the best "
    "map there is.",
    "",
)
_PAPERS = (
    "SCOUT: Wang and Vasconcelos, CVPR 2020, counterfactual explanations. GALORE: the same authors, TPAMI 2023, which "
    "puts attributive, deliberative and counterfactual explanations together."
)


def write_study(folder: Path, title: str, sections: list[dict[str, Any]], lines: list[str]) -> None:
    """Writes index.md and index.html of one data set and network.

    Args:
        folder: that holds one folder per experiment, with claims.json, table.md, provenance.json and figures.
        title: of the page.
        sections: in order, each with "name", "title", "question" and "published" (see published.json) of an experiment.
        lines: what was run, how long it took, with which seeds.
    """
    text = [f"# {title}", "", *[f"{line}\n" for line in lines], "## The claims", "", *_legend(), *_WORDS, _PAPERS, ""]
    text += ["| verdict | claim | source | number | ours, 95 % interval | counted |", "|---|---|---|---|---|---|"]
    for section in sections:
        for claim in claims.load(folder / section["name"] / "claims.json"):
            text.append(_claim_row(claim))
    for section in sections:
        place = folder / section["name"]
        table = (place / "table.md").read_text(encoding="utf-8").split("\n", 2)[2].strip()
        made = json.loads((place / "provenance.json").read_text(encoding="utf-8"))
        by = f"`experiments/{section['name']}.py`, seed {', '.join(str(one['seed']) for one in made)}"
        text += ["", f"## {section['title']}", "", f"{section['question']} ({by})", "", table, ""]
        for published in section["published"]:
            text += [f"Published: {published['source']}. Empty cells could not be read.", ""]
            text += ["| network | measure | " + " | ".join(published["columns"]) + " |"]
            text += ["|" + "---|" * (2 + len(published["columns"]))]
            for row in published["rows"]:
                text.append("| " + " | ".join([row["network"], row["measure"], *row["cells"]]) + " |")
            text.append("")
        pictures = sorted(place.glob("*.png"))
        text += [line for picture in pictures for line in (_picture(section["name"], picture.name), "")]
    _write(folder, title, "\n".join(text) + "\n")


def write_index(results: Path, titles: dict[str, str]) -> None:
    """Writes results/index.md and results/index.html: what held and how surely, over all studies.

    Args:
        results: holds one folder per data set and network.
        titles: of the experiments, in order.
    """
    studies = sorted(path.parent for path in results.glob("*/index.md"))
    cells = summary.gather(studies)
    text = ["# Results", "", "What the papers say of their explanations, and what our runs say of it.", "", *_legend()]
    text += [_PAPERS, "", "## At a glance", "", "How many claims, the papers' and ours, by data set and network:", ""]
    text += [*summary.counts(studies, titles), ""]
    text += ["How well maps find the parts (objects) that tell two classes apart, by who asks; chance is 0.5:", ""]
    text += [*summary.headline(studies), "", *_WORDS, "## What held and what did not", ""]
    text += [*summary.verdicts(cells), "", "## What we would use", ""]
    text += ["Chosen by the AUROC on one half of the classes, confirmed on the other:", "", *summary.recommended(cells)]
    columns = " | ".join(f"[{study.name}]({study.name}/index.md)" for study in studies)
    text += ["", "## Every claim", "", f"| claim | source | {columns} |", "|" + "---|" * (2 + len(studies))]
    for (statement, source), by_study in cells.items():
        verdicts = [_verdict(by_study[study.name]) if study.name in by_study else "" for study in studies]
        text.append(f"| {statement} | {source} | " + " | ".join(verdicts) + " |")
    _write(results, "Results", "\n".join(text) + "\n")


def to_html(markdown: str, title: str) -> str:
    """A page from Markdown, with verdicts in colour and tables that scroll by themselves."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    for verdict in VERDICTS:
        body = body.replace(f"<td>{verdict}", f'<td class="{verdict.replace(" ", "-")}">{verdict}')
    body = re.sub(r"-?[\d.]+ \[[-\d., ]+\]", r"<span class=interval>\g<0></span>", body)
    body = body.replace("<table>", "<div class=scroll><table>").replace("</table>", "</table></div>")
    body = body.replace("<img ", "<img loading=lazy ")
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head += f"<title>{html.escape(title)}</title><style>{STYLE}</style>"
    return f"<!doctype html>\n<html lang=en>\n<head>{head}</head>\n<body>\n{body}</body>\n</html>\n"


def _write(folder: Path, title: str, markdown: str) -> None:
    with atomic.file(folder / "index.md") as path:
        path.write_text(markdown, encoding="utf-8")
    with atomic.file(folder / "index.html") as path:
        path.write_text(to_html(markdown.replace("index.md)", "index.html)"), title), encoding="utf-8")


def _legend() -> list[str]:
    return [
        f"**{HOLDS}**: the 95 % interval of the number lies above zero; **{FAILS}**: below; **{UNKNOWN}**: neither, or "
        "it could not be measured. Intervals are bootstrapped over images; differences are paired by image. *Counted*: "
        "how many values (of a seed and an image) a number is the mean of; several, in the order of the columns, where "
        "they differ.",
        "",
    ]


def _picture(section: str, name: str) -> str:
    return f"![{Path(name).stem} of {section.replace('_', ' ')}]({section}/{name})"


def _claim_row(claim: Claim) -> str:
    shown = words(claim.estimate) if claim.estimate else claim.why
    counted = claim.estimate.counted if claim.estimate else ""
    return f"| {claim.verdict} | {claim.text} | {claim.source} | {claim.number} | {shown} | {counted} |"


def _verdict(claim: Claim) -> str:
    return f"{claim.verdict}: {words(claim.estimate)}" if claim.estimate else f"{claim.verdict} ({claim.why})"
