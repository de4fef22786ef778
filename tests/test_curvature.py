"""The second derivative along each location, whatever the head begins with, is the block of the Hessian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galore.confidence import softmax_score
from galore.curvature import location_curvature
from galore.cutting import flops
from galore.head_structure import DenseFirst, SumFirst, structure

HEIGHT, WIDTH, DEPTH, CLASSES = 4, 4, 3, 5


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


F = abs(normal(0, HEIGHT, WIDTH, DEPTH))
KERNEL, WIDE, OUT = normal(1, DEPTH, CLASSES), normal(2, HEIGHT * WIDTH * DEPTH, 8) / 3, normal(3, 8, CLASSES)


def windows(G, size, stride):
    return jax.lax.reduce_window(G, -jnp.inf, jax.lax.max, (size, size, 1), (stride, stride, 1), "VALID").reshape(-1)


def dense(x):
    return jnp.tanh(x @ WIDE[: x.size]) @ OUT


def layers(x):
    return jax.nn.relu(x @ WIDE[: x.size]) @ OUT


def convolved(G):
    kernel = normal(4, 3, 3, DEPTH, DEPTH)
    out = jax.lax.conv_general_dilated(G[None], kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return jax.nn.relu(out[0])


HEADS = {
    "pooled": (lambda G: 5 * G.mean((0, 1)) @ KERNEL, SumFirst),
    "flattened": (lambda G: dense(G.reshape(-1)), DenseFirst),
    "separate windows": (lambda G: dense(windows(G, 2, 2)), DenseFirst),
    "overlapping windows": (lambda G: dense(windows(G, 3, 1)), DenseFirst),
    "a curved beginning": (lambda G: dense((G**3).reshape(-1)), DenseFirst),
    "layers with ReLU": (lambda G: layers(G.reshape(-1)), DenseFirst),
    "a convolution": (lambda G: layers(convolved(G).reshape(-1)), type(None)),
    "one truth value": (lambda G: OUT[0] * (G.mean() > 0), type(None)),
    "unknown": (lambda G: jnp.sort(G.reshape(-1)) @ WIDE @ OUT, type(None)),
}


@pytest.mark.parametrize("chunk", [5, 256])
@pytest.mark.parametrize("name", HEADS)
def test_equals_the_block_of_the_hessian(name, chunk):
    head, expected_structure = HEADS[name]
    score = lambda G: softmax_score(head(G))  # noqa: E731
    assert type(structure(score, F)) is expected_structure
    hessian = np.asarray(jax.jit(jax.hessian(score))(F)).reshape(HEIGHT * WIDTH, DEPTH, HEIGHT * WIDTH, DEPTH)
    cells = np.asarray(F).reshape(-1, DEPTH)
    expected = [cells[i] @ hessian[i, :, i] @ cells[i] for i in range(HEIGHT * WIDTH)]
    actual = jax.jit(lambda F: location_curvature(score, F, chunk))(F)
    np.testing.assert_allclose(actual.reshape(-1), expected, rtol=2e-4, atol=1e-6)


def test_several_scores_and_images_at_once():
    head, _ = HEADS["separate windows"]
    scores = lambda G: jax.nn.softmax(head(G))[:2]  # noqa: E731
    several = jax.jit(jax.vmap(lambda G: location_curvature(scores, G)))(jnp.stack([F, 2 * F]))
    assert several.shape == (2, 2, HEIGHT, WIDTH)
    alone = jax.jit(lambda F: location_curvature(lambda G: scores(G)[1], 2 * F))(F)
    np.testing.assert_allclose(several[1, 1], alone, rtol=1e-4, atol=1e-6)


def test_what_is_piecewise_linear_is_passed_once_a_location():
    hidden, out = normal(5, HEIGHT * WIDTH * DEPTH, 64), normal(6, 64, 64)
    score = lambda G: softmax_score(jax.nn.relu(G.reshape(-1) @ hidden) @ out)  # noqa: E731
    behind = 2 * 64 * 64
    once = 2 * hidden.size * 2 + (HEIGHT * WIDTH + 1) * behind
    assert once < flops.count(lambda F: location_curvature(score, F), F).flops < 1.5 * once
