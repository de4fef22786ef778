"""Intervals that hold what they promise, compared with scipy and closed forms."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from galore import statistics
from galore.statistics import Estimate, Inference
from scripts.simulate_verdicts import DESIGNS, simulate

SEEDS, CLASSES, EACH = 4, 6, 5


def balanced() -> np.ndarray:
    """Trainings x classes x images with effects of all three and of training by class."""
    rng = np.random.default_rng(7)
    shapes = [(0.3, (SEEDS, 1, 1)), (0.4, (1, CLASSES, 1)), (0.2, (SEEDS, CLASSES, 1)), (0.3, (1, CLASSES, EACH))]
    return 0.3 + sum(rng.normal(0, sd, shape) for sd, shape in [*shapes, (0.3, (SEEDS, CLASSES, EACH))])


def infer(values: np.ndarray) -> Inference:
    return statistics.mixed_effects(values.reshape(len(values), -1), np.repeat(np.arange(CLASSES), EACH))


def test_a_balanced_design_has_the_error_of_the_analysis_of_variance():
    """Mean squares by loops: Var = (MS(training) + MS(class) - MS(training x class)) / N; degrees by Satterthwaite."""
    values = balanced()
    mean, number = values.mean(), values.size
    of_training = sum(CLASSES * EACH * (values[s].mean() - mean) ** 2 for s in range(SEEDS)) / (SEEDS - 1)
    of_class = sum(SEEDS * EACH * (values[:, c].mean() - mean) ** 2 for c in range(CLASSES)) / (CLASSES - 1)
    interaction = 0.0
    for s in range(SEEDS):
        for c in range(CLASSES):
            interaction += EACH * (values[s, c].mean() - values[s].mean() - values[:, c].mean() + mean) ** 2
    interaction /= (SEEDS - 1) * (CLASSES - 1)
    whole = of_training + of_class - interaction
    squares = zip((of_training, of_class, interaction), (SEEDS - 1, CLASSES - 1, (SEEDS - 1) * (CLASSES - 1)))
    found = infer(values)
    assert found.estimate.value == pytest.approx(mean) and found.error == pytest.approx(np.sqrt(whole / number))
    assert found.degrees == pytest.approx(whole**2 / sum(square**2 / degrees for square, degrees in squares))
    half = scipy.stats.t.ppf(0.975, found.degrees) * found.error
    assert (found.estimate.low, found.estimate.high) == pytest.approx((mean - half, mean + half))
    assert found[3:] == (SEEDS, CLASSES, CLASSES * EACH) and found.estimate.counted == number


def test_the_error_is_that_of_the_mixed_model_of_statsmodels():
    """Its numbers (0.15.0): for the balanced design MixedLM by REML with random trainings, classes, their product and
    images; for the first training alone OLS with cov_type="cluster" over classes and use_t."""
    whole, one = infer(balanced()), infer(balanced()[:1])
    assert (whole.estimate.value, whole.error) == pytest.approx((0.01651502, 0.18239499), rel=1e-5)
    assert (one.estimate.value, one.error) == pytest.approx((0.27619161, 0.14530388), rel=1e-7)
    assert (one.estimate.low, one.estimate.high) == pytest.approx((-0.09732392, 0.64970713), rel=1e-6)
    assert one.trainings == 1 and one.degrees == pytest.approx(CLASSES - 1)


def test_counter_classes_are_crossed_with_classes_as_in_the_two_way_clusters_of_statsmodels():
    """Its cov_cluster_2groups (Cameron, Gelbach and Miller), whose correction for few groups differs by a trifle."""
    rng = np.random.default_rng(3)
    counters, classes = rng.integers(0, 40, 600), np.repeat(np.arange(30), 20)
    values = rng.normal(size=600) + rng.normal(size=40)[counters] * 0.5 + rng.normal(size=30)[classes] * 0.5
    both = statistics.mixed_effects(values[None], classes, counters[None])
    assert both.error == pytest.approx(0.12515675, rel=0.005)
    assert statistics.mixed_effects(values[None], classes).error == pytest.approx(0.08902879, rel=0.005)
    assert statistics.mixed_effects(values[None], counters).error == pytest.approx(0.10241081, rel=0.005)


def test_independent_images_of_one_training_have_the_interval_of_students_t():
    values = np.random.default_rng(0).gamma(2.0, size=50)
    low, high = scipy.stats.t.interval(0.95, 49, values.mean(), scipy.stats.sem(values))
    for classes in (None, np.zeros(50, int), np.arange(50)):
        found = statistics.mixed_effects(values[None], classes)
        assert found.estimate == pytest.approx((values.mean(), low, high, 50)) and found.degrees == pytest.approx(49)
    assert statistics.mixed_effects(values[None], None).classes == 0
    assert statistics.mixed_effects(values[None], np.zeros(50, int)).classes == 1
    tested = scipy.stats.ttest_1samp(values, 1.8)
    assert statistics.mixed_effects(values[None], None).p_two_sided(1.8) == pytest.approx(tested.pvalue)


def test_trainings_that_saw_the_same_images_alike_know_no_more_than_one():
    same = np.repeat(balanced()[:1], 3, axis=0)
    one, three = infer(same[:1]), infer(same)
    assert three.estimate.counted == 3 * one.estimate.counted
    assert (three.error, three.degrees) == pytest.approx((one.error, one.degrees))


def test_images_and_trainings_that_do_not_count_leave_no_trace():
    values, classes = balanced().reshape(SEEDS, -1), np.repeat(np.arange(CLASSES), EACH)
    holes = np.full((SEEDS + 1, 2 * values.shape[1]), np.nan)
    holes[:SEEDS, ::2] = values
    found = statistics.mixed_effects(holes, np.repeat(classes, 2) + 3)
    expected = statistics.mixed_effects(values, classes)
    assert found.estimate == pytest.approx(expected.estimate) and found[1:] == pytest.approx(expected[1:])
    assert found.trainings == SEEDS


def test_every_training_weighs_the_same_however_many_images_it_has():
    values = balanced().reshape(SEEDS, -1)
    values[0, 3:] = np.nan
    found = infer(values)
    assert found.estimate.value == pytest.approx(np.mean([np.nanmean(some) for some in values]))
    assert found.images == values.shape[1] and found.error > 0


def test_nothing_counted_gives_no_number_and_one_image_no_interval():
    assert statistics.mixed_effects(np.full((2, 5), np.nan), None) is statistics.NO_INFERENCE
    alone = statistics.mixed_effects(np.array([[0.5, np.nan]]), np.array([0, 1]))
    assert alone.estimate.value == 0.5 and alone.estimate.counted == 1
    assert np.isnan([alone.estimate.low, alone.error, alone.degrees, alone.p_two_sided()]).all()
    assert not alone.is_within(10.0)


def test_a_curve_is_its_points():
    values, classes = np.random.default_rng(0).random((2, 30, 4)), np.repeat(np.arange(6), 5)
    values[:, :10, 1] = values[0, :, 1] = values[0, 5:, 0] = values[:, 5:, 2] = values[:, :, 3] = np.nan
    counters = np.random.default_rng(1).integers(0, 6, (2, 30))
    for some in (None, counters):
        mean, low, high = statistics.mixed_effects_curve(values, classes, some)
        for point in range(3):
            expected = statistics.mixed_effects(values[:, :, point], classes, some).estimate
            np.testing.assert_allclose((mean[point], low[point], high[point]), expected[:3])
        assert np.isnan([mean[3], low[3], high[3]]).all() and not np.isnan(low[:3]).any()


def test_a_difference_of_the_same_images_is_the_mean_of_the_differences():
    rng = np.random.default_rng(0)
    first, second = balanced().reshape(SEEDS, -1), rng.normal(size=(SEEDS, CLASSES * EACH))
    classes, counters = np.repeat(np.arange(CLASSES), EACH), rng.integers(0, CLASSES, first.shape)
    paired = statistics.mixed_effects(first - second, classes, counters)
    unpaired = statistics.mixed_effects_of_difference(first, second, classes, counters)
    assert unpaired.estimate[:3] == pytest.approx(paired.estimate[:3]) and unpaired[1:] == pytest.approx(paired[1:])
    others = statistics.mixed_effects_of_difference(first, second, classes, counters, counters[:, ::-1])
    assert others.estimate.value == pytest.approx(paired.estimate.value) and others.error != paired.error


def test_a_difference_of_other_images_is_close_to_that_of_two_independent_samples():
    values = np.random.default_rng(0).normal(size=(1, 400))
    first, second = values.copy(), values.copy()
    first[:, 300:], second[:, :300] = np.nan, np.nan
    found = statistics.mixed_effects_of_difference(first, second, None)
    welch = scipy.stats.ttest_ind(values[0, :300], values[0, 300:], equal_var=False)
    assert found.p_two_sided() == pytest.approx(welch.pvalue, rel=0.02) and found.images == 100
    assert found.estimate.value == pytest.approx(values[0, :300].mean() - values[0, 300:].mean())
    second[:] = np.nan
    assert statistics.mixed_effects_of_difference(first, second, None) is statistics.NO_INFERENCE


def test_conclusions_of_an_inference():
    inference = Inference(Estimate(0.01, -0.011, 0.031, 99), 0.01, 20.0, 5, 25, 99)
    turned = inference.negative()
    assert turned.estimate == (-0.01, -0.031, 0.011, 99) and turned.p_two_sided() == inference.p_two_sided()
    assert inference.p_two_sided() == pytest.approx(2 * scipy.stats.t.sf(1, 20))
    # Two one-sided tests: 0.01 + 1.7247 * 0.01 is the smallest margin.
    assert inference.is_within(0.0273) and not inference.is_within(0.0272) and turned.is_within(0.0273)
    exact = inference._replace(error=0.0)
    assert exact.p_two_sided() == 0 and exact.p_two_sided(0.01 + 1e-8) == 1 and exact.is_within(0.011)


@pytest.mark.parametrize("training", [0.01, 0.03])
def test_false_verdicts_are_as_rare_as_they_should_be(training):
    """scripts/simulate_verdicts.py, with fewer repetitions: an interval that forgets trainings or classes fails."""
    design, rng = replace(DESIGNS["5 trainings, 25 classes x 26"], training=training), np.random.default_rng(0)
    rates = simulate(design, rng, repetitions=500)
    assert 0.02 < rates.ours < 0.085 and rates.images_alone > 0.2
    assert simulate(replace(design, difference=0.05), rng, repetitions=500).ours > 0.7


def test_holm_by_hand():
    """0.01 * 4, 0.02 * 3, 0.03 * 2 -> as large as the one before, 0.2."""
    assert statistics.holm([0.03, 0.01, 0.2, 0.02]) == pytest.approx([0.06, 0.04, 0.2, 0.06])
    assert statistics.holm([0.4, 0.9]) == pytest.approx([0.8, 0.9]) and statistics.holm([0.8, 0.9])[0] == 1
    assert statistics.holm([]) == []


def test_a_ratio_of_speeds_is_the_median_of_its_rounds():
    second = np.array([[1.0, 2.0, 4.0, 1.0], [1.0, 1.0, 5.0, np.nan]])
    first = second * np.array([[2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 900.0, 1.0]])
    found = statistics.median_ratio(first, second)
    # Seven rounds: all lie on one side of the median in 2 / 2^7 = 1.6 % of cases, all but one in 12.5 %.
    assert found == (5.0, 2.0, 900.0, 7)
    assert statistics.p_of_median_ratio(first, second) == pytest.approx(2 / 2**7)
    assert statistics.p_of_median_ratio(first, second, 5.5) == pytest.approx(1)
    assert np.isnan(statistics.median_ratio(first[:, :2], second[:, :2]).low)
    assert statistics.median_ratio(first * np.nan, second) == pytest.approx(statistics.NOTHING, nan_ok=True)


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
