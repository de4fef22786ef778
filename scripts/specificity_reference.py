"""The specificity of the usual maps on real birds, by a linear head on frozen features: numbers to check ours against.

    python scripts/specificity_reference.py [--data ../shared/data/CUB_200_2011] > results/specificity_reference.json

EfficientNet-Lite0 with ImageNet weights, never tuned; a softmax regression on the means of its last activations, fitted
on the official split of the data set's classes; images that it gets right, with at least four visible parts; all other
classes as counter classes; maps of signed logits, read bilinearly at the parts. Maps and ranks are put together here
from the activations alone, beside what `galore.evaluation.evaluate` makes of the same network. A minute on two cores.
"""

from galore import program

program.guard(__name__)

import argparse
import functools
import json
import operator
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import galore
from galore import provenance
from galore.data import cub
from galore.evaluation import ground_truth, metrics, queries, test_set
from galore.evaluation.evaluate import evaluate
from galore.evaluation.ground_truth import AttributeTable
from galore.evaluation.methods import GRADIENT, Method, Rule, Score
from galore.evaluation.test_set import OtherTruth, TestSet

MINIMUM_PARTS = 4
PENALTY = 1e-3
Pool = Callable[[jax.Array], jax.Array]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data/CUB_200_2011")
    birds = cub.read(parser.parse_args().data)
    trunk = galore.load("efficientnet_lite0", classes=len(birds.class_names))
    seen = {name: built(trunk, birds, training) for name, training in (("train", True), ("test", False))}
    F, _ = seen["train"].run(seen["train"].images, 32)
    weights, bias = softmax_regression(F.mean((1, 2)), seen["train"].labels, len(birds.class_names))
    head = lambda params, G: jnp.mean(G, axis=(0, 1)) @ params["weights"] + params["bias"]  # noqa: E731
    net = galore.Network(
        params={"trunk": trunk.params, "head": {"weights": weights, "bias": bias}},
        features=lambda params, image: trunk.features(params["trunk"], image),  # type: ignore[misc]
        head=lambda params, G: head(params["head"], G),
        preprocessing=trunk.preprocessing,
    )
    tested = built(net, birds, False)
    asked = queries.beginner(tested, 0)
    enough = np.asarray(tested.annotations.present)[asked.rows].sum(1) >= MINIMUM_PARTS
    record = {
        "accuracy": float((tested.predicted == tested.labels).mean()),
        "images": int(enough.sum()),
        "from activations": from_activations(tested, asked.rows[enough], weights),
        "evaluate": by_evaluate(tested, asked, enough),
        "provenance": provenance.collect({}, seed=0),
    }
    json.dump(record, sys.stdout, indent=1)


def built(net: galore.Network, birds: cub.PartDataset, training: bool) -> TestSet:
    """The images of a split with both ground truths."""
    some = birds.subset(birds.is_training == training)
    own, other = (ground_truth.discriminant_parts(birds, table) for table in AttributeTable)
    by_other = OtherTruth(other, ~other, AttributeTable.NEURIPS, AttributeTable.SCOUT)
    return test_set.build(net, some, own, ~own, other=by_other)


def softmax_regression(
    features: np.ndarray, labels: np.ndarray, classes: int, steps: int = 300, pool: Pool = lambda scores: scores
) -> tuple[jax.Array, jax.Array]:
    """By L-BFGS, with a quadratic penalty on the weights.

    Args:
        features: of each photo, [n, d]; or of each of its cells, [n, m, d].
        labels: of the photos.
        classes: how many there are.
        steps: of L-BFGS.
        pool: scores of the cells [n, m, C] -> logits [n, C], where there are several.
    """
    x, y = jnp.asarray(features), jnp.asarray(labels)
    params = (jnp.zeros((x.shape[-1], classes)), jnp.zeros(classes))
    state = optax.lbfgs().init(params)
    for _ in range(steps):
        params, state = _step(params, state, x, y, pool)
    return params


@functools.partial(jax.jit, static_argnames="pool")
def _step(params: Any, state: Any, x: jax.Array, y: jax.Array, pool: Pool) -> tuple[Any, Any]:
    def loss(params: tuple[jax.Array, jax.Array]) -> jax.Array:
        losses = optax.softmax_cross_entropy_with_integer_labels(pool(x @ params[0] + params[1]), y)
        return losses.mean() + PENALTY * jnp.sum(params[0] ** 2) / 2

    value, gradient = optax.value_and_grad_from_state(loss)(params, state=state)
    updates, state = optax.lbfgs().update(gradient, state, params, value=value, grad=gradient, value_fn=loss)
    return optax.apply_updates(params, updates), state


def from_activations(tested: TestSet, rows: np.ndarray, weights: jax.Array) -> dict[str, list[float]]:
    """Mean and standard error of every map's specificity, by both tables, one image after the other."""
    F, logits = tested.run(tested.images[rows], 32)
    found: dict[str, list[np.ndarray]] = {}
    assert tested.other is not None
    for row, f, h in zip(rows, F, logits):
        y = int(h.argmax())
        others = np.delete(np.arange(len(h)), y)
        parts = jax.tree.map(operator.itemgetter(row), tested.annotations)
        maps = np.einsum("hwd,dc->chw", f, np.asarray(weights)) / (f.shape[0] * f.shape[1])
        for name, some in rules(maps, y, others, f, h, np.asarray(weights)).items():
            values = parts.read(jnp.asarray(some))
            by_table = [
                metrics.specificity(values, jnp.asarray(truth[y, others]), jnp.asarray(parts.present))
                for truth in (tested.discriminant, tested.other.discriminant)
            ]
            found.setdefault(name, []).append(np.array(by_table))
    return {name: summary(np.array(values)) for name, values in found.items()}


def rules(
    maps: np.ndarray, y: int, others: np.ndarray, f: np.ndarray, h: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """The map for (y, c) of each other class c."""
    a, b = np.maximum(maps[y], 0)[None], maps[others]
    probabilities = np.exp(h - h.max()) / np.exp(h - h.max()).sum()
    # The gradient of the largest probability in the activation, clipped at zero as the authors' code does.
    gradient = probabilities[y] * (weights[:, y] - weights @ probabilities) / (f.shape[0] * f.shape[1])
    s = (f * np.maximum(gradient, 0)).sum(-1)[None]
    spread = maps.std(axis=0, keepdims=True)
    absent = b.max((1, 2), keepdims=True) - b
    return {
        "a": np.broadcast_to(a, b.shape).copy(),
        "a * comp(b) * s, b signed": a * absent * s,
        "a * comp(b), b signed": a * absent,
        "margin": maps[y] - b,
        "-b": -b,
        "-b, standardised over classes": -(b - maps.mean(0)) / spread,
    }


def by_evaluate(tested: TestSet, asked: queries.Queries, enough: np.ndarray) -> dict[str, list[float]]:
    """The same by the library's way from images to numbers; its class maps are floored at zero, as the authors' are."""
    methods = (
        Method(Rule.ATTRIBUTIVE, None, GRADIENT),
        Method(Rule.DISCRIMINANT, Score.SOFTMAX, GRADIENT),
        Method(Rule.WITHOUT_CONFIDENCE, None, GRADIENT),
        Method(Rule.MARGIN, None, GRADIENT),
    )
    scored = evaluate(tested, asked, methods, 0)
    return {
        method.label: summary(np.stack([some[method]["specificity"] for some in (own, other)], axis=1)[enough])
        for own, other in [(scored.by_method, scored.by_other_table)]
        for method in scored.by_method
    }


def summary(values: np.ndarray) -> list[float]:
    """Mean by SCOUT's table and by the NeurIPS table, and the standard error over images of the first."""
    there = values[~np.isnan(values[:, 0])]
    error = there[:, 0].std(ddof=1) / np.sqrt(len(there))
    return [round(float(number), 4) for number in (*np.nanmean(values, axis=0), error)]


if __name__ == "__main__":
    sys.exit(program.ended("error", main))
