"""Intervals that hold what they promise, compared with scipy and closed forms."""

import numpy as np
import pytest
import scipy.stats

from galore import statistics


def test_the_interval_is_scipys():
    values = np.random.default_rng(0).gamma(2.0, size=200)
    found = statistics.bootstrap(values[None], resamples=20000)
    reference = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=20000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert found.value == pytest.approx(values.mean()) and found.counted == 200
    assert found.low == pytest.approx(reference.low, abs=0.01) and found.high == pytest.approx(reference.high, abs=0.01)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng, hits = np.random.default_rng(0), 0
    for seed in range(200):
        found = statistics.bootstrap(rng.normal(1.0, 1.0, (1, 60)), resamples=400, seed=seed)
        hits += found.low <= 1.0 <= found.high
    assert statistics.wilson(hits, 200).high > 0.92


def test_images_that_do_not_count_leave_no_trace():
    values = np.random.default_rng(0).normal(size=(1, 50))
    holes = np.concatenate([values, np.full((1, 50), np.nan)], axis=1)
    found = statistics.bootstrap(holes)
    assert found.value == pytest.approx(values.mean()) and found.counted == 50
    assert found.high - found.low == pytest.approx(4 * values.std() / np.sqrt(50), rel=0.25)


def test_nothing_counted_gives_no_number_and_one_image_no_interval():
    assert np.isnan(statistics.bootstrap(np.full((2, 5), np.nan)).value)
    alone = statistics.bootstrap(np.array([[0.5, np.nan]]))
    assert alone.value == 0.5 and alone.counted == 1 and np.isnan(alone.low)


def test_seeds_are_averaged_and_their_images_drawn_together():
    rng = np.random.default_rng(0)
    images = rng.normal(size=100)
    same = np.stack([images, images, images])
    one, three = statistics.bootstrap(same[:1]), statistics.bootstrap(same)
    assert three.counted == 300
    # Three looks at the same images know no more about other images than one.
    assert (three.low, three.high) == pytest.approx((one.low, one.high))


def test_a_curve_is_its_points():
    values = np.random.default_rng(0).random((2, 30, 3))
    values[:, :10, 1] = values[0, 5:, 0] = values[:, :, 2] = np.nan
    mean, low, high = statistics.bootstrap_curve(values)
    for point in range(2):
        expected = statistics.bootstrap(values[:, :, point], resamples=300)
        np.testing.assert_allclose((mean[point], low[point], high[point]), expected[:3], rtol=1e-4)
    assert np.isnan([mean[2], low[2], high[2]]).all()


def test_wilson_is_the_closed_form():
    z, n, p = scipy.stats.norm.ppf(0.975), 20, 0.9
    centre, half = (p + z**2 / (2 * n)), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    found = statistics.wilson(18, 20)
    assert (found.low, found.high) == pytest.approx(
        ((centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n))
    )
    assert np.isnan(statistics.wilson(0, 0).value) and statistics.wilson(0, 5).low == pytest.approx(0)


def test_pseudovalues_average_to_the_statistic_and_are_the_sample_itself_for_a_mean():
    rng = np.random.default_rng(0)
    x = rng.normal(size=80)
    np.testing.assert_allclose(statistics.jackknife_pseudovalues(np.mean, x), x, rtol=1e-9)
    y = x + rng.normal(size=80)
    pearson = lambda a, b: float(np.corrcoef(a, b)[0, 1])  # noqa: E731
    values = statistics.jackknife_pseudovalues(pearson, x, y)
    assert values.mean() == pytest.approx(pearson(x, y), abs=0.02)
    # Their spread is the known standard error of a correlation, (1 - r^2) / sqrt(n).
    assert values.std() / np.sqrt(80) == pytest.approx((1 - pearson(x, y) ** 2) / np.sqrt(80), rel=0.4)


def test_the_bootstrap_interval_of_a_mean_is_close_to_the_normal_one_for_many_values():
    values = np.random.default_rng(0).normal(1, 2, 400)
    low, high = scipy.stats.norm.interval(0.95, values.mean(), scipy.stats.sem(values))
    assert statistics.bootstrap_mean(values)[1:3] == pytest.approx((low, high), abs=0.03)
    assert statistics.bootstrap_difference(values, values)[0] == 0
    assert np.isnan(statistics.bootstrap_mean(np.array([0.3])).low)


def test_a_statistic_has_the_interval_of_scipy():
    x, y = np.random.default_rng(0).normal(size=(2, 150))
    y = x + y
    pearson = lambda a, b: float(np.corrcoef(a, b)[0, 1])  # noqa: E731
    found = statistics.bootstrap_statistic(pearson, x, y, resamples=4000)
    reference = scipy.stats.bootstrap(
        (x, y),
        pearson,
        paired=True,
        vectorized=False,
        n_resamples=4000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert found.value == pytest.approx(pearson(x, y)) and found.counted == 150
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=0.01)


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        ((0.5712, 0.56, 0.582, 9), "0.571 [0.560, 0.582]"),
        ((-0.0001, -0.0002, 0.001, 9), "0.000 [0.000, 0.001]"),
        ((0.5, np.nan, np.nan, 1), "0.500"),
        ((np.nan, np.nan, np.nan, 0), ""),
    ],
)
def test_an_estimate_in_words(estimate, text):
    assert statistics.Estimate(*estimate).text() == text
