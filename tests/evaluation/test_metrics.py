"""Every number of a curve from one ranking: against hand-computed cases and a slow, obvious second implementation."""

import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from galore.evaluation import baselines, metrics
from galore.regions import largest_fraction, upsample

PARTS, SIZE = 6, (16, 20)
FEW = (0.005, 0.01, 0.1, 0.2, 0.25, 0.5, 0.75, 0.99)

STATIC = {
    "ranks": "size",
    "in_regions": ("size", "fractions"),
    "precision_recall": ("size", "fractions"),
    "part_iou": ("size", "fractions", "every_image"),
    "auroc": (),
    "specificity": (),
    "pointing_game": "tolerance",
}
# A program each, as within an evaluation: one operation after the other takes several times as long to compile.
compiled = SimpleNamespace(
    **{name: jax.jit(getattr(metrics, name), static_argnames=static) for name, static in STATIC.items()}
)

scenes = st.integers(0, 2**31)
maps_with_ties = st.booleans()


def scene(seed: int, ties: bool = False):
    """A random map, parts at random places, some of them visible, some of them ground truth."""
    rng = np.random.default_rng(seed)
    map_ = rng.integers(0, 3, (4, 5)) / 2 if ties else rng.normal(size=(4, 5))
    points = rng.uniform([0, 0], [SIZE[1], SIZE[0]], (PARTS, 2))
    visible, truth = rng.random(PARTS) < 0.8, rng.random(PARTS) < 0.5
    return (
        jnp.asarray(map_, jnp.float32),
        jnp.asarray(points, jnp.float32),
        jnp.asarray(visible),
        jnp.asarray(truth),
    )


def pixel_scores(map_, mask, fractions=metrics.FRACTIONS):
    keys = np.asarray(metrics.pixel_keys(map_, mask.shape))
    return metrics.pixel_scores(keys, mask.reshape(-1), fractions)


def parts_in(mask, points):
    mask = np.asarray(mask)
    return np.array([bool(mask[int(y), int(x)]) for x, y in np.asarray(points)])


@given(scenes, maps_with_ties)
@settings(max_examples=12, deadline=None)
def test_a_part_is_inside_exactly_where_the_region_contains_its_pixel(seed, ties):
    map_, points, _, _ = scene(seed, ties)
    inside = compiled.in_regions(compiled.ranks(map_, points, SIZE), SIZE, FEW)
    for row, fraction in zip(inside, FEW, strict=True):
        assert list(row) == list(parts_in(largest_fraction(map_, fraction, SIZE), points))


@pytest.mark.parametrize("ties", [False, True])
def test_all_hundred_thresholds_at_the_size_of_a_photo(ties):
    map_, _, _, _ = scene(3, ties)
    points = jnp.asarray(np.random.default_rng(1).uniform(0, 224, (15, 2)), jnp.float32)
    inside = compiled.in_regions(compiled.ranks(map_, points, (224, 224)), (224, 224))
    assert len(metrics.FRACTIONS) == len(inside) == 100
    for k in (0, 1, 2, 20, 50, 80, 99):
        assert list(inside[k]) == list(parts_in(largest_fraction(map_, metrics.FRACTIONS[k], (224, 224)), points))


def slow_precision_recall(map_, points, visible, truth, fraction):
    inside = parts_in(largest_fraction(map_, fraction, SIZE), points)
    region = {p for p in range(PARTS) if inside[p] and visible[p]}
    relevant = {p for p in range(PARTS) if truth[p] and visible[p]}
    precision = len(region & relevant) / len(region) if region and relevant else np.nan
    recall = len(region & relevant) / len(relevant) if relevant else np.nan
    return precision, recall


@given(scenes, maps_with_ties)
@settings(max_examples=12, deadline=None)
def test_precision_and_recall_equal_the_sets_of_parts(seed, ties):
    map_, points, visible, truth = scene(seed, ties)
    found = compiled.precision_recall(compiled.ranks(map_, points, SIZE), truth, visible, SIZE, FEW)
    expected = [slow_precision_recall(map_, points, visible, truth, fraction) for fraction in FEW]
    np.testing.assert_allclose(np.stack(found, axis=-1), expected, rtol=1e-6)


@given(scenes, maps_with_ties)
@settings(max_examples=12, deadline=None)
def test_auroc_is_the_mann_whitney_statistic(seed, ties):
    map_, points, visible, truth = scene(seed, ties)
    pixels = np.asarray(upsample(map_, SIZE))
    values = np.array([pixels[int(y), int(x)] for x, y in np.asarray(points)])
    positive, negative = values[np.asarray(visible & truth)], values[np.asarray(visible & ~truth)]
    found = compiled.auroc(compiled.ranks(map_, points, SIZE), truth, visible)
    if len(positive) and len(negative):
        expected = mannwhitneyu(positive, negative).statistic / (len(positive) * len(negative))
        assert found == pytest.approx(expected, abs=1e-6)
    else:
        assert np.isnan(found)


@given(scenes, scenes, st.booleans())
@settings(max_examples=12, deadline=None)
def test_part_iou_compares_sets_of_parts(seed, other, every_image):
    (map_, points, visible, _), (counter, counter_points, counter_visible, _) = scene(seed), scene(other)
    ranks, counter_ranks = compiled.ranks(map_, points, SIZE), compiled.ranks(counter, counter_points, SIZE)
    found = compiled.part_iou(ranks, counter_ranks, visible, counter_visible, SIZE, FEW, every_image=every_image)
    both = np.asarray(visible & counter_visible)
    for value, fraction in zip(found, FEW, strict=True):
        here = parts_in(largest_fraction(map_, fraction, SIZE), points) & both
        there = parts_in(largest_fraction(counter, fraction, SIZE), counter_points) & both
        # The authors' code leaves an image out where one of its regions is empty; we can count it as 0.
        counts = (here | there).any() if every_image else here.any() and there.any()
        expected = (here & there).sum() / (here | there).sum() if counts else np.nan
        np.testing.assert_allclose(value, expected, rtol=1e-6)


def slow_specificity(values, truth, visible):
    """One part and one pair of classes after the other."""
    parts = [p for p in range(values.shape[1]) if visible[p]]
    ranks = scipy.stats.rankdata(values[:, parts], axis=1)
    found = []
    for place, part in enumerate(parts):
        positive, negative = ranks[truth[:, part], place], ranks[~truth[:, part], place]
        if len(positive) and len(negative):
            found.append(mannwhitneyu(positive, negative).statistic / (len(positive) * len(negative)))
    return np.mean(found) if found else np.nan


@given(scenes, maps_with_ties)
@settings(max_examples=30, deadline=None)
def test_specificity_equals_a_loop_over_parts(seed, ties):
    rng = np.random.default_rng(seed)
    classes, parts = ((1, 4), (2, 3), (8, 6))[seed % 3]
    values = rng.integers(0, 3, (classes, parts)).astype(float) if ties else rng.normal(size=(classes, parts))
    truth, visible = rng.random((classes, parts)) < 0.6, rng.random(parts) < 0.8
    found = compiled.specificity(*map(jnp.asarray, (values, truth, visible)))
    np.testing.assert_allclose(found, slow_specificity(values, truth, visible), atol=1e-6)


@given(scenes)
@settings(max_examples=20, deadline=None)
def test_what_does_not_know_the_question_has_a_specificity_of_one_half(seed):
    rng = np.random.default_rng(seed)
    truth, visible = rng.random((24, 15)) < rng.random(15), np.ones(15, bool)
    blind = np.broadcast_to(rng.normal(size=15), (24, 15))
    found = compiled.specificity(*map(jnp.asarray, (blind, truth, visible)))
    mixed = truth.any(0) & ~truth.all(0)
    assert found == pytest.approx(0.5, abs=1e-6) if mixed.any() else np.isnan(found)


def test_an_oracle_is_more_specific_than_its_complement_and_a_hole_is_no_number():
    truth = jnp.asarray(np.random.default_rng(0).random((24, 15)) < 0.5)
    visible = jnp.ones(15, bool)
    best, worst = (float(compiled.specificity(v.astype(jnp.float32), truth, visible)) for v in (truth, ~truth))
    assert best > 0.99 and worst == pytest.approx(1 - best, abs=1e-6)
    assert np.isnan(compiled.specificity(jnp.full((24, 15), jnp.nan), truth, visible))
    assert np.isnan(compiled.specificity(truth.astype(jnp.float32), jnp.ones_like(truth), visible))


def test_precision_is_read_where_the_recall_is():
    recall, precision = np.array([np.nan, 0.2, 0.4, 1.0]), np.array([np.nan, 1.0, 0.5, 0.2])
    read = metrics.precision_at_recalls
    assert read(precision, recall, (0.3,)) == pytest.approx(0.75)
    assert read(precision, recall, (0.0, 0.7)) == pytest.approx((1.0 + 0.35) / 2)
    assert np.isnan(read(precision * np.nan, recall, (0.3,)))


def test_the_shares_of_the_images_average_to_the_number_of_the_mean_curves():
    rng = np.random.default_rng(1)
    recall = np.sort(rng.random((200, 9)), axis=1)
    precision = np.where(rng.random((200, 9)) < 0.2, np.nan, rng.random((200, 9)))
    recall[:5] = precision[:5] = np.nan
    shares = metrics.equal_recall_by_image(precision, recall, (0.3, 0.5))
    whole = metrics.precision_at_recalls(np.nanmean(precision, 0), np.nanmean(recall, 0), (0.3, 0.5))
    assert np.isnan(shares[:5]).all() and np.nanmean(shares) == pytest.approx(float(whole), abs=1e-12)
    left = [
        metrics.precision_at_recalls(np.nanmean(precision[kept], 0), np.nanmean(recall[kept], 0), (0.3, 0.5))
        for kept in (np.delete(np.arange(200), out) for out in (7, 8))
    ]
    assert shares[7] - shares[8] == pytest.approx(194 * float(left[1] - left[0]))


def test_the_number_of_a_few_images_is_that_of_their_mean_curve_and_no_precision_above_one():
    rng = np.random.default_rng(3)
    recall, precision = np.sort(rng.random((12, 30)), axis=1), rng.integers(0, 2, (12, 30)).astype(float)
    for recalls in ((0.5,), (0.2, 0.8)):
        shares = metrics.equal_recall_by_image(precision, recall, recalls)
        whole = metrics.precision_at_recalls(precision.mean(0), recall.mean(0), recalls)
        assert shares.mean() == pytest.approx(float(whole), abs=1e-12) and shares.mean() <= 1


@given(scenes, maps_with_ties)
@settings(max_examples=8, deadline=None)
def test_iou_and_pixel_auroc_equal_counting_pixels(seed, ties):
    map_, _, _, _ = scene(seed, ties)
    mask = np.random.default_rng(seed).random(SIZE) < 0.3
    found = pixel_scores(map_, mask, FEW)
    for value, fraction in zip(found.iou, FEW, strict=True):
        region = np.asarray(largest_fraction(map_, fraction, SIZE))
        assert value == pytest.approx((region & mask).sum() / (region | mask).sum(), abs=1e-6)
    pixels = np.asarray(upsample(map_, SIZE))
    expected = mannwhitneyu(pixels[mask], pixels[~mask]).statistic / (mask.sum() * (~mask).sum())
    assert found.auroc == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).normal(size=(4, 5)),
        np.random.default_rng(1).integers(-1, 2, (4, 5)),
        np.array([[-0.0, 0.0], [-1.0, 1e-7]]),
        np.full((3, 3), 7.0),
    ],
)
def test_keys_have_the_order_of_the_pixels(values):
    maps = jnp.asarray(values, jnp.float32)
    pixels, keys = np.asarray(upsample(maps, SIZE)).ravel(), np.asarray(metrics.pixel_keys(maps, SIZE))
    for pairs in (np.less, np.equal):
        np.testing.assert_array_equal(pairs.outer(keys, keys), pairs.outer(pixels, pixels))


def test_many_maps_are_scored_as_each_alone():
    rng = np.random.default_rng(4)
    maps, masks = jnp.asarray(rng.integers(0, 4, (2, 3, 4, 5)), jnp.float32), rng.random((2, 3, *SIZE)) < 0.3
    keys = np.asarray(jax.vmap(jax.vmap(lambda m: metrics.pixel_keys(m, SIZE)))(maps))
    found = metrics.pixel_scores(keys, masks.reshape(2, 3, -1), FEW)
    assert found.auroc.shape == (2, 3) and found.iou.shape == (2, 3, len(FEW)) and found.iou.dtype == np.float32
    for place in np.ndindex(2, 3):
        alone = pixel_scores(maps[place], masks[place], FEW)
        assert found.auroc[place] == alone.auroc and (found.iou[place] == alone.iou).all()


def test_the_auroc_of_a_photo_is_exact_where_few_pixels_are_true():
    rng = np.random.default_rng(2)
    map_, mask = jnp.asarray(rng.normal(size=(14, 14)), jnp.float32), rng.random((224, 224)) < 0.002
    pixels = np.asarray(upsample(map_, (224, 224)))
    expected = mannwhitneyu(pixels[mask], pixels[~mask]).statistic / (mask.sum() * (~mask).sum())
    for true, value in ((mask, expected), (~mask, 1 - expected)):
        assert pixel_scores(map_, true).auroc == pytest.approx(value, abs=1e-7)
    assert pixel_scores(jnp.zeros((14, 14)), mask).auroc == 0.5
    assert np.isnan(pixel_scores(map_, np.ones((224, 224), bool)).auroc)


def test_hand_computed():
    """Four parts in the four cells of a 2 x 2 map of its own size, in falling order 3, 2, 1, 0."""
    map_ = jnp.array([[3.0, 2.0], [1.0, 0.0]])
    points = jnp.array([[0.5, 0.5], [1.5, 0.5], [0.5, 1.5], [1.5, 1.5]])
    ranks = compiled.ranks(map_, points, (2, 2))
    assert list(ranks) == [3, 2, 1, 0]
    truth, visible = jnp.array([True, False, True, False]), jnp.array([True, True, True, False])
    # The quantiles 0.6, 0.3 lie at 1.8 and 0.9 of the sorted pixels: two, then three pixels are strictly above.
    precision, recall = compiled.precision_recall(ranks, truth, visible, (2, 2), (0.4, 0.7))
    np.testing.assert_allclose(precision, [1 / 2, 2 / 3], rtol=1e-6)
    np.testing.assert_allclose(recall, [1 / 2, 1], rtol=1e-6)
    assert compiled.auroc(ranks, truth, visible) == 0.5


def test_images_without_ground_truth_do_not_count():
    ranks, visible = jnp.array([5, 3]), jnp.array([True, True])
    precision, recall = compiled.precision_recall(ranks, jnp.array([False, False]), visible, SIZE, FEW)
    assert np.isnan(precision).all() and np.isnan(recall).all()
    assert np.isnan(compiled.auroc(ranks, jnp.array([True, True]), visible))
    nothing_true = pixel_scores(jnp.ones((4, 5)), np.zeros(SIZE, bool), FEW)
    assert np.isnan(nothing_true.iou).all() and np.isnan(nothing_true.auroc)


@functools.partial(jax.jit, static_argnums=(1, 2))
def random_truth(key, images: int, share: float):
    """Parts at random places of a picture, of which a share is ground truth and all are visible."""
    place, chosen = jax.random.split(key)
    points = jax.random.uniform(place, (images, PARTS, 2)) * jnp.array([SIZE[1], SIZE[0]])
    return points, jax.random.uniform(chosen, (images, PARTS)) < share


@jax.jit
def ranks_of(maps, points):
    return jax.vmap(lambda m, p: metrics.ranks(m, p, SIZE))(maps, points)


def test_a_random_map_has_the_precision_of_the_base_rate_and_an_auroc_of_one_half():
    keys = jax.random.split(jax.random.key(0), 801)
    points, truth = random_truth(keys[0], 800, 0.7)
    ranks = ranks_of(jax.jit(jax.vmap(lambda k: baselines.random(k, (4, 5))))(keys[1:]), points)
    visible = jnp.ones_like(truth)
    precision = np.asarray(compiled.precision_recall(ranks, truth, visible, SIZE, (0.1,)).precision)[:, 0]
    counted = precision[~np.isnan(precision)]
    assert counted.mean() == pytest.approx(np.asarray(truth).mean(), abs=4 * counted.std() / np.sqrt(len(counted)))
    auroc = np.asarray(compiled.auroc(ranks, truth, visible))
    auroc = auroc[~np.isnan(auroc)]
    assert auroc.mean() == pytest.approx(0.5, abs=4 * auroc.std() / np.sqrt(len(auroc)))


def test_the_oracle_scores_one_until_shuffled_labels_destroy_its_advantage():
    points, truth = random_truth(jax.random.key(1), 300, 0.5)
    visible = jnp.ones_like(truth)
    maps = jax.jit(jax.vmap(lambda p, t, v: baselines.oracle(p, t, v, SIZE)))(points, truth, visible)
    ranks = ranks_of(maps, points)
    alone = np.array([len(np.unique(np.floor(np.asarray(p)), axis=0)) == PARTS for p in points])
    auroc = np.asarray(compiled.auroc(ranks, truth, visible))[alone]
    assert np.nanmin(auroc) == 1
    precision = np.asarray(compiled.precision_recall(ranks, truth, visible, SIZE, (0.05,)).precision)[alone]
    assert np.nanmin(precision) == 1
    shuffled = np.asarray(compiled.auroc(ranks, jax.random.permutation(jax.random.key(2), truth), visible))
    assert np.nanmean(shuffled) == pytest.approx(0.5, abs=0.1)


def test_works_jitted_and_counts_many_maps_at_once():
    map_, points, visible, truth = scene(0)
    maps = jnp.stack([map_, -map_, map_**2])
    ranks = jax.jit(lambda m: metrics.ranks(m, points, SIZE))(maps)
    assert ranks.shape == (3, PARTS)
    np.testing.assert_array_equal(ranks[1], compiled.ranks(-map_, points, SIZE))
    curves = jax.jit(lambda r: metrics.precision_recall(r, truth, visible, SIZE))(ranks)
    assert curves.precision.shape == curves.recall.shape == (3, 100)


class TestPointingGame:
    def slow(self, map_, objects, tolerance):
        pixels = np.asarray(upsample(jnp.asarray(map_), objects.shape))
        row, column = np.unravel_index(pixels.argmax(), pixels.shape)
        rows, columns = np.nonzero(objects)
        if not len(rows):
            return np.nan
        return float(np.hypot(rows - row, columns - column).min() <= tolerance)

    @given(scenes, st.sampled_from([0.0, 1.5, 3.0, 15.0]))
    @settings(max_examples=20, deadline=None)
    def test_a_hit_is_a_largest_value_on_the_object_or_near_it(self, seed, tolerance):
        rng = np.random.default_rng(seed)
        maps = rng.normal(size=(6, 4, 5)).astype(np.float32)
        objects = rng.random((6, *SIZE)) < np.array([0, 0.003, 0.01, 0.02, 0.1, 0.5])[:, None, None]
        found = compiled.pointing_game(jnp.asarray(maps), jnp.asarray(objects), tolerance)
        expected = [self.slow(map_, mask, tolerance) for map_, mask in zip(maps, objects)]
        np.testing.assert_array_equal(found, expected)

    def test_a_map_that_points_at_nothing_misses_and_one_of_nan_is_no_number(self):
        everywhere = jnp.ones((2, *SIZE), bool)
        maps = jnp.stack([jnp.ones((4, 5)), jnp.full((4, 5), jnp.nan)])
        hit, unknown = compiled.pointing_game(maps, everywhere)
        assert hit == 0 and np.isnan(unknown)
