"""Noisy linear imputation against the linear system written out, pixel by pixel, and solved as a dense one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from heads import normal

from galore.evaluation.imputation import noisy_linear

KEY = jax.random.key(0)


def by_hand(image, missing):
    """Each missing pixel times the weights of its neighbours = the weighted sum of its neighbours."""
    height, width, _ = image.shape
    unknown = {place: row for row, place in enumerate(zip(*np.nonzero(missing)))}
    matrix, right = np.zeros((len(unknown), len(unknown))), np.zeros((len(unknown), image.shape[2]))
    for (y, x), row in unknown.items():
        for dy, dx in np.ndindex(3, 3):
            there = (y + dy - 1, x + dx - 1)
            if (dy, dx) == (1, 1) or not (0 <= there[0] < height and 0 <= there[1] < width):
                continue
            weight = 1 / 12 if dy != 1 and dx != 1 else 1 / 6
            matrix[row, row] += weight
            if there in unknown:
                matrix[row, unknown[there]] -= weight
            else:
                right[row] += weight * image[there]
    filled = image.copy()
    filled[missing] = np.linalg.solve(matrix, right)
    return filled


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_missing_pixels_are_the_weighted_means_of_their_neighbours(share):
    image = normal(1, 12, 15, 3)
    missing = np.random.default_rng(2).random((12, 15)) < share
    missing[:5, :4] = True  # also a whole corner
    fill = jax.jit(noisy_linear, static_argnames="noise")
    found = fill(jnp.asarray(image), jnp.asarray(missing), KEY, noise=0.0)
    np.testing.assert_allclose(found, by_hand(image.astype(np.float64), missing), atol=1e-4)


def test_the_noise_lies_on_missing_pixels_alone():
    image, missing = normal(1, 40, 40, 3), np.zeros((40, 40), bool)
    missing[10:35, 5:30] = True
    plain = noisy_linear(jnp.asarray(image), jnp.asarray(missing), KEY, noise=0.0)
    noisy = noisy_linear(jnp.asarray(image), jnp.asarray(missing), KEY, noise=0.1)
    np.testing.assert_array_equal(noisy[~missing], image[~missing])
    assert np.std((noisy - plain)[missing]) == pytest.approx(0.1, rel=0.05)


def test_a_picture_of_which_all_or_nothing_is_missing():
    image = jnp.asarray(normal(1, 6, 6, 3))
    np.testing.assert_array_equal(noisy_linear(image, jnp.zeros((6, 6), bool), KEY), image)
    assert not np.any(noisy_linear(image, jnp.ones((6, 6), bool), KEY, noise=0.0))
