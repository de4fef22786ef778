import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from galore import confidence

SLOPES = {score: jax.jit(jax.value_and_grad(score)) for score in (confidence.softmax_score, confidence.certainty)}
LOGITS = arrays.arrays(np.float32, 7, elements=st.floats(-30, 30, width=32))


@settings(deadline=None)
@given(LOGITS)
def test_the_softmax_score_is_the_largest_probability(logits):
    expected = scipy.special.softmax(logits.astype(np.float64)).max()
    np.testing.assert_allclose(SLOPES[confidence.softmax_score](jnp.asarray(logits))[0], expected, rtol=1e-5)


@settings(deadline=None)
@given(LOGITS)
def test_the_certainty_is_one_minus_the_normalised_entropy(logits):
    entropy = scipy.stats.entropy(scipy.special.softmax(logits.astype(np.float64)))
    np.testing.assert_allclose(SLOPES[confidence.certainty](jnp.asarray(logits))[0], 1 - entropy / np.log(7), atol=1e-5)


def test_both_reach_from_unsure_to_sure():
    unsure, sure = jnp.zeros(4), jnp.array([100.0, 0, 0, 0])
    np.testing.assert_allclose(confidence.softmax_score(unsure), 0.25)
    np.testing.assert_allclose(confidence.certainty(unsure), 0, atol=1e-6)
    np.testing.assert_allclose(confidence.softmax_score(sure), 1)
    np.testing.assert_allclose(confidence.certainty(sure), 1)


def test_extreme_logits_give_finite_gradients():
    for slopes in SLOPES.values():
        assert np.all(np.isfinite(slopes(jnp.array([1e4, -1e4, 0.0]))[1]))


@pytest.mark.robust("shapes and numbers")
@pytest.mark.parametrize("score", [confidence.softmax_score, confidence.certainty])
@pytest.mark.parametrize("kept", [(0, 1, 2), (1, 4), (3,)])
def test_a_class_that_is_ruled_out_counts_as_one_of_probability_zero(score, kept):
    finite = np.array([1.0, 2.0, 0.5, -1.0, 3.0, 0.0])
    logits = np.where(np.isin(np.arange(6), kept), finite, -np.inf)
    p = scipy.special.softmax(logits)
    log_p = np.where(p > 0, np.log(np.maximum(p, 1e-300)), 0)
    of_certainty = score is confidence.certainty
    value, slopes = SLOPES[score](jnp.asarray(logits, jnp.float32))
    expected = p * (log_p - (p * log_p).sum()) / np.log(6) if of_certainty else p.max() * ((p == p.max()) - p)
    np.testing.assert_allclose(value, 1 + (p * log_p).sum() / np.log(6) if of_certainty else p.max(), rtol=1e-6)
    np.testing.assert_allclose(slopes, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.robust("shapes and numbers")
@pytest.mark.parametrize("score", [confidence.softmax_score, confidence.certainty])
@pytest.mark.parametrize("logits", [[np.nan, 1, 2], [-np.inf, -np.inf, -np.inf]], ids=["nan", "all ruled out"])
def test_what_is_no_distribution_has_no_score(score, logits):
    assert np.isnan(score(jnp.array(logits, jnp.float32)))


@pytest.mark.parametrize("score", [confidence.softmax_score, confidence.certainty])
@pytest.mark.parametrize("margin", [1.0, 10.0, 20.0, 60.0])
def test_gradients_are_exact_however_sure_the_network_is(score, margin):
    logits = np.random.default_rng(0).standard_normal(100).astype(np.float32)
    logits[3] = logits.max() + np.float32(margin)
    _, found = SLOPES[score](jnp.asarray(logits))
    below = logits.astype(np.float64) - logits[3]
    rest = np.exp(np.delete(below, 3)).sum()  # 1 - p of the largest is rest / (1 + rest): no digit is lost
    p = np.exp(below) / (1 + rest)
    expected = -p[3] * p
    expected[3] = p[3] * rest / (1 + rest)
    if score is confidence.certainty:
        log_p = below - np.log1p(rest)
        expected = p * (log_p - (p * log_p).sum()) / np.log(100)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


def test_batches_and_bfloat16():
    logits = jnp.arange(12.0).reshape(3, 4)
    for score in (confidence.softmax_score, confidence.certainty):
        chex.assert_shape(score(logits), (3,))
        assert score(logits.astype(jnp.bfloat16)).dtype == jnp.float32
