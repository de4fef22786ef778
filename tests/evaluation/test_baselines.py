"""Maps that know nothing of the network, and the one that knows everything."""

import jax
import jax.numpy as jnp
import numpy as np

from galore.evaluation import baselines, metrics
from galore.regions import largest_fraction

SIZE = (24, 30)


def test_the_centred_gaussian_is_symmetric_and_largest_in_the_middle():
    map_ = np.asarray(baselines.centred_gaussian(SIZE))
    for mirrored in (map_[::-1], map_[:, ::-1]):
        np.testing.assert_array_equal(map_, mirrored)
    square = jax.jit(lambda: baselines.centred_gaussian((96, 96)))()
    np.testing.assert_array_equal(square, square.T)  # equally far, and tied: no rounding decides which is larger
    assert np.unravel_index(map_.argmax(), SIZE) in [(11, 14), (11, 15), (12, 14), (12, 15)]
    # One standard deviation beside the centre.
    assert np.asarray(baselines.centred_gaussian((101, 101), 0.25))[50, 75] == np.float32(
        np.exp(-((25 / 101 / 0.25) ** 2) / 2)
    )


def test_the_whole_object_comes_before_everything_else():
    box = jnp.array([3.0, 4.0, 10.0, 6.0])
    map_ = baselines.whole_object(jax.random.key(0), box, SIZE, (4, 5))
    region = np.asarray(largest_fraction(map_, 60 / (24 * 30), SIZE))
    expected = np.zeros(SIZE, bool)
    expected[4:10, 3:13] = True
    assert (region & ~expected).sum() == 0 and region.sum() >= 59


def test_the_whole_object_does_not_prefer_any_part_of_it():
    box, points = jnp.array([0.0, 0.0, 30.0, 24.0]), jnp.array([[3.0, 3.0], [20.0, 12.0]])
    keys = jax.random.split(jax.random.key(1), 500)
    one = lambda k: metrics.ranks(baselines.whole_object(k, box, SIZE, (4, 5)), points, SIZE)  # noqa: E731
    ranks = jax.jit(jax.vmap(one))(keys)
    assert abs(np.mean(ranks[:, 0] > ranks[:, 1]) - 0.5) < 0.1


def test_the_oracle_keeps_away_from_visible_parts_that_are_no_ground_truth():
    points = jnp.array([[5.5, 5.5], [12.5, 5.5], [9.5, 5.5], [28.5, 20.5]])
    truth, visible = jnp.array([True, False, False, True]), jnp.array([True, True, False, True])
    map_ = np.asarray(baselines.oracle(points, truth, visible, SIZE))
    assert map_[5, 5] == map_[20, 28] == 1 and map_[5, 12] == -1
    assert map_[5, 8] > 0 > map_[5, 10]  # the middle between the two; the invisible part plays no role
    assert metrics.auroc(metrics.ranks(jnp.asarray(map_), points, SIZE), truth, visible) == 1


def test_random_maps_differ_by_key():
    first, second = (baselines.random(jax.random.key(k), (7, 7)) for k in (0, 1))
    assert first.shape == (7, 7) and np.abs(first - second).max() > 0.1
    np.testing.assert_array_equal(first, baselines.random(jax.random.key(0), (7, 7)))
