"""Are finer maps better ones? One size, twice the size, and overlapping crops, on real birds: quality against time.

    python scripts/finer_maps.py [--data ../shared/data/CUB_200_2011] > results/finer_maps.json

EfficientNet-Lite0 with ImageNet weights, never tuned, sees the same square of each photo in three ways: `detail 1`,
224 pixels a side and 7 x 7 cells; `detail 2`, four crops half a cell apart, whose cells stand side by side
(`Network.finer`), 14 x 14; `twice the size`, 448 pixels a side, 14 x 14. For each, a softmax regression on the means of
its cells is fitted on the official split, and maps are judged by their specificity, as in `specificity_reference.py`;
counter classes are those of the image's own half of the classes, 1-16 to choose by and 17-25 to confirm. Times are of
one photo on the processors that the program may use: the compiled program behind `galore explain`, and the network
alone, all in turns. Seven minutes on one core.
"""

from galore import program

program.guard(__name__)

import argparse
import dataclasses
import json
import statistics
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import specificity_reference as reference

import galore
from galore import batching, provenance
from galore.data import cub
from galore.data.dataset import PartDataset
from galore.data.photo import read_image
from galore.data.preprocessing import Preprocessing
from galore.evaluation import ground_truth, metrics, test_set
from galore.evaluation.ground_truth import AttributeTable
from galore.evaluation.test_set import Parts
from galore.network import Network
from galore.report import build

CELL, SIDE = 32, 224
"""Of the network as it was published: pixels of the photo a cell, and in all."""
CHOOSING = 16
"""Classes 1-16 choose, the others confirm; no family is on both sides."""
SEEN_BY_IMAGENET = {"Indigo_Bunting": "indigo bunting"} | dict.fromkeys(
    ("Black_footed_Albatross", "Laysan_Albatross", "Sooty_Albatross"), "albatross"
)
REPEATS, PHOTOS = 15, 16


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data/CUB_200_2011")
    birds = cub.read(parser.parse_args().data)
    net = galore.load("efficientnet_lite0")
    ways = {"detail 1": net, "detail 2": net.finer(2), "twice the size": twice_the_size(net)}
    truths = np.stack([ground_truth.discriminant_parts(birds, table) for table in AttributeTable])
    parts = parts_of(birds, net)
    print("timing", file=sys.stderr)
    record: dict[str, Any] = {name: {"seconds": value} for name, value in seconds(ways).items()}
    first: dict[str, Any] = {}
    for name, way in ways.items():
        print(name, file=sys.stderr)
        F, means = activations(way, birds)
        head = reference.softmax_regression(means[birds.is_training], birds.labels[birds.is_training], len(truths[0]))
        # The head is affine in the means of the cells, whichever way they came.
        imagenet = np.asarray(jax.jit(jax.vmap(net.logits))(means[~birds.is_training, None, None])).argmax(1)
        first = first or {"head": head, "imagenet": imagenet}
        record[name] |= {
            "cells": list(F.shape[1:3]),
            "accuracy": accuracy(means, head, birds),
            "accuracy of the head of detail 1": accuracy(means, first["head"], birds),
            "ImageNet class as at detail 1": float(np.mean(imagenet == first["imagenet"])),
            "ImageNet class right, where there is one": seen_by_imagenet(imagenet, birds, net.class_names),
            "specificity": specificity(F, head, birds, parts, truths),
        }
    print("what a cell sees", file=sys.stderr)
    for name in ("detail 1", "twice the size"):
        record[name]["central cell"] = seen(ways[name], birds)
    json.dump(record | {"provenance": provenance.collect({}, seed=0)}, sys.stdout, indent=1)


def twice_the_size(net: Network) -> Network:
    """The same square of a photo through twice as many pixels a side; things look twice as large to the network."""
    assert net.preprocessing is not None
    return dataclasses.replace(net, preprocessing=net.preprocessing.at(2 * SIDE))


def parts_of(birds: PartDataset, net: Network) -> Parts:
    """The parts of the test images in the square that every way shows."""
    assert net.preprocessing is not None
    decoded = test_set.decode(birds.subset(~birds.is_training), net.preprocessing)
    size = (SIDE, SIDE)
    return Parts(decoded["points"].astype(np.float32), decoded["visible"], decoded["box"].astype(np.float32), size)


def activations(net: Network, birds: PartDataset) -> tuple[np.ndarray, np.ndarray]:
    """The activations of the test images [n, h, w, d], and the means over the cells of every image [all, d]."""
    preprocessing = net.preprocessing
    assert preprocessing is not None
    images = test_set.decode(birds, preprocessing)["image"]
    run = jax.jit(jax.vmap(net.activation))
    parts = []
    for start in range(0, len(images), 64):
        some = images[start : start + 64]
        batch_of = lambda rows, some=some: preprocessing.normalise(some[rows])  # noqa: E731
        F = batching.run(lambda batch: run(batch), batch_of, len(some), 8)
        parts.append((F[~birds.is_training[start : start + 64]], F.mean((1, 2))))
    return np.concatenate([F for F, _ in parts]), np.concatenate([means for _, means in parts])


def accuracy(means: np.ndarray, head: tuple[jax.Array, jax.Array], birds: PartDataset) -> float:
    """On the test images."""
    test = ~birds.is_training
    return float(np.mean(np.argmax(means[test] @ head[0] + head[1], axis=1) == birds.labels[test]))


def seen_by_imagenet(predicted: np.ndarray, birds: PartDataset, names: tuple[str, ...]) -> float:
    """How often the ImageNet class is right, over the photos of species that have one."""
    test = birds.subset(~birds.is_training)
    species = [test.class_names[label] for label in test.labels]
    right = [names[index] == SEEN_BY_IMAGENET[one] for index, one in zip(predicted, species) if one in SEEN_BY_IMAGENET]
    return float(np.mean(right))


def specificity(
    F: np.ndarray, head: tuple[jax.Array, jax.Array], birds: PartDataset, parts: Parts, truths: np.ndarray
) -> dict[str, dict[str, list[float]]]:
    """By half of the classes and by rule: SCOUT's table, the NeurIPS table, the standard error over images."""
    weights, bias = (np.asarray(values) for values in head)
    labels = birds.labels[~birds.is_training]
    found: dict[str, dict[str, list[np.ndarray]]] = {"classes 1-16": {}, "classes 17-25": {}}
    judge = jax.jit(lambda values, truth, present: metrics.specificity(values[:, None], truth[None], present))
    for row, (f, y) in enumerate(zip(F, labels)):
        h = f.mean((0, 1)) @ weights + bias
        one = jax.tree.map(lambda values, row=row: values[row], parts)
        if h.argmax() != y or one.present.sum() < reference.MINIMUM_PARTS:
            continue
        maps = np.einsum("hwd,dc->chw", f, weights) / (f.shape[0] * f.shape[1])
        half = np.arange(CHOOSING) if y < CHOOSING else np.arange(CHOOSING, len(bias))
        others = half[half != y]
        by_rule = reference.rules(maps, int(y), others, f, h, weights)
        values = jnp.stack([one.read(jnp.asarray(some)) for some in by_rule.values()])
        judged = np.asarray(judge(values, truths[:, y][:, others], one.present))
        place = found["classes 1-16" if y < CHOOSING else "classes 17-25"]
        for name, numbers in zip(by_rule, judged):
            place.setdefault(name, []).append(numbers)
    return {
        half: {rule: reference.summary(np.array(rows)) for rule, rows in rules.items()} for half, rules in found.items()
    }


def seen(net: Network, birds: PartDataset) -> dict[str, float]:
    """Where in the image a cell near the middle looks, along the height: the energy of the gradients of its features
    (of random mixtures of them) over some photos. In pixels of the input, beside the centre of what it is drawn over.
    """
    preprocessing = net.preprocessing
    assert preprocessing is not None

    @jax.jit
    def energy(image: jax.Array, mixture: jax.Array, cell: jax.Array) -> jax.Array:
        gradient = jax.grad(lambda pixels: jnp.vdot(net.activation(pixels)[cell, cell], mixture))(image)
        squared = jnp.sum(gradient**2, axis=(1, 2))
        return squared / squared.sum()

    side = preprocessing.crop
    cell = side // CELL // 2
    channels = jax.eval_shape(net.activation, jax.ShapeDtypeStruct((side, side, 3), jnp.float32)).shape[2]
    total = np.zeros(side)
    for row in np.linspace(0, len(birds) - 1, PHOTOS).astype(int):
        image = jnp.asarray(preprocessing.apply(read_image(birds.image_path(row))))
        total += np.asarray(energy(image, jax.random.normal(jax.random.key(row), (channels,)), cell)) / PHOTOS
    edges = np.arange(1, side + 1)
    low, median, high = np.interp((0.25, 0.5, 0.75), np.cumsum(total), edges)
    mean = float(np.sum(total * (edges - 0.5)))
    known = {"drawn at": CELL * cell + CELL / 2, "mean": mean, "median": median, "half of it from": low, "to": high}
    return {name: round(float(value), 1) for name, value in known.items()}


def seconds(ways: dict[str, Network]) -> dict[str, dict[str, float]]:
    """Of one photo, the medians; the first calls, which compile, do not count."""
    choices: dict[str, Any] = {"attribution": "gradient", "confidence": "softmax", "top": 5, "fraction": 0.1}
    explain, alone = build.compile_explanations(**choices), jax.jit(lambda net, image: net(image)[1])
    images = {name: image_for(net.preprocessing) for name, net in ways.items()}
    taken: dict[str, dict[str, list[float]]] = {name: {"explain": [], "network": []} for name in ways}
    for _ in range(REPEATS + 1):
        for name, net in ways.items():
            start = time.perf_counter()
            jax.block_until_ready(explain(net, images[name], jnp.int32(-1), jnp.int32(-1), None))
            middle = time.perf_counter()
            jax.block_until_ready(alone(net, images[name]))
            taken[name]["explain"].append(middle - start)
            taken[name]["network"].append(time.perf_counter() - middle)
    return {
        name: {what: round(statistics.median(values[1:]), 4) for what, values in both.items()}
        for name, both in taken.items()
    }


def image_for(preprocessing: Preprocessing | None) -> jax.Array:
    assert preprocessing is not None
    return jax.random.normal(jax.random.key(0), (preprocessing.crop, preprocessing.crop, 3))


if __name__ == "__main__":
    sys.exit(program.ended("error", main))
