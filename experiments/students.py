"""Trains the weaker networks that play the users: one sees few images, the other is a small CNN."""

from typing import Any

import numpy as np
from fit_classifier import Plan, train_classifier
from omegaconf import OmegaConf
from setting import Setting, Show, prepare

from galore.data.dataset import PartDataset, SceneDataset


def answers(
    setting: Setting, dataset: PartDataset | SceneDataset, test: np.ndarray, show: Show
) -> dict[str, np.ndarray]:
    """The classes that the students of `train.students` predict for the test images.

    Args:
        setting: of the run.
        dataset: all images.
        test: rows of the test images.
        show: the progress.

    Returns:
        "student", the first of them, who plays the advanced user (-1 without one), and each by name:
        "student_few_shot", "student_small_cnn".
    """
    names = list(setting.train.students)
    is_cached = setting.cut is not None
    # Where layers are frozen, few images train the same network; else it would be as weak as slow.
    small = small_cnn(dataset, setting.train, show) if names and not (is_cached and names == ["few_shot"]) else setting
    chosen = {"few_shot": setting if is_cached else small, "small_cnn": small}
    found = {f"student_{name}": answer(name, chosen[name], test, show) for name in names}
    return {"student": found[f"student_{names[0]}"] if names else np.full(len(test), -1)} | found


def answer(name: str, setting: Setting, test: np.ndarray, show: Show) -> np.ndarray:
    """Trains one student on all training images, or on `train.shots` of each class, and asks it."""
    train, labels = setting.train, setting.labels[setting.training]
    rows = few_of_each(labels, train.shots, train.seed) if name == "few_shot" else np.arange(len(labels))
    plan = Plan(setting, rows, rows[:0], train[f"{name}_epochs"])
    params = train_classifier(plan, show, f"student, {name.replace('_', ' ')}")
    return setting.outputs(params, test)[1].argmax(-1)


def small_cnn(dataset: PartDataset | SceneDataset, train: Any, show: Show) -> Setting:
    """The same images for a small CNN in the spirit of AlexNet, from random parameters."""
    alone = {
        "from_layer": None, "frozen_statistics": False, "hardness": "none", "optimiser": "muon", "learning_rate": 0.02,
        "weight_decay": 0.01, "batch_size": 32, "early_size": None, "crop_scale": 0.7, "crops_from": "memory",
    }  # fmt: skip
    model = {"name": train.small_cnn_network, "layer": None, "weights": None, "size": None}
    return prepare(dataset, OmegaConf.merge(train, alone), OmegaConf.create(model), show)


def few_of_each(labels: np.ndarray, shots: int, seed: int) -> np.ndarray:
    """Positions of a few images of every class."""
    rng = np.random.default_rng((seed, 5))
    return np.concatenate([rng.permutation(np.flatnonzero(labels == label))[:shots] for label in np.unique(labels)])
