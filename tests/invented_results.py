"""Invented results of several studies, as runs would give them, for tests of figures and pages."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np

from galore.evaluation.ground_truth import AttributeTable
from galore.evaluation.methods import BASELINES, GAUSSIAN, ORACLE, RANDOM, WHOLE_OBJECT, Method, Rule, Score
from galore.evaluation.metrics import FRACTIONS
from galore.experiment import claims, pages, plots, runs
from galore.experiment.claims import Claim, Difference, Faster, Source, better
from galore.experiment.runs import Joined
from galore.experiment.table import Cell, Row, Table

ATTRIBUTIVE, MARGIN = Method(Rule.ATTRIBUTIVE), Method(Rule.MARGIN)
DISCRIMINANT = {score: Method(Rule.DISCRIMINANT, score) for score in Score}
MAPS = (ATTRIBUTIVE, Method(Rule.WITHOUT_CONFIDENCE), *DISCRIMINANT.values(), MARGIN)
INSECURITIES = (Method(Rule.CLASS_PAIR), *(Method(Rule.INSECURITY, score) for score in Score))
HESITANCY, HARDNESS = INSECURITIES[1], INSECURITIES[3]
LEVELS = dict(zip(MAPS, (0.0, 0.005, 0.02, 0.018, 0.03, 0.05))) | {
    RANDOM: -0.03,
    GAUSSIAN: -0.01,
    WHOLE_OBJECT: -0.02,
    ORACLE: 0.45,
}
USERS = ({"user": "beginner"}, {"user": "advanced"})
CLASSES, PER_CLASS = 12, 6
REASONS = {"the network is wrong": 21}


class InventedStudy:
    """A data set and network: trainings, classes and images have effects of their own."""

    def __init__(self, seed: int, trainings: int = 5, strength: float = 1.0):
        self.rng = np.random.default_rng(seed)
        self.trainings, self.strength = trainings, strength
        self.classes = np.repeat(np.arange(CLASSES), PER_CLASS)
        shape = (trainings, len(self.classes))
        self.shared = self.rng.normal(0, 0.05, shape) + self.rng.normal(0, 0.02, CLASSES)[self.classes]

    def row(self, method: Method, measure: str, start: float, gain: float, labels: Mapping[str, str], **more) -> Row:
        """A method that is better than another by a gain, on images that are alike for both."""
        noise = self.rng.normal(0, 0.04, self.shared.shape) + self.rng.normal(0, 0.006, (self.trainings, 1))
        values = start + self.strength * gain + self.shared + noise
        return Row(Cell(method, measure, labels=tuple(labels.items()), **more), values, REASONS, self.classes)

    def by_both_tables(self, methods: Sequence[Method], measure: str, start: float, labels: Mapping[str, str]):
        """Rows by the experiment's table of attributes and by the other one."""
        level = functools.partial(LEVELS.get)
        return tuple(
            self.row(
                method, measure, start, sign * (level(method) or 0.02 * methods.index(method)), labels, table=table
            )
            for table, sign in ((None, 1), (AttributeTable.NEURIPS, 0.4))
            for method in methods
        )

    def curves(self, methods: Sequence[Method], labels: Mapping[str, str]):
        """Precision that falls and recall that rises with the region."""
        rows, size = [], np.array(FRACTIONS)
        for method in methods:
            gain = 3 * (LEVELS.get(method) or 0.02)
            noise = self.rng.normal(0, 0.05, (self.trainings, len(self.classes), 1))
            recall = np.clip(size ** (1 / (1 + 4 * max(gain, 0))) + 0 * noise, 0, 1)
            precision = np.clip(0.7 + gain * (1 - size) + noise, 0, 1.2)
            for name, values in (("precision", precision), ("recall", recall), ("piou", precision * recall)):
                rows.append(Row(Cell(method, name, labels=tuple(labels.items())), values, REASONS, self.classes))
        return tuple(rows)

    def figure_3(self) -> Table:
        rows = ()
        for labels in USERS:
            for measure, start in (("specificity", 0.5), ("precision at recall 0.5", 0.72), ("auroc", 0.55)):
                rows += self.by_both_tables((*MAPS, *BASELINES), measure, start, labels)
            rows += self.curves((*MAPS, *BASELINES), labels)
        return Table(rows, ("Images are cropped to their centre.",))

    def search(self) -> Table:
        search, by_head = Method(Rule.SEARCH), Method(Rule.SEARCH_BY_HEAD)
        rows = self.by_both_tables(
            (ATTRIBUTIVE, DISCRIMINANT[Score.EASINESS], search, *BASELINES), "piou", 0.2, USERS[0]
        )
        ours = DISCRIMINANT[Score.EASINESS]
        for method, speed in ((ours, 240.0), (search, 190.0), (by_head, 11.0)):
            seconds = self.rng.normal(speed, speed / 20, (self.trainings, 9))
            rows += (Row(Cell(method, "images per second", labels=(("user", "beginner"),)), seconds),)
        return Table(rows)

    def difficulty(self) -> Table:
        rows = self.by_both_tables((*INSECURITIES, *BASELINES), "area under precision-recall", 0.4, {})
        return Table(rows + self.by_both_tables((*INSECURITIES, *BASELINES), "auroc", 0.55, {}))

    def layers(self) -> Table:
        rows = ()
        for network in ("vgg16", "resnet50"):
            for layer in ("conv2_2", "conv3_3", "conv4_3", "conv5_3"):
                rows += self.by_both_tables(
                    (*INSECURITIES, *BASELINES), "auroc", 0.55, {"network": network, "layer": layer}
                )
        return Table(rows)


def figure_3_claims(table: Table) -> list[Claim]:
    ours, user = DISCRIMINANT[Score.EASINESS], {"user": "advanced"}
    precision = "precision at recall 0.5"
    return [
        better("Discriminant maps beat attributive ones (advanced user).", Source.SCOUT_FIGURE_3, ours, ATTRIBUTIVE,
               precision, labels=user, headline=True, published="discriminant above attributive in every panel"),
        better("Easiness is the best confidence score (advanced user).", Source.SCOUT_FIGURE_3, ours,
               DISCRIMINANT[Score.SOFTMAX], precision, labels=user, headline=True),
        better("Easiness beats certainty (advanced user).", Source.SCOUT_FIGURE_3, ours,
               DISCRIMINANT[Score.CERTAINTY], precision, labels=user),
        better("A discriminant map answers the question better than the margin.", Source.OURS, ours, MARGIN,
               "specificity", labels=user, headline=True),
    ]  # fmt: skip


def search_claims(table: Table) -> list[Claim]:
    ours, search, by_head = DISCRIMINANT[Score.EASINESS], Method(Rule.SEARCH), Method(Rule.SEARCH_BY_HEAD)
    fast, own, theirs = (Cell(m, "images per second", labels=(("user", "beginner"),)) for m in (ours, search, by_head))
    number = "how many times as fast"
    return [
        better("Query and counter region show the same parts more often than those of exhaustive search.",
               Source.SCOUT_TABLE_1, ours, search, "piou", labels=USERS[0], headline=True,
               published="PIoU 0.15 against 0.13 (VGG16), 0.16 against 0.18 (ResNet-50)"),
        Claim("Discriminant maps are faster than the search that the paper ran.", Source.SCOUT_TABLE_1, number,
              Faster(fast, theirs), headline=True, published="26.5 against 0.02 images a second (VGG16)"),
        Claim("Discriminant maps are faster than our fast search.", Source.OURS, number, Faster(fast, own)),
    ]  # fmt: skip


def difficulty_claims(table: Table) -> list[Claim]:
    area = "area under precision-recall"
    return [
        better("The hardness score, which is not self-referential, makes the best insecurities.",
               Source.GALORE_AND_NEURIPS, HARDNESS, HESITANCY, area, headline=True),
        better("A map of the difficulty improves on none.", Source.GALORE, HESITANCY, INSECURITIES[0], area,
               headline=True),
        better("Second order beats the gradient.", Source.GALORE, Method(Rule.INSECURITY, Score.SOFTMAX),
               Method(Rule.MARGIN), area, otherwise="there is no such map here"),
    ]  # fmt: skip


def layer_claims(table: Table) -> list[Claim]:
    def at(network: str, layer: str) -> Cell:
        return Cell(HESITANCY, "auroc", labels=(("network", network), ("layer", layer)))

    return [
        Claim(f"The last layer makes better insecurities than conv4_3 ({network}).", Source.GALORE,
              "AUROC, conv5_3 minus conv4_3", Difference(at(network, "conv5_3"), at(network, "conv4_3")),
              headline=network == "vgg16")
        for network in ("vgg16", "resnet50")
    ]  # fmt: skip


TITLES = {
    "discriminant_vs_attributive": "Discriminant against attributive maps",
    "counterfactual_vs_search": "Discriminant maps against exhaustive search",
    "deliberative_difficulty": "Difficulty scores of deliberative explanations",
    "deliberative_layer": "Layers in deliberative explanations",
}
QUESTIONS = {
    "discriminant_vs_attributive": "Do discriminant maps find the parts that tell two classes apart? SCOUT, figure 3.",
    "counterfactual_vs_search": "Are discriminant maps as good as exhaustive search, and faster? SCOUT, table 1.",
    "deliberative_difficulty": "Which difficulty score points at the parts that two confused classes share?",
    "deliberative_layer": "Which layer makes the best deliberative explanations?",
}
CLAIMS = {
    "discriminant_vs_attributive": figure_3_claims,
    "counterfactual_vs_search": search_claims,
    "deliberative_difficulty": difficulty_claims,
    "deliberative_layer": layer_claims,
}
DRAW = {
    "discriminant_vs_attributive": plots.auroc_and_curves,
    "counterfactual_vs_search": lambda table: {"piou": plots.dots(table, "piou")},
    "deliberative_difficulty": plots.auroc,
    "deliberative_layer": lambda table: {"layers": plots.over_depth(table)},
}
STUDIES = {
    "cub-efficientnet_lite0": InventedStudy(1, strength=0.6),
    "synthetic_birds-small_cnn": InventedStudy(2, strength=1.5),
    "synthetic_scenes-small_cnn": InventedStudy(3, trainings=1, strength=-0.8),
}


def tables(study: InventedStudy) -> dict[str, Table]:
    """Of every experiment."""
    every = (study.figure_3(), study.search(), study.difficulty(), study.layers())
    return dict(zip(TITLES, every))


def module(name: str, is_drawn: bool = True) -> ModuleType:
    """An experiment that claims and draws, and never runs."""
    made, draw = ModuleType(name, QUESTIONS[name]), DRAW[name] if is_drawn else lambda table: {}
    vars(made).update(NAME=name, TITLE=TITLES[name], OPTIONS=(), claims=CLAIMS[name], draw=draw)
    return made


def origin(study: str, seed: int) -> dict:
    """What a run says of itself."""
    dataset, _, network = study.partition("-")
    return {
        "experiment": "",
        "seconds": 60.0,
        "seed": seed,
        "options": {"dataset": {"name": dataset}, "model": {"name": network}},
        "files": {f"{study}-seed{seed}": "abc", f"test images of {dataset}": "def"},
        "training": {f"{study}-seed{seed}": "fast"},
        "git": {"commit": "0123456789abcdef", "dirty": False},
        "device": "cpu",
    }


def written(folder: Path, name: str, study: InventedStudy, is_drawn: bool) -> list[Joined]:
    """Every experiment of a study, joined and in its folder."""
    origins = [origin(name, seed) for seed in range(study.trainings)]
    return [
        runs.write_joined(module(experiment, is_drawn), table, origins, folder / experiment)
        for experiment, table in tables(study).items()
    ]


def results(study: InventedStudy) -> list[claims.Result]:
    """What all experiments of a study measured for their claims."""
    return [claims.measure(claim, table) for name, table in tables(study).items() for claim in CLAIMS[name](table)]


def pages_of(folder: Path, drawn: Sequence[str] = tuple(STUDIES)) -> Path:
    """Writes the pages of all studies and the index over them; figures, which take most of the time, of some."""
    for name, study in STUDIES.items():
        experiments = written(folder / name, name, study, name in drawn)
        sections = [
            pages.Section(TITLES[one.experiment], QUESTIONS[one.experiment], pages.published(one.experiment), one)
            for one in experiments
        ]
        pages.write_study(folder / name, name, sections, ["The photos are not ours to publish."])
    pages.write_index(folder, pages.load_studies(folder), TITLES)
    return folder
