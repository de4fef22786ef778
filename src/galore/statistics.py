"""How sure a number is: the only bootstrap and the only Wilson interval.

Most numbers are means over images of values[seed, image], then over seeds; NaN marks an image that does not count. The
images are what varies: each resample draws images with replacement, the same ones for every seed that saw the same
images. Statistics that are no mean enter through their jackknife pseudo-values, or through `bootstrap_statistic`.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float, Shaped

RESAMPLES = 2000
TAILS = (0.025, 0.975)


class Estimate(NamedTuple):
    """A number, its 95 % interval, and how many values it is made of; NaN where nothing counted."""

    value: float
    low: float
    high: float
    counted: int

    def text(self, digits: int = 3) -> str:
        """ "0.571 [0.560, 0.582]"; the number alone where it has no interval, nothing where nothing counted."""
        if np.isnan(self.value):
            return ""
        # Adding zero takes the sign from -0.000.
        value, low, high = (f"{round(number, digits) + 0.0:.{digits}f}" for number in self[:3])
        return value if np.isnan(self.low) else f"{value} [{low}, {high}]"


NOTHING = Estimate(np.nan, np.nan, np.nan, 0)


def bootstrap(
    values: Float[np.ndarray, "seeds images"], *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """The mean over images and seeds, and the percentile interval of its bootstrap over images.

    Args:
        values: per seed and image, NaN where an image does not count.
        confidence: of the interval.
        resamples: how many times the images are drawn again.
        seed: of the draws.

    Returns:
        The estimate; `counted` is the number of (seed, image) values that are not NaN. The interval is NaN where
        fewer than two count.
    """
    counted = ~np.isnan(values)
    total = int(counted.sum())
    if total == 0:
        return NOTHING
    seeds = counted.any(axis=1)
    filled, counted = np.nan_to_num(values[seeds]), counted[seeds].astype(float)
    mean = float(np.mean(filled.sum(axis=1) / counted.sum(axis=1)))
    if total < 2:
        return Estimate(mean, np.nan, np.nan, total)
    weights = _image_weights(values.shape[1], resamples, seed)
    counts, sums = np.split(weights @ np.concatenate([counted, filled]).T, 2, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        by_seed = sums / counts
    means = by_seed.mean(axis=1)
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(means, [tail, 1 - tail])
    return Estimate(mean, float(low), float(high), total)


def bootstrap_curve(
    values: Float[np.ndarray, "seeds images T"], *, confidence: float = 0.95, resamples: int = 300, seed: int = 0
) -> tuple[Float[np.ndarray, "T"], Float[np.ndarray, "T"], Float[np.ndarray, "T"]]:
    """`bootstrap` at every point of a curve at once, with the same resampled images at all points.

    Returns:
        Mean, low and high, [T]; NaN where nothing counts.
    """
    seeds, images, points = values.shape
    counted = ~np.isnan(values)
    weights = np.concatenate([np.ones((1, images)), _image_weights(images, resamples, seed)]).astype(np.float32)

    def total(some: Shaped[np.ndarray, "seeds images T"]) -> Float[np.ndarray, "draws seeds T"]:
        side_by_side = some.transpose(1, 0, 2).reshape(images, seeds * points).astype(np.float32)
        return (weights @ side_by_side).reshape(-1, seeds, points)

    counts = total(counted)
    by_seed = total(np.nan_to_num(values)) / np.where(counts, counts, np.nan)
    counting = (~np.isnan(by_seed)).sum(axis=1)
    means = np.nansum(by_seed, axis=1) / np.where(counting, counting, np.nan)
    tail = (1 - confidence) / 2
    low, high = np.full((2, points), np.nan)
    some = ~np.isnan(means[0])
    quantile = np.nanquantile if np.isnan(means[1:, some]).any() else np.quantile  # the second is far faster
    low[some], high[some] = quantile(means[1:, some], [tail, 1 - tail], axis=0)
    return means[0], low, high


def bootstrap_statistic(
    statistic: Callable[..., float], *columns: Shaped[np.ndarray, " n"], resamples: int = 1000, seed: int = 0
) -> Estimate:
    """Any statistic over images and its percentile interval over resampled images.

    Args:
        statistic: of the columns.
        columns: one row an image.
        resamples: how many; those where the statistic is NaN are left out.
        seed: of the draws.
    """
    rng, count = np.random.default_rng(seed), len(columns[0])
    draws = (rng.integers(0, count, count) for _ in range(resamples))
    values = np.array([statistic(*(column[draw] for column in columns)) for draw in draws])
    values = values[~np.isnan(values)]
    low, high = np.quantile(values, TAILS) if len(values) else (np.nan, np.nan)
    return Estimate(statistic(*columns), float(low), float(high), count)


def bootstrap_mean(values: Float[np.ndarray, " n"], seed: int = 0, resamples: int = 9_999) -> Estimate:
    """The mean of independent values with its percentile interval; no interval from a single one."""
    values = np.asarray(values, float)
    if len(values) < 2:
        return NOTHING if len(values) == 0 else Estimate(float(values[0]), np.nan, np.nan, 1)
    means = _resampled(values, np.random.default_rng([seed, 11]), resamples).mean(-1)
    low, high = np.quantile(means, TAILS)
    return Estimate(float(values.mean()), float(low), float(high), len(values))


def bootstrap_difference(
    first: Float[np.ndarray, " n"], second: Float[np.ndarray, " m"], seed: int = 0, resamples: int = 9_999
) -> Estimate:
    """The difference of the means of two independent samples (first less second) with its percentile interval."""
    first, second = np.asarray(first, float), np.asarray(second, float)
    if min(len(first), len(second)) == 0:
        return NOTHING
    value, counted = float(first.mean() - second.mean()), len(first) + len(second)
    if min(len(first), len(second)) < 2:
        return Estimate(value, np.nan, np.nan, counted)
    generator = np.random.default_rng([seed, 12])
    differences = (_resampled(some, generator, resamples).mean(-1) for some in (first, second))
    low, high = np.quantile(np.subtract(*differences), TAILS)
    return Estimate(value, float(low), float(high), counted)


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Estimate:
    """A proportion with Wilson's score interval (JASA 1927), which stays in [0, 1] and is honest for few trials."""
    if trials == 0:
        return NOTHING
    low, high = scipy.stats.binomtest(successes, trials).proportion_ci(confidence, "wilson")
    return Estimate(successes / trials, float(low), float(high), trials)


def jackknife_pseudovalues(
    statistic: Callable[..., float], *samples: Shaped[np.ndarray, "images ..."]
) -> Float[np.ndarray, "images"]:
    """One value per image whose mean is (nearly) the statistic and whose spread is its uncertainty.

    n * statistic(all) - (n - 1) * statistic(all but one): Tukey's pseudo-values, which let any statistic over images
    be averaged, paired and bootstrapped like a mean.

    Args:
        statistic: of the samples, first axis images.
        samples: arrays with one row per image.
    """
    count = len(samples[0])
    whole = statistic(*samples)
    without = [statistic(*(np.delete(sample, i, axis=0) for sample in samples)) for i in range(count)]
    return count * whole - (count - 1) * np.array(without)


@functools.lru_cache(maxsize=8)
def _image_weights(images: int, resamples: int, seed: int) -> Float[np.ndarray, "resamples images"]:
    """How often each image is drawn in each resample; as floats, which products with values are fastest of."""
    drawn = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=resamples)
    return drawn.astype(float)


def _resampled(
    values: Float[np.ndarray, " n"], generator: np.random.Generator, resamples: int
) -> Float[np.ndarray, "resamples n"]:
    return values[generator.integers(len(values), size=(resamples, len(values)))]
