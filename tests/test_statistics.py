import math

import numpy as np
import pytest
import scipy.stats

from galore import statistics


def test_wilson_agrees_with_the_closed_form():
    k, n, z = 17, 20, scipy.stats.norm.ppf(0.975)
    centre = (k / n + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(k / n * (1 - k / n) / n + z * z / (4 * n * n))
    assert statistics.wilson(k, n) == pytest.approx((0.85, centre - half, centre + half, n))
    assert math.isnan(statistics.wilson(0, 0).value)


def test_the_bootstrap_interval_of_a_mean_is_close_to_the_normal_one_for_many_values():
    values = np.random.default_rng(0).normal(1, 2, 400)
    low, high = scipy.stats.norm.interval(0.95, values.mean(), scipy.stats.sem(values))
    assert statistics.bootstrap_mean(values)[1:3] == pytest.approx((low, high), abs=0.03)
    assert statistics.bootstrap_difference(values, values)[0] == 0
    assert math.isnan(statistics.bootstrap_mean(np.array([0.3])).low)
