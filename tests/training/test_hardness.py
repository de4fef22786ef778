import jax
import numpy as np
import pytest

from galore.data.preprocessing import Preprocessing
from galore.errors import InputError
from galore.models.factory import draw
from galore.training import architectures, evaluation, hardness, losses

RNG = np.random.default_rng(0)

ACTIVATION = jax.random.normal(jax.random.key(0), (4, 3, 3, 5))


def test_hardness_lies_between_zero_and_one_and_depends_on_the_mean_over_positions():
    module = hardness.module(5, (8, 4))
    params = draw(architectures.shapes(module), 0)
    forward = jax.jit(architectures.training_forward(module))
    k, _ = forward(params, ACTIVATION, jax.random.key(1))
    assert k.shape == (4,) and bool(((k > 0) & (k < 1)).all())
    pooled = ACTIVATION.mean((1, 2), keepdims=True)
    np.testing.assert_allclose(forward(params, pooled, jax.random.key(1))[0], k, rtol=1e-5)


def test_as_a_confidence_it_is_one_minus_the_hardness():
    module = hardness.module(5, (8,))
    params = hardness.prefixed(draw(architectures.shapes(module), 0))
    predictor = hardness.as_confidence(params, module)
    easiness = predictor.head(predictor.params, ACTIVATION[0])
    x = np.asarray(ACTIVATION[0].mean((0, 1)))
    own = {name: np.asarray(value) for name, value in hardness.own(params).items()}
    # Statistics at their start, mean 0 and variance 1, only divide by the root of 1 + epsilon.
    x = x / np.sqrt(1 + 1e-5)
    x = np.maximum((x @ own["linears.0.kernel"] + own["linears.0.bias"]) / np.sqrt(1 + 1e-5), 0)
    k = 1 / (1 + np.exp(-(x @ own["linears.1.kernel"] + own["linears.1.bias"])))
    np.testing.assert_allclose(easiness, 1 - k[0], rtol=1e-5)


def test_the_authors_widths():
    shapes = architectures.shapes(hardness.module(512, (1000, 1000, 100)))
    assert shapes["linears.0.kernel"].shape == (512, 1000)
    assert shapes["linears.3.kernel"].shape == (100, 1)


def test_a_trunk_of_its_own_by_hand():
    structure = hardness.with_trunk("small_cnn_narrow", (6, 4))
    own = draw(architectures.shapes(structure), 0)
    predictor = hardness.network_as_confidence(hardness.prefixed(own), structure, "conv3")
    image = jax.random.normal(jax.random.key(0), (32, 32, 3))
    activation = jax.jit(predictor.features)(predictor.params, image)
    trunk = architectures.network(
        "small_cnn_narrow", {name.removeprefix("trunk."): value for name, value in own.items()},
        layer="conv3", class_names=tuple("abcdef"), preprocessing=Preprocessing(32, 32),
    )  # fmt: skip
    expected, logits = jax.jit(trunk)(image)
    np.testing.assert_allclose(activation, expected, rtol=1e-5)
    x = np.asarray(logits)
    for number in (0, 1):
        x = np.maximum(x / np.sqrt(1 + 1e-5), 0)
        x = x @ np.asarray(own[f"linears.{number}.kernel"]) + np.asarray(own[f"linears.{number}.bias"])
    np.testing.assert_allclose(predictor.head(predictor.params, activation), 1 - 1 / (1 + np.exp(-x[0])), rtol=1e-4)


def test_folds_deal_every_class_evenly():
    labels = np.repeat([0, 1, 2], [10, 11, 3])
    fold = hardness.folds(labels, 5, seed=0)
    for label in range(3):
        counts = np.bincount(fold[labels == label], minlength=5)
        assert counts.max() - counts.min() <= 1
    with pytest.raises(InputError, match="at least 2"):
        hardness.folds(labels, 1, seed=0)


def test_cross_fitting_never_keeps_a_value_for_an_image_that_was_trained_on():
    fold = hardness.folds(np.zeros(12, int), 3, seed=0)
    values = hardness.cross_fit(lambda trained_on: trained_on.astype(np.float32), fold)
    assert (values == 0).all()


@pytest.mark.parametrize("loss", [losses.hardness_cross_entropy, losses.predictor_loss])
def test_the_predictor_learns_which_images_are_hard(loss):
    features = RNG.normal(size=(400, 6)).astype(np.float32)
    probability = (1 / (1 + np.exp(-3 * features[:, 0]))).astype(np.float32)
    options = {"widths": (16,), "seed": 0, "steps": 200, "learning_rate": 5e-3, "dropout": 0.1}
    params = hardness.train(features[:200], probability[:200], loss=loss, **options)
    k = hardness.predict(params, features[200:], hardness.module(6, (16,)))
    assert evaluation.spearman(k, 1 - probability[200:]) > 0.85
    again = hardness.train(features[:200], probability[:200], loss=loss, **options)
    assert all((params[name] == again[name]).all() for name in params)
