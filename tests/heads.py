"""Small networks whose explanations can be written down, shared by the tests."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from galore import Network

DEPTH, CLASSES = 6, 5


def normal(seed: int, *shape: int):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def activation(seed: int = 0, shape: tuple[int, int, int] = (4, 3, DEPTH)):
    """A positive activation, as after a ReLU."""
    return jnp.asarray(np.random.default_rng(seed).uniform(0.1, 1.0, shape), jnp.float32)


def pooled_linear_head(params, F):
    """Global average pooling and a linear layer."""
    return jnp.mean(F, axis=(0, 1)) @ params["kernel"] + params["bias"]


def smooth_head(params, F):
    """Non-linear and not pooled: every location and channel matters in its own way."""
    hidden = jnp.tanh(F.reshape(-1) @ params["first"])
    return hidden @ params["second"]


@functools.cache
def pooled_linear_params(seed: int = 1, depth: int = DEPTH):
    return {"kernel": normal(seed, depth, CLASSES), "bias": normal(seed + 100, CLASSES)}


@functools.cache
def smooth_params(seed: int = 2, size: int = 4 * 3 * DEPTH):
    return {"first": normal(seed, size, 8) / np.sqrt(size).astype(np.float32), "second": normal(seed + 100, 8, CLASSES)}


def convolution(params, image):
    """One strided convolution and a ReLU: [16, 16, 3] -> [8, 8, DEPTH]."""
    out = jax.lax.conv_general_dilated(
        image[None], params["convolution"], (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jax.nn.relu(out[0])


@functools.cache
def plain_network() -> Network:
    """A network of two plain functions: one convolution, then pooling and a linear layer."""
    params = pooled_linear_params() | {"convolution": 0.3 * normal(7, 3, 3, 3, DEPTH)}
    return Network(params=jax.tree.map(jnp.asarray, params), features=convolution, head=pooled_linear_head)


def images(count: int = 3, seed: int = 5):
    return jnp.asarray(normal(seed, count, 16, 16, 3))
