"""Refuses options and data that no training can use, before any long work starts."""

from typing import Any

import numpy as np

from galore.data.dataset import PartDataset, SceneDataset
from galore.errors import InputError
from galore.training import architectures, classifier
from galore.training.step import check_batch_size, device_mesh

_KNOWN = {
    "hardness": ("none", "held_out", "cross_fit", "joint"),
    "hardness_trunk": ("classifier", "own"),
    "optimiser": ("one_cycle", "muon", "authors"),
    "crops_from": ("memory", "files"),
}
_COUNTS = (
    "epochs", "batch_size", "evaluate_every", "save_every", "threads", "views", "shots", "few_shot_epochs",
    "small_cnn_epochs",
)  # fmt: skip
_STUDENTS = ("few_shot", "small_cnn")


def check_dataset(dataset: PartDataset | SceneDataset) -> None:
    """Refuses what no classifier can be trained on.

    Raises:
        InputError: no training or test images, or fewer than two classes.
    """
    if not dataset.is_training.any():
        raise InputError(f"{dataset.name} has no training images")
    if dataset.is_training.all():
        raise InputError(f"{dataset.name} has no test images")
    present = np.unique(dataset.labels[dataset.is_training])
    if len(dataset.class_names) < 2 or len(present) < 2:
        raise InputError(f"{dataset.name} has training images of {len(present)} class, expected at least 2 classes")


def check_train(train: Any) -> None:
    """Refuses options that no training knows.

    Args:
        train: `cfg.train`.

    Raises:
        InputError: names the option and what was expected.
    """
    for name, choices in _KNOWN.items():
        if train[name] not in choices:
            raise InputError(f"train.{name}={train[name]}: expected one of {', '.join(choices)}")
    for name in _COUNTS:
        if not isinstance(train[name], int) or train[name] < 1:
            raise InputError(f"train.{name}={train[name]!r}: expected a whole number of at least 1")
    for student in train.students:
        if student not in _STUDENTS:
            raise InputError(f"train.students has {student!r}: expected some of {', '.join(_STUDENTS)}")
    if train.hardness == "held_out" and not train.validation:
        raise InputError("train.hardness=held_out needs held-out images: give train.validation=0.1, or cross_fit")
    if train.hardness_trunk == "own" and train.hardness != "joint":
        raise InputError("train.hardness_trunk=own is trained with the classifier: give train.hardness=joint")
    if train.patience is not None and not train.validation:
        raise InputError("train.patience needs held-out images: give train.validation=0.1")
    classifier.checked_rate(train.learning_rate)
    check_batch_size(train.batch_size, device_mesh())
    architectures.module(train.small_cnn_network, 2)
