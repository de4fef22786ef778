"""Pooling and depthwise convolution against slow, obvious definitions and XLA's own operations."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from galore import InputError
from galore.models import layers
from galore.training import architectures


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vgg16", ["conv2_2", "conv3_3", "conv4_3", "conv5_3"]),
        ("vgg16_bn_narrow", ["conv2_2", "conv3_3", "conv4_3", "conv5_3"]),
        ("resnet50", ["layer1", "layer2", "layer3", "layer4"]),
        ("alexnet", ["conv2", "conv3", "conv4", "conv5"]),
        ("small_cnn", ["conv1", "conv2", "conv3", "conv4"]),
        ("efficientnet_lite0", ["stage2", "stage3", "stage5", "stage7", "conv_head"]),
    ],
)
def test_the_layers_that_ablations_compare(name, expected):
    module = architectures.module(name, 3)
    assert module.compared_layers() == expected
    assert [layer for layer in module.layers() if layer in expected] == expected


def image(height, width, channels=3, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal((height, width, channels)), jnp.float32)


@settings(max_examples=6, deadline=None)
@given(st.integers(1, 17), st.integers(1, 17), st.sampled_from([3, 5]), st.sampled_from([1, 2]))
def test_shifted_products_are_a_grouped_convolution_with_same_padding(height, width, size, stride):
    x, kernel = image(height, width)[None], image(size, size, seed=1)[:, :, None]
    found, expected = (
        jax.jit(lambda x, kernel, way=way: way(x, kernel, stride))(x, kernel)
        for way in (layers._shifted_products, layers._grouped_convolution)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_depthwise_convolution_takes_one_example_or_a_batch():
    convolution = layers.DepthwiseConv(3, 3, 2, rngs=nnx.Rngs(0))
    x = jnp.stack([image(9, 8), image(9, 8, seed=1)])
    assert convolution(x[0]).shape == (5, 4, 3)
    np.testing.assert_allclose(convolution(x)[1], convolution(x[1]), atol=1e-6)
    np.testing.assert_allclose(jax.vmap(convolution)(x), convolution(x), atol=1e-6)


@pytest.mark.parametrize("size, stride, padding", [(2, 2, 0), (3, 2, 0), (3, 2, 1)])
def test_max_pool_is_the_windowed_reduction(size, stride, padding):
    x = image(9, 12)
    windows = (size, size, 1), (stride, stride, 1), ((padding, padding), (padding, padding), (0, 0))
    np.testing.assert_array_equal(
        layers.max_pool(x, size, stride, padding), jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, *windows)
    )


def test_of_equal_values_the_first_takes_the_gradient():
    x = jnp.zeros((4, 4, 1)).at[2, 3].set(1.0)
    gradient = jax.grad(lambda x: layers.max_pool(x, 2, 2).sum())(x)[..., 0]
    np.testing.assert_array_equal(gradient, [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 1], [0, 0, 0, 0]])


def test_max_pool_shows_nan():
    for position in itertools.product(range(2), range(2)):
        assert jnp.isnan(layers.max_pool(image(2, 2).at[position].set(jnp.nan), 2, 2)).all()


def test_an_image_too_small_to_pool_is_an_error():
    with pytest.raises(InputError, match="too small"):
        layers.max_pool(image(1, 5), 2, 2)


@pytest.mark.parametrize("height, width, size", [(7, 7, 7), (13, 6, 6), (3, 10, 7), (1, 14, 7)])
def test_adaptive_pooling_averages_torchs_regions(height, width, size):
    x = image(height, width)
    found, x = np.asarray(layers.adaptive_average_pool(x, size)), np.asarray(x)
    for i, j in itertools.product(range(size), range(size)):
        rows = slice(math.floor(i * height / size), math.ceil((i + 1) * height / size))
        columns = slice(math.floor(j * width / size), math.ceil((j + 1) * width / size))
        np.testing.assert_allclose(found[i, j], x[rows, columns].mean((0, 1)), rtol=1e-4, atol=1e-6)


def test_average_pool_and_flattening():
    x = image(4, 5)
    np.testing.assert_allclose(layers.average_pool(x), x.mean((0, 1)), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(layers.flatten_channels_first(x), x.transpose(2, 0, 1).ravel())
