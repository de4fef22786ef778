"""Real models of other packages, with random weights: the lighter ones of scripts/third_party_models.py."""

import pytest

from scripts import third_party_models as script

LIGHT = ("equinox_cnn", "haiku_resnet18", "keras_mobilenet_v2")


@pytest.mark.slow
@pytest.mark.parametrize("trial", LIGHT)
def test_maps_are_the_gradients_of_the_untouched_model(trial):
    """About 20 s together, nearly all of it compilation."""
    row = script.judged(getattr(script, trial)())
    assert row["map_error"] < 1e-5 and row["logit_error"] < 1e-5
