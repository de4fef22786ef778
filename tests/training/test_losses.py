import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galore.training import losses

LOGITS = jnp.log(jnp.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]))
LABELS = jnp.array([0, 1])


def test_cross_entropy_is_minus_log_p_of_the_true_class():
    np.testing.assert_allclose(losses.cross_entropy(LOGITS, LABELS), [-np.log(0.7), -np.log(0.25)], rtol=1e-6)


def test_smoothing_spreads_its_share_over_all_classes():
    smoothed = losses.cross_entropy(LOGITS[:1], LABELS[:1], 0.3)
    by_hand = -(0.8 * np.log(0.7) + 0.1 * np.log(0.2) + 0.1 * np.log(0.1))
    np.testing.assert_allclose(smoothed, [by_hand], rtol=1e-6)


def test_the_classifier_loss_weighs_each_example_by_its_hardness():
    value = losses.classifier_loss(jnp.array([2.0, 4.0]), jnp.array([0.5, 0.25]))
    assert float(value) == pytest.approx((0.5 * 2 + 0.25 * 4) / 2)


def test_the_predictor_loss_by_hand():
    k, p = jnp.array([0.9, 0.2]), jnp.array([0.3, 0.6])
    by_hand = ((1 - 0.7 * 0.9 - 0.1 * 0.3) + (1 - 0.4 * 0.2 - 0.8 * 0.6)) / 2
    assert float(losses.predictor_loss(k, p)) == pytest.approx(by_hand)


def test_the_predictor_loss_pushes_hardness_up_where_the_classifier_is_more_wrong_than_right():
    slope = jax.grad(losses.predictor_loss)(jnp.array([0.5, 0.5]), jnp.array([0.1, 0.9]))
    np.testing.assert_allclose(slope, [(2 * 0.1 - 1) / 2, (2 * 0.9 - 1) / 2], rtol=1e-6)


def test_the_proper_score_is_least_where_hardness_is_one_minus_p():
    candidates = jnp.linspace(0.01, 0.99, 99)
    for p in (0.2, 0.5, 0.9):
        values = jax.vmap(lambda k, p=p: losses.hardness_cross_entropy(k[None], jnp.array([p])))(candidates)
        assert float(candidates[int(np.argmin(values))]) == pytest.approx(1 - p, abs=0.006)


def test_neither_loss_sends_a_gradient_to_the_other_network():
    k, entropy, p = jnp.array([0.4]), jnp.array([1.3]), jnp.array([0.7])
    assert float(jax.grad(lambda k: losses.classifier_loss(entropy, k))(k)[0]) == 0
    assert float(jax.grad(lambda p: losses.predictor_loss(k, p))(p)[0]) == 0
    assert float(jax.grad(lambda p: losses.hardness_cross_entropy(k, p))(p)[0]) == 0


def test_padding_does_not_count():
    valid = jnp.array([True, False])
    assert float(losses.classifier_loss(jnp.array([2.0, 9.0]), jnp.ones(2), valid)) == 2
    assert float(losses.masked_mean(jnp.array([2.0, 9.0]), jnp.array([False, False]))) == 0
