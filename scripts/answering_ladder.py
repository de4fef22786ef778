"""The ladder of docs/answering.md by the library alone: which maps of real birds follow the question?

    python scripts/answering_ladder.py [--data ../shared/data/CUB_200_2011] > results/answering_ladder.json

EfficientNet-Lite0 with ImageNet weights, never tuned, at 224 and at 448 pixels a side; for each size a softmax
regression on the means of its cells, and part tables, both of all training photos of the data set's classes. Judged are
test photos of classes 1-16 that the head of 224 pixels gets right, with at least four visible parts, asked about the
other fifteen; classes 17-25 confirmed the choice once and are not looked at. `--ways 224 crops` takes overlapping crops
of 224 pixels; the head of the first way says which photos count. Five minutes on one core.
"""

from galore import program

program.guard(__name__)

import argparse
import functools
import json
import operator
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from finer_maps import CHOOSING, parts_of, twice_the_size
from specificity_reference import MINIMUM_PARTS, softmax_regression

import galore
from galore import batching, part_tables, provenance
from galore.counterparts import Counterparts
from galore.data import cub
from galore.data.dataset import PartDataset
from galore.evaluation import ground_truth, metrics, test_set
from galore.evaluation.ground_truth import AttributeTable
from galore.evaluation.methods import Method, Rule, Score, counterfactual_maps
from galore.evaluation.test_set import Parts
from galore.network import Network
from galore.part_tables import PartTables

METHODS = (
    Method(Rule.DISCRIMINANT, Score.SOFTMAX),
    Method(Rule.MARGIN),
    Method(Rule.ABSENCE),
    Method(Rule.STANDARDISED),
    Method(Rule.PARTS),
)
Banks = tuple[PartTables, Counterparts | None]
WAYS = {"224": lambda net: net, "448": twice_the_size, "crops": lambda net: net.finer(2)}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data/CUB_200_2011")
    parser.add_argument("--ways", choices=WAYS, nargs="+", default=["224", "448"])
    given = parser.parse_args()
    birds = cub.read(given.data)
    trunk = galore.load("efficientnet_lite0")
    training, test = birds.subset(birds.is_training), birds.subset(~birds.is_training & (birds.labels < CHOOSING))
    parts, truths = parts_of(test, trunk), np.stack([ground_truth.discriminant_parts(birds, t) for t in AttributeTable])
    rows, record = np.zeros(0, int), {}
    for name in given.ways:
        print(name, file=sys.stderr)
        F, G = (activations(WAYS[name](trunk), some) for some in (training, test))
        net = linear(*softmax_regression(F.mean((1, 2), np.float32), training.labels, len(birds.class_names)))
        if not record:
            right = np.asarray(jax.jit(jax.vmap(net.logits))(G.mean((1, 2), np.float32)[:, None, None])).argmax(1)
            rows = np.flatnonzero((right == test.labels) & (parts.present.sum(1) >= MINIMUM_PARTS))
        tables = part_tables.fit(F, training.labels, jax.random.key(0))
        judged = specificity(METHODS, net, (tables, None), G, test, parts, truths, rows)
        record[name] = {method.label: summary(values, test.labels[rows]) for method, values in zip(METHODS, judged)} | {
            "photos": len(rows),
            "cells": list(G.shape[1:3]),
        }
    json.dump(record | {"provenance": provenance.collect({}, seed=0)}, sys.stdout, indent=1)


def activations(net: Network, birds: PartDataset) -> np.ndarray:
    """The last activations of all photos, [n, h, w, d]; in half precision, since there are many."""
    preprocessing = net.preprocessing
    assert preprocessing is not None
    images = test_set.decode(birds, preprocessing)["image"]
    run = jax.jit(jax.vmap(lambda image: net.activation(image).astype(jnp.float16)))
    return batching.run(run, lambda rows: preprocessing.normalise(images[rows]), len(images), 8)


def linear(weights: jax.Array, bias: jax.Array) -> Network:
    """A head that is affine in the mean of the cells, as a network whose inputs are the activations."""
    return Network({"weights": weights, "bias": bias}, _as_it_is, _affine)


def _as_it_is(params: Any, F: jax.Array) -> jax.Array:
    return F


def _affine(params: Any, F: jax.Array) -> jax.Array:
    return jnp.mean(F, axis=(0, 1)) @ params["weights"] + params["bias"]


def specificity(
    methods: tuple[Method, ...], net: Network, banks: Banks, F: np.ndarray, test: PartDataset, parts: Parts,
    truths: np.ndarray, rows: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """By method, photo and table of attributes, each photo asked about all other classes that choose."""
    found = []
    for row in rows:
        y, one = int(test.labels[row]), jax.tree.map(operator.itemgetter(row), parts)
        others = np.delete(np.arange(CHOOSING), y)
        asked = F[row].astype(np.float32), y, others, one, truths[:, y, others]
        found.append(np.asarray(_specificity(methods, net, banks, *asked)))
    return np.stack(found, axis=1)


@functools.partial(jax.jit, static_argnums=0)
def _specificity(
    methods: tuple[Method, ...], net: Network, banks: Banks, F: Any, y: Any, others: Any, parts: Parts, truths: Any
) -> Any:
    maps = counterfactual_maps(methods, net, None, F[None], jnp.asarray(y)[None], others[None], *banks)
    values = jnp.stack([parts.read(some[0]) for some in maps])
    return metrics.specificity(values[:, None], truths[None], parts.present)


def summary(values: np.ndarray, labels: np.ndarray) -> dict[str, list[float]]:
    """By SCOUT's and by the NeurIPS table, over photos and over classes: the means, then their standard errors."""
    there = ~np.isnan(values).any(1)
    values, labels = values[there], labels[there]
    by_class = np.stack([values[labels == c].mean(0) for c in np.unique(labels)])
    return {
        over: [round(float(v), 4) for v in (*some.mean(0), *(some.std(0, ddof=1) / np.sqrt(len(some))))]
        for over, some in (("photos", values), ("classes", by_class))
    }


if __name__ == "__main__":
    sys.exit(program.ended("error", main))
