"""A whole training: classifier, hardness predictor, students, and the files that it leaves."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from galore import atomic, foreign
from galore.data.dataset import PartDataset, SceneDataset
from galore.errors import InputError
from galore.statistics import bootstrap_statistic
from galore.training import checkpoint, classifier, evaluation, figures, hardness, hosts, inputs, students
from galore.training.config import ModelConfig, TrainConfig
from galore.training.loop import OnRecord, check_batch_size, device_mesh
from galore.training.task import OnProgress, Task, prepare


@dataclass(frozen=True, eq=False)
class Trained:
    """Predictions for the test images, in their order, and how fast the steps were.

    Attributes:
        predictions: "paths", "labels", "logits", "hardness" (nan without a predictor), and what the users predict:
            "student" and "student_NAME" (see `students.train`), "beginner" (random by the seed).
        input_share: the share of a step that waits for its input.
        seconds_per_step: of the classifier's training.
    """

    predictions: dict[str, Shaped[np.ndarray, "n ..."]]
    input_share: float
    seconds_per_step: float


def train_all(
    dataset: PartDataset | SceneDataset,
    train: TrainConfig,
    model: ModelConfig,
    folder: Path,
    on_progress: OnProgress = lambda phase, done, total, text: None,
    also_on_record: OnRecord = lambda record: None,
) -> Trained:
    """Trains everything that the options name; writes checkpoints/ and metrics.jsonl, and resumes from them; those of a
    first stage stand in first_stage/.

    Args:
        dataset: with training and test images.
        train: the options of the training.
        model: the network.
        folder: of the run.
        on_progress: told the name of the phase, how much is done of how much, and a few words.
        also_on_record: told what is written into metrics.jsonl, record by record.

    Raises:
        InputError: options or data that cannot be trained with, a checkpoint of another training, a loss that is no
            number, or a full disk.
    """
    check_dataset(dataset)
    check_batch_size(train.batch_size, device_mesh())
    checkpoints, steps = folder / "checkpoints", []
    if train.first_stage is not None:
        check_batch_size(train.first_stage.batch_size, device_mesh(), "first_stage.batch_size")
    task = prepare(dataset, train, model, on_progress)
    kept, validation = map(np.flatnonzero, inputs.validation_split(task.training_labels, train.validation, train.seed))
    if train.first_stage is not None:
        params = _classifier_alone(task, kept, validation, folder / "first_stage", on_progress)
        task = dataclasses.replace(task, params=params)
    with metrics_writer(folder / "metrics.jsonl", checkpoints) as write_record:

        def on_record(record: dict[str, Any]) -> None:
            write_record(record)
            also_on_record(record)
            if "seconds" in record:
                steps.append((record["waited"], record["seconds"]))

        params = classifier.train(
            task, kept, epochs=train.epochs, validation=validation, is_joint=train.hardness == "joint",
            folder=checkpoints, on_progress=on_progress, on_record=on_record,
        )  # fmt: skip
    if train.hardness in ("held_out", "cross_fit"):
        activations, probability = _hardness_examples(task, params, validation, on_progress)
        params |= hardness.train(activations, probability, widths=train.hardness_widths, seed=train.seed)
        checkpoint.add_predictor(checkpoints, task.description, params)
    test = np.flatnonzero(~dataset.is_training)
    predictions = _predictions(task, params, test) | students.train(task, dataset, test, folder, on_progress)
    # The first steps compile while the input pipeline starts; they say nothing about the rest.
    waited, seconds = np.array(steps[3:] or [(0.0, 1.0)]).sum(0)
    paths = np.array([dataset.paths[row] for row in test])
    return Trained(predictions | {"paths": paths}, float(waited / seconds), float(seconds / max(1, len(steps) - 3)))


def _classifier_alone(
    task: Task,
    kept: Int[np.ndarray, " n"],
    validation: Int[np.ndarray, " m"],
    folder: Path,
    on_progress: OnProgress,
) -> dict[str, Any]:
    """The first of two stages: the classifier's parameters from which the joint training starts."""
    alone = dataclasses.replace(task, config=task.config.of_classifier_alone)
    with metrics_writer(folder / "metrics.jsonl", folder / "checkpoints") as write_record:
        return classifier.train(
            alone, kept, epochs=alone.config.epochs, validation=validation, folder=folder / "checkpoints",
            phase="classifier alone", on_progress=on_progress, on_record=write_record,
        )  # fmt: skip


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


def summary(trained: Trained) -> dict[str, Any]:
    """The numbers on the test images, with 95 % bootstrap intervals over them."""
    predictions = trained.predictions
    labels, logits, k = predictions["labels"], predictions["logits"], predictions["hardness"]
    difficulty = 1 - evaluation.true_class_probability(logits, labels)
    wrong = logits.argmax(-1) != labels
    result: dict[str, Any] = {
        "test_images": len(labels),
        "accuracy": _interval(np.mean, ~wrong),
        "class_balanced_accuracy": evaluation.class_balanced_accuracy(logits, labels),
        "input_share": trained.input_share,
        "seconds_per_step": trained.seconds_per_step,
    }
    for name, predicted in predictions.items():
        if name.startswith("student") and (predicted >= 0).all():
            result[f"{name}_accuracy"] = _interval(np.mean, predicted == labels)
    if not np.isnan(k).any():
        result["hardness_spearman"] = _interval(evaluation.spearman, k, difficulty)
        result["hardness_auroc_of_errors"] = _interval(evaluation.auroc, k, wrong)
        result["entropy_auroc_of_errors"] = evaluation.auroc(evaluation.entropy(logits), wrong)
    return result


def write(trained: Trained, result: dict[str, Any], folder: Path) -> None:
    """Writes predictions, figures and numbers, each file whole or not at all; result.json comes last.

    Args:
        trained: the predictions.
        result: plain data for JSON, such as `summary`.
        folder: of the run.
    """
    predictions = trained.predictions
    with atomic.file(folder / "predictions.npz") as file:
        np.savez(file, **predictions)  # pyright: ignore[reportArgumentType]
    drawn = {"training": figures.training_curve(read_metrics(folder / "metrics.jsonl"))}
    if not np.isnan(predictions["hardness"]).any():
        wrong = predictions["logits"].argmax(-1) != predictions["labels"]
        drawn["calibration"] = figures.calibration(predictions["hardness"], wrong)
    for name, figure in drawn.items():
        with atomic.file(folder / f"{name}.png") as file:
            figure.savefig(file, dpi=110)
    with atomic.file(folder / "result.json") as file:
        file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


@contextlib.contextmanager
def metrics_writer(file: Path, checkpoints: Path) -> Iterator[OnRecord]:
    """Opens the metrics, JSON lines, to write on; what a killed run wrote after its last checkpoint is dropped, and
    comes again.

    Args:
        file: of the metrics.
        checkpoints: the folder of the checkpoints.

    Yields:
        A function that writes one record; only the first of several processes does.
    """
    if not hosts.is_first():
        yield lambda record: None
        return
    last = checkpoints / "last"
    step = checkpoint.read_header(last)["step"] if last.exists() else 0
    kept = [record for record in read_metrics(file) if record["step"] <= step]
    with atomic.file(file) as unfinished:
        unfinished.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")
    with open(file, "a", encoding="utf-8") as log:

        def write_record(record: dict[str, Any]) -> None:
            log.write(json.dumps(record) + "\n")
            log.flush()

        yield write_record


class _Record(TypedDict):
    step: int
    loss: NotRequired[float]
    accuracy: NotRequired[float]
    validation: NotRequired[dict[str, float]]


def read_metrics(file: Path) -> list[dict[str, Any]]:
    """The records of a file, without a last line that a kill cut off; none where there is no file.

    Raises:
        InputError: any other line is damaged.
    """
    if not file.exists():
        return []
    *whole, last = foreign.read_bytes(file, "the metrics of a training").split(b"\n")
    records = [_record(line, f"{foreign.text(file)}, line {number}") for number, line in enumerate(whole, start=1)]
    with contextlib.suppress(InputError):
        records.append(_record(last, "a line that was cut off"))
    return records


def _record(line: bytes, where: str) -> dict[str, Any]:
    foreign.json_text(line, _Record, where, "a record of a training")
    return json.loads(line)


def _hardness_examples(
    task: Task, params: Mapping[str, Any], validation: Int[np.ndarray, " k"], on_progress: OnProgress
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
    """What the hardness predictor is trained on: mean activations of the classifier, and p of the true class by a
    classifier that was not trained on the image.

    Args:
        task: of the run.
        params: of the classifier.
        validation: which of the training images were held out.
        on_progress: told after every step of cross-fitting.
    """
    train, labels = task.config, task.training_labels
    if train.hardness == "held_out":
        activations, logits = task.outputs(params, task.training[validation])
        return activations, evaluation.true_class_probability(logits, labels[validation])

    def fit_and_predict(chosen: Bool[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        positions = np.flatnonzero(chosen)
        other = classifier.train(task, positions, epochs=train.epochs, phase="cross-fitting", on_progress=on_progress)
        return evaluation.true_class_probability(task.outputs(other, task.training)[1], labels)

    activations, _ = task.outputs(params, task.training)
    folds = hardness.folds(labels, train.hardness_folds, train.seed)
    return activations, hardness.cross_fit(fit_and_predict, folds)


def _predictions(task: Task, params: Mapping[str, Any], test: Int[np.ndarray, " n"]) -> dict[str, np.ndarray]:
    """What the classifier, its predictor and a beginner say about the test images."""
    activations, logits = task.outputs(params, test)
    own = hardness.prefixed(hardness.own(params))
    return {
        "labels": task.labels[test],
        "logits": logits,
        "hardness": task.hardness(own, activations, test) if own else np.full(len(test), np.nan, np.float32),
        "beginner": np.random.default_rng((task.config.seed, 4)).integers(0, logits.shape[1], len(test)),
    }


def _interval(statistic: Callable[..., Any], *columns: Shaped[np.ndarray, " n"]) -> dict[str, float]:
    estimate = bootstrap_statistic(statistic, *columns)
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}
