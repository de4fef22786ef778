import dataclasses

import jax
import numpy as np
import pytest
from heads import plain_network
from scipy.signal import correlate

from galore.benchmark import precision, workloads
from galore.precision import Precision

NET = plain_network()
WORKS = ("forward", "attributive", "discriminant", "deliberative", "second order")


@pytest.fixture(scope="module")
def given():
    return precision.reference(NET, WORKS, precision.noise(16))


def activation(image):
    """The convolution and the ReLU in numpy, in double precision: stride 2, one zero behind the last row and column."""
    padded = np.pad(image.astype(np.float64), ((0, 1), (0, 1), (0, 0)))
    kernel = np.asarray(NET.params["convolution"], np.float64)
    outputs = [sum(correlate(padded[..., c], kernel[..., c, d], "valid") for c in range(3))[::2, ::2] for d in range(6)]
    return np.maximum(np.stack(outputs, axis=-1), 0)


def test_the_reference_is_the_closed_form_in_double_precision(given):
    kernel, bias = (np.asarray(NET.params[name], np.float64) for name in ("kernel", "bias"))
    for k, image in enumerate(given.images):
        F = activation(image)
        logits = F.mean((0, 1)) @ kernel + bias
        np.testing.assert_allclose(given.answers["forward"][k], logits, rtol=1e-12)
        assert list(given.asked.classes[k]) == list(np.argsort(-logits))
        class_map = F @ kernel[:, logits.argmax()] / 64
        expected = np.where(class_map < 0, 1e-7, class_map)
        np.testing.assert_allclose(given.answers["attributive"][k], expected, rtol=1e-12)
    assert not jax.config.jax_enable_x64


def test_logits_that_lie_hundreds_apart_are_brought_together_without_rounding(given):
    """Their confidence would be 1, and its map zero, in every precision."""
    wide = dataclasses.replace(
        NET, params=NET.params | {name: NET.params[name] * 2.0**20 for name in ("kernel", "bias")}
    )
    brought = precision.reference(wide, WORKS, precision.noise(16))
    spread = np.std(brought.answers["forward"], axis=1).max()
    assert precision.WIDEST / 2 < spread <= precision.WIDEST
    factor = brought.answers["forward"] / given.answers["forward"]
    assert (factor == factor.flat[0]).all() and np.log2(factor.flat[0]) % 1 == 0
    np.testing.assert_array_equal(brought.asked.classes, given.asked.classes)
    errors = precision.errors(brought, Precision.HIGHEST)
    assert all(0 < errors[work] < 1e-5 for work in WORKS)


def test_float32_is_right_to_six_digits_and_products_of_bfloat16_to_two(given):
    exact, mixed, rounded = (
        precision.errors(given, p) for p in (Precision.HIGHEST, Precision.MIXED, Precision.BFLOAT16)
    )
    assert set(exact) == set(mixed) == set(rounded) == set(WORKS)
    for work in WORKS:
        assert 0 < exact[work] < 1e-5 < 1e-3 < mixed[work] < 0.02 and 1e-3 < rounded[work] < 0.1


def test_the_error_is_that_of_the_worst_cell_of_the_worst_image_relative_to_its_largest_value():
    exact = np.array([[[1.0, -4.0]], [[2.0, 0.0]]])
    off = np.array([[[0.0, 0.0]], [[0.1, 0.5]]])
    assert precision._error(exact + off, exact) == pytest.approx(0.25)
    assert precision._error(exact * 1.5, exact) == pytest.approx(0.5)


def test_works_are_called_as_in_the_benchmark():
    assert set(precision.ANSWERS) <= set(workloads.WORKLOADS)
