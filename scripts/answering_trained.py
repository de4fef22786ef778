"""Can a training make maps of real birds follow the question? Heads trained otherwise, and trunks that are tuned.

    python scripts/answering_trained.py [--data ../shared/data/CUB_200_2011] [--out results/answering_trained.json]

Rows that the ladder of docs/answering.md lacked, on classes 1-16 alone, in training and in judging: classes 17-25,
which confirmed the ladder's choice once, are not read. EfficientNet-Lite0 with ImageNet weights, 224 pixels a side
(`--sizes 224 448`). Heads are softmax regressions: on the mean of all cells, on means of cells of which most are
dropped, on each cell alone, and by log-sum-exp over the cells. Trunks are frozen, or what follows stage 6 is tuned at
224 pixels as conf/train/last_stage.yaml says (`--cuts stage6 stage5`); such a one is judged with the head that was
tuned with it, and with one fitted anew, as the frozen trunk's is. Three trainings: of all training photos, and twice of
photos drawn again within each class. Judged are test photos with at least four visible parts that the first head gets
right. Ten minutes on one core.
"""

from galore import program

program.guard(__name__)

import argparse
import dataclasses
import functools
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from answering_ladder import WAYS, activations, linear, specificity
from finer_maps import CHOOSING, parts_of
from specificity_reference import MINIMUM_PARTS, softmax_regression

import galore
from galore import atomic, counterparts, part_tables, provenance, statistics
from galore.data import cub
from galore.data.dataset import PartDataset
from galore.evaluation import ground_truth
from galore.evaluation.ground_truth import AttributeTable
from galore.evaluation.methods import Method, Rule
from galore.evaluation.test_set import Parts
from galore.experiment import config
from galore.network import Network
from galore.options import from_mapping
from galore.training import architectures, classifier, task
from galore.training.config import ModelConfig, TrainConfig
from galore.training.task import Task

RULES = (Rule.MARGIN, Rule.STANDARDISED, Rule.COUNTERPARTS_STANDARDISED, Rule.PARTS)
METHODS = tuple(map(Method, RULES))
TRAININGS = 3
SUBSETS, STEPS = 20, 100
"""Of the cells of each photo, whose means a head with dropout is fitted to; of L-BFGS, of which more change nothing."""
FROZEN, PLAIN, OWN, POOLED = "frozen", "mean of all cells", "its own head", "log-sum-exp of the cells"

Weights = tuple[jax.Array, jax.Array]
Trunk = tuple[Network, Weights | None]
"""A network, and the weights of the head that was trained with it."""


class Photos(NamedTuple):
    """Training photos and the rows of each training; test photos, their parts, and which parts tell classes apart."""

    training: PartDataset
    draws: list[np.ndarray]
    test: PartDataset
    parts: Parts
    truths: np.ndarray


class Judged(NamedTuple):
    """By training: specificity by test photo, method and table (NaN: does not count), and the head's accuracy."""

    values: list[np.ndarray]
    accuracy: list[float]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data/CUB_200_2011")
    parser.add_argument("--out", default="results/answering_trained.json", type=Path)
    parser.add_argument("--sizes", choices=("224", "448"), nargs="+", default=["224"])
    parser.add_argument("--cuts", choices=("stage5", "stage6"), nargs="*", default=["stage6"])
    given = parser.parse_args()
    birds = cub.read(given.data, range(1, CHOOSING + 1))
    training, test = birds.subset(birds.is_training), birds.subset(~birds.is_training)
    frozen = galore.load("efficientnet_lite0")
    truths = np.stack([ground_truth.discriminant_parts(birds, table) for table in AttributeTable])
    draws = [drawn(training.labels, seed) for seed in range(TRAININGS)]
    photos = Photos(training, draws, test, parts_of(test, frozen), truths)
    made_by = provenance.collect({}, seed=0)
    trunks: dict[str, list[Trunk]] = {FROZEN: [(frozen, None)] * TRAININGS}
    trunks |= {f"tuned behind {cut}": tuned(birds, cut, draws) for cut in given.cuts}
    judged: dict[str, dict[str, Judged]] = {size: {} for size in given.sizes}
    for size, rows in judged.items():
        for trunk, nets in trunks.items():
            rows |= of_trunk(trunk, nets, size, photos, rows)
    record = {size: summary(rows, test.labels) for size, rows in judged.items()}
    with atomic.file(given.out) as file:
        file.write_text(json.dumps(record | {"provenance": made_by}, indent=1))


def drawn(labels: np.ndarray, seed: int) -> np.ndarray:
    """Rows of training photos: all for the first training, then as many of each class, drawn with replacement."""
    rng = np.random.default_rng(seed)
    of_classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return np.concatenate([rows if seed == 0 else rng.choice(rows, len(rows)) for rows in of_classes])


def tuned(birds: PartDataset, cut: str, draws: list[np.ndarray]) -> list[Trunk]:
    """Networks of which all behind a stage was trained, with its head, on each draw of the training photos."""
    chosen = [f"train.{name}" for name in (f"from_layer={cut}", "hardness=none", "students=[]", "threads=1")]
    options = config.plain(config.compose(["model=efficientnet_lite0", "train=last_stage", *chosen], "training"))
    train = from_mapping(TrainConfig, options["train"])
    prepared = task.prepare(birds, train, ModelConfig("efficientnet_lite0", weights="imagenet"), lambda *_: None)
    return [trained(prepared, rows, seed) for seed, rows in enumerate(draws)]


def trained(prepared: Task, rows: np.ndarray, seed: int) -> Trunk:
    """One of them."""
    again = dataclasses.replace(prepared, config=dataclasses.replace(prepared.config, seed=seed))
    print("tuned", again.cut, seed, file=sys.stderr, flush=True)
    params, described = classifier.train(again, rows, epochs=again.config.epochs), again.description
    named = {"class_names": described.class_names, "preprocessing": described.preprocessing}
    net = architectures.network(described.network, params, layer=described.layer, **named)
    return net, (jnp.asarray(params["fc.kernel"]), jnp.asarray(params["fc.bias"]))


def of_trunk(trunk: str, nets: list[Trunk], size: str, photos: Photos, known: dict[str, Judged]) -> dict[str, Judged]:
    """Each head on a trunk, on photos of one size; the first row that is known says which photos count."""
    judged: dict[str, Judged] = {}
    labels = photos.test.labels
    for seed, (net, own) in enumerate(nets):
        F, G = (activations_of(net, size, some) for some in (photos.training, photos.test))
        F, of_training = F[photos.draws[seed]], photos.training.labels[photos.draws[seed]]
        key = jax.random.key(seed)
        banks = part_tables.fit(F, of_training, key), counterparts.fit(F, of_training, key)
        for head, weights in heads(F, of_training, seed, own).items():
            right = predicted(G, weights, head) == labels
            first = next(iter((known | judged).values()), None)
            if first is None or len(first.values) == seed:
                rows = np.flatnonzero(right & (photos.parts.present.sum(1) >= MINIMUM_PARTS))
            else:
                rows = np.flatnonzero(~np.isnan(first.values[seed]).all((1, 2)))
            values = np.full((len(labels), len(METHODS), len(AttributeTable)), np.nan)
            found = specificity(METHODS, linear(*weights), banks, G, photos.test, photos.parts, photos.truths, rows)
            values[rows] = found.swapaxes(0, 1)
            one = judged.setdefault(f"{trunk}, {head}", Judged([], []))
            one.values.append(values)
            one.accuracy.append(round(float(right.mean()), 4))
            said = np.nanmean(values, axis=0).round(3).tolist()
            print(size, trunk, head, seed, one.accuracy[-1], len(rows), said, file=sys.stderr, flush=True)
    return judged


@functools.lru_cache(maxsize=2)
def activations_of(net: Network, size: str, photos: PartDataset) -> np.ndarray:
    """As `activations`; those of the frozen trunk are made once for all trainings."""
    return activations(WAYS[size](net), photos)


def heads(F: np.ndarray, labels: np.ndarray, seed: int, own: Weights | None) -> dict[str, Weights]:
    """The heads on a trunk: ways to train one where the trunk is frozen, else its own and one fitted anew."""
    rng = np.random.default_rng(seed)
    plain = {PLAIN: on_subsets(F, labels, rng, 1.0, 1)}
    if own is not None:
        return plain | {OWN: own}
    return plain | {
        "means of 30 % of the cells": on_subsets(F, labels, rng, 0.3, SUBSETS),
        "means of 5 % of the cells": on_subsets(F, labels, rng, 0.05, SUBSETS),
        "each cell alone": on_subsets(F, labels, rng, 0.0, 2 * SUBSETS),
        POOLED: softmax_regression(cells(F), labels, CHOOSING, STEPS, pooled),
    }


def on_subsets(F: np.ndarray, labels: np.ndarray, rng: np.random.Generator, share: float, subsets: int) -> Weights:
    """A softmax regression on the means of a share of the cells, at least one, of so many draws from each photo."""
    of_photos, means = cells(F), []
    kept = max(1, round(share * of_photos.shape[1]))
    for _ in range(subsets):
        chosen = rng.random(of_photos.shape[:2]).argsort(axis=1)[:, :kept, None]
        means.append(np.take_along_axis(of_photos, chosen, axis=1).mean(1))
    return softmax_regression(np.concatenate(means), np.tile(labels, subsets), CHOOSING, STEPS)


def predicted(F: np.ndarray, weights: Weights, head: str) -> np.ndarray:
    """The class that a head says of each photo, pooled as it was trained."""
    pool = pooled if head == POOLED else lambda scores: scores.mean(1)
    return np.asarray(pool(jnp.asarray(cells(F)) @ weights[0] + weights[1])).argmax(1)


def cells(F: np.ndarray) -> np.ndarray:
    """[n, cells, d], in single precision."""
    return F.reshape(len(F), -1, F.shape[-1]).astype(np.float32)


def pooled(scores: jax.Array) -> jax.Array:
    """[n, cells, C] -> [n, C]: nearly the largest of the cells' scores."""
    return jax.nn.logsumexp(scores, axis=1)


def summary(judged: Mapping[str, Judged], labels: np.ndarray) -> dict[str, dict[str, Any]]:
    """By row, method and table: the mean with its interval over trainings, classes and photos; and beside the first."""
    stacked = {name: np.stack(one.values) for name, one in judged.items()}
    first, record = next(iter(stacked)), {}
    for name, values in stacked.items():
        rows: dict[str, Any] = {"accuracy": judged[name].accuracy}
        rows["photos"] = (~np.isnan(values).all((2, 3))).sum(1).tolist()
        for number, method in enumerate(METHODS):
            for at, table in enumerate(AttributeTable):
                own, other = values[:, :, number, at], stacked[first][:, :, number, at]
                by_table = rows.setdefault(method.label, {}).setdefault(table.value, {})
                by_table["mean"] = rounded(statistics.mixed_effects(own, labels))
                by_table["by training"] = np.nanmean(own, axis=1).round(4).tolist()
                if name != first:
                    difference = statistics.mixed_effects_of_difference(own, other, labels)
                    by_table[f"minus {first}"] = rounded(difference)
        record[name] = rows
    return record


def rounded(found: statistics.Inference) -> list[float]:
    return [round(number, 4) for number in found.estimate[:3]]


if __name__ == "__main__":
    sys.exit(program.ended("error", main))
