"""Trains a classifier, its hardness predictor and students; the same command resumes a run that was interrupted.

    python experiments/train.py experiment=synthetic_birds_fast
    python experiments/train.py experiment=cub_lite0
    python experiments/train.py experiment=cub_lite0 train=last_stage
    python experiments/train.py dataset=cub model=resnet50 train=authors          (a GPU, ImageNet weights)
    python experiments/train.py experiment=cub_lite0 seed=0,1,2 -m

Expected numbers and their cost: docs/training.md. Writes into outputs/training/DATASET-MODEL-seedSEED:
checkpoints/, metrics.jsonl, predictions.npz, result.json, config.yaml (resolved) and two figures.
"""

import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import build
import fitting
import hosts
import hydra
import jobs
import numpy as np
import progress
import records
import spelling
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from galore import atomic
from galore.errors import InputError
from galore.training import evaluation, figures


def run(cfg: Any, folder: Path, show: Any = lambda name, done, total, text: None) -> dict[str, Any]:
    """Trains what the options ask for.

    Args:
        cfg: the resolved options.
        folder: of the run; what is there is resumed.
        show: told the name of the phase, how much is done of how much, and a few words.

    Returns:
        The numbers of the run, with 95 % bootstrap intervals over the test images.

    Raises:
        InputError: options or data that cannot be trained with, a checkpoint of another training, a loss that is no
            number, or a full disk.
    """
    began = time.perf_counter()
    try:
        hosts.wait_for(build.path(cfg.dataset.root))
        dataset = build.dataset(cfg.dataset, workers=cfg.train.threads)
        with records.writer(folder / "metrics.jsonl", folder / "checkpoints") as on_record:
            fitted = fitting.fit(cfg, dataset, folder / "checkpoints", on_record, show)
        result = summary(fitted) | {"seconds": time.perf_counter() - began}
        if hosts.is_first():
            write(cfg, fitted.predictions, result, folder)
    except OSError as error:
        raise InputError(f"cannot write into {folder}: {error.strerror or error}") from error
    return result


def write(cfg: Any, found: dict[str, np.ndarray], result: dict[str, Any], folder: Path) -> None:
    """Writes predictions, numbers, options and figures, each file whole or not at all; result.json comes last."""
    with atomic.file(folder / "predictions.npz") as file:
        np.savez(file, **found)  # pyright: ignore[reportArgumentType]
    with atomic.file(folder / "config.yaml") as file:
        file.write_text(OmegaConf.to_yaml(cfg, resolve=True), encoding="utf-8")
    drawn = {"training": figures.training_curve(records.read(folder / "metrics.jsonl"))}
    if not np.isnan(found["hardness"]).any():
        wrong = found["logits"].argmax(-1) != found["labels"]
        drawn["calibration"] = figures.calibration(found["hardness"], wrong)
    for name, figure in drawn.items():
        with atomic.file(folder / f"{name}.png") as file:
            figure.savefig(file, dpi=110)
    with atomic.file(folder / "result.json") as file:
        file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def summary(fitted: fitting.Fitted) -> dict[str, Any]:
    """The numbers on the test images."""
    found = fitted.predictions
    labels, logits, hardness = found["labels"], found["logits"], found["hardness"]
    difficulty = 1 - evaluation.true_class_probability(logits, labels)
    wrong = logits.argmax(-1) != labels
    result: dict[str, Any] = {
        "test_images": len(labels),
        "accuracy": share(~wrong),
        "class_balanced_accuracy": evaluation.class_balanced_accuracy(logits, labels),
        "input_share": fitted.input_share,
        "seconds_per_step": fitted.seconds_per_step,
    }
    for name in [name for name in found if name.startswith("student")]:
        if (found[name] >= 0).all():
            result[f"{name}_accuracy"] = share(found[name] == labels)
    if not np.isnan(hardness).any():
        result["hardness_spearman"] = vars(evaluation.bootstrap(evaluation.spearman, hardness, difficulty))
        result["hardness_auroc_of_errors"] = vars(evaluation.bootstrap(evaluation.auroc, hardness, wrong))
        result["entropy_auroc_of_errors"] = evaluation.auroc(evaluation.entropy(logits), wrong)
    return result


def share(hits: np.ndarray) -> dict[str, float]:
    """The share of hits with its bootstrap interval."""
    return vars(evaluation.bootstrap(lambda hit: float(hit.mean()), hits))


def line(result: dict[str, Any]) -> str:
    """The run in one line."""
    parts = [f"test accuracy {result['accuracy']['value']:.2f}"]
    if "student_accuracy" in result:
        parts.append(f"student {result['student_accuracy']['value']:.2f}")
    if "hardness_spearman" in result:
        parts.append(f"hardness spearman {result['hardness_spearman']['value']:.2f}")
    return ", ".join([*parts, f"{result['seconds']:.0f} s"])


def told(result: dict[str, Any], folder: Path) -> None:
    """More about the run, on stderr."""
    progress.console.print(
        f"{result['test_images']} test images; waiting for input {100 * result['input_share']:.1f} % of a step of "
        f"{1000 * result['seconds_per_step']:.0f} ms; written to {folder}"
    )
    progress.console.print(f"class-balanced accuracy: {result['class_balanced_accuracy']:.2f}", highlight=False)
    for name, value in result.items():
        if isinstance(value, dict):
            progress.console.print(f"{name.replace('_', ' ')}: {evaluation.Interval(**value)}", highlight=False)


# A parallel launcher pickles `main` with the globals that it names: modules, no consoles.
@hydra.main(version_base="1.3", config_path="../conf", config_name="training")
def main(cfg: Any) -> None:
    """The program: trains and prints one line."""
    warnings.filterwarnings("ignore", message=".*drawn anew.*")
    folder = Path(HydraConfig.get().runtime.output_dir)
    bars = progress.Bars()
    with jobs.job():
        hosts.join(cfg.hosts)
        with bars.progress:
            result = run(cfg, folder, bars)
    if hosts.is_first():
        told(result, folder)
        print(line(result))


def program() -> None:
    """Checks the options and trains; the run's folder is found again wherever the program was started."""
    spelling.check(sys.argv[1:], "training")
    os.chdir(build.ROOT)
    sys.argv[1:] = jobs.flags_last(sys.argv[1:])
    main()


if __name__ == "__main__":
    sys.exit(jobs.reported(program))
