"""Precision is a setting of a network, and reaches every product of every explanation of it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import compiled
from heads import images, plain_network, smooth_head, smooth_params
from jax.extend import core
from jax.lax import DotAlgorithmPreset
from jax.lax import Precision as OfProduct

from galore import InputError, attribution, explain
from galore.precision import Precision, products_in_bfloat16

DENSE = dataclasses.replace(
    plain_network(), params=plain_network().params | smooth_params(3, 8 * 8 * 6), head=smooth_head
)


def precisions(jaxpr) -> list:
    """Of every product and convolution of a program, whatever is called in it."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            found.append(equation.params["precision"])
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda v: isinstance(v, core.ClosedJaxpr)):
            inner = getattr(value, "jaxpr", value)
            found += precisions(inner) if hasattr(inner, "eqns") else []
    return found


EXPLANATIONS = {
    "discriminant": explain.discriminant,
    "second order": functools.partial(explain.discriminant, confidence_attribution=attribution.second_order),
    "deliberative": lambda net, x, *_: explain.deliberative(net, x),
    "integrated gradients": functools.partial(explain.margin, attribution="integrated_gradients"),
}


@pytest.mark.parametrize("net", [plain_network(), DENSE], ids=["pooled", "dense"])
@pytest.mark.parametrize("name", EXPLANATIONS)
def test_the_highest_precision_is_that_of_every_product(net, name):
    with jax.default_matmul_precision("bfloat16"):
        program = jax.make_jaxpr(EXPLANATIONS[name])(net.with_precision("highest"), images(), 0, 1)
    found = precisions(program.jaxpr)
    assert len(found) > 3 and all(one == (OfProduct.HIGHEST, OfProduct.HIGHEST) for one in found), found


def test_the_high_precision_is_that_of_every_product_of_the_network_and_its_derivatives():
    program = jax.make_jaxpr(jax.jacrev(lambda x: DENSE.with_precision("high")(x)[1]))(images()[0])
    found = precisions(program.jaxpr)
    assert len(found) > 4 and all(one == (OfProduct.HIGH, OfProduct.HIGH) for one in found), found


def test_the_default_precision_is_the_devices_whatever_jax_was_told():
    with jax.default_matmul_precision("highest"):
        program = jax.make_jaxpr(lambda net, x: jax.vmap(net)(x))(DENSE.with_precision("default"), images())
    found = precisions(program.jaxpr)
    assert len(found) == 3 and all(one in (None, (OfProduct.DEFAULT, OfProduct.DEFAULT)) for one in found), found


def test_bfloat16_is_that_of_parameters_and_images():
    ask = jax.jit(explain.discriminant)
    maps = ask(DENSE.with_precision(Precision.BFLOAT16), images(), 0, 1).maps
    expected = ask(DENSE.astype(jnp.bfloat16), images().astype(jnp.bfloat16), 0, 1).maps
    assert maps.dtype == jnp.float32
    np.testing.assert_array_equal(maps, expected)


def test_the_same_setting_is_compiled_once():
    traces = []

    @jax.jit
    def ask(net, x):
        traces.append(None)
        return explain.attributive(net, x)

    for _ in range(2):
        ask(plain_network().with_precision("highest"), images())
    assert len(traces) == 1


def test_another_name_is_refused():
    with pytest.raises(InputError, match="precision 'float16': expected highest, high, default, mixed, bfloat16"):
        plain_network().with_precision("float16")


def operands(jaxpr) -> set:
    """The dtypes of what a program multiplies in convolutions and matrix products, and of all that it adds."""
    found = set()
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated", "add"):
            found |= {(equation.primitive.name, str(one.aval.dtype)) for one in equation.invars}
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda v: isinstance(v, core.ClosedJaxpr)):
            inner = getattr(value, "jaxpr", value)
            found |= operands(inner) if hasattr(inner, "eqns") else set()
    return found


@pytest.mark.parametrize("net", [plain_network(), DENSE], ids=["pooled", "dense"])
@pytest.mark.parametrize("name", EXPLANATIONS)
def test_in_mixed_precision_every_explanation_is_near(net, name):
    ask = functools.partial(compiled, EXPLANATIONS[name])
    exact, rough = (np.asarray(ask(one, images(), 0, 1).maps) for one in (net, net.with_precision("mixed")))
    assert rough.dtype == np.float32 and rough.shape == exact.shape
    assert 0 < np.abs(rough - exact).max() < 0.02 * np.abs(exact).max()


def test_in_mixed_precision_products_are_rounded_and_sums_are_not():
    def network(params, x):
        hidden = jax.nn.relu(jax.lax.conv(x, params["kernel"], (1, 1), "SAME")) + params["bias"]
        return jax.jit(jnp.dot)(hidden.reshape(-1), params["weights"]) + 1

    rng = np.random.default_rng(0)
    params = {"kernel": rng.normal(size=(2, 2, 3, 3)), "bias": np.ones(()), "weights": rng.normal(size=(32, 3))}
    params = jax.tree.map(jnp.float32, params)
    x = jnp.asarray(rng.normal(size=(1, 2, 4, 4)), jnp.float32)
    mixed = products_in_bfloat16(network)
    assert operands(jax.make_jaxpr(mixed)(params, x).jaxpr) == {
        ("conv_general_dilated", "bfloat16"), ("dot_general", "float32"), ("add", "float32")
    }  # fmt: skip
    assert DotAlgorithmPreset.BF16_BF16_F32 in precisions(jax.make_jaxpr(mixed)(params, x).jaxpr)

    def rounded(array):
        return array.astype(jnp.bfloat16).astype(jnp.float32)

    by_hand = jax.lax.conv(rounded(x), rounded(params["kernel"]), (1, 1), "SAME")
    hidden = jnp.maximum(rounded(by_hand), 0) + 1
    expected = rounded(hidden).reshape(-1) @ rounded(params["weights"]) + 1
    np.testing.assert_allclose(mixed(params, x), expected, rtol=1e-5, atol=1e-5)
    assert mixed(params, x).dtype == jnp.float32
    per_image = jax.jit(jax.vmap(jax.grad(lambda x: mixed(params, x)[0])))(jnp.stack([x, 2 * x]))
    assert per_image.shape == (2, *x.shape) and per_image.dtype == jnp.float32
