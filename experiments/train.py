"""Trains a classifier, its hardness predictor and a student; the same command resumes a run that was interrupted.

    python experiments/train.py experiment=synthetic_birds_fast
    python experiments/train.py experiment=cub_lite0
    python experiments/train.py experiment=cub_lite0 train=last_stage
    python experiments/train.py dataset=cub model=resnet50 train=authors          (a GPU, ImageNet weights)
    python experiments/train.py experiment=cub_lite0 train.seed=0,1,2 -m

Expected numbers and their cost: docs/training.md. Writes into outputs/training/DATASET-MODEL-seedSEED:
checkpoints/, metrics.jsonl, predictions.npz, result.json, config.yaml (resolved) and two figures.
"""

import json
import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import build
import fitting
import hydra
import numpy as np
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from galore import atomic
from galore.errors import InputError
from galore.training import evaluation, figures

console = Console(stderr=True)


def run(cfg: Any, folder: Path, show: Any = lambda name, done, total, text: None) -> dict[str, Any]:
    """Trains what the options ask for.

    Args:
        cfg: the resolved options.
        folder: of the run; what is there is resumed.
        show: told the name of the phase, how much is done of how much, and a few words.

    Returns:
        The numbers of the run, with 95 % bootstrap intervals over the test images.
    """
    began = time.perf_counter()
    records = folder / "metrics.jsonl"
    resumed = folder.joinpath("checkpoints", "last").exists()
    with open(records, "a" if resumed else "w", encoding="utf-8") as log:

        def on_record(record: dict[str, Any]) -> None:
            log.write(json.dumps(record) + "\n")
            log.flush()

        dataset = build.dataset(cfg.dataset, workers=cfg.train.threads)
        fitted = fitting.fit(cfg, dataset, folder / "checkpoints", on_record, show)
    with atomic.file(folder / "predictions.npz") as file:
        np.savez(file, **fitted.predictions)  # pyright: ignore[reportArgumentType]
    result = summary(fitted) | {"seconds": time.perf_counter() - began}
    (folder / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    with atomic.file(folder / "config.yaml") as file:
        file.write_text(OmegaConf.to_yaml(cfg, resolve=True), encoding="utf-8")
    history = [json.loads(line) for line in records.read_text(encoding="utf-8").splitlines()]
    figures.training_curve(history).savefig(folder / "training.png", dpi=110)
    found = fitted.predictions
    if not np.isnan(found["hardness"]).any():
        wrong = found["logits"].argmax(-1) != found["labels"]
        figures.calibration(found["hardness"], wrong).savefig(folder / "calibration.png", dpi=110)
    return result


def summary(fitted: Any) -> dict[str, Any]:
    """The numbers on the test images."""
    found = fitted.predictions
    labels, logits, hardness = found["labels"], found["logits"], found["hardness"]
    difficulty = 1 - evaluation.true_class_probability(logits, labels)
    wrong = logits.argmax(-1) != labels
    result: dict[str, Any] = {
        "test_images": len(labels),
        "accuracy": vars(evaluation.bootstrap(lambda hit: float(hit.mean()), ~wrong)),
        "class_balanced_accuracy": evaluation.class_balanced_accuracy(logits, labels),
        "input_share": fitted.input_share,
        "seconds_per_step": fitted.seconds_per_step,
    }
    if (found["student"] >= 0).all():
        hit = found["student"] == labels
        result["student_accuracy"] = vars(evaluation.bootstrap(lambda hit: float(hit.mean()), hit))
    if not np.isnan(hardness).any():
        result["hardness_spearman"] = vars(evaluation.bootstrap(evaluation.spearman, hardness, difficulty))
        result["hardness_auroc_of_errors"] = vars(evaluation.bootstrap(evaluation.auroc, hardness, wrong))
        result["entropy_auroc_of_errors"] = evaluation.auroc(-logits.max(-1), wrong)
    return result


def line(result: dict[str, Any]) -> str:
    """The run in one line."""
    parts = [f"test accuracy {result['accuracy']['value']:.2f}"]
    if "student_accuracy" in result:
        parts.append(f"student {result['student_accuracy']['value']:.2f}")
    if "hardness_spearman" in result:
        parts.append(f"hardness spearman {result['hardness_spearman']['value']:.2f}")
    return ", ".join([*parts, f"{result['seconds']:.0f} s"])


class Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Any) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.1f}/s")


class Bars:
    """One progress bar a phase, on stderr."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
        times = (Rate(), TimeElapsedColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, *times, TextColumn("{task.fields[text]}"), console=console)
        self.tasks: dict[str, Any] = {}

    def __call__(self, name: str, done: int, total: int, text: str = "") -> None:
        if name not in self.tasks:
            self.tasks[name] = self.progress.add_task(name, total=total, text=text)
        self.progress.update(self.tasks[name], completed=done, total=total, text=text)


@hydra.main(version_base="1.3", config_path="../conf", config_name="training")
def main(cfg: Any) -> None:
    """The program: trains and prints one line."""
    warnings.filterwarnings("ignore", message=".*drawn anew.*")
    logging.getLogger("absl").setLevel(logging.ERROR)
    folder = Path(HydraConfig.get().runtime.output_dir)
    bars = Bars()
    try:
        with bars.progress:
            result = run(cfg, folder, bars)
    except InputError as error:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    console.print(
        f"{result['test_images']} test images; waiting for input {100 * result['input_share']:.1f} % of a step of "
        f"{1000 * result['seconds_per_step']:.0f} ms; written to {folder}"
    )
    for name in ("accuracy", "student_accuracy", "hardness_spearman", "hardness_auroc_of_errors"):
        if name in result:
            console.print(f"{name}: {evaluation.Interval(**result[name])}", highlight=False)
    print(line(result))


if __name__ == "__main__":
    main()
