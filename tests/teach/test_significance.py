import math

import numpy as np
import pytest
import scipy.stats

from galore.teach import significance


def test_the_permutation_test_of_few_learners_is_exact():
    # Of the 20 ways to deal 6 values to two groups of 3, only two are as extreme as this one.
    assert significance.permutation_p([1.0, 2.0, 3.0], [7.0, 8.0, 9.0]) == pytest.approx(2 / 20)
    assert significance.permutation_p([1.0, 1.0], [1.0, 1.0]) == 1
    assert math.isnan(significance.permutation_p([1.0], [2.0, 3.0]))


def test_holm_is_the_textbook_one():
    assert significance.holm([0.01, math.nan, 0.04, 0.03])[::2] == pytest.approx([0.03, 0.06])
    assert significance.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_power_is_the_level_without_an_effect_and_grows_with_learners():
    scores = np.linspace(0, 1, 21)
    assert significance.power(scores, scores, 20, repetitions=4000) == pytest.approx(0.05, abs=0.02)
    few, many = (significance.power(scores, scores + 0.2, n, repetitions=1000) for n in (10, 60))
    assert few < many


def test_the_learners_needed_agree_with_the_formula_for_two_means():
    spread, effect = 0.2, 0.15
    values = np.random.default_rng(1).normal(0, spread, 20_000)
    formula = 2 * ((scipy.stats.norm.ppf(0.975) + scipy.stats.norm.ppf(0.8)) * spread / effect) ** 2
    assert significance.learners_needed(values, values + effect) == pytest.approx(formula, rel=0.25)
    assert significance.learners_needed(values, values) is None
    # Where signs are flipped, the effect adds to the spread of what is seen by chance.
    by_chance = math.hypot(spread, effect)
    paired = ((scipy.stats.norm.ppf(0.975) * by_chance + scipy.stats.norm.ppf(0.8) * spread) / effect) ** 2
    assert significance.learners_needed_within(values + effect) == pytest.approx(paired, rel=0.25)
    assert significance.learners_needed_within(values - values.mean()) is None
