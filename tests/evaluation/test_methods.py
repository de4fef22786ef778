"""A method is a value that makes its label, and its map is put together as the label says."""

import dataclasses

import heads
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from compiling import compiled

from galore import counterparts, explain, part_tables
from galore.attribution import grad_cam, integrated_gradients, requests
from galore.errors import InputError
from galore.evaluation import methods
from galore.evaluation.methods import GRADIENT, AttributionSetting, Method, Rule, Score

INTEGRATED = AttributionSetting.of(integrated_gradients, "integrated gradients", steps=20)


@pytest.mark.parametrize(
    ("method", "label"),
    [
        (Method(Rule.ATTRIBUTIVE), "a"),
        (Method(Rule.DISCRIMINANT, Score.SOFTMAX, GRADIENT), "a * comp(b) * s, softmax"),
        (Method(Rule.DISCRIMINANT, None, INTEGRATED), "a * comp(b) * s, integrated gradients"),
        (Method(Rule.MARGIN_TIMES_CONFIDENCE, Score.EASINESS), "margin * s, easiness"),
        (Method(Rule.CLASS_PAIR), "none"),
        (Method(Rule.INSECURITY, Score.CERTAINTY), "entropy"),
        (Method(Rule.INSECURITY, Score.SOFTMAX, GRADIENT, INTEGRATED), "hesitancy, integrated gradients"),
        (methods.GAUSSIAN, "centred Gaussian"),
    ],
)
def test_a_method_alone_makes_its_label(method, label):
    assert method.label == label and method.is_baseline == (method is methods.GAUSSIAN)


def test_equal_methods_are_one_and_find_what_was_stored_under_the_other():
    again = AttributionSetting.of(integrated_gradients, "integrated gradients", steps=20)
    assert {Method(Rule.DISCRIMINANT, None, INTEGRATED): 1}[Method(Rule.DISCRIMINANT, None, again)] == 1
    assert Method(Rule.MARGIN, None, GRADIENT).without_shared == Method(Rule.MARGIN)
    assert Method(Rule.MARGIN, None, INTEGRATED).without_shared != Method(Rule.MARGIN)
    with pytest.raises(dataclasses.FrozenInstanceError):
        again.name = "other"


def test_the_score_that_is_not_named_is_easiness_where_there_is_a_predictor():
    method, predictor = Method(Rule.DISCRIMINANT), toys.toy_test_set().predictor
    assert method.score_with(predictor) is Score.EASINESS and method.score_with(None) is Score.SOFTMAX
    assert Method(Rule.MARGIN).score_with(predictor) is None
    assert methods.scores(None) == (Score.SOFTMAX, Score.CERTAINTY) and len(methods.scores(predictor)) == 3
    with pytest.raises(InputError, match="'easiness' needs a hardness predictor"):
        Score.EASINESS.confidence(None)


def test_every_rule_equals_its_formula():
    net, images = heads.plain_network(), heads.images(2)
    y, c = jnp.array([0, 1]), jnp.array([3, 2])
    compared = methods.all_rules(GRADIENT, (Score.SOFTMAX,))
    maps = jax.jit(lambda *x: methods.counterfactual_maps(compared, net, None, *x))(images, y, c[:, None])
    raw = compiled(explain.discriminant, net, images, y, c, signs=explain.RAW)
    clipped = compiled(explain.discriminant, net, images, y, c)
    a, b = (np.where(m < 0, 1e-7, m) for m in (raw.predicted_maps, raw.counter_maps))
    complement, margin = b.max((1, 2), keepdims=True) - b, raw.predicted_maps - raw.counter_maps
    s = clipped.confidence_maps
    floored = np.where(margin < 0, 1e-7, margin)
    expected = [a, a * complement, a * complement * s, margin, floored * s]
    assert [method.rule for method in compared] == list(Rule)[:5]
    for map_, formula in zip(maps, expected, strict=True):
        np.testing.assert_allclose(map_[:, 0], formula, rtol=1e-4, atol=1e-9)


def test_rules_beyond_two_classes_are_the_explanations_of_the_library():
    net, images = heads.plain_network(), heads.images(2)
    y, c = jnp.array([0, 1]), jnp.array([[3, 2], [4, 0]])
    F = np.asarray(jax.vmap(net)(images)[0])
    labels = np.array([0, 1, 2, 3, 4] * 2)
    tables = part_tables.fit(np.concatenate([F * scale for scale in (1, 2, 3, 4, 5)]), labels, jax.random.key(0))
    maps_of = jax.jit(part_tables.maps)
    compared = [Method(rule) for rule in (Rule.ABSENCE, Rule.STANDARDISED, Rule.PARTS, Rule.MARGIN)]
    maps = jax.jit(lambda *x: methods.counterfactual_maps(compared, net, None, *x, tables))(images, y, c)
    for place in range(2):
        raw = compiled(explain.discriminant, net, images, y, c[:, place], signs=explain.RAW)
        of_parts = jnp.stack([maps_of(tables, f, k)[d] for f, k, d in zip(F, y, c[:, place])])
        standardised = compiled(explain.standardised, net, images, y, c[:, place]).maps
        margin = raw.predicted_maps - raw.counter_maps
        for map_, expected in zip(maps, (-raw.counter_maps, standardised, of_parts, margin), strict=True):
            np.testing.assert_allclose(map_[:, place], expected, rtol=1e-3, atol=1e-3)
    alone = jax.jit(lambda *x: methods.counterfactual_maps(compared[:1], net, None, *x))(images, y, c)
    np.testing.assert_allclose(alone[0], maps[0], rtol=1e-4, atol=1e-6)


def test_maps_by_counterparts_are_theirs_and_standardised_over_every_class():
    net, images = heads.plain_network(), heads.images(3)
    F = np.asarray(jax.vmap(net.activation)(images))
    fitted = counterparts.fit(
        np.concatenate([F * scale for scale in (1, 2, 3, 4, 5)]), np.arange(15) % 5, jax.random.key(0)
    )
    y, c = jnp.array([0, 1, 2]), jnp.array([[1, 2], [3, 0], [4, 1]])
    both = [Method(Rule.COUNTERPARTS), Method(Rule.COUNTERPARTS_STANDARDISED)]
    found = jax.jit(lambda *x: methods.counterfactual_maps(both, net, None, *x, None, fitted))(images, y, c)
    maps_of = jax.jit(lambda f, k: counterparts.maps(fitted, net.logits, f, k, jnp.arange(5)))
    for k in range(3):
        every = maps_of(F[k], y[k])
        np.testing.assert_allclose(found[0][k], every[c[k]], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(found[1][k], explain.standardised_maps(every)[c[k]], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("rule", "said"), [(Rule.PARTS, "tables' needs tables"), (Rule.COUNTERPARTS, "needs them")])
def test_banks_that_there_are_not_are_asked_for(rule, said):
    net, images = heads.plain_network(), heads.images(1)
    with pytest.raises(InputError, match=said):
        methods.counterfactual_maps([Method(rule)], net, None, images, jnp.zeros(1, int), jnp.ones((1, 1), int))


@requests(positive_gradient=True)
def left_and_image(score, F, *, positive_gradient=False):
    """A map that follows the activation, and prefers the left whatever it shows."""
    values = score(F)
    map_ = F.sum(-1) + jnp.arange(F.shape[1], 0, -1.0)
    return jnp.broadcast_to(map_, (len(values), *map_.shape))


def test_mirrored_keeps_what_follows_the_image_and_averages_out_the_rest():
    pixels = dataclasses.replace(
        heads.plain_network(), features=lambda params, x: x, head=lambda params, F: F.mean((0, 1))
    )
    images = jnp.asarray(np.random.default_rng(0).uniform(1, 2, (2, 3, 4, 5)).astype(np.float32))
    setting = dataclasses.replace(AttributionSetting.of(left_and_image), mirrored=True)
    (map_,) = methods.counterfactual_maps(
        [Method(Rule.ATTRIBUTIVE, None, setting)], pixels, None, images, jnp.zeros(2, int), jnp.ones((2, 1), int)
    )
    np.testing.assert_allclose(map_[:, 0], images.sum(-1) + 2.5, rtol=1e-6)


def test_options_reach_the_attribution_function():
    score = lambda F: jnp.sum(F**2)  # noqa: E731
    F = jnp.asarray(heads.normal(3, 2, 2, 4))
    setting = AttributionSetting.of(integrated_gradients, steps=7)
    np.testing.assert_allclose(setting.function()(score, F), integrated_gradients(score, F, steps=7))
    assert AttributionSetting.of(grad_cam).function().func is grad_cam
