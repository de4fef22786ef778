"""What scoring maps costs beside making them, in time and in memory.

    python scripts/measure_evaluation.py                                         64 images, EfficientNet-Lite0
    python scripts/measure_evaluation.py --scenes                                masks of objects in place of parts
    python scripts/measure_evaluation.py --memory --images 5794 --classes 200    as many as CUB-200-2011 has for testing

The images are noise and the annotations drawn: neither changes what the work costs. All maps of
experiments/discriminant_vs_attributive.py are made and scored at 100 region sizes, their baselines too. Prints one
JSON object: seconds for explaining, for evaluating, and for evaluating with the specificity over every counter class
(medians, interleaved), the ratio of the second to the first less one, what the specificity adds as a share of
explaining, and the largest memory of the process; with --memory the last alone, after evaluating everything once.
"""

from galore import program

program.guard(__name__)

import argparse
import json
import sys

import jax
import numpy as np

import galore
from galore.benchmark.timing import Workload, interleaved, ratios, resident_bytes
from galore.evaluation import queries
from galore.evaluation.evaluate import evaluate, maps_of, over_batches
from galore.evaluation.methods import GRADIENT, Method, Score, all_rules
from galore.evaluation.queries import Queries
from galore.evaluation.test_set import Annotations, Parts, Scenes, TestSet

PARTS, OBJECTS = 15, 150


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--classes", type=int, default=25)
    parser.add_argument("--network", default="efficientnet_lite0")
    parser.add_argument("--weights", choices=("imagenet", "random"), default="random")
    parser.add_argument("--size", type=int, help="side of the input in pixels; as the network was published")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scenes", action="store_true", help="objects in place of parts, as ADE20K has them")
    parser.add_argument("--memory", action="store_true", help="evaluate once, and measure the memory alone")
    options = parser.parse_args()
    weights = None if options.weights == "random" else options.weights
    net = galore.load(options.network, weights=weights, classes=options.classes)
    if net.preprocessing is None:
        sys.exit(f"{options.network} has no preprocessing, so that the size of its input is unknown")
    side = options.size or net.preprocessing.crop
    test_set = noise(net, options.images, options.classes, side, options.scenes)
    methods = all_rules(GRADIENT, (Score.SOFTMAX, Score.CERTAINTY))
    user_queries = queries.beginner(test_set, 0)
    result: dict[str, object] = {"network": options.network, "images": options.images, "classes": options.classes}
    if options.memory:
        evaluate(test_set, user_queries, methods, 0, options.batch_size)
    else:
        result |= times(test_set, user_queries, methods, options.repeats, options.batch_size)
    print(json.dumps(result | {"peak memory, GB": round(resident_bytes() / 1e9, 3)}))


def noise(net: galore.Network, images: int, classes: int, side: int, scenes: bool = False) -> TestSet:
    """A test set of noise that the network is said to classify rightly."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, images).astype(np.int32)
    labels[:classes] = np.arange(classes)[:images]
    annotations = objects_in(rng, images, side) if scenes else parts_in(rng, images, side)
    different = rng.random((classes, classes, OBJECTS if scenes else PARTS)) < 0.8
    return TestSet(
        net=net,
        images=rng.integers(0, 256, (images, side, side, 3), np.uint8),
        annotations=annotations,
        labels=labels,
        logits=np.eye(classes, dtype=np.float32)[labels],
        discriminant=different,
        shared=~different,
        class_names=tuple(map(str, range(classes))),
        image_ids=np.arange(images),
    )


def parts_in(rng: np.random.Generator, images: int, side: int) -> Annotations:
    """Parts at random places."""
    return Parts(
        rng.uniform(0, side, (images, PARTS, 2)).astype(np.float32),
        rng.random((images, PARTS)) < 0.8,
        np.tile(np.array([side / 4, side / 4, side / 2, side / 2], np.float32), (images, 1)),
        (side, side),
    )


def objects_in(rng: np.random.Generator, images: int, side: int) -> Annotations:
    """Squares of a seventh of the side, each of a random object or of none."""
    cells = rng.integers(0, OBJECTS + 1, (images, 7, 7), np.uint8)
    places = np.arange(side) * 7 // side
    return Scenes(cells[:, places][:, :, places], (side, side), OBJECTS)


def times(
    test_set: TestSet, user_queries: Queries, methods: tuple[Method, ...], repeats: int, batch_size: int
) -> dict[str, float]:
    """Times making the maps, and making and scoring them, in turn, once both are compiled."""
    maps = jax.jit(lambda model, batch: maps_of(methods, model, batch))
    explain = Workload(
        "explain", lambda: over_batches(maps, test_set, user_queries, 0, batch_size), len(user_queries.rows)
    )
    given = (test_set, user_queries, methods, 0, batch_size)
    one_class, every_class = (
        Workload(name, lambda every=every: evaluate(*given, every_class=every), len(user_queries.rows))
        for name, every in (("evaluate", False), ("evaluate, every class", True))
    )
    works = (explain, one_class, every_class)
    seconds = interleaved(works, repeats)
    medians = {f"{work.name}, s": round(float(np.median(seconds[:, k])), 3) for k, work in enumerate(works)}
    scoring, both = (float(np.median(ratios(seconds)[:, k])) for k in (1, 2))
    specificity = float(np.median((seconds[:, 2] - seconds[:, 1]) / seconds[:, 0]))
    return medians | {
        "scoring / explaining": round(scoring - 1, 4),
        "specificity / explaining": round(specificity, 4),
        "all / explaining": round(both - 1, 4),
    }


if __name__ == "__main__":
    sys.exit(program.ended("error", main))
