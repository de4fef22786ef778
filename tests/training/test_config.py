import dataclasses

import pytest

from galore.errors import InputError
from galore.options import from_mapping
from galore.training.config import ModelConfig, TrainConfig


def test_plain_options_become_typed_ones():
    options = {"epochs": 3, "validation": 0, "hardness": "cross_fit", "hardness_widths": [8, 4], "students": []}
    config = from_mapping(TrainConfig, options)
    assert (config.epochs, config.hardness_widths, config.students) == (3, (8, 4), ())
    assert config.validation == 0 and type(config.validation) is float
    assert from_mapping(ModelConfig, {"name": "resnet18", "size": 64}) == ModelConfig("resnet18", None, None, 64)
    assert from_mapping(TrainConfig, dataclasses.asdict(TrainConfig())) == TrainConfig()


@pytest.mark.robust("options")
@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("epochs", "3", "a whole number from 1 to 1000000"),
        ("epochs", True, "a whole number from 1 to 1000000"),
        ("epochs", 3.0, "a whole number from 1 to 1000000"),
        ("epochs", 0, "a whole number from 1 to 1000000"),
        ("batch_size", None, "a whole number from 1 to 1000000"),
        ("views", [2], "a whole number from 1 to 1000000"),
        ("seed", -1, "a whole number from 0 to 4294967295"),
        ("hardness_folds", 1, "a whole number from 2 to 1000000"),
        ("early_size", "64", "a number of pixels from 1 to 4096 or null"),
        ("early_size", 1_000_000, "a number of pixels from 1 to 4096 or null"),
        ("epochs", 10**12, "a whole number from 1 to 1000000"),
        ("seed", 2**32, "a whole number from 0 to 4294967295"),
        ("patience", False, "a whole number from 1 to 1000000 or null"),
        ("learning_rate", "0.1", "a number above 0, such as 0.001"),
        ("learning_rate", 0, "a number above 0, such as 0.001"),
        ("learning_rate", -1.0, "a number above 0, such as 0.001"),
        ("learning_rate", float("nan"), "a number above 0, such as 0.001"),
        ("learning_rate", float("inf"), "a number above 0, such as 0.001"),
        ("learning_rate", True, "a number above 0, such as 0.001"),
        ("learning_rate", None, "a number above 0, such as 0.001"),
        ("weight_decay", -0.1, "a number of at least 0"),
        ("label_smoothing", 1, "a number from 0 to below 1"),
        ("early_share", 1.5, "a number from 0 to 1"),
        ("crop_scale", 0, "a number above 0, up to 1"),
        ("validation", 1.0, "a number from 0 to below 1"),
        ("flip", 1, "true or false"),
        ("frozen_statistics", "false", "true or false"),
        ("from_layer", 4, "text or null"),
        ("small_cnn_network", None, "text"),
        ("optimiser", "sgd", "one of muon, one_cycle, authors"),
        ("crops_from", True, "one of memory, files"),
        ("hardness", None, "one of none, held_out, cross_fit, joint"),
        ("hardness_widths", 64, "a list"),
        ("students", "few_shot", "a list"),
    ],
)
def test_a_wrong_type_or_value_is_refused(name, value, expected):
    with pytest.raises(InputError) as caught:
        from_mapping(TrainConfig, {name: value})
    assert str(caught.value) == f"train.{name}={value!r}: expected {expected}"


@pytest.mark.robust("options")
@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (TrainConfig, {"hardness_widths": [64, "8"]}, "train.hardness_widths has '8': expected a whole number"),
        (TrainConfig, {"hardness_widths": [True]}, "train.hardness_widths has True: expected a whole number"),
        (TrainConfig, {"students": ["fewshot"]}, "train.students has 'fewshot': expected one of few_shot, small_cnn"),
        (TrainConfig, {"epoch": 3}, "unknown option train.epoch: the closest .*epochs"),
        (TrainConfig, {"zzz": 3}, "unknown option train.zzz: expected some of name, seed, "),
        (ModelConfig, {"checkpoint": "here"}, "unknown option model.checkpoint: "),
        (ModelConfig, {"name": 18}, "model.name=18: expected text"),
        (ModelConfig, {"layer": 4}, "model.layer=4: expected text or null"),
        (ModelConfig, {"size": 0}, "model.size=0: expected a number of pixels from 1 to 4096 or null"),
        (TrainConfig, {"validation": 0}, "train.hardness=held_out needs held-out images"),
        (TrainConfig, {"validation": 0, "hardness": "none", "patience": 2}, "train.patience needs held-out images"),
        (TrainConfig, {"hardness_trunk": "own"}, "give train.hardness=joint"),
        (
            TrainConfig,
            {"hardness_trunk": "own", "hardness": "joint", "hardness_widths": []},
            "train.hardness_widths=.*: expected at least one width",
        ),
        (TrainConfig, {"small_cnn_network": "smal_cnn"}, "unknown network 'smal_cnn'"),
    ],
)
def test_options_that_do_not_exist_or_do_not_fit_together_are_refused(config, options, message):
    with pytest.raises(InputError, match=message):
        from_mapping(config, options)
