import jax
import numpy as np

from galore.data.preprocessing import Preprocessing
from galore.models.factory import draw
from galore.training import architectures, forward, hardness

ACTIVATION = jax.random.normal(jax.random.key(0), (4, 3, 3, 5))


def test_hardness_lies_between_zero_and_one_and_depends_on_the_mean_over_positions():
    module = hardness.module(5, (8, 4))
    params = draw(forward.shapes(module), 0)
    k, _ = forward.training_forward(module)(params, ACTIVATION, jax.random.key(1))
    assert k.shape == (4,) and bool(((k > 0) & (k < 1)).all())
    pooled = ACTIVATION.mean((1, 2), keepdims=True)
    np.testing.assert_allclose(forward.training_forward(module)(params, pooled, jax.random.key(1))[0], k, rtol=1e-5)


def test_as_a_confidence_it_is_one_minus_the_hardness():
    shapes = hardness.shapes(5, (8,))
    params = hardness.prefixed(draw(hardness.own(shapes), 0))
    predictor = hardness.as_confidence(params, 5, (8,))
    easiness = predictor.head(predictor.params, ACTIVATION[0])
    x = np.asarray(ACTIVATION[0].mean((0, 1)))
    own = {name: np.asarray(value) for name, value in hardness.own(params).items()}
    # Statistics at their start, mean 0 and variance 1, only divide by the root of 1 + epsilon.
    x = x / np.sqrt(1 + 1e-5)
    x = np.maximum((x @ own["linears.0.kernel"] + own["linears.0.bias"]) / np.sqrt(1 + 1e-5), 0)
    k = 1 / (1 + np.exp(-(x @ own["linears.1.kernel"] + own["linears.1.bias"])))
    np.testing.assert_allclose(easiness, 1 - k[0], rtol=1e-5)


def test_the_authors_widths():
    assert hardness.AUTHORS_WIDTHS == (1000, 1000, 100)
    names = hardness.shapes(512, hardness.AUTHORS_WIDTHS)
    assert names["hardness.linears.0.kernel"].shape == (512, 1000)
    assert names["hardness.linears.3.kernel"].shape == (100, 1)


def test_a_trunk_of_its_own_by_hand():
    structure = hardness.with_trunk("small_cnn_narrow", (6, 4))
    own = draw(forward.shapes(structure), 0)
    predictor = hardness.network_as_confidence(hardness.prefixed(own), structure, "conv3")
    image = jax.random.normal(jax.random.key(0), (32, 32, 3))
    activation = predictor.features(predictor.params, image)
    trunk = architectures.network(
        "small_cnn_narrow", {name.removeprefix("trunk."): value for name, value in own.items()},
        layer="conv3", class_names=tuple("abcdef"), preprocessing=Preprocessing(32, 32),
    )  # fmt: skip
    np.testing.assert_allclose(activation, trunk(image)[0], rtol=1e-5)
    x = np.asarray(trunk(image)[1])
    for number in (0, 1):
        x = np.maximum(x / np.sqrt(1 + 1e-5), 0)
        x = x @ np.asarray(own[f"linears.{number}.kernel"]) + np.asarray(own[f"linears.{number}.bias"])
    np.testing.assert_allclose(predictor.head(predictor.params, activation), 1 - 1 / (1 + np.exp(-x[0])), rtol=1e-4)
