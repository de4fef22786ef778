"""Simulated learners: they see the lit pixels' features, forget, err, and write the same result files as the page.

They check the machinery and say how many people an experiment needs. They are no people: every file of theirs says
so. What they see are the network's activations, one vector for each cell of its map, centred and of unit length.

In the training, a wrong answer is met with two pictures and their lit cells; a right answer with the picture alone, of
which every cell counts. In the tests nothing is lit: a learner looks at the cells that resemble what it remembers.

In the agreement experiment a learner makes up its mind for every question anew, from the four examples, and sees of
the piece nothing but its cells. It cannot tell where its margin is among its smallest; how often that is, is assumed.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from galore.network import Network
from galore.teach import network_maps, outline, results, seal
from galore.teach.sheet import AGREE, VERSION, Sheet, Trial, opaque

DIRECTIONS = 64

Cells = Float[np.ndarray, "cells d"]


class Traits(NamedTuple):
    """How a learner is imperfect.

    Attributes:
        noise: of everything seen, relative to the length of a cell's vector.
        forgetting: the share of what was known that every further example replaces.
        lapse: how often an answer is drawn blindly.
        focus: how strongly attention goes to cells that resemble what is remembered.
        doubt: in how many of the agreement experiment's questions it cannot tell, on average over learners.
    """

    noise: float = 0.6
    forgetting: float = 0.15
    lapse: float = 0.04
    focus: float = 12.0
    doubt: float = 0.35


ORDINARY = Traits()


class Prototype:
    """Remembers a mean of what it was shown of either kind, and answers by the nearer one."""

    def __init__(self, traits: Traits) -> None:
        self.traits = traits
        self.means: list[np.ndarray | None] = [None, None]

    def learn(self, cells: Cells, weights: Float[np.ndarray, " cells"], label: int) -> None:
        """Takes in an example of A (0) or B (1), each cell as much as it is lit."""
        example = weights @ cells / weights.sum()
        old = self.means[label]
        kept = 1 - max(self.traits.forgetting, 0.05)
        self.means[label] = example if old is None else kept * old + (1 - kept) * example

    def margin(self, cells: Cells) -> float | None:
        """Above 0 for B, below for A; None before both kinds were shown."""
        a, b = self.means
        if a is None or b is None:
            return None
        resemblance = np.stack([cells @ a, cells @ b])
        attention = _attention(resemblance.max(0), self.traits.focus)
        return float(attention @ (resemblance[1] - resemblance[0]))


class Logistic:
    """Weighs features by logistic regression, one gradient step for each example, with decay."""

    rate = 4.0

    def __init__(self, traits: Traits) -> None:
        self.traits = traits
        self.weights: np.ndarray | None = None
        self.typical: np.ndarray | None = None

    def learn(self, cells: Cells, weights: Float[np.ndarray, " cells"], label: int) -> None:
        """Takes in an example of A (0) or B (1), each cell as much as it is lit."""
        example = weights @ cells / weights.sum()
        known = np.zeros_like(example) if self.weights is None else self.weights
        error = label - 1 / (1 + np.exp(-(known @ example)))
        self.weights = (1 - self.traits.forgetting / 4) * known + self.rate * error * example
        self.typical = example if self.typical is None else 0.8 * self.typical + 0.2 * example

    def margin(self, cells: Cells) -> float | None:
        """Above 0 for B, below for A; None before anything was shown."""
        if self.weights is None or self.typical is None:
            return None
        return float(_attention(cells @ self.typical, self.traits.focus) @ (cells @ self.weights))


KINDS = {"nearest prototype": Prototype, "logistic": Logistic}


def _attention(resemblance: Float[np.ndarray, " cells"], focus: float) -> Float[np.ndarray, " cells"]:
    weights = np.exp(focus * (resemblance - resemblance.max()))
    return weights / weights.sum()


def perceive(net: Network, sheet: Sheet, images: Path) -> dict[str, Float[np.ndarray, "h w d"]]:
    """The features of every picture, by its id.

    Centred over all pictures, reduced to their first 64 principal directions, and each cell of unit length.
    """
    features = network_maps.activations(net, [images / picture.path for picture in sheet.pictures])
    cells = features.reshape(-1, features.shape[-1]).astype(np.float64)
    cells = cells - cells.mean(0)
    _, directions = np.linalg.eigh(cells.T @ cells)
    reduced = cells @ directions[:, -DIRECTIONS:]
    reduced = reduced / np.maximum(np.linalg.norm(reduced, axis=-1, keepdims=True), 1e-6)
    return dict(zip((picture.id for picture in sheet.pictures), reduced.reshape(*features.shape[:-1], -1)))


def weights(path: str, height: int, width: int) -> Float[np.ndarray, " cells"]:
    """How much of each cell is lit."""
    side = 16 * max(height, width)
    mask = outline.mask(path, side).astype(float)
    rows, columns = (np.arange(side) * count // side for count in (height, width))
    lit = np.zeros((height, width))
    np.add.at(lit, (rows[:, None], columns[None, :]), mask)
    return lit.ravel() + 1e-9


def simulate(
    sheet: Sheet,
    perceived: dict[str, Any],
    kind: str,
    condition: str,
    order: int,
    number: int,
    seed: int,
    traits: Traits,
) -> dict[str, Any]:
    """Lets one learner take the whole experiment, and returns its result file's contents."""
    generator = np.random.default_rng([seed, 21, number, sorted(KINDS).index(kind), sheet.conditions.index(condition)])
    by_id = {trial.id: trial for trial in sheet.trials}
    trials = [by_id[id] for id in sheet.orders[order]]
    if sheet.kind == AGREE:
        given = _agree(trials, perceived, kind, traits, generator)
    else:
        given = _learn(trials, perceived, kind, condition, traits, generator)
    result = {
        "format": results.FORMAT,
        "version": VERSION,
        "experiment": sheet.experiment,
        "learner": "sim" + opaque(seed, kind, condition, number),
        "place": "",
        "condition": sheet.conditions.index(condition) + 1,
        "order": order,
        "simulation": kind,
        "answers": [_record(trial, answer, generator) for trial, answer in zip(trials, given)],
    }
    return result | {"checksum": seal.checksum(result)}


def _learn(
    trials: Sequence[Trial],
    perceived: dict[str, Any],
    kind: str,
    condition: str,
    traits: Traits,
    generator: np.random.Generator,
) -> list[str]:
    """The answers of the teaching experiment, one after the other, as every reply of the training changes the next."""
    learner = KINDS[kind](traits)
    answers = []
    for trial in trials:
        answers.append(_answer(learner, _look(perceived[trial.picture], traits, generator), traits, generator))
        if trial.counter:
            _teach(learner, trial, answers[-1], condition, perceived, traits, generator)
    return answers


def _agree(
    trials: Sequence[Trial], perceived: dict[str, Any], kind: str, traits: Traits, generator: np.random.Generator
) -> list[str]:
    """The answers of the agreement experiment."""
    margins = []
    for trial in trials:
        learner = KINDS[kind](traits._replace(forgetting=0.5))
        for pair in zip(*trial.examples):
            for label, id in enumerate(pair):
                cells = _look(perceived[id], traits, generator)
                learner.learn(cells, np.ones(len(cells)), label)
        piece = perceived[trial.picture]
        lit = weights(trial.shown.outline if trial.shown else "", *piece.shape[:2])
        margins.append(learner.margin(_look(piece, traits, generator)[lit > lit.max() / 2]) or 0.0)
    return _told(np.array(margins), traits, generator)


def _told(margins: Float[np.ndarray, " n"], traits: Traits, generator: np.random.Generator) -> list[str]:
    """ "?" for the smallest margins: for how many of them differs from learner to learner."""
    share = generator.beta(6 * traits.doubt, 6 * (1 - traits.doubt))
    unsure = np.abs(margins) <= np.quantile(np.abs(margins), share)
    blind = generator.random(len(margins)) < traits.lapse
    told = np.where(margins > 0, "B", "A")
    return ["AB?"[generator.integers(3)] if b else "?" if u else str(t) for b, u, t in zip(blind, unsure, told)]


def _teach(
    learner: Prototype | Logistic,
    trial: Trial,
    given: str,
    condition: str,
    perceived: dict[str, Any],
    traits: Traits,
    generator: np.random.Generator,
) -> None:
    label = "AB".index(trial.truth)
    query = perceived[trial.picture]
    height, width = query.shape[:2]
    if given == trial.truth:
        learner.learn(_look(query, traits, generator), np.ones(height * width), label)
        return
    for id, region, kind in zip((trial.picture, trial.counter), trial.lit[condition], (label, 1 - label)):
        learner.learn(_look(perceived[id], traits, generator), weights(region.outline, height, width), kind)


def _look(features: Float[np.ndarray, "h w d"], traits: Traits, generator: np.random.Generator) -> Cells:
    cells = features.reshape(-1, features.shape[-1])
    return cells + traits.noise / np.sqrt(cells.shape[1]) * generator.standard_normal(cells.shape)


def _answer(learner: Prototype | Logistic, cells: Cells, traits: Traits, generator: np.random.Generator) -> str:
    margin = learner.margin(cells)
    if margin is None:
        return "AB?"[generator.integers(3)]
    if generator.random() < traits.lapse:
        return "AB"[generator.integers(2)]
    return "B" if margin > 0 else "A"


def _record(trial: Trial, given: str, generator: np.random.Generator) -> dict[str, Any]:
    """An answer as the page writes it down, with invented times."""
    milliseconds, studied = (int(np.clip(1000 * generator.lognormal(1.0, 0.5), 300, 60_000)) for _ in range(2))
    if not trial.counter:
        studied = 0
    return {"trial": trial.id, "answer": given, "milliseconds": milliseconds, "interrupted": 0, "studied": studied}


def write(
    sheet: Sheet, perceived: dict[str, Any], folder: Path, learners: int, seed: int, traits: Traits = ORDINARY
) -> list[Path]:
    """Writes a result file for every learner of every kind and condition; the files' names say "simulation"."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for kind in KINDS:
        for condition in sheet.conditions:
            for number in range(learners):
                order = number % len(sheet.orders)
                result = simulate(sheet, perceived, kind, condition, order, number, seed, traits)
                file = folder / f"simulation-{kind.replace(' ', '-')}-{result['learner']}.json"
                file.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
                files.append(file)
    return files
