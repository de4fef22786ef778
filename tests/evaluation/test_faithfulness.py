"""Editing pixels in a map's order, and randomising the network, where the right answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from galore.evaluation import faithfulness
from tests.heads import plain_network


def corner_score(image):
    """Looks at the top left quarter alone."""
    return jnp.mean(image[:8, :8])


CORNER = jnp.zeros((4, 4)).at[:2, :2].set(1.0) + jnp.arange(16).reshape(4, 4) * 1e-3
FRACTIONS = (0.0, 0.1, 0.25, 0.35, 0.5, 1.0)


def test_deleting_what_the_score_looks_at_removes_it_and_deleting_the_rest_does_not():
    image, blank = jnp.ones((16, 16, 3)), jnp.zeros((16, 16, 3))
    guided = faithfulness.replacement_curve(corner_score, image, blank, CORNER, FRACTIONS)
    opposite = faithfulness.replacement_curve(corner_score, image, blank, -CORNER, FRACTIONS)
    assert guided[0] == opposite[0] == 1
    assert guided[3] == pytest.approx(0, abs=0.06) and opposite[3] == 1
    assert faithfulness.area(guided, FRACTIONS) < faithfulness.area(opposite, FRACTIONS) - 0.5


def test_insertion_is_deletion_with_the_pictures_exchanged():
    image, blank = jnp.ones((16, 16, 3)), jnp.zeros((16, 16, 3))
    deletion = faithfulness.replacement_curve(corner_score, image, blank, CORNER, FRACTIONS)
    insertion = faithfulness.replacement_curve(corner_score, blank, image, CORNER, FRACTIONS)
    np.testing.assert_allclose(deletion + insertion, 1, rtol=1e-6)


def test_area_is_the_mean_height():
    assert faithfulness.area(jnp.array([1.0, 1.0, 0.0]), (0.0, 0.5, 1.0)) == pytest.approx(0.75)
    assert faithfulness.area(jnp.array([2.0, 2.0]), (0.2, 0.4)) == pytest.approx(2)


def test_moved_is_a_share_of_the_way():
    found = faithfulness.moved(jnp.array([1.0, 1.0, 1.0]), jnp.array([1.0, 2.0, -1.0]), jnp.array([3.0, 3.0, 1.0]))
    assert list(found[:2]) == [0, 0.5] and np.isnan(found[2])


def test_blurred_keeps_the_coarse_and_drops_the_fine():
    rng = np.random.default_rng(0)
    noise = jnp.asarray(rng.normal(size=(32, 32, 3)), jnp.float32)
    assert jnp.std(faithfulness.blurred(noise)) < 0.5
    np.testing.assert_allclose(faithfulness.blurred(jnp.full((32, 32, 3), 2.0)), 2.0, rtol=1e-5)


@given(st.integers(0, 2**31), st.booleans())
@settings(max_examples=20, deadline=None)
def test_rank_correlation_is_scipys(seed, ties):
    rng = np.random.default_rng(seed)
    draw = (lambda: rng.integers(0, 4, (3, 5))) if ties else (lambda: rng.normal(size=(3, 5)))
    first, second = (jnp.asarray(draw(), jnp.float32) for _ in range(2))
    expected = spearmanr(first.reshape(-1), second.reshape(-1)).statistic
    np.testing.assert_allclose(faithfulness.rank_correlation(first, second), expected, atol=1e-5)


def test_a_constant_map_has_no_rank_correlation():
    assert np.isnan(faithfulness.rank_correlation(jnp.ones((3, 3)), jnp.arange(9.0).reshape(3, 3)))


def test_randomising_touches_the_named_groups_alone_and_keeps_their_values():
    net = plain_network()
    changed = faithfulness.randomise(net, ("kernel", "bias"), jax.random.key(0))
    np.testing.assert_array_equal(changed.params["convolution"], net.params["convolution"])
    assert np.abs(changed.params["kernel"] - net.params["kernel"]).max() > 0.1
    np.testing.assert_allclose(np.sort(changed.params["kernel"].ravel()), np.sort(net.params["kernel"].ravel()))


def test_parameters_are_ordered_by_use():
    net = plain_network()
    assert faithfulness.order_of_use(net, jnp.zeros((16, 16, 3))) == ["convolution", "kernel", "bias"]
