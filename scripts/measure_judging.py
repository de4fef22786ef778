"""What judging maps costs beside making them, in time and in memory.

    python scripts/measure_judging.py                                         the ratio: 64 images, EfficientNet-Lite0
    python scripts/measure_judging.py --memory --images 5794 --classes 200    as many as CUB-200-2011 has for testing

The images are noise and the annotations drawn: neither changes what the work costs. All maps of
experiments/discriminant_vs_attributive.py are made and judged at 100 region sizes, their baselines too. Prints one JSON
object: seconds for explaining and for explaining and judging (medians, interleaved), their ratio less one, and the
largest memory of the process; with --memory the last alone, after judging everything once.
"""

import argparse
import json
import resource
import statistics
import sys
import time
from collections import OrderedDict

import jax
import numpy as np
from galore.evaluation.subject import Parts, Subject, in_batches

import galore
from galore.evaluation import judging, questions, rules

PARTS = 15


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
    parser.add_argument("--memory", action="store_true", help="judge once, and measure the memory alone")
    options = parser.parse_args()
    weights = None if options.weights == "random" else options.weights
    net = galore.load(options.network, weights=weights, classes=options.classes)
    if net.preprocessing is None:
        sys.exit(f"{options.network} has no preprocessing, so that the size of its input is unknown")
    side = options.size or net.preprocessing.crop
    subject = drawn(net, options.images, options.classes, side)
    found = {"network": options.network, "images": options.images, "classes": options.classes}
    asked, methods = questions.beginner(subject, 0), rules.all_discriminant()
    if options.memory:
        judging.judge_discriminant(subject, asked, methods, 0, options.batch_size)
    else:
        found |= times(subject, asked, methods, options.repeats, options.batch_size)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps(found | {"peak memory, GB": round(memory, 3)}))


def drawn(net: galore.Network, images: int, classes: int, side: int) -> Subject:
    """A subject of noise that the network is said to classify rightly."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, images).astype(np.int32)
    labels[:classes] = np.arange(classes)[:images]
    notes = Parts(
        rng.uniform(0, side, (images, PARTS, 2)).astype(np.float32),
        rng.random((images, PARTS)) < 0.8,
        np.tile(np.array([side / 4, side / 4, side / 2, side / 2], np.float32), (images, 1)),
        (side, side),
    )
    different = rng.random((classes, classes, PARTS)) < 0.8
    return Subject(
        net=net,
        images=rng.integers(0, 256, (images, side, side, 3), np.uint8),
        annotations=notes,
        labels=labels,
        logits=np.eye(classes, dtype=np.float32)[labels],
        discriminant=different,
        shared=~different,
        class_names=tuple(map(str, range(classes))),
        image_ids=np.arange(images),
    )


def times(
    subject: Subject, asked: questions.Questions, methods: judging.DiscriminantMethods, repeats: int, batch_size: int
) -> dict[str, float]:
    """Times explaining, and explaining with judging, in turn, once both are compiled."""

    @jax.jit
    def maps(net, predictor, images, notes, y, c):
        return OrderedDict(methods(net, predictor, images, y, c))

    def explain() -> object:
        return in_batches(maps, subject, asked.rows, asked.predicted, asked.counter, batch_size=batch_size)

    def judge() -> object:
        return judging.judge_discriminant(subject, asked, methods, 0, batch_size)

    seconds: dict[str, list[float]] = {"explain": [], "explain and judge": []}
    explain()
    judge()
    for _ in range(repeats):
        for name, work in (("explain", explain), ("explain and judge", judge)):
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    ratios = [both / one - 1 for one, both in zip(*seconds.values(), strict=True)]
    medians = {f"{name}, s": round(statistics.median(some), 3) for name, some in seconds.items()}
    return medians | {"judging / explaining": round(statistics.median(ratios), 4)}


if __name__ == "__main__":
    main()
