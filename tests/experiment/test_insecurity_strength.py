"""The correlation over all region sizes, one image left out at a time, against `statistics` and numpy's own."""

import numpy as np
import pytest

from galore import statistics
from galore.experiment import runner

strength_experiment = runner.load("insecurity_strength")


def slow(strength, precision):
    known = ~(np.isnan(strength) | np.isnan(precision))
    return float(np.corrcoef(strength[known], precision[known])[0, 1])


def sample(images=9, insecurities=4, sizes=7):
    rng = np.random.default_rng(0)
    precision = rng.random((images, insecurities, sizes))
    strength = 1e3 + 1e-2 * precision + 1e-2 * rng.random(precision.shape)
    precision[rng.random(precision.shape) < 0.2] = np.nan
    strength[rng.random((images, insecurities)) < 0.2] = np.nan
    return strength, precision


def test_pseudovalues_are_those_of_the_slow_jackknife():
    strength, precision = sample()
    found = strength_experiment.pearson_pseudovalues(strength, precision)
    np.testing.assert_allclose(found, statistics.jackknife_pseudovalues(slow, strength, precision), rtol=1e-9)


def test_an_image_without_a_pair_has_no_value_and_changes_nothing():
    strength, precision = sample()
    more = np.concatenate([strength, np.full_like(strength[:1], np.nan)])
    found = strength_experiment.pearson_pseudovalues(more, np.concatenate([precision, precision[:1]]))
    assert np.isnan(found[-1])
    np.testing.assert_allclose(found[:-1], strength_experiment.pearson_pseudovalues(strength, precision), rtol=1e-12)


@pytest.mark.parametrize("strength", [np.full((5, 3), 0.1), np.full((5, 3), np.nan)])
def test_a_constant_or_nothing_has_no_correlation(strength):
    precision = np.random.default_rng(0).random((5, 3))
    assert np.isnan(strength_experiment.pearson_pseudovalues(strength, precision)).all()
