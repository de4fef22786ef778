"""Whether an experiment tells two conditions apart, and how many learners it takes to."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import scipy.stats
from jaxtyping import Float


def permutation_p(
    first: Sequence[float] | Float[np.ndarray, " n"],
    second: Sequence[float] | Float[np.ndarray, " m"],
    seed: int = 0,
    resamples: int = 9_999,
) -> float:
    """The two-sided permutation test of equal means, of learners between conditions; exact for few learners."""
    if min(len(first), len(second)) < 2:
        return math.nan
    if np.ptp(np.concatenate([first, second])) == 0:
        return 1.0
    test = scipy.stats.permutation_test(
        (np.asarray(first, float), np.asarray(second, float)),
        lambda a, b, axis: np.mean(a, axis) - np.mean(b, axis),
        vectorized=True,
        n_resamples=resamples,
        rng=np.random.default_rng([seed, 13]),
    )
    return float(test.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction for several tests (Holm, 1979); tests that could not be made stay out of the count."""
    known = [i for i, p in enumerate(p_values) if not math.isnan(p)]
    adjusted, largest = list(p_values), 0.0
    for rank, i in enumerate(sorted(known, key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(known) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def power(
    first: Float[np.ndarray, " n"],
    second: Float[np.ndarray, " m"],
    learners: int,
    seed: int = 0,
    repetitions: int = 300,
    level: float = 0.05,
) -> float:
    """How often an experiment with so many learners a condition tells two conditions apart.

    Learners are drawn with replacement from either sample; the permutation test of the difference of means is made by
    its normal approximation, which for bounded scores of 10 learners and more differs little.

    Args:
        first: a score for each learner of one condition.
        second: of the other.
        learners: in either condition, at least 2.
        seed: of the draws.
        repetitions: how many experiments.
        level: of the test, two-sided.
    """
    generator = np.random.default_rng([seed, 14, learners])
    a = generator.choice(first, (repetitions, learners))
    b = generator.choice(second, (repetitions, learners))
    gap = a.mean(-1) - b.mean(-1)
    together = np.concatenate([a, b], -1)
    # The variance of the difference when 2n values are dealt to two groups of n at random.
    spread = np.sqrt(2 / learners * together.var(-1, ddof=1))
    z = np.abs(gap) / np.maximum(spread, 1e-12)
    return float((2 * scipy.stats.norm.sf(z) < level).mean())


def power_within(
    differences: Float[np.ndarray, " n"], learners: int, seed: int = 0, repetitions: int = 300, level: float = 0.05
) -> float:
    """The same where each learner is compared with itself, by the normal approximation of the sign-flip test.

    Args:
        differences: of each learner's two scores.
        learners: how many take part, at least 2.
        seed: of the draws.
        repetitions: how many experiments.
        level: of the test, two-sided.
    """
    generator = np.random.default_rng([seed, 15, learners])
    drawn = generator.choice(differences, (repetitions, learners))
    # The variance of the mean when every difference keeps its size and takes a sign at random.
    spread = np.sqrt((drawn**2).mean(-1) / learners)
    z = np.abs(drawn.mean(-1)) / np.maximum(spread, 1e-12)
    return float((2 * scipy.stats.norm.sf(z) < level).mean())


def learners_needed(
    first: Float[np.ndarray, " n"], second: Float[np.ndarray, " m"], seed: int = 0, wanted: float = 0.8, most: int = 400
) -> int | None:
    """The smallest number of learners a condition that tells two conditions apart with the wanted power; None: more."""
    return _smallest(lambda learners: power(first, second, learners, seed) >= wanted, most)


def learners_needed_within(
    differences: Float[np.ndarray, " n"], seed: int = 0, wanted: float = 0.8, most: int = 400
) -> int | None:
    """The smallest number of learners, each compared with itself, that shows a difference; None: more."""
    return _smallest(lambda learners: power_within(differences, learners, seed) >= wanted, most)


def _smallest(is_enough: Callable[[int], bool], most: int) -> int | None:
    """The smallest number from 2 to `most` that is enough, where more is never less; None: there is none."""
    if not is_enough(most):
        return None
    low, high = 1, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
