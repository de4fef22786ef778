"""How often verdicts are wrong, on numbers whose truth is known.

    python scripts/simulate_verdicts.py                      prints a table, writes results/verdict_simulation.json
    python scripts/simulate_verdicts.py --repetitions 500    quicker, and less exact

Differences of two methods are drawn for images of several classes and several trainings: normal effects of training,
class, counter class (where it is asked about), image, and image by training. 5 % of the variance of an image's number
is that of its class, and as much that of its counter class; trainings differ with a standard deviation of 0.01.
With no true difference, "holds" and "does not hold" are false; with one, their rate is the power.
"""

from galore import program

program.guard(__name__)

import argparse
import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.stats
from jaxtyping import Float, Int

from galore import provenance
from galore.experiment.claims import ALPHA, MARGINS
from galore.statistics import MeanError, Sample, mean_error

MARGIN = MARGINS["auroc"]
AT_ONCE = 500
"""Repetitions that share their images and counter classes, and are computed together."""


@dataclass(frozen=True)
class Design:
    """What a simulated study is made of.

    Attributes:
        trainings: how many.
        images: how many each class has.
        difference: the true one.
        training: standard deviation between trainings.
        noise: that of an image's number.
        of_class, of_counter: shares of the noise's variance.
        of_image: share of the rest that an image has in all trainings.
    """

    trainings: int
    images: tuple[int, ...]
    difference: float = 0.0
    training: float = 0.01
    noise: float = 0.2
    of_class: float = 0.05
    of_counter: float = 0.0
    of_image: float = 0.5


FIVE = Design(5, (26,) * 25)
THREE = dataclasses.replace(FIVE, trainings=3)
LARGER = Design(5, (60,) * 20)
DESIGNS = {
    "5 trainings, 25 classes x 26": FIVE,
    "3 trainings, 25 classes x 26": THREE,
    "5 trainings, 20 classes x 60": LARGER,
    "5 trainings, 25 classes x 2 to 50": dataclasses.replace(FIVE, images=tuple(range(2, 52, 2))),
    "5 trainings, 25 classes x 26, counter classes": dataclasses.replace(FIVE, of_counter=0.05),
    "3 trainings, 25 classes x 26, counter classes": dataclasses.replace(THREE, of_counter=0.05),
    "5 trainings that differ by 0.05": dataclasses.replace(FIVE, training=0.05),
    "3 trainings that differ by 0.05": dataclasses.replace(THREE, training=0.05),
    "true difference 0.02: 5 trainings, 25 classes x 26": dataclasses.replace(FIVE, difference=MARGIN),
    "true difference 0.02: 3 trainings, 25 classes x 26": dataclasses.replace(THREE, difference=MARGIN),
    "true difference 0.02: 5 trainings, 20 classes x 60": dataclasses.replace(LARGER, difference=MARGIN),
    "true difference 0.02: 5 trainings, 200 classes x 10": Design(5, (10,) * 200, MARGIN),
    "no difference: 5 trainings, 200 classes x 10": Design(5, (10,) * 200),
}


@dataclass(frozen=True)
class Rates:
    """Shares of simulated studies.

    Attributes:
        ours: that say "holds" or "does not hold" by `galore.statistics`.
        images_alone: by an interval over images, as if trainings and classes were all there are.
        without_counters: by ours, when it is not told the counter classes.
        best: by a test that knows the true standard error: no honest one has more power.
        no_difference: whose two one-sided tests say that the difference is smaller than the margin.
    """

    ours: float
    images_alone: float
    without_counters: float
    best: float
    no_difference: float


def simulate(design: Design, rng: np.random.Generator, repetitions: int) -> Rates:
    """Draws studies and judges them."""
    parts = []
    for _ in range(-(-repetitions // AT_ONCE)):
        values, classes, counters = draw(design, rng, min(AT_ONCE, repetitions))
        ours, untold = (mean_error([Sample(values, asked)], classes) for asked in (counters, None))
        over_images = values.mean(axis=0)
        alone = MeanError(over_images.mean(axis=0), scipy.stats.sem(over_images), np.full(values.shape[2], np.inf))
        parts.append([ours.mean, *map(_differs, (ours, alone, untold)), _is_within(ours)])
    mean, ours, alone, untold, within = np.concatenate(parts, axis=1)
    best = np.abs(mean) > scipy.stats.norm.ppf(1 - ALPHA / 2) * mean.std()
    return Rates(*(round(float(some.mean()), 4) for some in (ours, alone, untold, best, within)))


def draw(
    design: Design, rng: np.random.Generator, count: int
) -> tuple[Float[np.ndarray, "S N R"], Int[np.ndarray, "N"], Int[np.ndarray, "S N"]]:
    """Differences by training, image and repetition; classes; counter classes, which are never the image's own."""
    groups, seeds = len(design.images), design.trainings
    classes = np.repeat(np.arange(groups), design.images)
    counters = (classes + rng.integers(1, groups, (seeds, len(classes)))) % groups
    variance = design.noise**2
    rest = variance * (1 - design.of_class - design.of_counter)

    def effect(share: float, *shape: int) -> np.ndarray:
        return rng.normal(0, np.sqrt(share), (*shape, count))

    values = effect(rest * design.of_image, 1, len(classes)) + effect(rest * (1 - design.of_image), seeds, len(classes))
    values += design.difference + effect(design.training**2, seeds, 1)
    values += effect(variance * design.of_class, groups)[classes]
    values += effect(variance * design.of_counter, groups)[counters]
    return values, classes, counters


def _differs(found: MeanError) -> np.ndarray:
    """From zero, at 5 %."""
    return 2 * scipy.stats.t.sf(np.abs(found.mean) / found.error, found.degrees) <= ALPHA


def _is_within(found: MeanError) -> np.ndarray:
    """The margin, as `Inference.is_within`."""
    return np.abs(found.mean) + scipy.stats.t.ppf(0.95, found.degrees) * found.error < MARGIN


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("results/verdict_simulation.json"))
    options = parser.parse_args()
    rows = []
    for number, (name, design) in enumerate(DESIGNS.items()):
        rates = simulate(design, np.random.default_rng([options.seed, number]), options.repetitions)
        rows.append({"study": name, "design": dataclasses.asdict(design), "rates": dataclasses.asdict(rates)})
        print(f"{name:52}", *(f"{name} {rate:.3f}" for name, rate in rows[-1]["rates"].items()), sep="  ", flush=True)
    made_by = provenance.collect({"repetitions": options.repetitions, "margin": MARGIN}, seed=options.seed)
    made_by["versions"]["scipy"] = scipy.__version__
    options.output.write_text(json.dumps({"studies": rows, "provenance": made_by}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(program.ended("error", main))
