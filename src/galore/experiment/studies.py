"""What studies say of claims: verdicts over all experiments of a data set and network, put side by side."""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from galore.experiment import claims
from galore.experiment.claims import Paper, Result, Source, Verdict
from galore.experiment.runs import Joined
from galore.experiment.table import words
from galore.statistics import Inference

NAMES = {
    "cub": "CUB",
    "synthetic_birds": "drawn birds",
    "synthetic_scenes": "drawn scenes",
    "ade20k": "ADE20K",
    "efficientnet_lite0": "EfficientNet-Lite0",
    "small_cnn": "small CNN",
    "alexnet": "AlexNet",
    "vgg16": "VGG16",
    "vgg16_bn": "VGG16-BN",
    "resnet34": "ResNet-34",
    "resnet50": "ResNet-50",
    "networks": "several networks",
}
"""Data sets and networks in words, where those are not their names without underlines."""
SYMBOLS = {
    Verdict.HOLDS: "✓",
    Verdict.FAILS: "✗",
    Verdict.NO_DIFFERENCE: "≈",
    Verdict.DEPENDS: "⇄",
    Verdict.UNKNOWN: "?",
}
"""What tells verdicts apart where there is no colour."""


@dataclass(frozen=True, eq=False)
class StudyResults:
    """What the experiments of one data set and network found, in order."""

    name: str
    experiments: tuple[Joined, ...]

    @property
    def title(self) -> str:
        """In words: "CUB, EfficientNet-Lite0"."""
        return ", ".join(NAMES.get(part, part.replace("_", " ")) for part in self.name.split("-"))


class Judged(NamedTuple):
    """What a study says of a claim."""

    result: Result
    verdict: Verdict


@dataclass(frozen=True, eq=False)
class Entry:
    """A claim and what each study that has it says of it.

    Attributes:
        text, source, published, headline: of the claim.
        experiment: that measures it.
        by_study: by the study's title, in order.
    """

    text: str
    source: Source
    published: str
    headline: bool
    experiment: str
    by_study: dict[str, Judged]

    @property
    def number(self) -> str:
        """What was measured; where a study measured something else, objects in place of parts, that too."""
        by_number: dict[str, list[str]] = {}
        for study, judged in self.by_study.items():
            by_number.setdefault(judged.result.number, []).append(study)
        first, *others = by_number
        return "; ".join([first, *(f"on {', '.join(by_number[one])}: {one}" for one in others)])


class Fate(enum.Enum):
    """What became of a claim over all studies."""

    HELD = "Holds, and nothing contradicts it"
    FAILED = "Does not hold, and nowhere does it"
    DIFFERS = "Holds on some data and not on other"
    DEPENDS = "Depends on the ground truth"
    NO_DIFFERENCE = "No difference that matters"
    UNKNOWN = "Cannot tell"


def entries(studies: Sequence[StudyResults]) -> list[Entry]:
    """Every claim of every study: paper by paper, ours last; within a paper as the experiments have them."""
    found: dict[tuple[str, Source], Entry] = {}
    for study in studies:
        results = [result for joined in study.experiments for result in joined.results]
        experiments = [joined.experiment for joined in study.experiments for _ in joined.results]
        for experiment, one, verdict in zip(experiments, results, claims.judge(results, experiments)):
            new = Entry(one.text, one.source, one.published, one.headline, experiment, {})
            found.setdefault((one.text, one.source), new).by_study[study.title] = Judged(one, verdict)
    order = list(Paper)
    return sorted(found.values(), key=lambda entry: order.index(entry.source.paper))


def headlines(found: Iterable[Entry]) -> list[Entry]:
    """Those that a page begins with."""
    return [entry for entry in found if entry.headline]


def fate(entry: Entry) -> Fate:
    """What all studies together say of a claim."""
    verdicts = {judged.verdict for judged in entry.by_study.values()}
    if {Verdict.HOLDS, Verdict.FAILS} <= verdicts:
        return Fate.DIFFERS
    if Verdict.DEPENDS in verdicts:
        return Fate.DEPENDS
    if Verdict.HOLDS in verdicts:
        return Fate.HELD
    if Verdict.FAILS in verdicts:
        return Fate.FAILED
    return Fate.NO_DIFFERENCE if Verdict.NO_DIFFERENCE in verdicts else Fate.UNKNOWN


def where(entry: Entry, verdict: Verdict) -> str:
    """The studies with a verdict: "everywhere (CUB; drawn birds)", or those that there are."""
    some = [study for study, judged in entry.by_study.items() if judged.verdict is verdict]
    listed = "; ".join(some)
    return f"everywhere ({listed})" if len(some) == len(entry.by_study) > 1 else listed


def tally(judged: Iterable[Judged]) -> str:
    """ "4 hold, 1 does not hold, 2 cannot be told": how often each verdict was given."""
    verdicts = [one.verdict for one in judged]
    counts = ((SYMBOLS[verdict], verdicts.count(verdict), verdict.value) for verdict in Verdict)
    return ", ".join(f"{symbol} {said}: {count}" for symbol, count, said in counts if count)


def said(judged: Judged) -> str:
    """The verdict with its mark: "✓ holds"."""
    return f"{SYMBOLS[judged.verdict]} {judged.verdict.value}"


def reason(judged: Judged) -> str:
    """Why there is no verdict; empty where that is plain from the interval."""
    if judged.verdict is not Verdict.UNKNOWN:
        return ""
    if judged.result.shortage:
        return judged.result.shortage
    estimate = judged.result.estimate
    threshold = judged.result.threshold
    is_clear = estimate is not None and (estimate.low > threshold or estimate.high < threshold)
    return "not after Holm's correction" if is_clear else ""


def number(judged: Judged) -> str:
    """What was measured, with its interval and unit; "not measured" where it was not."""
    inference = judged.result.inference
    return ("" if inference is None else shown(inference, judged.result)) or "not measured"


def shown(inference: Inference, result: Result) -> str:
    """A number that belongs to a claim, with as many digits as its interval needs."""
    if result.is_timing:
        return f"{words(inference.estimate, 1)} times"
    return words(inference.estimate)


def counted(inference: Inference, result: Result) -> str:
    """ "5 trainings, 25 classes, 612 images"."""
    if result.is_timing:
        return f"{inference.estimate.counted} rounds"
    named = {"training": inference.trainings, "class": inference.classes, "image": inference.images}
    return ", ".join(claims.counting(name, count) for name, count in named.items() if count)


def beside_baselines(result: Result) -> str:
    """ "above the random map, centred Gaussian; like the whole object": where the method that a claim names stands."""
    places: dict[str, list[str]] = {}
    for place, baseline in result.baselines:
        places.setdefault(place, []).append(baseline)
    return "; ".join(f"{place} the {', '.join(some)}" for place, some in places.items())
