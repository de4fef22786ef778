import numpy as np
import pytest

from galore.errors import InputError
from galore.training import evaluation, held_out, losses

RNG = np.random.default_rng(0)


def test_folds_deal_every_class_evenly():
    labels = np.repeat([0, 1, 2], [10, 11, 3])
    fold = held_out.folds(labels, 5, seed=0)
    for label in range(3):
        counts = np.bincount(fold[labels == label], minlength=5)
        assert counts.max() - counts.min() <= 1
    with pytest.raises(InputError, match="at least 2"):
        held_out.folds(labels, 1, seed=0)


def test_cross_fitting_never_keeps_a_value_for_an_image_that_was_trained_on():
    fold = held_out.folds(np.zeros(12, int), 3, seed=0)
    values = held_out.cross_fit(lambda trained_on: trained_on.astype(np.float32), fold)
    assert (values == 0).all()


@pytest.mark.parametrize("loss", [losses.hardness_cross_entropy, losses.predictor_loss])
def test_the_predictor_learns_which_images_are_hard(loss):
    features = RNG.normal(size=(400, 6)).astype(np.float32)
    probability = (1 / (1 + np.exp(-3 * features[:, 0]))).astype(np.float32)
    options = {"widths": (16,), "seed": 0, "steps": 200, "learning_rate": 5e-3, "dropout": 0.1}
    params = held_out.fit_predictor(features[:200], probability[:200], loss=loss, **options)
    hardness = held_out.predict(params, features[200:], (16,))
    assert evaluation.spearman(hardness, 1 - probability[200:]) > 0.85
    again = held_out.fit_predictor(features[:200], probability[:200], loss=loss, **options)
    assert all((params[name] == again[name]).all() for name in params)
