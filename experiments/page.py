"""The page of results: one folder per data set and network, and an index over all of them."""

import dataclasses
import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from claims import FAILS, HOLDS, UNKNOWN, Claim
from table import words

from galore import atomic
from galore.evaluation.statistics import Estimate

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h1,h2,h3{line-height:1.2}h2{margin-top:2.5rem;border-top:1px solid #ddd;padding-top:1rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem}
th,td{border-bottom:1px solid #e3e3e3;padding:.25rem .6rem;text-align:left;vertical-align:top}
th{background:#f6f6f6}img{max-width:100%;height:auto}code{background:#f3f3f3;padding:0 .2rem}
.holds{background:#dcf3df}.does-not-hold{background:#fbdcd9}.cannot-tell{background:#eeeeee}
"""


def save_claims(claims: list[Claim], path: Path) -> None:
    """Writes the claims as data."""
    rows = [
        {**dataclasses.asdict(claim), "estimate": claim.estimate and _plain(claim.estimate), "verdict": claim.verdict}
        for claim in claims
    ]
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def load_claims(path: Path) -> list[Claim]:
    """Reads what `save_claims` wrote."""
    made = []
    for row in json.loads(path.read_text(encoding="utf-8")):
        row.pop("verdict")
        numbers = row.pop("estimate")
        if numbers is None:
            made.append(Claim(estimate=None, **row))
            continue
        mean, low, high = (np.nan if x is None else x for x in numbers[:3])
        made.append(Claim(estimate=Estimate(mean, low, high, numbers[3]), **row))
    return made


def write_study(folder: Path, title: str, sections: list[dict[str, Any]], lines: list[str]) -> None:
    """Writes index.md and index.html of one data set and network.

    Args:
        folder: that holds one folder per experiment.
        title: of the page.
        sections: in order, each with "name", "title" and "published" (see published.json) of an experiment.
        lines: what was run, how long it took, with which seeds.
    """
    text = [f"# {title}", "", *[f"{line}\n" for line in lines], "## The claims", "", *_legend()]
    text += ["| verdict | claim | source | number | ours, 95 % interval | counted |", "|---|---|---|---|---|---|"]
    for section in sections:
        for claim in load_claims(folder / section["name"] / "claims.json"):
            text.append(_claim_row(claim))
    for section in sections:
        place = folder / section["name"]
        table = (place / "table.md").read_text(encoding="utf-8").split("\n", 2)[2].strip()
        text += ["", f"## {section['title']}", "", f"`experiments/{section['name']}.py`", "", table, ""]
        for published in section["published"]:
            text += [f"Published: {published['source']}. Empty cells could not be read.", ""]
            text += ["| network | measure | " + " | ".join(published["columns"]) + " |"]
            text += ["|" + "---|" * (2 + len(published["columns"]))]
            for row in published["rows"]:
                text.append("| " + " | ".join([row["network"], row["measure"], *row["cells"]]) + " |")
            text.append("")
        text += [f"![{picture.stem}]({section['name']}/{picture.name})" for picture in sorted(place.glob("*.png"))]
    _write(folder, title, "\n".join(text) + "\n")


def write_index(results: Path) -> None:
    """Writes results/index.md and results/index.html: every claim, one column per data set and network."""
    studies = sorted(path.parent for path in results.glob("*/index.md"))
    text = ["# Results", "", "Every claim of the papers and of ours, by what was examined; each column is a page.", ""]
    text += [*_legend(), "| claim | source | " + " | ".join(f"[{s.name}]({s.name}/index.md)" for s in studies) + " |"]
    text += ["|" + "---|" * (2 + len(studies))]
    cells: dict[tuple[str, str], dict[str, Claim]] = {}
    for study in studies:
        for path in [study / name / "claims.json" for name in json.loads((study / "order.json").read_text())]:
            for claim in load_claims(path):
                cells.setdefault((claim.text, claim.source), {})[study.name] = claim
    for (statement, source), by_study in cells.items():
        verdicts = [_verdict(by_study[study.name]) if study.name in by_study else "" for study in studies]
        text.append(f"| {statement} | {source} | " + " | ".join(verdicts) + " |")
    _write(results, "Results", "\n".join(text) + "\n")


def to_html(markdown: str, title: str) -> str:
    """The little Markdown that these pages use: headings, tables, paragraphs, pictures, links, bold, code."""
    out, lines, k = [], markdown.split("\n"), 0
    while k < len(lines):
        line = lines[k]
        if line.startswith("|"):
            block = []
            while k < len(lines) and lines[k].startswith("|"):
                block.append([cell.strip() for cell in lines[k].strip("|").split("|")])
                k += 1
            out.append(_html_table(block))
            continue
        if heading := re.match(r"(#+) (.*)", line):
            level = len(heading[1])
            out.append(f"<h{level}>{_inline(heading[2])}</h{level}>")
        elif line.strip():
            out.append(f"<p>{_inline(line)}</p>")
        k += 1
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head += f"<title>{html.escape(title)}</title><style>{STYLE}</style>"
    body = "\n".join(out)
    return f"<!doctype html>\n<html lang=en>\n<head>{head}</head>\n<body>\n{body}\n</body>\n</html>\n"


def _write(folder: Path, title: str, markdown: str) -> None:
    with atomic.file(folder / "index.md") as path:
        path.write_text(markdown, encoding="utf-8")
    with atomic.file(folder / "index.html") as path:
        path.write_text(to_html(markdown.replace("index.md)", "index.html)"), title), encoding="utf-8")


def _legend() -> list[str]:
    return [
        f"**{HOLDS}**: the 95 % interval of the number lies above zero; **{FAILS}**: below; **{UNKNOWN}**: neither, or "
        "it could not be measured. Intervals are bootstrapped over images; differences are paired by image.",
        "",
    ]


def _claim_row(claim: Claim) -> str:
    shown = words(claim.estimate) if claim.estimate else claim.why
    counted = claim.estimate.counted if claim.estimate else ""
    return f"| {claim.verdict} | {claim.text} | {claim.source} | {claim.number} | {shown} | {counted} |"


def _verdict(claim: Claim) -> str:
    return f"{claim.verdict}: {words(claim.estimate)}" if claim.estimate else f"{claim.verdict} ({claim.why})"


def _plain(estimate: Estimate) -> list[float | int | None]:
    return [None if isinstance(x, float) and np.isnan(x) else x for x in estimate]


def _html_table(block: list[list[str]]) -> str:
    head, rows = block[0], [row for row in block[1:] if not all(set(cell) <= {"-"} and cell for cell in row)]
    out = ["<div class=scroll><table><tr>" + "".join(f"<th>{_inline(cell)}</th>" for cell in head) + "</tr>"]
    for row in rows:
        cells = []
        for cell in row:
            verdict = next((v for v in (FAILS, HOLDS, UNKNOWN) if cell.startswith(v)), "")
            mark = f' class="{verdict.replace(" ", "-")}"' if verdict else ""
            cells.append(f"<td{mark}>{_inline(cell)}</td>")
        out.append("<tr>" + "".join(cells) + "</tr>")
    return "\n".join([*out, "</table></div>"])


def _inline(text: str) -> str:
    text = html.escape(text, quote=False)
    text = re.sub(r"!\[([^]]*)\]\(([^)]*)\)", r'<img loading=lazy alt="\1" src="\2">', text)
    text = re.sub(r"\[([^]]*)\]\(([^)]*)\)", r'<a href="\2">\1</a>', text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", text)
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
