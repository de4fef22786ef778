"""Trains the weaker networks that play the users: on few images, a small CNN, or AlexNet as in the papers."""

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int

from galore import atomic
from galore.data.dataset import PartDataset, SceneDataset
from galore.training import architectures, classifier, evaluation, hosts
from galore.training.config import ModelConfig, TrainConfig
from galore.training.task import OnProgress, Task, prepare, start


def train(
    task: Task, dataset: PartDataset | SceneDataset, test: Int[np.ndarray, " n"], folder: Path, on_progress: OnProgress
) -> dict[str, Int[np.ndarray, " n"]]:
    """Trains the students of `train.students` and predicts the test images with them.

    Args:
        task: of the run.
        dataset: all images.
        test: rows of the test images.
        folder: of the run; AlexNet, whose training is long, is kept below it or in `train.alexnet_folder`, and resumed.
        on_progress: told after every step.

    Returns:
        "student", the classes that the first of them predicts, who plays the advanced user (-1 without one), and those
        of each by name: "student_few_shot", "student_small_cnn", "student_alexnet".

    Raises:
        InputError: in the folder of AlexNet is another training.
    """
    names, is_cached = task.config.students, task.cut is not None
    # Where layers are frozen, few images train the same network; else it would be as weak as slow.
    needs_small = "small_cnn" in names or ("few_shot" in names and not is_cached)
    small = prepare(dataset, *_small_cnn(task.config), on_progress) if needs_small else task
    tasks = {"few_shot": task if is_cached else small, "small_cnn": small}
    if "alexnet" in names:
        tasks["alexnet"] = _alexnet(task, dataset, on_progress)
    own = task.config.alexnet_folder
    folders = {"alexnet": folder / "student_alexnet" if own is None else Path(own)}
    predicted = {
        f"student_{name}": _predicted(name, tasks[name], test, folders.get(name), on_progress) for name in names
    }
    return {"student": predicted[f"student_{names[0]}"] if names else np.full(len(test), -1)} | predicted


def _predicted(name: str, task: Task, test: np.ndarray, folder: Path | None, on_progress: OnProgress) -> np.ndarray:
    """Trains one student on all training images, or on `train.shots` of each class; the classes that it predicts."""
    config, labels = task.config, task.training_labels
    positions = few_of_each(labels, config.shots, config.seed) if name == "few_shot" else np.arange(len(labels))
    epochs = {"few_shot": config.few_shot_epochs, "small_cnn": config.small_cnn_epochs, "alexnet": config.epochs}[name]
    phase, checkpoints = f"student, {name.replace('_', ' ')}", None if folder is None else folder / "checkpoints"
    with contextlib.nullcontext() if folder is None else _turn(folder):
        params = classifier.train(
            task, positions, epochs=epochs, folder=checkpoints, phase=phase, on_progress=on_progress
        )
        logits = task.outputs(params, test)[1]
        if folder is not None and hosts.is_first():
            with atomic.file(folder / "result.json") as file:
                file.write_text(json.dumps({"accuracy": evaluation.accuracy(logits, task.labels[test])}) + "\n")
    return logits.argmax(-1)


@contextlib.contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Keeps runs that share a student from training it at once: those that come later wait, and find it."""
    with atomic.turn(folder) if hosts.is_first() else contextlib.nullcontext():
        hosts.barrier("the student's turn")
        yield


def _small_cnn(config: TrainConfig) -> tuple[TrainConfig, ModelConfig]:
    """The same images for a small CNN in the spirit of AlexNet, from random parameters."""
    alone = dataclasses.replace(
        config, from_layer=None, frozen_statistics=False, hardness="none", hardness_trunk="classifier",
        optimiser="muon", learning_rate=0.02, weight_decay=0.01, batch_size=32, early_size=None, crop_scale=0.7,
        crops_from="memory", first_stage=None, pixel_mean=None, pixel_std=None, keep_last_batch=False,
        batch_norm_groups=1,
    )  # fmt: skip
    return alone, ModelConfig(config.small_cnn_network)


def _alexnet(task: Task, dataset: PartDataset | SceneDataset, on_progress: OnProgress) -> Task:
    """The same images for AlexNet, which is fine-tuned as the classifier alone is.

    Source: the advanced user of Wang & Vasconcelos, "SCOUT", CVPR 2020.
    """
    alone = dataclasses.replace(task.config.of_classifier_alone, from_layer=None, frozen_statistics=False)
    model = ModelConfig(alone.alexnet_network, weights=alone.alexnet_weights, size=task.description.preprocessing.crop)
    description, params = start(alone, model, task.description.class_names)
    if task.cut is not None or description.preprocessing.resize != task.description.preprocessing.resize:
        return prepare(dataset, alone, model, on_progress)
    module = architectures.module(model.name, len(description.class_names))
    return dataclasses.replace(task, config=alone, description=description, module=module, params=params)


def few_of_each(labels: Int[np.ndarray, " n"], shots: int, seed: int) -> Int[np.ndarray, " k"]:
    """Positions of a few images of every class."""
    rng = np.random.default_rng((seed, 5))
    return np.concatenate([rng.permutation(np.flatnonzero(labels == label))[:shots] for label in np.unique(labels)])
