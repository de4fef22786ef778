"""The pages of results: one folder per data set and network, and an index over all of them."""

import html
import importlib.resources
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from galore import atomic
from galore.evaluation.methods import GAUSSIAN, RANDOM, Method, Rule, Score
from galore.experiment import runs
from galore.experiment.claims import Result, Verdict
from galore.experiment.runs import Joined
from galore.experiment.table import Cell, words

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
HEADLINE = ("discriminant_vs_attributive", "auroc")
"""The experiment and the measure that the index begins with."""
HEADLINE_METHODS = {
    "attributive map a": Method(Rule.ATTRIBUTIVE),
    "discriminant map a * comp(b) * s": Method(Rule.DISCRIMINANT, Score.SOFTMAX),
    "margin": Method(Rule.MARGIN),
    "centred Gaussian": GAUSSIAN,
    "random map": RANDOM,
}
RECOMMENDATION = "recommendation"
"""The experiment that chooses a combination."""
COUNTED = {Verdict.HOLDS: "hold", Verdict.FAILS: "do not", Verdict.UNKNOWN: "open"}


@dataclass(frozen=True, eq=False)
class Section:
    """What a page says of an experiment.

    Attributes:
        title: of the section.
        question: that the experiment asks.
        published: tables of published.json that stand beside ours.
        joined: what our runs gave.
    """

    title: str
    question: str
    published: Sequence[dict[str, Any]]
    joined: Joined


@dataclass(frozen=True, eq=False)
class Study:
    """The experiments of one data set and network, in order."""

    name: str
    experiments: tuple[Joined, ...]


def published(experiment: str) -> list[dict[str, Any]]:
    """The papers' tables that stand beside those of an experiment."""
    file = importlib.resources.files("galore.experiment").joinpath("published.json")
    tables = json.loads(file.read_text(encoding="utf-8"))["tables"]
    return [table for table in tables if table["experiment"] == experiment]


def write_study(folder: Path, title: str, sections: Sequence[Section], lines: Sequence[str]) -> None:
    """Writes index.md, index.html and order.json of one data set and network.

    Args:
        folder: that holds one folder per experiment, with figures.
        title: of the page.
        sections: in order.
        lines: what else is to be said first.
    """
    lines = [*_introduction([origin for section in sections for origin in section.joined.provenances]), *lines]
    text = [f"# {title}", "", *[f"{line}\n" for line in lines], "## The claims", "", *_legend(), *_WORDS, _PAPERS, ""]
    text += ["| verdict | claim | source | number | ours, 95 % interval | counted |", "|---|---|---|---|---|---|"]
    text += [_result_row(result) for section in sections for result in section.joined.results]
    for section in sections:
        text += _section(section)
    with atomic.file(folder / "order.json") as file:
        file.write_text(json.dumps([section.joined.experiment for section in sections]) + "\n")
    _write(folder, title, "\n".join(text) + "\n")


def load_studies(results: Path) -> list[Study]:
    """Every study that `write_study` wrote, in the order of their names.

    Raises:
        InputError: a table of another format.
    """
    studies = []
    for folder in sorted(path.parent for path in results.glob("*/order.json")):
        names = json.loads((folder / "order.json").read_text(encoding="utf-8"))
        studies.append(Study(folder.name, tuple(runs.load_joined(folder / name) for name in names)))
    return studies


def write_index(results: Path, studies: Sequence[Study], titles: dict[str, str]) -> None:
    """Writes index.md and index.html over all studies: what held and how surely.

    Args:
        results: holds one folder per study.
        studies: that it puts side by side.
        titles: of the experiments, in order.
    """
    by_claim = gather(studies)
    text = ["# Results", "", "What the papers say of their explanations, and what our runs say of it.", "", *_legend()]
    text += [_PAPERS, "", "## At a glance", "", "How many claims, the papers' and ours, by data set and network:", ""]
    text += [*counts(studies, titles), ""]
    text += ["How well maps find the parts (objects) that tell two classes apart, by who asks; chance is 0.5:", ""]
    text += [*headline(studies), "", *_WORDS, "## What held and what did not", ""]
    text += [*verdicts(by_claim), "", "## What we would use", ""]
    text += ["Chosen by the AUROC on one half of the classes, confirmed on the other:", "", *recommended(studies)]
    columns = " | ".join(f"[{study.name}]({study.name}/index.md)" for study in studies)
    text += ["", "## Every claim", "", f"| claim | source | {columns} |", "|" + "---|" * (2 + len(studies))]
    for (statement, source), results_of in by_claim.items():
        cells = [_verdict(results_of[study.name]) if study.name in results_of else "" for study in studies]
        text.append(f"| {statement} | {source.value} | " + " | ".join(cells) + " |")
    _write(results, "Results", "\n".join(text) + "\n")


ByClaim = dict[tuple[str, Any], dict[str, Result]]
"""(claim, source) -> study -> what its numbers say."""


def gather(studies: Sequence[Study]) -> ByClaim:
    """Every claim of every study, in the order of the experiments."""
    by_claim: ByClaim = {}
    for study in studies:
        for result in (result for joined in study.experiments for result in joined.results):
            by_claim.setdefault((result.text, result.source), {})[study.name] = result
    return by_claim


def headline(studies: Sequence[Study]) -> list[str]:
    """The AUROC of the main maps by study and user, as a Markdown table."""
    experiment, measure = HEADLINE
    columns: dict[str, list[str]] = {}
    for study in studies:
        for numbers in (joined.numbers for joined in study.experiments if joined.experiment == experiment):
            for user in dict.fromkeys(row.cell.label("user") for row in numbers.rows):
                cells = [Cell(method, measure, None, (("user", user),)) for method in HEADLINE_METHODS.values()]
                rows = [numbers.find(cell) for cell in cells]
                columns[f"{study.name}, {user}"] = [words(row.estimate) if row else "" for row in rows]
    if not columns:
        return []
    text = ["| AUROC | " + " | ".join(columns) + " |", "|" + "---|" * (1 + len(columns))]
    for name, row in zip(HEADLINE_METHODS, zip(*columns.values())):
        text.append(f"| {name} | " + " | ".join(row) + " |")
    return text


def verdicts(by_claim: ByClaim) -> list[str]:
    """The papers' claims by what became of them, each list with the studies that decided."""
    papers = {text: results for (text, source), results in by_claim.items() if not source.is_ours}
    held, failed, both, unknown = [], [], [], []
    for text, results in papers.items():
        holds, fails = (
            [study for study, result in results.items() if result.verdict is verdict]
            for verdict in (Verdict.HOLDS, Verdict.FAILS)
        )
        if holds and fails:
            both.append(f"{text} Holds on {_and(holds)}, not on {_and(fails)}.")
        elif holds:
            held.append(f"{text} ({_where(holds, results)})")
        elif fails:
            failed.append(f"{text} ({_where(fails, results)})")
        else:
            unknown.append(text)
    lines = [
        f"Of the papers' {len(papers)} claims that were put to a test here, {len(held)} hold and nothing contradicts "
        f"them, {len(failed)} do not hold anywhere, {len(both)} hold on some data and fail on other, and about "
        f"{len(unknown)} our images cannot tell.",
    ]
    named = {"Held": held, "Did not hold": failed, "Depends on the data": both, "Cannot tell": unknown}
    for title, texts in named.items():
        if texts:
            lines += ["", f"**{title}**", "", *[f"- {text}" for text in texts]]
    return lines


def recommended(studies: Sequence[Study]) -> list[str]:
    """The combination that each study chose on half of its classes, and whether the other half confirmed it."""
    return sorted(
        f"- {study.name}: {result.text} **{result.verdict.value}** ({result.number}: {_number(result)})"
        for study in studies
        for joined in study.experiments
        for result in joined.results
        if joined.experiment == RECOMMENDATION
    )


def counts(studies: Sequence[Study], titles: dict[str, str]) -> list[str]:
    """How many claims of each experiment hold, do not hold, or stay open in each study, as a Markdown table."""
    text = ["| experiment | " + " | ".join(f"[{s.name}]({s.name}/index.md)" for s in studies) + " |"]
    text.append("|" + "---|" * (1 + len(studies)))
    for name, title in titles.items():
        cells = []
        for study in studies:
            of_it = [result.verdict for one in study.experiments if one.experiment == name for result in one.results]
            some = {word: of_it.count(verdict) for verdict, word in COUNTED.items()}
            cells.append(", ".join(f"{count} {word}" for word, count in some.items() if count))
        if any(cells):
            text.append(f"| {title} | " + " | ".join(cells) + " |")
    return text


def to_html(markdown: str, title: str) -> str:
    """A page from Markdown, with verdicts in colour and tables that scroll by themselves."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    for verdict in (verdict.value for verdict in Verdict):
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


def _introduction(origins: Sequence[dict[str, Any]]) -> list[str]:
    """What was run, for how long, by which code: of the runs themselves, whenever the page was written."""

    def listed(some: Iterable[Any]) -> str:
        return ", ".join(dict.fromkeys(str(one) for one in some))

    codes = [origin["git"] or {} for origin in origins]
    seconds = sum(origin.get("seconds", math.nan) for origin in origins)
    spent = "" if math.isnan(seconds) else f": {seconds / 60:.1f} minutes, training not included"
    code = listed(
        one.get("commit", "unknown")[:12] + (" with local changes" if one.get("dirty") else "") for one in codes
    )
    seeds = sorted({origin["seed"] for origin in origins})
    networks = [name for origin in origins for name in origin["files"] if not name.startswith("test images")]
    datasets = listed(origin["options"]["dataset"]["name"] for origin in origins)
    trainings = listed(preset for origin in origins for preset in origin["training"].values())
    return [
        f"Data set {datasets}, seeds {listed(seeds)}, trained networks {listed(networks)} (train={trainings}), on "
        f"{listed(origin['device'] for origin in origins)}{spent}.",
        f"Code {code}; the provenance of every number is beside its table.",
    ]


def _section(section: Section) -> list[str]:
    joined = section.joined
    seeds = ", ".join(str(origin["seed"]) for origin in joined.provenances)
    by = f"`experiments/{joined.experiment}.py`, seed {seeds}"
    text = ["", f"## {section.title}", "", f"{section.question} ({by})", "", joined.numbers.markdown().strip(), ""]
    for published in section.published:
        text += [f"Published: {published['source']}. Empty cells could not be read.", ""]
        text += ["| network | measure | " + " | ".join(published["columns"]) + " |"]
        text += ["|" + "---|" * (2 + len(published["columns"]))]
        for row in published["rows"]:
            text.append("| " + " | ".join([row["network"], row["measure"], *row["cells"]]) + " |")
        text.append("")
    return text + [line for name in joined.pictures for line in (_picture(joined.experiment, name), "")]


def _legend() -> list[str]:
    return [
        "**holds**: the 95 % interval of the number lies above zero; **does not hold**: below; **cannot tell**: "
        "neither, or it could not be measured. Intervals are bootstrapped over images; differences are paired by "
        "image. *Counted*: how many values (of a seed and an image) a number is the mean of; several, in the order of "
        "the columns, where they differ.",
        "",
    ]


def _picture(section: str, name: str) -> str:
    return f"![{Path(name).stem} of {section.replace('_', ' ')}]({section}/{name})"


def _result_row(result: Result) -> str:
    counted = result.estimate.counted if result.estimate else ""
    cells = (result.verdict.value, result.text, result.source.value, result.number, _number(result), str(counted))
    return "| " + " | ".join(cells) + " |"


def _number(result: Result) -> str:
    return words(result.estimate) if result.estimate else result.why


def _verdict(result: Result) -> str:
    said = result.verdict.value
    return f"{said}: {words(result.estimate)}" if result.estimate else f"{said} ({result.why})"


def _where(deciding: list[str], results: dict[str, Result]) -> str:
    return "everywhere" if len(deciding) == len(results) > 1 else _and(deciding)


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
