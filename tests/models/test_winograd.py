"""Winograd's convolution against XLA's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galore.models import winograd


@pytest.mark.parametrize("height, width", [(7, 8), (6, 5), (1, 1)])
def test_it_is_a_convolution_with_one_zero_around_the_image(height, width):
    generator = np.random.default_rng(0)
    x = jnp.asarray(generator.standard_normal((2, height, width, 3)), jnp.float32)
    kernel = jnp.asarray(generator.standard_normal((3, 3, 3, 4)), jnp.float32)

    def plain(x, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), ((1, 1), (1, 1)), dimension_numbers=numbers)

    @jax.jit
    def value_and_gradients(x, kernel):
        found = [jax.vjp(function, x, kernel) for function in (plain, winograd.convolve_3x3)]
        return [(y, pullback(jnp.sin(found[0][0]))) for y, pullback in found]

    expected, found = value_and_gradients(x, kernel)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "size, channels, kernel, expected",
    [
        (56, 64, 3, True),
        (28, 512, 3, True),
        (224, 64, 3, False),
        (14, 256, 3, False),
        (56, 64, 1, False),
        (224, 3, 3, False),
    ],
)
def test_it_pays_where_it_was_measured_to(size, channels, kernel, expected):
    x, kernel = jnp.zeros((1, size, size, channels)), jnp.zeros((kernel, kernel, channels, max(channels, 64)))
    assert winograd.pays(x, kernel) is expected
