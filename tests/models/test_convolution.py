"""Every way of convolving is the same convolution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from galore.models import convolution


@pytest.mark.parametrize(
    "size, channels, kernel, strides, padding",
    [
        pytest.param(7, 3, 1, 2, 0, id="1 x 1"),
        pytest.param(28, 64, 3, 1, 1, id="Winograd"),
        pytest.param(8, 5, 3, 1, 1, id="small"),
        pytest.param(1, 2, 3, 1, 1, id="one pixel"),
        pytest.param(8, 5, 3, 2, 1, id="stride"),
        pytest.param(8, 5, 3, 1, 0, id="no padding"),
        pytest.param(12, 5, 3, 1, 1, id="none of the cases"),
    ],
)
def test_every_case_is_the_convolution_that_flax_makes(size, channels, kernel, strides, padding):
    ours, flax = (
        nnx.Conv(channels, 64, (kernel, kernel), strides, padding=padding, use_bias=False, rngs=nnx.Rngs(0), **more)
        for more in ({"conv_general_dilated": convolution.convolve}, {})
    )
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, size, size - size // 4, channels)), jnp.float32)

    @jax.jit
    def value_and_gradient(conv, x):
        y, pullback = jax.vjp(conv, x)
        return y, pullback(jnp.sin(y))

    for found, expected in zip(value_and_gradient(ours, x), value_and_gradient(flax, x)):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_small_image_is_one_matrix_product_on_a_cpu():
    conv = nnx.Conv(64, 64, (3, 3), padding=1, conv_general_dilated=convolution.convolve, rngs=nnx.Rngs(0))
    program = jax.jit(conv).lower(jnp.zeros((1, 7, 7, 64))).compile().as_text()
    assert " convolution(" not in program and "__onednn$convolution" not in program
