"""The small network: its named layers, one example or many, and that it learns."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import galore
from galore.errors import InputError
from galore.models.small_cnn import SmallCNN


@pytest.fixture(scope="module")
def model():
    return nnx.view(SmallCNN(5, width=8, rngs=nnx.Rngs(0)), use_running_average=True)


def test_shapes_of_the_layers(model):
    image = jax.ShapeDtypeStruct((96, 96, 3), jnp.float32)
    shapes = {layer: jax.eval_shape(partial(model.features, layer=layer), image).shape for layer in model.layers()}
    assert shapes == {"conv1": (24, 24, 8), "conv2": (24, 24, 16), "conv3": (12, 12, 32), "conv4": (12, 12, 32)}
    assert jax.eval_shape(model, image).shape == (5,)


@pytest.mark.parametrize("layer", ["conv1", "conv2", "conv3", "conv4"])
def test_features_then_head_is_the_network_at_every_cut(model, layer):
    image = jax.random.normal(jax.random.key(0), (16, 16, 3))
    parts, whole = nnx.jit(lambda model: (model.head(model.features(image, layer), layer), model(image)))(model)
    np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-6)


def test_one_example_and_a_batch_agree(model):
    images = jax.random.normal(jax.random.key(1), (3, 16, 16, 3))
    one = nnx.jit(lambda model, x: model(x))
    alone = np.stack([one(model, image) for image in images])
    np.testing.assert_allclose(one(model, images), alone, rtol=1e-4, atol=1e-5)


def test_the_head_is_the_mean_over_positions_and_a_linear_layer(model):
    activation = jax.random.normal(jax.random.key(2), (4, 6, 32))
    expected = activation.mean((0, 1)) @ model.fc.kernel[...] + model.fc.bias[...]
    np.testing.assert_allclose(model.head(activation), expected, rtol=1e-4, atol=1e-5)


def test_an_unknown_layer_is_named(model):
    with pytest.raises(InputError, match="conv5"):
        model.features(jnp.ones((16, 16, 3)), "conv5")


def test_it_can_be_explained():
    """`from_nnx` sees the evaluation mode, on single examples."""
    net = galore.from_nnx(SmallCNN(3, width=8, rngs=nnx.Rngs(0)), layer="conv4")
    activation, logits = jax.jit(net)(jnp.ones((96, 96, 3)))
    assert activation.shape == (12, 12, 32) and logits.shape == (3,)


def test_it_learns():
    """Red against blue images, in thirty steps; about 5 s."""
    model = SmallCNN(2, width=8, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(3e-3), wrt=nnx.Param)
    rng = np.random.default_rng(0)
    labels = np.arange(16) % 2
    images = rng.normal(0, 1, (16, 32, 32, 3)).astype(np.float32)
    images[..., 0] += labels[:, None, None]
    images[..., 2] -= labels[:, None, None]

    @nnx.jit
    def step(model, optimizer):
        def loss(model):
            return optax.softmax_cross_entropy_with_integer_labels(model(jnp.asarray(images)), labels).mean()

        value, gradients = nnx.value_and_grad(loss)(model)
        optimizer.update(model, gradients)
        return value

    losses = [float(step(model, optimizer)) for _ in range(30)]
    assert losses[-1] < 0.1 < 0.3 < losses[0]
