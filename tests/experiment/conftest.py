"""A few invented birds with a network that knows nothing of them, and the default options at toy size."""

import numpy as np
import pytest
import toys
from omegaconf import open_dict

from galore.data import cub
from galore.data.synthetic import birds as synthetic_birds
from galore.evaluation.test_set import TestSet
from galore.experiment import config
from galore.training import architectures, checkpoint
from galore.training.header import Description

SIZES = {"classes": 3, "per_class": 8, "size": 32, "seed": 0}


@pytest.fixture(scope="session")
def toy() -> TestSet:
    return toys.toy_test_set()


@pytest.fixture
def run(tmp_path) -> list[str]:
    """A few birds and a network that knows nothing of them, as options; there is a run of seed 0 alone."""
    synthetic_birds.write(tmp_path / "birds", synthetic_birds.SyntheticBirds(**SIZES))
    birds = cub.read(tmp_path / "birds")
    test, network = birds.subset(~birds.is_training), "small_cnn_narrow"
    description = Description(network, birds.class_names, architectures.preprocessing(network).at(32), "conv4")
    checkpoint.save(tmp_path / "run-0" / "checkpoints", description, architectures.random_params(network, 3, 0))
    arrays = {"logits": np.eye(3)[test.labels], "student": np.full(len(test), -1)}
    np.savez(tmp_path / "run-0" / "predictions.npz", paths=np.array(test.paths), labels=test.labels, **arrays)
    named = f"model.checkpoint={tmp_path}/run-${{seed}}"
    return [*(f"dataset.{name}={value}" for name, value in SIZES.items()), f"dataset.root={tmp_path}/birds", named]


@pytest.fixture
def cfg():
    """The default options at toy size, as Hydra composes them."""
    composed = config.compose([])
    with open_dict(composed):
        composed.explanation.batch_size = 16
        composed.explanation.edited_images = 12
        composed.explanation.difficult = 20
    return composed
