"""How sure a number is: every interval and test.

Most numbers are means over images of values[seed, image], then over seeds; NaN marks an image that does not count.
Trainings, classes, images and the counter classes asked about could each have been others, so all are random effects:
images nested in classes, classes crossed with trainings, and counter classes crossed with both, where they are known.
The variance of such a mean is taken as studies with several readers and cases take it (Obuchowski and Rockette,
Communications in Statistics 1995): with m_s the mean of training s,

    Var = var_s(m_s) / S + mean_{s != s'} Cov(m_s, m_s'),

where the first term is the spread between trainings, and the covariance is that of two trainings by the draw of what
they share: the sum over classes of the products of their deviations, as for clustered cases (Obuchowski, Biometrics
1997). Several shared factors add up by inclusion and exclusion (Cameron, Gelbach and Miller, JBES 2011). The degrees of
freedom of its t distribution are Satterthwaite's. scripts/simulate_verdicts.py measures how often that is wrong.

Statistics that are no mean enter through their jackknife pseudo-values, or through `bootstrap_statistic`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse
from jaxtyping import Bool, Float, Int, Shaped
from scipy import special

CONFIDENCE = 0.95
TAILS = (0.025, 0.975)
ROUNDING = 1e-6
"""Values are kept in single precision: a mean that is closer to another than this does not differ from it."""


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


class Inference(NamedTuple):
    """A mean over trainings and images, and what can be concluded about other ones.

    Attributes:
        estimate: the mean over seeds of the means over images, with its interval.
        error: its standard error; NaN: one value has none.
        degrees: of freedom of its t distribution.
        trainings, classes, images: how many have a value; for the difference of two samples those of the smaller one.
    """

    estimate: Estimate
    error: float
    degrees: float
    trainings: int
    classes: int
    images: int

    def negative(self) -> "Inference":
        """The same of the values with the other sign."""
        value, low, high, counted = self.estimate
        return self._replace(estimate=Estimate(-value, -high, -low, counted))

    def p_two_sided(self, against: float = 0.0) -> float:
        """Of a mean at least as far from `against`, if that were the truth; NaN where there is no error."""
        if np.isnan(self.error):
            return np.nan
        distance = abs(self.estimate.value - against)
        if distance <= ROUNDING:
            return 1.0
        return float(2 * special.stdtr(self.degrees, -distance / self.error)) if self.error > 0 else 0.0

    def is_within(self, margin: float) -> bool:
        """Whether the truth is shown to be closer to zero than the margin, by two one-sided tests at 5 % each."""
        if np.isnan(self.error):
            return False
        return bool(abs(self.estimate.value) + special.stdtrit(self.degrees, 0.95) * self.error < margin)


NO_INFERENCE = Inference(NOTHING, np.nan, np.nan, 0, 0, 0)


class MeanError(NamedTuple):
    """Means, their standard errors and degrees of freedom, one for each of T numbers; NaN where there is none."""

    mean: Float[np.ndarray, "T"]
    error: Float[np.ndarray, "T"]
    degrees: Float[np.ndarray, "T"]

    def interval(self) -> tuple[Float[np.ndarray, "T"], Float[np.ndarray, "T"]]:
        """The 95 % interval, low and high."""
        half = special.stdtrit(self.degrees, (1 + CONFIDENCE) / 2) * self.error
        return self.mean - half, self.mean + half


class Sample(NamedTuple):
    """Numbers per training and image, T at once.

    Attributes:
        values: NaN where an image does not count.
        counters: the counter class that was asked about, -1 where none was; None: the question is no random effect.
        sign: what its mean is multiplied by.
    """

    values: Float[np.ndarray, "seeds images T"]
    counters: Int[np.ndarray, "seeds images"] | None = None
    sign: int = 1


def mixed_effects(
    values: Float[np.ndarray, "seeds images"],
    classes: Int[np.ndarray, "images"] | None,
    counters: Int[np.ndarray, "seeds images"] | None = None,
) -> Inference:
    """The mean over images, then over seeds, with its interval over trainings, classes, images and counter classes.

    Args:
        values: per seed and image, NaN where an image does not count.
        classes: of the images. None, or a single one: each image stands for itself.
        counters: the counter class that was asked about, -1 where none was; None: it is no random effect.

    Returns:
        With one training, an interval for that training alone. Where nothing counts, `NO_INFERENCE`.
    """
    return _inference([Sample(values[:, :, None], counters)], classes)


def mixed_effects_of_difference(
    first: Float[np.ndarray, "seeds images"],
    second: Float[np.ndarray, "seeds images"],
    classes: Int[np.ndarray, "images"] | None,
    counters: Int[np.ndarray, "seeds images"] | None = None,
    counters_of_second: Int[np.ndarray, "seeds images"] | None = None,
) -> Inference:
    """mean(first) - mean(second), each over its own images of the same trainings; seeds that lack one are left out.

    Args:
        first, second, classes: as for `mixed_effects`.
        counters: the counter classes of both, or of the first if those of the second are others.
        counters_of_second: those of the second; None: the same.
    """
    other = counters if counters_of_second is None else counters_of_second
    return _inference([Sample(first[:, :, None], counters), Sample(second[:, :, None], other, -1)], classes)


def mixed_effects_curve(
    values: Float[np.ndarray, "seeds images T"],
    classes: Int[np.ndarray, "images"] | None,
    counters: Int[np.ndarray, "seeds images"] | None = None,
) -> tuple[Float[np.ndarray, "T"], Float[np.ndarray, "T"], Float[np.ndarray, "T"]]:
    """`mixed_effects` at every point of a curve: mean, low and high, NaN where nothing counts."""
    found = mean_error([Sample(values, counters)], classes)
    return found.mean, *found.interval()


def mean_error(samples: Sequence[Sample], classes: Int[np.ndarray, "images"] | None) -> MeanError:
    """The signed means of samples of the same images, added up, with their errors by the module's equation.

    Args:
        samples: one, or several that share trainings and classes; trainings that lack one are left out.
        classes: of the images; None: each image stands for itself.
    """
    linear = [_linearised(sample) for sample in samples]
    means = np.sum([one.means for one in linear], axis=0)
    there = ~np.isnan(means)
    linear = [one.among(there) for one in linear]
    trainings = there.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(there, means, 0).sum(axis=0) / trainings
        between = np.square(np.where(there, means - mean, 0)).sum(axis=0) / (trainings - 1) / trainings
        between = np.where(trainings > 1, between, 0)
        factors = _factors(linear, [sample.counters for sample in samples], classes, trainings)
        return MeanError(mean, *_error(between, factors, trainings))


class _Linear(NamedTuple):
    """The mean of each training, and what each value has to do with it.

    Attributes:
        means: NaN where a training has no value.
        weights: of the values in the mean.
        influence: weight times the distance from the mean, signed.
    """

    means: Float[np.ndarray, "seeds T"]
    weights: Float[np.ndarray, "seeds images T"]
    influence: Float[np.ndarray, "seeds images T"]

    def among(self, there: Bool[np.ndarray, "seeds T"]) -> "_Linear":
        """Without the trainings that are not there."""
        return _Linear(self.means, self.weights * there[:, None], self.influence * there[:, None])


class _Factor(NamedTuple):
    """What the draw of a factor's groups (classes, say) does to the mean.

    Attributes:
        total: variance of the mean over these trainings.
        covariance: of the means of two trainings.
        own: what of `total` is due to trainings differing by group.
        groups: how many equally large ones would weigh as much.
    """

    total: Float[np.ndarray, "T"]
    covariance: Float[np.ndarray, "T"]
    own: Float[np.ndarray, "T"]
    groups: Float[np.ndarray, "T"]

    def otherwise(self, other: "_Factor") -> "_Factor":
        """The other where this one has a single group, which tells nothing."""
        return _Factor(*(np.where(np.isnan(self.total), theirs, own) for own, theirs in zip(self, other)))


def _linearised(sample: Sample) -> _Linear:
    counted = ~np.isnan(sample.values)
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = counted / counted.sum(axis=1, keepdims=True)
        means = (np.where(counted, sample.values, 0) * weights).sum(axis=1)
    weights = np.nan_to_num(weights)
    influence = np.where(counted, sample.values - means[:, None], 0) * weights
    return _Linear(sample.sign * means, weights, sample.sign * influence)


def _factors(
    linear: Sequence[_Linear],
    counters: Sequence[Int[np.ndarray, "seeds images"] | None],
    classes: Int[np.ndarray, "images"] | None,
    trainings: Int[np.ndarray, "T"],
) -> list[_Factor]:
    """Classes (or images); and where counter classes are known, those, and both together."""
    shape = linear[0].weights.shape[:2]
    images = np.broadcast_to(np.arange(shape[1]), shape)
    labels = images if classes is None else np.broadcast_to(classes, shape)
    of_cases = _factor(linear, [labels] * len(linear), trainings)
    if np.isnan(of_cases.total).any():
        of_cases = of_cases.otherwise(_factor(linear, [images] * len(linear), trainings))
    known = [one for one in counters if one is not None]
    if len(known) < len(linear):
        return [of_cases]
    pairs = [labels.astype(np.int64) * (2 + np.max(known)) + one for one in known]
    return [of_cases, *(_factor(linear, some, trainings) for some in (known, pairs))]


def _factor(
    linear: Sequence[_Linear], labels: Sequence[Int[np.ndarray, "seeds images"]], trainings: Int[np.ndarray, "T"]
) -> _Factor:
    """Sums over groups, with the correction for few groups of the estimator CR2: n / (n - 1) where all are equal."""
    names, numbered = np.unique(np.stack(labels), return_inverse=True)
    numbered = numbered.reshape(len(labels), *labels[0].shape)
    weights = [_sums(one.weights, label, len(names)).sum(axis=0) / trainings for one, label in zip(linear, numbered)]
    groups = np.min([1 / np.square(weight).sum(axis=0) for weight in weights], axis=0)
    parts = (
        _sums(one.influence, label, len(names)) / np.sqrt(1 - weight)
        for one, label, weight in zip(linear, numbered, weights)
    )
    sums = functools.reduce(np.add, parts)
    total = np.square(sums.sum(axis=0)).sum(axis=0) / trainings**2
    total = np.where(groups > 1 + ROUNDING, total, np.nan)
    each = np.square(sums).sum(axis=(0, 1)) / trainings
    covariance = np.where(trainings > 1, (trainings * total - each) / (trainings - 1), total)
    return _Factor(total, covariance, (each - covariance) / trainings, groups)


def _sums(
    values: Float[np.ndarray, "seeds images T"], labels: Int[np.ndarray, "seeds images"], groups: int
) -> Float[np.ndarray, "seeds groups T"]:
    """Sums over the images of each group."""
    images = values.shape[1]
    starts, ones = np.arange(images + 1), np.ones(images)
    members = (scipy.sparse.csc_array((ones, label, starts), (groups, images)) for label in labels)
    return np.stack([member @ some for member, some in zip(members, values)])


def _error(
    between: Float[np.ndarray, "T"], factors: Sequence[_Factor], trainings: Int[np.ndarray, "T"]
) -> tuple[Float[np.ndarray, "T"], Float[np.ndarray, "T"]]:
    """Standard error, never below that by a single component, and Satterthwaite's degrees of freedom."""
    of_cases, *others = factors
    variance = between + of_cases.covariance
    largest = np.maximum(between, of_cases.total)
    spread = of_cases.total**2 / (of_cases.groups - 1)
    if others:
        counters, both = others
        more = counters.covariance - both.covariance
        variance = variance + np.where(np.isnan(more), 0, more)
        largest = np.fmax(largest, counters.total)
        spread = spread + np.nan_to_num(counters.total**2 / (counters.groups - 1))
    several = trainings > 1
    spread = spread + np.where(several, between**2 / (trainings - 1), 0)
    spread = spread + np.where(several, of_cases.own**2 / (trainings - 1) / (of_cases.groups - 1), 0)
    variance = np.maximum(variance, largest)
    return np.sqrt(variance), np.where(variance == 0, np.inf, variance**2 / spread)


def _inference(samples: Sequence[Sample], classes: Int[np.ndarray, "images"] | None) -> Inference:
    counted = [~np.isnan(sample.values[:, :, 0]) for sample in samples]
    both = np.all([some.any(axis=1) for some in counted], axis=0)
    if not both.any():
        return NO_INFERENCE
    found = mean_error(samples, classes)
    images = [some[both].any(axis=0) for some in counted]
    kinds = 0 if classes is None else min(len(np.unique(classes[some])) for some in images)
    value, error, degrees, low, high = (float(number[0]) for number in (*found, *found.interval()))
    total = sum(int(some[both].sum()) for some in counted)
    estimate = Estimate(value, low, high, total)
    return Inference(estimate, error, degrees, int(both.sum()), kinds, min(int(some.sum()) for some in images))


def holm(p: Sequence[float]) -> list[float]:
    """The values of p adjusted so that 5 % is the risk of any wrong rejection (Holm, Scand. J. Statistics 1979)."""
    order = np.argsort(p)
    steps = np.arange(len(p), 0, -1) * np.asarray(p, float)[order]
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted.tolist()


def median_ratio(first: Float[np.ndarray, "seeds rounds"], second: Float[np.ndarray, "seeds rounds"]) -> Estimate:
    """The median over paired rounds of first / second, with the interval that order statistics give it.

    Rounds that lack a value are left out, those of all seeds pooled; fewer than six have no interval at 95 %.
    """
    ratios = _ratios(first, second)
    if not len(ratios):
        return NOTHING
    from scipy import stats  # takes most of a second to import, and few callers need it

    low, high = stats.quantile_test(ratios, q=1, p=0.5).confidence_interval(CONFIDENCE)
    return Estimate(float(np.median(ratios)), float(low), float(high), len(ratios))


def p_of_median_ratio(
    first: Float[np.ndarray, "seeds rounds"], second: Float[np.ndarray, "seeds rounds"], against: float = 1.0
) -> float:
    """Of the median ratio being `against`, two-sided, by the sign test; NaN where there is no round."""
    from scipy import stats

    ratios = _ratios(first, second)
    return float(stats.quantile_test(ratios / against, q=1, p=0.5).pvalue) if len(ratios) else np.nan


def _ratios(
    first: Float[np.ndarray, "seeds rounds"], second: Float[np.ndarray, "seeds rounds"]
) -> Float[np.ndarray, " n"]:
    ratios = (first / second).ravel()
    return ratios[~np.isnan(ratios)]


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
    from scipy import stats

    low, high = stats.binomtest(successes, trials).proportion_ci(confidence, "wilson")
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


def _resampled(
    values: Float[np.ndarray, " n"], generator: np.random.Generator, resamples: int
) -> Float[np.ndarray, "resamples n"]:
    return values[generator.integers(len(values), size=(resamples, len(values)))]
