"""The pages of results: one folder per data set and network, and an index over all of them.

Both begin with the headline claims as one figure; the claims of each paper and the tables of each experiment are folded
below it.
"""

import importlib.resources
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from galore import atomic, foreign
from galore.errors import InputError
from galore.evaluation.methods import Rule
from galore.experiment import forest, runs, studies
from galore.experiment.claims import MARGINS, MINIMUM_CLASSES, MINIMUM_IMAGES, MINIMUM_TRAININGS, Paper, Verdict
from galore.experiment.document import Fold, Group, Page, Plot, table, write
from galore.experiment.runs import Joined
from galore.experiment.studies import NAMES, Entry, Fate, Judged, StudyResults
from galore.experiment.table import WORDS as WORDS_OF_MEASURES
from galore.experiment.table import words
from galore.statistics import Estimate

VERDICTS = f"""
- **✓ holds**, **✗ does not hold**: the difference is surely above (below) zero.
- **≈ no difference that matters**: it is surely smaller than the smallest difference that matters, by two one-sided
  tests at 5 % each.
- **⇄ depends on the ground truth**: by one of the authors' two tables of attributes the difference is surely not zero,
  and by the other it has the other sign.
- **? cannot tell**: none of these, or too little was measured: a verdict needs {MINIMUM_TRAININGS} trainings,
  {MINIMUM_CLASSES} classes and {MINIMUM_IMAGES} images.

Every claim has one endpoint, the measure by which its own paper judges, named before the run. The more claims a paper
makes, the more of them would seem to hold by chance: *surely* is at 5 % for all claims of a paper in a study together
(Holm, 1979), and of ours for all of one experiment, so a claim can be open although its own 95 % interval leaves out
zero.

**The interval** of a number says what would be measured with other trainings of the network (other seeds), other
classes and other images of them, all of which are drawn at random; where an image is asked about several counter
classes, those too. How many trainings, classes and images there were stands beside it. Differences are of the same
images. Timings are medians of interleaved rounds: how many times as fast, less the factor that is claimed.
"""
TABLES = """
Which parts tell two species apart follows from CUB's attributes, and the authors used two tables of which attributes
belong to which part: SCOUT's (CVPR 2020), by which counterfactual explanations are judged here, and that of the
NeurIPS paper (2019), by which deliberative ones are. They agree on 79 % of all pairs of classes and parts. What
follows by the other table stands beside the numbers; scenes have no such tables.
"""
WORDS = """
**The numbers.** All but correlations and speeds lie between 0 and 1, and differences of them are in the same unit.
*Specificity*: among many counter classes, is the map larger at a part for those classes that this part tells apart?
0.5 for any map that ignores the question, 1 the best. *AUROC*: how often a map is larger at a part (a pixel of an
object) that it should point at than at another visible one of the same image; 0.5 is chance. *Precision*, *recall*,
*PIoU* and *IoU* are the papers'; "at 5 %" means of a region of 5 % of the image. A *beginner* asks about a class drawn
at random, an *advanced* user about the class that a weaker network mistook the image for.

**The maps.** *a*, attributive, supports the predicted class; *b* the counter class; *comp(b)* is max(b) - b; *s*
supports the confidence (softmax score, certainty, or easiness by the hardness predictor); their product is the
*discriminant* map, of counterfactual explanations. *margin* supports the difference of the two classes' logits. An
*insecurity*, of deliberative explanations, multiplies the maps of two classes and of a difficulty: *hesitancy* (1 -
softmax score), *entropy*, *hardness* (by the predictor), or *none*. Four maps know nothing of the network: *random
map*, *centred Gaussian*, *whole object* (its bounding box), and *oracle*, the best map there is. Beside a claim stands
whether its map is above, like or below three of them, by the same measure, at 5 %.
"""
CAPTION = (
    "**Each line is one data set and network.** Point: the difference that we measured for a claim; bar: its 95 % "
    "interval over trainings, classes and images. Right of zero speaks for the claim; the grey band is too small to "
    "matter; an open point has no verdict. A claim opens its table."
)
PAPERS = (
    "SCOUT, *Deliberative explanations* and GALORE (Wang and Vasconcelos, 2019 to 2023) explain image classifiers: "
    "what speaks for a class (attributive), where the network hesitates (deliberative), why it is not another class "
    "(counterfactual)."
)


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


def published(experiment: str) -> list[dict[str, Any]]:
    """The papers' tables that stand beside those of an experiment."""
    file = importlib.resources.files("galore.experiment").joinpath("published.json")
    tables = json.loads(file.read_text(encoding="utf-8"))["tables"]
    return [table for table in tables if table["experiment"] == experiment]


def write_study(folder: Path, title: str, sections: Sequence[Section], lines: Sequence[str]) -> None:
    """Writes index.md, index.html, the figure and order.json of one data set and network.

    Args:
        folder: that holds one folder per experiment, with figures.
        title: of the study: its folder's name.
        sections: in order.
        lines: what else is to be said of the runs.
    """
    study = StudyResults(title, tuple(section.joined for section in sections))
    entries = studies.entries([study])
    lead = f"{PAPERS} What our runs say of their headline claims and of ours:\n\n{_tallies(entries)}"
    runs_ = "\n\n".join([*_introduction([one for some in study.experiments for one in some.provenances]), *lines])
    groups = (
        Group("How to read this", (*_reading(), Fold("runs", "What was run", runs_))),
        Group("The claims, one by one", tuple(_papers(entries, _claims_of_study))),
        Group("The experiments", tuple(_experiment(section, entries) for section in sections)),
    )
    with atomic.file(folder / "order.json") as file:
        file.write_text(json.dumps([joined.experiment for joined in study.experiments]) + "\n")
    write(folder, Page(f"Results: {study.title}", lead, _plot(entries), groups))


def load_studies(results: Path) -> list[StudyResults]:
    """Every study that `write_study` wrote, in the order of their names.

    Raises:
        InputError: a table of another format.
    """
    loaded = []
    for folder in sorted(path.parent for path in results.glob("*/order.json")):
        names = foreign.json_file(folder / "order.json", list[str], "the names of experiments")
        for name in names:
            if Path(name).name != name:
                raise InputError(f"{foreign.text(folder / 'order.json')} names {foreign.text(name)!r}, no experiment")
        loaded.append(StudyResults(folder.name, tuple(runs.load_joined(folder / name) for name in names)))
    return loaded


def write_index(results: Path, all_studies: Sequence[StudyResults], titles: dict[str, str]) -> None:
    """Writes index.md, index.html and the figure over all studies: what held, where, and how surely.

    Args:
        results: holds one folder per study.
        all_studies: that it puts side by side.
        titles: of the experiments, in order.
    """
    entries = studies.entries(all_studies)
    lead = f"{PAPERS} What our runs say of their headline claims and of ours:\n\n{_tallies(entries)}"
    pages = "\n".join(f"- [{study.title}]({study.name}/index.md)" for study in all_studies)
    there = {joined.experiment for study in all_studies for joined in study.experiments}
    groups = (
        Group(
            "How to read this", (*_reading(), Fold("studies", "The data sets and networks, each on its page", pages))
        ),
        Group(
            "The claims, one by one",
            (
                Fold("verdicts", "What held, what did not, and where", fates(entries)),
                *_papers(entries, _claims_of_index),
            ),
        ),
        Group(
            "The experiments",
            tuple(_over_studies(name, titles[name], all_studies, entries) for name in titles if name in there),
        ),
    )
    write(results, Page("Do the explanations do what their papers say?", lead, _plot(entries), groups))


def fates(entries: Sequence[Entry]) -> str:
    """The papers' claims by what became of them over all studies, each with the studies that decided."""
    papers = [entry for entry in entries if not entry.source.is_ours]
    lines = [f"Of the papers' {len(papers)} claims that were put to a test here:"]
    for fate in Fate:
        some = [entry for entry in papers if studies.fate(entry) is fate]
        if some:
            lines += ["", f"**{fate.value}: {len(some)}**", "", *(f"- {_decided(entry)}" for entry in some)]
    return "\n".join(lines)


def _decided(entry: Entry) -> str:
    """A claim with the studies of every verdict but "cannot tell"."""
    told = [
        f"{verdict.value} {'' if place.startswith('everywhere') else 'on '}{place}"
        for verdict in Verdict
        if verdict is not Verdict.UNKNOWN and (place := studies.where(entry, verdict))
    ]
    return f"{entry.text} ({entry.source.value}{': ' if told else ''}{'; '.join(told)})"


def _tallies(entries: Sequence[Entry]) -> str:
    """How often each verdict was given, by study, of the headline claims or of all."""
    some = studies.headlines(entries) or list(entries)
    by_study: dict[str, list[Judged]] = {}
    for entry in some:
        for name, judged in entry.by_study.items():
            by_study.setdefault(name, []).append(judged)
    return "\n".join(
        f"- **{name}**, {len(judged)} claims: {studies.tally(judged)}" for name, judged in by_study.items()
    )


def _plot(entries: Sequence[Entry]) -> Plot | None:
    some = studies.headlines(entries)
    if not some:
        return None
    return Plot(forest.forest(some), forest.forest(some, forest.NARROW), forest.told(some), CAPTION)


def _reading() -> tuple[Fold, ...]:
    by_margin: dict[float, list[str]] = {}
    for measure, margin in MARGINS.items():
        by_margin.setdefault(margin, []).append(measure)
    listed = "; ".join(f"{margin:g} of {', '.join(measures)}" for margin, measures in by_margin.items())
    margins = f"**The smallest difference that matters** is {listed}. Other measures have none."
    return (
        Fold("reading", "Verdicts, intervals, and the smallest difference that matters", VERDICTS + margins),
        Fold("tables", "The two tables of attributes", TABLES),
        Fold("words", "What the numbers and the maps are called", WORDS),
    )


def _papers(entries: Sequence[Entry], told: Any) -> Iterable[Fold]:
    """A fold for the headline claims and for each paper's claims, ours last."""
    some = studies.headlines(entries)
    if some:
        yield Fold("headlines", "The headline claims as a table", told(some))
    for paper in Paper:
        of_paper = [entry for entry in entries if entry.source.paper is paper]
        if of_paper:
            count = f"{len(of_paper)} claim{'s' if len(of_paper) > 1 else ''}"
            yield Fold(f"claims-{paper.name.lower()}", f"{paper.value}: {count}", told(of_paper))


def _claims_of_study(entries: Sequence[Entry]) -> str:
    """All that is known of claims in a study."""
    columns = ["verdict", "claim", "number", "measured, 95 % interval", "by the other table", "counted"]
    columns += ["smallest difference that matters", "beside maps that know nothing", "published"]
    return table(columns, [_claim(entry, judged) for entry in entries for judged in entry.by_study.values()])


def _claim(entry: Entry, judged: Judged) -> list[str]:
    result, why = judged.result, studies.reason(judged)
    other = "" if result.other is None else studies.shown(result.other, result)
    counted = "" if result.inference is None else studies.counted(result.inference, result)
    return [
        f"{studies.said(judged)}{f' ({why})' if why else ''}",
        _named(entry),
        entry.number,
        studies.number(judged),
        other,
        counted,
        "" if math.isnan(result.margin) else f"{result.margin:g}",
        studies.beside_baselines(result),
        entry.published,
    ]


def _claims_of_index(entries: Sequence[Entry]) -> str:
    """Claims with the verdict and the number of each study."""
    names = list(dict.fromkeys(name for entry in entries for name in entry.by_study))
    rows = []
    for entry in entries:
        cells = [_cell(entry.by_study[name]) if name in entry.by_study else "" for name in names]
        rows.append([_named(entry), entry.number, *cells, entry.published])
    return table(["claim", "number", *names, "published"], rows)


def _named(entry: Entry) -> str:
    """A claim that opens its table, with who makes it."""
    return f"[{entry.text}](#{entry.experiment}) ({entry.source.value})"


def _cell(judged: Judged) -> str:
    why = studies.reason(judged)
    number = "" if judged.result.inference is None else f": {studies.number(judged)}"
    return f"{studies.said(judged)}{f' ({why})' if why else ''}{number}"


def _experiment(section: Section, entries: Sequence[Entry]) -> Fold:
    """An experiment of a study: its question, claims, numbers, the papers' numbers, figures."""
    joined = section.joined
    seeds = ", ".join(str(origin["seed"]) for origin in joined.provenances)
    own = [entry for entry in entries if entry.experiment == joined.experiment]
    text = [f"{section.question} (`experiments/{joined.experiment}.py`, seed {seeds})"]
    text += ["**Claims**", _claims_of_study(own)] if own else []
    text += ["**Numbers**", joined.numbers.markdown().strip()] if joined.numbers.rows else []
    for published in section.published:
        text.append(f"**Published, and ours beside it**: {published['source']}. Empty cells could not be read.")
        text.append(table(["network", "measure", *published["columns"]], _beside(published, joined)))
    for name, told in joined.pictures.items():
        path = f"{joined.experiment}/{name}"
        text.append(f"![{_alt(told) or f'{section.title}: {Path(name).stem}.'}]({path})")
        if name.endswith(".svg"):
            text.append(f"[The same figure as PNG]({path.removesuffix('.svg')}.png)")
    return Fold(joined.experiment, section.title, "\n\n".join(text))


def _beside(published: dict[str, Any], joined: Joined) -> list[list[str]]:
    """The rows of a published table, each followed by our numbers where the runs are of such a network."""
    networks = {origin["options"].get("model", {}).get("name") for origin in joined.provenances}
    rows = []
    for row in published["rows"]:
        rows.append([row["network"], row["measure"], *row["cells"]])
        for network in sorted(networks.intersection(row.get("models", ()))):
            ours = [_ours(joined, place, row) for place in published["ours"]]
            rows.append([f"ours, {NAMES.get(network, network)}", row["measure"], *ours])
    return rows


def _ours(joined: Joined, place: dict[str, Any], row: dict[str, Any]) -> str:
    """Our number of a cell, with its interval; empty where there is none."""
    rule, factor = Rule[row.get("rules", {}).get(place["rule"], place["rule"])], row.get("factor", 1)
    for one in joined.numbers.rows:
        cell = one.cell
        measure = WORDS_OF_MEASURES.get(cell.measure, cell.measure)
        there = cell.method.rule, cell.label("user"), measure, cell.region, cell.table
        if there == (rule, place["user"], row["measure"], place.get("region"), None):
            value, low, high, counted = one.estimate
            return words(Estimate(factor * value, factor * low, factor * high, counted))
    return ""


def _over_studies(name: str, title: str, all_studies: Sequence[StudyResults], entries: Sequence[Entry]) -> Fold:
    """An experiment over all studies: its claims, and where its tables and figures are."""
    some = [study for study in all_studies if any(joined.experiment == name for joined in study.experiments)]
    links = "\n".join(f"- [Tables and figures: {study.title}]({study.name}/index.md#{name})" for study in some)
    own = [entry for entry in entries if entry.experiment == name]
    return Fold(name, title, "\n\n".join(filter(None, [_claims_of_index(own) if own else "", links])))


def _alt(text: str) -> str:
    return text.replace("[", "(").replace("]", ")").replace("\n", " ")


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
