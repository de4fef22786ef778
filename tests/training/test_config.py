import dataclasses

import pytest

from galore.errors import InputError
from galore.experiment import config as composed
from galore.options import from_mapping
from galore.training import architectures, task
from galore.training.config import FirstStage, ModelConfig, TrainConfig


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
        ("first_stage", 3, "options by name or null"),
        ("pixel_mean", 0.5, "a list or null"),
        ("compute", "float16", "one of float32, bfloat16"),
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
        (TrainConfig, {"alexnet_network": "alex"}, "unknown network 'alex'"),
        (TrainConfig, {"pixel_std": [0.5]}, r"train.pixel_std=\[0.5\]: expected red, green and blue"),
        (TrainConfig, {"first_stage": {"epochs": 2}}, "first_stage comes before a joint training"),
        (TrainConfig, {"first_stage": {"epoch": 2}}, "unknown option train.first_stage.epoch: the closest .*epochs"),
        (TrainConfig, {"first_stage": {"epochs": 0}}, "train.first_stage.epochs=0: expected a whole number from 1"),
    ],
)
def test_options_that_do_not_exist_or_do_not_fit_together_are_refused(config, options, message):
    with pytest.raises(InputError, match=message):
        from_mapping(config, options)


AUTHORS = {
    # Two stages: first the classifier alone, batch 64, 60 epochs, times 0.1 at epoch 40; then jointly, batch 128, 60
    # epochs, times 0.95 an epoch.
    "first_stage.batch_size": 64,
    "first_stage.epochs": 60,
    "first_stage.decay": 0.1,
    "first_stage.decay_every": 40,
    "hardness": "joint",
    "batch_size": 128,
    "epochs": 60,
    "decay": 0.95,
    "decay_every": 1,
    # Classifier: SGD 0.001, momentum 0.9, weight decay 1e-4. Predictor: Adam 1e-5, weight decay 1e-3.
    "optimiser": "authors",
    "learning_rate": 0.001,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "predictor_learning_rate": 1e-5,
    "predictor_weight_decay": 1e-3,
    "label_smoothing": 0.0,
    # A trunk of the same architecture with 1000 outputs, then linear layers of 1000, 100 and 1.
    "hardness_trunk": "own",
    "hardness_widths": (1000, 1000, 100),
    # Everything is trained; random resized crops of the photos, and flips; incomplete batches count.
    "from_layer": None,
    "frozen_statistics": False,
    "crop_scale": 0.08,
    "crops_from": "files",
    "flip": True,
    "early_size": None,
    "keep_last_batch": True,
    "pixel_mean": (0.471, 0.460, 0.454),
    "pixel_std": (0.267, 0.266, 0.271),
    # The last epoch is used, not the best.
    "validation": 0.0,
    "patience": None,
    # The advanced user is an AlexNet with ImageNet weights, fine-tuned in the same way.
    "students": ("alexnet",),
    "alexnet_network": "alexnet",
    "alexnet_weights": "imagenet",
    "compute": "float32",
}
"""The papers' training, value by value (docs/training.md says where each was read)."""
LAYERS = {"alexnet": "conv5", "vgg16": "conv5_3", "vgg16_bn": "conv5_3", "resnet34": "layer4", "resnet50": "layer4"}


@pytest.mark.parametrize("network", LAYERS)
def test_the_authors_training_has_the_values_of_the_papers(network):
    composition = composed.plain(composed.compose(["dataset=cub", f"model={network}", "train=authors"], "training"))
    options, model = composition["train"], composition["model"]
    model.pop("checkpoint")
    config, found = from_mapping(TrainConfig, options), from_mapping(ModelConfig, model)
    values = composed.flat(dataclasses.asdict(config))
    assert {name: values[name] for name in AUTHORS} == AUTHORS
    assert (found.layer, found.weights, found.size) == (LAYERS[network], "imagenet", None)
    assert not set(options) & set(config.idle), "an option that does nothing is not listed"


def test_the_authors_training_sees_crops_of_224_pixels_of_photos_resized_to_256_by_their_own_statistics():
    config = TrainConfig(pixel_mean=AUTHORS["pixel_mean"], pixel_std=AUTHORS["pixel_std"])
    description, _ = task.start(config, ModelConfig("small_cnn_narrow"), ("a", "b"))
    assert (description.preprocessing.mean, description.preprocessing.std) == (config.pixel_mean, config.pixel_std)
    usual = architectures.preprocessing("resnet50")
    assert (usual.resize, usual.crop) == (256, 224)


def test_the_classifier_alone_is_trained_as_the_first_stage_says():
    config = TrainConfig(hardness="joint", hardness_trunk="own", first_stage=FirstStage(epochs=3, batch_size=7))
    alone = config.of_classifier_alone
    assert (alone.epochs, alone.batch_size, alone.decay, alone.decay_every) == (3, 7, 0.1, 40)
    assert (alone.first_stage, alone.hardness, alone.hardness_trunk) == (None, "none", "classifier")


def test_options_that_change_nothing_are_known():
    assert {"views", "momentum", "alexnet_weights", "hardness_folds"} <= set(TrainConfig().idle)
    assert TrainConfig().idle["hardness_trunk"] == "hardness=held_out"
    busy = TrainConfig(
        from_layer="conv1", optimiser="authors", hardness="joint", students=("few_shot", "small_cnn", "alexnet")
    )
    assert set(busy.idle) == {"hardness_folds"}
