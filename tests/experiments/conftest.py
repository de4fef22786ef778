"""A toy subject: a plain network on small images with parts, or with masks, at random places."""

import dataclasses
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import open_dict

from galore.confidence import Predictor
from galore.data import cub
from galore.data.synthetic.birds import SyntheticBirds, write
from galore.evaluation.subject import Parts, Scenes, Subject
from galore.training import architectures, checkpoint
from galore.training.header import Description
from tests.heads import CLASSES, DEPTH, normal, plain_network

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "experiments"))

IMAGES, PARTS, SIZE = 60, 8, (16, 16)


@pytest.fixture(scope="session")
def toy() -> Subject:
    return toy_subject()


def toy_subject(scenes: bool = False) -> Subject:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (IMAGES, *SIZE, 3)).astype(np.uint8)
    net = plain_network()
    net = dataclasses.replace(net, params=net.params | {"convolution": net.params["convolution"] / 100})
    logits = np.asarray(jax.vmap(net)(jnp.asarray(images, jnp.float32))[1])
    labels = logits.argmax(1).astype(np.int32)
    student = rng.integers(0, CLASSES, IMAGES).astype(np.int32)
    labels[:5] = (labels[:5] + 1) % CLASSES
    distinct = rng.random((CLASSES, CLASSES, PARTS)) < 0.7
    distinct |= distinct.transpose(1, 0, 2)
    if scenes:
        notes = Scenes(rng.integers(0, PARTS + 1, (IMAGES, *SIZE)).astype(np.uint8), SIZE)
    else:
        points = rng.uniform(0, 16, (IMAGES, PARTS, 2)).astype(np.float32)
        box = np.tile(np.array([2.0, 2.0, 12.0, 12.0], np.float32), (IMAGES, 1))
        notes = Parts(points, rng.random((IMAGES, PARTS)) < 0.9, box, SIZE)
    kernel = jnp.asarray(normal(9, DEPTH))
    predictor = Predictor(kernel, lambda k, F: jax.nn.sigmoid(jnp.mean(F, axis=(0, 1)) @ k / 100))
    return Subject(
        net, images, notes, labels, logits, distinct, ~distinct, tuple("abcde"), np.arange(IMAGES), predictor, student
    )


SIZES = {"classes": 3, "per_class": 8, "size": 32, "seed": 0}


@pytest.fixture
def run(tmp_path) -> list[str]:
    """A few birds and a network that knows nothing of them, as options; there is a run of seed 0 alone."""
    write(tmp_path / "birds", SyntheticBirds(**SIZES))
    birds = cub.read(tmp_path / "birds")
    test, network = birds.subset(~birds.is_training), "small_cnn_narrow"
    description = Description(network, birds.class_names, architectures.preprocessing(network).at(32), "conv4")
    checkpoint.save(tmp_path / "run-0" / "checkpoints", description, architectures.random_params(network, 3, 0))
    said = {"logits": np.eye(3)[test.labels], "student": np.full(len(test), -1)}
    np.savez(tmp_path / "run-0" / "predictions.npz", paths=np.array(test.paths), labels=test.labels, **said)
    named = f"model.checkpoint={tmp_path}/run-${{seed}}"
    return [*(f"dataset.{name}={value}" for name, value in SIZES.items()), f"dataset.root={tmp_path}/birds", named]


@pytest.fixture
def cfg():
    """The default options at toy size."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        found = compose("config")
    with open_dict(found):
        found.explanation.batch_size = 16
        found.explanation.edited_images = 12
        found.explanation.difficult = 20
    return found
