"""Shifts against numpy: cut by slicing, regions as masks, parts as sets."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

import galore
from galore.data import cub
from galore.data.preprocessing import Preprocessing
from galore.data.synthetic import birds as synthetic_birds
from galore.evaluation import stability, test_set
from galore.evaluation.ground_truth import AttributeTable
from galore.evaluation.methods import GAUSSIAN, ORACLE, RANDOM, Method, Rule, Score, deliberative_maps
from galore.evaluation.metrics import FRACTIONS
from galore.evaluation.queries import HardImages, Queries
from galore.evaluation.test_set import OtherTruth, Parts
from galore.regions import largest_fraction

METHODS = (Method(Rule.CLASS_PAIR), Method(Rule.INSECURITY, Score.SOFTMAX))
COUNT, TOP, KEEP = 6, 4, 2
SIDE = toys.SIZE[0] + 2 * stability.MARGIN


@pytest.fixture(scope="module")
def wide():
    rng = np.random.default_rng(1)
    parts = Parts(
        rng.uniform(0, SIDE, (COUNT, toys.PARTS, 2)).astype(np.float32),
        rng.random((COUNT, toys.PARTS)) < 0.9,
        np.tile(np.array([6.0, 6.0, 14.0, 14.0], np.float32), (COUNT, 1)),
        (SIDE, SIDE),
    )
    toy = toys.toy_test_set()
    cut = {name: getattr(toy, name)[:COUNT] for name in ("labels", "logits", "image_ids", "student")}
    images = rng.integers(0, 255, (COUNT, SIDE, SIDE, 3)).astype(np.uint8)
    tables = (AttributeTable.SCOUT, AttributeTable.SCOUT)
    other = OtherTruth(toy.discriminant, np.random.default_rng(2).random(toy.shared.shape) < 0.5, *tables)
    return dataclasses.replace(toy, images=images, annotations=parts, other=other, **cut)


@pytest.fixture(scope="module")
def scored(wide):
    hard = HardImages(np.arange(10, 10 + COUNT), TOP, KEEP, {})
    return stability.part_iou_under_shift(wide, hard, METHODS, seed=3, batch_size=4)


def view(wide, image, shift):
    """The cut image, and where each part that is visible in it lies."""
    x, y = shift + stability.MARGIN
    height, width = toys.SIZE
    cut = wide.images[image, y : y + height, x : x + width]
    points = wide.annotations.points[image] - (x, y)
    inside = [0 <= point[0] < width and 0 <= point[1] < height for point in points]
    return cut, {k: points[k] for k in np.flatnonzero(wide.annotations.visible[image] & inside)}


def by_loops(shared, views, pairs, occurs, masks):
    """The mean IoU of the sets of shared parts in the regions of insecurities with the same classes, of one image."""
    both = views[0][1].keys() & views[1][1].keys()
    regions = []
    for k, (_, points) in enumerate(views):
        regions.append({})
        for pair, is_there, mask in zip(np.asarray(pairs[k]), occurs[k], masks[k]):
            if is_there:
                held = {part for part in both if mask[int(points[part][1]), int(points[part][0])]}
                regions[k][frozenset(pair.tolist())] = {part for part in held if shared[(*sorted(pair), part)]}
    ious = []
    for pair in regions[0].keys() & regions[1].keys():
        first, second = regions[0][pair], regions[1][pair]
        if first | second:
            ious.append(len(first & second) / len(first | second))
    return np.mean(ious) if ious else np.nan


@pytest.mark.parametrize("method", METHODS)
def test_the_iou_is_that_of_sets_of_shared_parts(wide, scored, method):
    shifts = stability.draw_shifts(COUNT, 3)
    views = [[view(wide, k, np.array(shift)) for shift in ((0, 0), shifts[k])] for k in range(COUNT)]
    images = jnp.asarray(np.stack([cut for pair in views for cut, _ in pair]), jnp.float32)
    explain = jax.jit(lambda images: deliberative_maps(method, wide.net, wide.predictor, images, TOP, KEEP))
    explained = explain(images)
    for fraction in (0.05, 0.3, 0.8):
        masks = np.asarray(largest_fraction(explained.maps, fraction, toys.SIZE))
        ours, others = (
            by_method[method][stability.IOU][:, FRACTIONS.index(fraction)]
            for by_method in (scored.by_method, scored.by_other_table)
        )
        for k in range(COUNT):
            of_image = slice(2 * k, 2 * k + 2)
            about = (explained.pairs[of_image], explained.occurs[of_image], masks[of_image])
            np.testing.assert_allclose(ours[k], by_loops(wide.shared, views[k], *about), rtol=1e-5)
            np.testing.assert_allclose(others[k], by_loops(wide.other.shared, views[k], *about), rtol=1e-5)


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_the_mean_is_over_region_sizes_that_have_a_number(scored):
    for measures in scored.by_method.values():
        np.testing.assert_allclose(
            measures[stability.MEAN_IOU], [np.nanmean(curve) for curve in measures[stability.IOU]], rtol=1e-5
        )


def test_baselines_stay_and_the_oracle_moves(scored):
    curves = {method: scored.by_method[method][stability.IOU] for method in (GAUSSIAN, ORACLE, RANDOM)}
    oracle = curves[ORACLE][~np.isnan(curves[ORACLE])]
    assert len(oracle) and (oracle == 1).mean() > 0.95
    assert np.nanmean(curves[RANDOM]) < np.nanmean(curves[GAUSSIAN]) < 1


def test_without_a_shift_nothing_changes(wide, monkeypatch):
    monkeypatch.setattr(stability, "draw_shifts", lambda count, seed: np.zeros((count, 2), int))
    scored = stability.part_iou_under_shift(wide, HardImages(np.arange(COUNT), TOP, KEEP, {}), METHODS, 0, 4)
    for method in (*METHODS, GAUSSIAN, ORACLE):
        curves = scored.by_method[method][stability.IOU]
        assert np.all(curves[~np.isnan(curves)] == 1), method.label


def test_shifts_are_drawn_from_the_papers_range():
    shifts = stability.draw_shifts(2000, 0)
    assert set(shifts[:, 0]) == set(shifts[:, 1]) == set(range(-5, 5))
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.1


@pytest.mark.parametrize("preprocessing", [Preprocessing(256, 224), Preprocessing(64, 53), Preprocessing(58, 48)])
@pytest.mark.parametrize("height, width", [(97, 80), (120, 120), (61, 200)])
def test_the_margin_surrounds_exactly_what_the_network_sees(preprocessing, height, width):
    transform = preprocessing.transform(height, width)
    wider, margin = stability._widened(transform), stability.MARGIN
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(np.uint8)
    inner = wider.pixels(image)[margin:-margin, margin:-margin]
    assert np.abs(inner.astype(int) - transform.pixels(image)).max() <= 1
    assert min(wider.box) > -1e-6 and wider.box[2] < width + 1e-6 and wider.box[3] < height + 1e-6
    points = np.random.default_rng(1).uniform(0, 60, (5, 2))
    np.testing.assert_allclose(wider.points(points), transform.points(points) + margin, atol=1e-9)


@pytest.mark.parametrize(
    ("resize", "crop", "expected"), [(256, 224, 256), (234, 224, 234), (233, 224, 256), (96, 96, 110), (32, 32, 42)]
)
def test_where_there_is_no_margin_the_square_is_seven_eighths(resize, crop, expected):
    assert stability.preprocessing_with_margin(Preprocessing(resize, crop)).resize == expected


def test_a_wide_test_set_has_the_images_and_parts_of_the_test_set_with_a_margin(tmp_path):
    synthetic_birds.write(tmp_path / "birds", synthetic_birds.SyntheticBirds(classes=2, per_class=3, size=64, seed=0))
    birds, margin = cub.read(tmp_path / "birds"), stability.MARGIN
    net = dataclasses.replace(toys.toy_test_set().net, preprocessing=Preprocessing(60, 50), class_names=())
    truth = np.zeros((2, 2, birds.points.shape[1]), bool)
    net = dataclasses.replace(net, head=lambda params, F: F.mean((0, 1))[:2])
    evaluated = test_set.build(net, birds, truth, truth)
    rows = np.array([4, 1])
    wide = stability.with_margin(evaluated, birds, rows)
    assert len(wide) == 2 and wide.size == (60, 60) and (wide.labels == evaluated.labels[rows]).all()
    inner = wide.images[:, margin:-margin, margin:-margin].astype(int)
    assert np.abs(inner - evaluated.images[rows]).max() <= 1
    np.testing.assert_allclose(wide.annotations.points, evaluated.annotations.points[rows] + margin, atol=1e-4)
    assert (wide.annotations.visible >= evaluated.annotations.visible[rows]).all()


def test_the_map_of_a_network_that_looks_at_single_pixels_moves_with_the_image(wide):
    """Where the decision hangs on each pixel alone, the maps of both views are the same on what both show; and a map
    that the image does not move is not."""
    weights = jnp.asarray(np.random.default_rng(4).normal(size=(3, 5)), jnp.float32)
    place = jnp.asarray(np.random.default_rng(5).random((*toys.SIZE, 1)), jnp.float32)
    one = np.ones(COUNT, np.int32)
    asked = Queries("any", np.arange(COUNT), 0 * one, one, 0 * one, np.ones((COUNT, toys.PARTS), bool), {})
    found = []
    for features in (lambda _, image: image / 255, lambda _, image: place * jnp.ones(3) + 0 * image):
        net = galore.Network(weights, features, lambda params, F: jnp.mean(F, (0, 1)) @ params)
        by_pixels = dataclasses.replace(wide, net=net, predictor=None)
        scores = stability.correlation_under_shift(by_pixels, asked, (Method(Rule.MARGIN),), 3, 4)
        found.append(scores.by_method[Method(Rule.MARGIN)][stability.CORRELATION])
    np.testing.assert_allclose(found[0], 1, rtol=1e-5)
    moved = stability.draw_shifts(COUNT, 3).any(1)
    assert moved.sum() > 3 and (np.abs(found[1][moved]) < 0.5).all()
