"""Transformers: maps are made of the grid of patches; the tokens beside it keep their values and have no map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import third_party as others
from compiling import compiled
from flax import nnx

import galore
from galore import InputError, Network, explain

IMAGE = others.IMAGE
GRID = (4, 6)


@pytest.fixture(scope="module")
def module():
    return others.VisionTransformer(nnx.Rngs(0))


@pytest.fixture(scope="module")
def net(module):
    return galore.cut(module, "blocks.0", IMAGE)


@nnx.jit
def tokens(module):
    x = module.patches(IMAGE[None]).reshape(1, 24, 8)
    return module.blocks[0](jnp.concatenate([module.prefix[...], x], 1) + module.positions[...])


def head(module, x):
    return module.head(module.norm(module.blocks[2](module.blocks[1](x)))[:, 0])[0]


def test_the_tokens_beside_the_grid_are_rows_of_their_own(module, net):
    F, logits = compiled(Network.__call__, net, IMAGE)
    assert net.extra_rows == 1 and F.shape == (5, 6, 8)
    x = tokens(module)
    np.testing.assert_allclose(F[:4].reshape(24, 8), x[0, 2:], atol=1e-5)
    np.testing.assert_allclose(F[4, :2], x[0, :2], atol=1e-5)
    np.testing.assert_allclose(logits, nnx.jit(head)(module, x), atol=1e-5)


@pytest.mark.parametrize("attribution", [galore.attribution.gradient_x_activation, galore.attribution.grad_cam])
def test_maps_are_those_of_the_patches_alone(module, net, attribution):
    x = tokens(module)
    gradient = jax.jit(jax.grad(lambda patches: head(module, x.at[:, 2:].set(patches))[1]))(x[:, 2:])[0]
    if attribution is galore.attribution.grad_cam:
        expected = jax.nn.relu(x[0, 2:] @ gradient.mean(0))
    else:
        expected = (gradient * x[0, 2:]).sum(-1)
    maps = jax.jit(lambda net, x: explain.attributive(net, x, 1, attribution=attribution, signs=explain.RAW))(
        net, IMAGE[None]
    ).maps
    np.testing.assert_allclose(maps[0], expected.reshape(GRID), atol=1e-4 * float(jnp.abs(expected).max()))


def test_complement_strengths_and_regions_see_the_patches_alone(net):
    found = jax.jit(explain.discriminant)(net, IMAGE[None], 0, 1)
    assert found.maps.shape == (1, *GRID)
    complement = found.counter_maps.max() - found.counter_maps
    np.testing.assert_allclose(found.maps, found.predicted_maps * complement * found.confidence_maps, rtol=1e-5)
    hesitation = jax.jit(explain.deliberative)(net, IMAGE[None])
    assert hesitation.maps.shape[2:] == GRID
    largest = np.sort(hesitation.maps[0].reshape(len(hesitation.maps[0]), -1))[:, -3:]
    np.testing.assert_allclose(hesitation.strengths[0], largest.mean(1), rtol=1e-5)


@pytest.mark.robust("models that cannot be cut")
@pytest.mark.parametrize("layer", ["blocks.2", "norm"])
def test_where_only_the_class_token_counts_a_better_layer_is_named(module, layer):
    with pytest.raises(InputError, match=rf"behind the layer {layer} the logits see no location.*: cut at blocks\.1"):
        galore.cut(module, layer, IMAGE, check=False)


@pytest.mark.robust("models that cannot be cut")
def test_where_patches_are_normalised_at_once_every_map_would_be_noise(module):
    """What enters the last block's attention is normalised first, so that <gradient, activation> is zero there."""
    with pytest.warns(UserWarning, match=r"the layer blocks\.1 returns grows .* rounding errors; cut at blocks\.0"):
        net = galore.cut(module, "blocks.1", IMAGE)
    F, logits = compiled(Network.__call__, net, IMAGE)
    np.testing.assert_allclose(compiled(Network.logits, net, F.at[:4].multiply(3.0)), logits, atol=1e-5)


def test_the_last_place_with_locations_is_found(module):
    assert galore.cut(module, None, IMAGE).layer == "blocks.0"
    by_mean = others.VisionTransformer(nnx.Rngs(0), by="mean")
    net = galore.cut(by_mean, None, IMAGE, check=False)
    assert net.layer == "behind norm" and net.extra_rows == 0


def test_windows_are_put_together_again():
    windowed = others.Windowed(nnx.Rngs(0))
    cut = galore.cut(windowed, "block", IMAGE, check=False)
    assert jax.eval_shape(cut.activation, IMAGE).shape == (8, 12, 8)
    by_name = {layer.name: layer for layer in galore.layers(windowed, IMAGE)}
    assert by_name["block"].can_be_cut and by_name["block.mix"].grid is None


def test_a_grid_that_cannot_be_followed_can_be_said(module):
    def gathered(model, x):
        x = model.patches(x).reshape(1, 24, 8)[:, jnp.asarray(np.arange(24))]
        x = jnp.concatenate([model.prefix[...], x], 1) + model.positions[...]
        return head(model, model.blocks[0](x))[None]

    with pytest.raises(InputError, match=r"whose locations cannot be followed from the image: say axes="):
        galore.cut(module, "blocks.0", IMAGE, call=gathered)
    said = galore.cut(module, "blocks.0", IMAGE, call=gathered, grid=GRID, prefix=2)
    assert said.extra_rows == 1 and jax.eval_shape(said.activation, IMAGE).shape == (5, 6, 8)


def test_search_exchanges_locations_alone(net):
    F = compiled(Network.activation, net, IMAGE)
    with pytest.raises(InputError, match="has tokens without a location, such as a class token"):
        galore.evaluation.search.exhaustive(net, F, F, 1)
