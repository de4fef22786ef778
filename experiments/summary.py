"""What the studies say together: the numbers side by side, which claims held where, and what we would use."""

import csv
import json
from pathlib import Path

import claims
from claims import FAILS, HOLDS, UNKNOWN, Claim
from table import words

HEADLINE = {
    "attributive map a": "a",
    "discriminant map a * comp(b) * s": "a * comp(b) * s, softmax",
    "margin": "margin",
    "centred Gaussian": "centred Gaussian",
    "random map": "random map",
}
"""What the first table shows of `discriminant_vs_attributive`, and the name of its rows there."""

COUNTED = {HOLDS: "hold", FAILS: "do not", UNKNOWN: "open"}

Cells = dict[tuple[str, str], dict[str, Claim]]
"""(claim, source) -> study -> what was found there."""


def gather(studies: list[Path]) -> Cells:
    """Every claim of every study, in the order of the experiments.

    Args:
        studies: folders of results, each with an order.json.
    """
    cells: Cells = {}
    for study in studies:
        for name in json.loads((study / "order.json").read_text(encoding="utf-8")):
            for claim in claims.load(study / name / "claims.json"):
                cells.setdefault((claim.text, claim.source), {})[study.name] = claim
    return cells


def headline(studies: list[Path]) -> list[str]:
    """The AUROC of the main maps by study and user, as a Markdown table."""
    columns, found = [], []
    for study in studies:
        file = study / "discriminant_vs_attributive" / "table.csv"
        if not file.exists():
            continue
        with open(file, encoding="utf-8", newline="") as lines:
            rows = [row for row in csv.DictReader(lines) if row["measure"] == "auroc"]
        for user in dict.fromkeys(row["user"] for row in rows):
            columns.append(f"{study.name}, {user}")
            found.append({row["method"]: row for row in rows if row["user"] == user})
    if not columns:
        return []
    text = ["| AUROC | " + " | ".join(columns) + " |", "|" + "---|" * (1 + len(columns))]
    for shown, name in HEADLINE.items():
        cells = [_number(rows[name]) if name in rows else "" for rows in found]
        text.append(f"| {shown} | " + " | ".join(cells) + " |")
    return text


def verdicts(cells: Cells) -> list[str]:
    """The papers' claims by what became of them, each list with the studies that decided."""
    papers = {text: found for (text, source), found in cells.items() if not source.startswith("ours")}
    held, failed, both, open_ = [], [], [], []
    for text, found in papers.items():
        here = {verdict: [s for s, claim in found.items() if claim.verdict == verdict] for verdict in (HOLDS, FAILS)}
        if here[HOLDS] and here[FAILS]:
            both.append(f"{text} Holds on {_and(here[HOLDS])}, not on {_and(here[FAILS])}.")
        elif here[HOLDS]:
            held.append(f"{text} ({_of(here[HOLDS], found)})")
        elif here[FAILS]:
            failed.append(f"{text} ({_of(here[FAILS], found)})")
        else:
            open_.append(text)
    made = [
        f"Of the papers' {len(papers)} claims that were put to a test here, {len(held)} hold and nothing contradicts "
        f"them, {len(failed)} do not hold anywhere, {len(both)} hold on some data and fail on other, and about "
        f"{len(open_)} our images cannot tell.",
    ]
    named = {"Held": held, "Did not hold": failed, "Depends on the data": both, "Cannot tell": open_}
    for title, texts in named.items():
        if texts:
            made += ["", f"**{title}**", "", *[f"- {text}" for text in texts]]
    return made


def recommended(cells: Cells) -> list[str]:
    """The combination that each study chose on half of its classes, and whether the other half confirmed it."""
    made = []
    for (text, _), found in cells.items():
        if text.startswith("The chosen combination"):
            made += [
                f"- {study}: {text} **{claim.verdict}** ({claim.number}: {_shown(claim)})"
                for study, claim in found.items()
            ]
    return sorted(made)


def counts(studies: list[Path], titles: dict[str, str]) -> list[str]:
    """How many claims of each experiment hold, do not hold, or stay open in each study, as a Markdown table."""
    text = ["| experiment | " + " | ".join(f"[{s.name}]({s.name}/index.md)" for s in studies) + " |"]
    text.append("|" + "---|" * (1 + len(studies)))
    for name, title in titles.items():
        cells = []
        for study in studies:
            file = study / name / "claims.json"
            found = [claim.verdict for claim in claims.load(file)] if file.exists() else []
            some = {word: found.count(verdict) for verdict, word in COUNTED.items()}
            cells.append(", ".join(f"{count} {word}" for word, count in some.items() if count))
        if any(cells):
            text.append(f"| {title} | " + " | ".join(cells) + " |")
    return text


def _shown(claim: Claim) -> str:
    return words(claim.estimate) if claim.estimate else claim.why


def _number(row: dict[str, str]) -> str:
    return f"{float(row['mean']):.3f} [{float(row['low']):.3f}, {float(row['high']):.3f}]" if row["low"] else ""


def _of(decided: list[str], found: dict[str, Claim]) -> str:
    return "everywhere" if len(decided) == len(found) > 1 else _and(decided)


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
