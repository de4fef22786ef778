"""Trains a classifier, its hardness predictor and students; the same command resumes a run that was interrupted.

    python experiments/train.py experiment=synthetic_birds_fast
    python experiments/train.py experiment=cub_lite0
    python experiments/train.py experiment=cub_lite0 train=last_stage
    python experiments/train.py dataset=cub model=resnet50 train=authors          (two stages; a GPU, ImageNet weights)
    python experiments/train.py experiment=cub_lite0 seed=0,1,2 -m

Expected numbers and their cost: docs/training.md. Writes into outputs/training/DATASET-MODEL-seedSEED:
checkpoints/, metrics.jsonl, predictions.npz, result.json, config.yaml (resolved) and two figures.
"""

from galore import program

program.guard(__name__)

import contextlib
import os
import resource
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
import jax
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from galore import atomic
from galore.errors import InputError
from galore.experiment import config, guide, inputs, progress, runner, trackers
from galore.options import from_mapping
from galore.statistics import Estimate
from galore.training import hosts, run
from galore.training.config import ModelConfig, TrainConfig

METRICS = "metrics.jsonl"


def train(cfg: Any, folder: Path, on_progress: Any = lambda phase, done, total, text: None) -> dict[str, Any]:
    """Trains what the options ask for.

    Args:
        cfg: the options.
        folder: of the run; what is there is resumed.
        on_progress: told the name of the phase, how much is done of how much, and a few words.

    Returns:
        The numbers of the run, with 95 % bootstrap intervals over the test images.

    Raises:
        InputError: options or data that cannot be trained with, a checkpoint of another training, a loss that is no
            number, another program that trains in the folder, or a full disk.
    """
    began = time.perf_counter()
    options, model = configs(cfg)
    try:
        with atomic.writer(folder) if hosts.is_first() else contextlib.nullcontext():
            images = config.dataset(cfg)
            hosts.wait_for(config.path(images.root))
            dataset = inputs.dataset(images, workers=options.threads)
            with _tracker(cfg, folder) as log:
                trained = run.train_all(dataset, options, model, folder, on_progress, lambda one: log(one, one["step"]))
                result = run.summary(trained) | {"seconds": time.perf_counter() - began} | peak_memory()
                log({"test": result}, max((one["step"] for one in run.read_metrics(folder / METRICS)), default=0))
            if hosts.is_first():
                with atomic.file(folder / "config.yaml") as file:
                    file.write_text(OmegaConf.to_yaml(cfg, resolve=True), encoding="utf-8")
                run.write(trained, result, folder)
    except OSError as error:
        raise InputError(f"cannot write into {folder}: {error.strerror or error}") from error
    return result


def peak_memory() -> dict[str, int | None]:
    """The most bytes that this process held so far: on the host, and on the first device that has its own memory."""
    stats = jax.local_devices()[0].memory_stats() or {}
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"peak_memory_host": host, "peak_memory_device": stats.get("peak_bytes_in_use")}


def configs(cfg: Any) -> tuple[TrainConfig, ModelConfig]:
    """The typed options of the training and of the network.

    Raises:
        InputError: names the option that is wrong.
    """
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    model = {name: value for name, value in plain["model"].items() if name != "checkpoint"}
    return from_mapping(TrainConfig, plain["train"]), from_mapping(ModelConfig, model)


def refuse_idle(train: TrainConfig, overrides: Sequence[str]) -> None:
    """Refuses options that were given and change nothing.

    Args:
        train: the options of the training.
        overrides: as they were given.

    Raises:
        InputError: names the first of them, and why.
    """
    given = {override.lstrip("+").partition("=")[0] for override in overrides}
    for name, because in train.idle.items():
        if f"train.{name}" in given:
            raise InputError(f"train.{name} changes nothing with train.{because}")


def _tracker(cfg: Any, folder: Path) -> contextlib.AbstractContextManager[trackers.Log]:
    """What is told the records of the training, by the first of several processes."""
    told = config.flat({name: config.plain(cfg)[name] for name in ("dataset", "model", "train")})
    return trackers.opened(cfg.tracker if hosts.is_first() else None, folder, folder.name, told)


def line(result: dict[str, Any]) -> str:
    """The run in one line."""
    parts = [f"test accuracy {result['accuracy']['value']:.2f}"]
    if "student_accuracy" in result:
        parts.append(f"student {result['student_accuracy']['value']:.2f}")
    if "hardness_spearman" in result:
        parts.append(f"hardness spearman {result['hardness_spearman']['value']:.2f}")
    return ", ".join([*parts, f"{result['seconds']:.0f} s"])


def details(result: dict[str, Any], folder: Path) -> list[str]:
    """More about the run, in lines for stderr."""
    intervals = {name: Estimate(**value, counted=0) for name, value in result.items() if isinstance(value, dict)}
    return [
        f"{result['test_images']} test images; waiting for input {100 * result['input_share']:.1f} % of a step of "
        f"{1000 * result['seconds_per_step']:.0f} ms; written to {folder}",
        f"class-balanced accuracy: {result['class_balanced_accuracy']:.2f}",
        *(f"{name.replace('_', ' ')}: {interval.text(2)}" for name, interval in intervals.items()),
    ]


# A parallel launcher pickles `main` with the globals that it names: modules, no consoles.
@hydra.main(version_base="1.3", config_path="../conf", config_name="training")
def main(cfg: Any) -> float | None:
    """The program: trains and prints one line.

    Returns:
        The best accuracy on the images held out for validation, for sweepers that search; None: there are none.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    bars = progress.Bars()
    with runner.job():
        hosts.join(cfg.hosts.coordinator, cfg.hosts.count, cfg.hosts.index)
        refuse_idle(configs(cfg)[0], HydraConfig.get().overrides.task)
        with bars.progress:
            result = train(cfg, folder, bars)
    if hosts.is_first():
        progress.console.print(*details(result, folder), sep="\n", highlight=False)
        print(line(result))
    records = run.read_metrics(folder / METRICS)
    validated = [record["validation"]["accuracy"] for record in records if "validation" in record]
    return max(validated, default=None)


def start() -> None:
    """Checks the options and trains; the run's folder is found again wherever the program was started."""
    if runner.asks_for_help(sys.argv[1:]):
        used = ("dataset", "model.*", "train.*")
        print(guide.text(__doc__ or "", used, shutil.get_terminal_size().columns, "training"))
        return
    config.check_names(sys.argv[1:], "training")
    os.chdir(config.ROOT)
    sys.argv[1:] = runner.flags_last(sys.argv[1:])
    main()


if __name__ == "__main__":
    sys.exit(runner.reported(start))
