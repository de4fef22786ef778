"""What train.py does, in order: inputs, classifier, hardness predictor, predictions, students."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import students
from choices import check_dataset, check_train
from fit_classifier import Plan, train_classifier
from fit_hardness import fit_hardness, predicted
from setting import Setting, Show, prepare

from galore.data.dataset import PartDataset, SceneDataset
from galore.training import checkpoint, hardness, inputs


@dataclass(frozen=True, eq=False)
class Fitted:
    """Predictions for the test images, in their order, and how fast the steps were.

    Attributes:
        predictions: "paths", "labels", "logits", "hardness" (nan without a predictor), and the answers of the users:
            "student" and "student_NAME" (see `students.answers`), "beginner" (random by the seed).
        input_share: the share of a step that waits for its input.
        seconds_per_step: of the classifier's training.
    """

    predictions: dict[str, np.ndarray]
    input_share: float
    seconds_per_step: float


def fit(
    cfg: Any, dataset: PartDataset | SceneDataset, folder: Path, on_record: Callable[[dict[str, Any]], Any], show: Show
) -> Fitted:
    """Trains everything that `cfg.train` asks for; resumes from what is in the folder of checkpoints."""
    check_dataset(dataset)
    check_train(cfg.train)
    setting = prepare(dataset, cfg.train, cfg.model, show)
    labels = setting.labels[setting.training]
    kept, held = map(np.flatnonzero, inputs.validation_split(labels, float(cfg.train.validation), cfg.train.seed))
    clock = Clock()

    def record(found: dict[str, Any]) -> None:
        clock.add(found)
        on_record(found)

    plan = Plan(setting, kept, held, cfg.train.epochs, cfg.train.hardness == "joint")
    params = train_classifier(plan, show, "classifier", folder, record)
    if cfg.train.hardness in ("held_out", "cross_fit"):
        params = params | fit_hardness(setting, params, held, show)
        checkpoint.add_predictor(folder, setting.description, params)
    test = np.flatnonzero(~dataset.is_training)
    found = predictions(setting, params, test) | students.answers(setting, dataset, test, show)
    return Fitted(found | {"paths": np.array([dataset.paths[row] for row in test])}, *clock.summary())


def predictions(setting: Setting, params: dict[str, Any], test: np.ndarray) -> dict[str, np.ndarray]:
    """What the classifier, its predictor and a beginner say about the test images."""
    activations, logits = setting.outputs(params, test)
    own = hardness.prefixed(hardness.own(params))
    beginner = np.random.default_rng((setting.train.seed, 4)).integers(0, logits.shape[1], len(test))
    return {
        "labels": setting.labels[test],
        "logits": logits,
        "hardness": predicted(setting, own, activations, test) if own else np.full(len(test), np.nan, np.float32),
        "beginner": beginner,
    }


class Clock:
    """How long the steps take, and how much of that is waiting for their input."""

    def __init__(self) -> None:
        self.steps: list[tuple[float, float]] = []

    def add(self, record: dict[str, Any]) -> None:
        """Takes note of a record of `classifier.fit`."""
        if "seconds" in record:
            self.steps.append((record["waited"], record["seconds"]))

    def summary(self) -> tuple[float, float]:
        """The share of waiting and the seconds of a step.

        The first steps compile while the input pipeline starts; they say nothing about the rest.
        """
        waited, seconds = np.array(self.steps[3:] or [(0.0, 1.0)]).sum(0)
        return float(waited / seconds), float(seconds / max(1, len(self.steps) - 3))
