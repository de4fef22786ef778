"""Operations are counted as XLA's cost analysis counts them, and where it cannot, as a closed form says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from photographs import tiny_network

from galore import models
from galore.benchmark import workloads
from galore.cutting import flops
from galore.models import factory


def by_cost_analysis(function, *arguments):
    """Of the program that is lowered for an accelerator, where no convolution is taken by Winograd's method."""
    return jax.jit(function).trace(*arguments).lower(lowering_platforms=("cuda",)).cost_analysis()["flops"]


def shapes(batch, size, dtype=jnp.float32):
    return jax.ShapeDtypeStruct((batch, size, size, 3), dtype), jax.ShapeDtypeStruct((batch,), jnp.int32)


@pytest.mark.parametrize("name", models.names())
def test_every_network_counts_as_by_cost_analysis(name):
    """The issue asks for 2 %. Costs a second each: nothing is computed, but the program is traced twice."""
    net = factory.template(name, 1000, None)
    forward, given = workloads.WORKLOADS["forward"], (net, *shapes(2, net.preprocessing.crop))
    assert flops.count(forward, *given).flops == pytest.approx(by_cost_analysis(forward, *given), rel=0.002)


@pytest.mark.parametrize("work", ["discriminant", "deliberative", "grad-cam", "maps of every class"])
def test_explanations_count_as_by_cost_analysis(work):
    net = factory.template("small_cnn", 20, None)
    call, given = workloads.WORKLOADS[work], (net, *shapes(2, 64))
    assert flops.count(call, *given).flops == pytest.approx(by_cost_analysis(call, *given), rel=0.01)


def test_gradients_count_as_by_cost_analysis():
    net = factory.template("small_cnn", 20, None)

    def loss(net, images):
        return jax.vmap(net)(images)[1].sum()

    given = (net, shapes(2, 64)[0])
    expected = by_cost_analysis(jax.grad(loss), *given)
    assert flops.count(jax.grad(loss), *given).flops == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("x", "kernel", "options"),
    [
        ((2, 7, 7, 4), (3, 3, 4, 5), {"padding": "SAME"}),
        ((1, 8, 5, 4), (3, 2, 4, 6), {"padding": "VALID", "window_strides": (2, 1)}),
        ((1, 7, 7, 4), (3, 3, 1, 4), {"padding": "SAME", "feature_group_count": 4}),
        ((1, 9, 9, 2), (3, 3, 2, 2), {"padding": "SAME", "rhs_dilation": (2, 2)}),
        ((1, 4, 4, 2), (3, 3, 2, 2), {"padding": ((2, 2), (2, 2)), "lhs_dilation": (2, 3)}),
        ((4, 5, 5, 2), (3, 3, 2, 6), {"padding": "SAME", "batch_group_count": 2}),
    ],
)
def test_a_convolution_counts_its_products_with_the_image(x, kernel, options):
    """Of ones with ones: each product adds one to the result, those with zeros around or between add nothing."""
    options = {"window_strides": (1, 1), "dimension_numbers": ("NHWC", "HWIO", "NHWC"), **options}
    convolve = lambda x, k: jax.lax.conv_general_dilated(x, k, **options)  # noqa: E731
    ones = jnp.ones(x), jnp.ones(kernel)
    assert flops.count(convolve, *ones).flops == 2 * convolve(*ones).sum()


def test_what_a_loop_repeats_counts_as_often_and_what_nobody_needs_not_at_all():
    x = jnp.ones((4, 4))

    def function(x):
        unused = x @ x @ x
        del unused
        return jax.lax.fori_loop(0, 5, lambda _, y: y @ x, x)

    assert flops.count(function, x) == (5 * (2 * 4**3 + 1), 5 * 3 * 64)  # one for the loop's counter


def test_bytes_are_those_of_products():
    first, second = jnp.ones((3, 4), jnp.bfloat16), jnp.ones((4, 5), jnp.bfloat16)
    counted = flops.count(lambda x, y: jax.nn.relu(x @ y), first, second)
    assert counted.bytes == 2 * (12 + 20 + 15)
    assert counted.flops == 2 * 60 + 15


def test_nothing_is_computed_for_a_network_of_ones_own():
    net = tiny_network()
    counted = flops.count(workloads.WORKLOADS["forward"], net, *shapes(3, 16))
    assert counted.flops == pytest.approx(by_cost_analysis(workloads.WORKLOADS["forward"], net, *shapes(3, 16)))
    assert np.isfinite(counted.bytes)
