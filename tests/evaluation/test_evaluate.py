"""Many methods in one pass, against a loop over images and maps."""

import dataclasses
import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import toys

from galore import explain
from galore.attribution import gradient_x_activation, requests
from galore.evaluation import metrics, queries
from galore.evaluation.evaluate import evaluate, over_batches, part_iou
from galore.evaluation.ground_truth import AttributeTable
from galore.evaluation.methods import (
    BASELINES,
    GRADIENT,
    ORACLE,
    RANDOM,
    AttributionSetting,
    Method,
    Rule,
    Score,
    all_rules,
    insecurities,
    main_rules,
)
from galore.evaluation.test_set import Scenes
from galore.regions import upsample

METHODS = all_rules(GRADIENT, tuple(Score))

# Compiled in one piece, which takes less long than one operation after the other.
discriminant, raw_discriminant, deliberative = map(
    jax.jit,
    (explain.discriminant, functools.partial(explain.discriminant, signs=explain.RAW), explain.deliberative),
)
ranks, precision_recall = (
    jax.jit(getattr(metrics, name), static_argnames="size") for name in ("ranks", "precision_recall")
)
auroc, specificity = jax.jit(metrics.auroc), jax.jit(metrics.specificity)


@pytest.fixture(scope="module")
def test_set():
    return toys.toy_test_set()


@pytest.fixture(scope="module")
def scored(test_set):
    return evaluate(test_set, queries.beginner(test_set, 0), METHODS, seed=0)


def test_every_number_equals_a_loop_over_images(test_set, scored):
    asked, parts = scored.queries, test_set.annotations
    for position in (0, 7, 50):
        row, y, c = asked.rows[position], asked.predicted[position], asked.counter[position]
        images = jnp.asarray(test_set.inputs(np.array([row])))
        explained, raw = discriminant(test_set.net, images, y, c), raw_discriminant(test_set.net, images, y, c)
        expected = {
            Method(Rule.ATTRIBUTIVE, None, GRADIENT): explained.predicted_maps[0],
            Method(Rule.DISCRIMINANT, Score.SOFTMAX, GRADIENT): explained.maps[0],
            Method(Rule.MARGIN, None, GRADIENT): raw.predicted_maps[0] - raw.counter_maps[0],
        }
        truth, visible = jnp.asarray(test_set.discriminant[y, c]), jnp.asarray(parts.visible[row], bool)
        for method, map_ in expected.items():
            ranked = ranks(map_, jnp.asarray(parts.points[row]), test_set.size)
            values = scored.by_method[method]
            np.testing.assert_allclose(values["auroc"][position], auroc(ranked, truth, visible), atol=1e-6)
            curves = precision_recall(ranked, truth, visible, test_set.size)
            np.testing.assert_allclose(values["recall"][position], curves.recall, atol=1e-6)


def test_the_other_table_judges_the_same_maps(test_set, scored):
    assert scored.other_table is AttributeTable.NEURIPS
    exchanged = dataclasses.replace(test_set, discriminant=test_set.other.discriminant)
    again = evaluate(exchanged, queries.beginner(exchanged, 0), METHODS, seed=0)
    for method, measures in again.by_method.items():
        for name, values in measures.items():
            np.testing.assert_allclose(scored.by_other_table[method][name], values, atol=1e-6)


def test_specificity_asks_about_every_other_class(test_set, scored):
    parts, method = test_set.annotations, Method(Rule.MARGIN, None, GRADIENT)
    for position in (0, 11):
        row, y = scored.queries.rows[position], int(scored.queries.predicted[position])
        images = jnp.asarray(test_set.inputs(np.array([row])))
        others = [c for c in range(len(test_set.class_names)) if c != y]
        raw = [raw_discriminant(test_set.net, images, y, c) for c in others]
        maps = np.stack([one.predicted_maps[0] - one.counter_maps[0] for one in raw])
        cells = np.array(maps.shape[1:]) / test_set.size
        places = parts.points[row][:, ::-1].T * cells[:, None] - 0.5
        values = np.stack([scipy.ndimage.map_coordinates(m, places, order=1, mode="nearest") for m in maps])
        expected = specificity(
            *map(jnp.asarray, (values, test_set.discriminant[y, others], parts.visible[row].astype(bool)))
        )
        np.testing.assert_allclose(scored.by_method[method]["specificity"][position], expected, atol=1e-6)


@pytest.mark.parametrize("scenes", [False, True])
def test_only_the_question_moves_the_specificity(scenes):
    toy = toys.toy_test_set(scenes=scenes)
    scored = evaluate(toy, queries.beginner(toy, 0), METHODS[:4], seed=0)
    values = {method: measures["specificity"] for method, measures in scored.by_method.items()}
    for blind in (METHODS[0], *BASELINES):
        if blind != ORACLE:
            np.testing.assert_allclose(values[blind], 0.5, atol=1e-6)
    assert np.nanmin(values[ORACLE]) > 0.9 and np.nanstd(values[METHODS[1]]) > 0.01


@pytest.mark.parametrize(
    ("size", "cells"), [((32, 24), (4, 3)), ((30, 23), (7, 5)), ((9, 8), (1, 1)), ((5, 6), (5, 6))]
)
def test_the_mean_over_an_objects_pixels_is_read_from_the_cells(size, cells):
    """Objects of one pixel, of many, and one that is not there; cells that divide the pixels, and some that do not."""
    rng = np.random.default_rng(0)
    mask = np.where(rng.random(size) < 0.5, rng.integers(0, 4, size), 0).astype(np.uint8)
    mask[2, 3] = 5
    maps = rng.normal(size=(3, *cells)).astype(np.float32)
    enlarged = np.asarray(upsample(jnp.asarray(maps), size))
    expected = [[enlarged[c][mask == k].mean() if (mask == k).any() else 0 for k in range(1, 6)] for c in range(3)]
    scenes = Scenes(jnp.asarray(mask), size, 5)
    np.testing.assert_allclose(scenes.read(jnp.asarray(maps)), expected, rtol=1e-5, atol=1e-6)
    assert np.asarray(scenes.present).tolist() == [k in mask for k in range(1, 6)]


def test_methods_keep_their_order_and_baselines_come_last(scored):
    assert tuple(scored.by_method) == (*METHODS, *BASELINES)
    assert "a * comp(b) * s, softmax" in repr(scored) and len(repr(scored)) < 400


def test_shuffled_labels_destroy_the_oracles_advantage(test_set, scored):
    asked, parts = scored.queries, test_set.annotations
    assert np.nanmean(scored.by_method[ORACLE]["auroc"]) > 0.99
    oracles = jax.jit(jax.vmap(lambda a, t: a.baselines(jax.random.key(0), t, (8, 8))[BASELINES.index(ORACLE)]))
    maps = oracles(jax.tree.map(lambda x: jnp.asarray(x[asked.rows]), parts), jnp.asarray(asked.truth))
    shuffled = jnp.asarray(np.random.default_rng(0).permuted(asked.truth, axis=1))
    ranked = jax.vmap(lambda m, p: ranks(m, p, test_set.size))(maps, jnp.asarray(parts.points[asked.rows]))
    scores = auroc(ranked, shuffled, jnp.asarray(parts.visible[asked.rows], bool))
    assert np.nanmean(scores) == pytest.approx(0.5, abs=0.12)


def test_a_program_sees_every_query_once_whatever_the_batch_size(test_set):
    images = queries.HardImages(np.arange(37), 5, 3, {})
    total = jax.jit(lambda model, batch, extra: (jnp.sum(batch.images, axis=(1, 2, 3)), extra * 2))
    sums, doubled = over_batches(total, test_set, images, 0, 16, np.arange(37))
    np.testing.assert_allclose(sums, test_set.images[:37].astype(np.float64).sum((1, 2, 3)), rtol=1e-5)
    np.testing.assert_array_equal(doubled, 2 * np.arange(37))


def test_equal_methods_share_one_program(test_set):
    asked = queries.beginner(test_set, 0).sample(8, 0)
    traced = []

    @requests(positive_gradient=True)
    def traced_gradient(score, F, *, positive_gradient=False):
        traced.append(F)
        return gradient_x_activation(score, F, positive_gradient=positive_gradient)

    sys.modules[__name__].traced_gradient = traced_gradient
    target = f"{__name__}.traced_gradient"
    for seed in (0, 1):
        evaluate(test_set, asked, [Method(Rule.ATTRIBUTIVE, None, AttributionSetting(target))], seed=seed)
    assert len(traced) == 1


def test_the_pair_of_an_image_with_itself_holds_the_same_parts(test_set):
    asked = queries.beginner(test_set, 0)
    twins = asked._replace(counter_rows=asked.rows, counter=asked.predicted)
    pairs = part_iou(test_set, twins, main_rules(GRADIENT, Score.SOFTMAX), seed=0)
    iou, by_chance = (pairs.by_method[m]["piou"] for m in (Method(Rule.ATTRIBUTIVE, None, GRADIENT), RANDOM))
    assert np.nanmin(iou) == 1 and np.isnan(by_chance).sum() > 0
    assert np.nanmean(by_chance[:, 10]) < 0.9


def test_insecurities_are_averaged_over_those_that_occur(test_set):
    hard = queries.HardImages(np.arange(16), 5, 3, {})
    hesitancy = Method(Rule.INSECURITY, Score.SOFTMAX, GRADIENT)
    scored = evaluate(test_set, hard, insecurities(GRADIENT, (Score.SOFTMAX,)), seed=0, batch_size=8)
    explained = deliberative(test_set.net, jnp.asarray(test_set.inputs(hard.rows)))
    parts = test_set.annotations
    for k in (0, 5):
        scores = []
        for map_, (a, b), occurs in zip(explained.maps[k], np.asarray(explained.pairs[k]), explained.occurs[k]):
            if occurs:
                ranked = ranks(map_, jnp.asarray(parts.points[k]), test_set.size)
                shared, visible = jnp.asarray(test_set.shared[a, b]), jnp.asarray(parts.visible[k], bool)
                scores.append(auroc(ranked, shared, visible))
        np.testing.assert_allclose(scored.by_method[hesitancy]["auroc"][k], np.nanmean(scores), atol=1e-6)
        strengths = scored.insecurities[hesitancy]["strength"][k]
        np.testing.assert_allclose(np.nanmax(strengths), np.max(explained.strengths[k][explained.occurs[k]]), rtol=1e-5)


def test_insecurities_of_scenes_are_judged_by_pixels_and_averaged():
    scenes = toys.toy_test_set(scenes=True)
    hard = queries.HardImages(np.arange(6), 5, 3, {})
    hesitancy = Method(Rule.INSECURITY, Score.SOFTMAX, GRADIENT)
    scored = evaluate(scenes, hard, (hesitancy,), seed=0, batch_size=6)
    explained = explain.deliberative(scenes.net, jnp.asarray(scenes.inputs(hard.rows)))
    for k in (0, 5):
        mask, values = np.asarray(scenes.annotations.mask[k]), []
        for map_, (a, b), occurs in zip(explained.maps[k], np.asarray(explained.pairs[k]), explained.occurs[k]):
            true = np.isin(mask, np.flatnonzero(scenes.shared[a, b]) + 1)
            if occurs and true.any() and not true.all():
                pixels = np.asarray(upsample(map_, scenes.size))
                values.append(
                    scipy.stats.mannwhitneyu(pixels[true], pixels[~true]).statistic / true.sum() / (~true).sum()
                )
        # Two programs round differently, and what is equal but for rounding has either order.
        np.testing.assert_allclose(scored.by_method[hesitancy]["auroc"][k], np.mean(values), atol=2e-4)
    assert scored.by_method[hesitancy]["iou"].shape == (6, 100)


def test_easiness_needs_a_predictor_before_any_work(test_set):
    asked = queries.beginner(test_set, 0)
    alone = dataclasses.replace(test_set, predictor=None)
    with pytest.raises(ValueError, match="hardness predictor"):
        evaluate(alone, asked, main_rules(GRADIENT, Score.EASINESS), 0)
