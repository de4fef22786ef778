"""From options to what is examined: the network, its predictor and student, the test images and the ground truth."""

import functools
import json
import re
from pathlib import Path
from typing import Any

import build
import hydra
import numpy as np
from omegaconf import OmegaConf

from galore import provenance
from galore.data.ade20k import objects_present
from galore.data.dataset import PartDataset, SceneDataset
from galore.data.synthetic.birds import SyntheticBirds
from galore.errors import InputError
from galore.evaluation import ground_truth
from galore.evaluation.subject import Subject, examine
from galore.models.layers import check_layer
from galore.scores import Attribution
from galore.training import architectures, checkpoint
from galore.training.header import Description


def subject(cfg: Any, *, checkpoint: str | None = None, layer: str | None = None, needs_parts: bool = False) -> Subject:
    """The network of the options on the test images of the data set; made once for the same choices.

    Args:
        cfg: the options.
        checkpoint: another training run than that of the options.
        layer: another layer than that of the options (of another checkpoint: its own).
        needs_parts: the caller's metrics are about parts.

    Raises:
        InputError: the data set has no parts although they are needed, there is no checkpoint, it is of other classes,
            its predictor is asked for and missing, or no image counts; before anything is drawn or decoded.
    """
    if needs_parts and not has_parts(cfg):
        raise InputError(f"{cfg.dataset.name} has no annotated parts, which this experiment needs; try dataset=cub")
    _check_numbers(cfg.explanation)
    run = checkpoint or cfg.model.checkpoint
    described = _checked(cfg, run)
    if cfg.confidence.score == "easiness" and described.predictor_layer is None:
        raise InputError(f"confidence=easiness needs a hardness predictor, and {run} was trained without one")
    layer = layer or (None if checkpoint else cfg.model.layer)
    return _subject(_text(cfg.dataset), run, layer, cfg.explanation.batch_size)


def _check_numbers(explanation: Any) -> None:
    """Refuses numbers of images and classes that leave nothing to look at."""
    for name, least in {"top": 2, "keep": 2, "difficult": 1, "edited_images": 1, "batch_size": 1}.items():
        value = explanation[name]
        if not isinstance(value, int) or value < least:
            raise InputError(f"explanation.{name}={value}: expected a whole number of at least {least}")


def has_parts(cfg: Any) -> bool:
    """Whether the images of the data set have annotated parts; scenes have masks of objects."""
    return cfg.dataset.kind in ("cub", "synthetic_birds")


def attribution(cfg: Any) -> Attribution:
    """The attribution function of the options."""
    return hydra.utils.instantiate(cfg.attribution)


def flock(cfg: Any) -> SyntheticBirds | None:
    """The invented birds of the data set, which can be drawn again; None for other data."""
    if cfg.dataset.kind != "synthetic_birds":
        return None
    return build.invented(cfg.dataset)


def layers(cfg: Any, run: str) -> list[str]:
    """The layers of the options, or the last five of a training run's network.

    Raises:
        InputError: the network has no such layer.
    """
    description = checkpoint.read_description(build.run_folder(cfg, run))
    module = architectures.module(description.network, len(description.class_names))
    if cfg.explanation.layers is None:
        return list(module.layers())[-5:]
    return [check_layer(module, layer) for layer in cfg.explanation.layers]


def checkpoints(cfg: Any) -> list[str]:
    """The training runs of the options, by default the one of the model."""
    return list(cfg.explanation.checkpoints or [cfg.model.checkpoint])


def networks(cfg: Any) -> dict[str, dict[str, str]]:
    """The training runs of the options, each with the label that tells its rows from those of the others.

    The label is the network's name, with the run's name beside it where several runs trained the same network; empty
    where there is one run only.

    Raises:
        InputError: one of the runs is missing or of other classes.
    """
    runs = checkpoints(cfg)
    names = {run: _checked(cfg, run).network for run in runs}
    if len(runs) == 1:
        return {runs[0]: {}}
    doubled = {name for name in names.values() if list(names.values()).count(name) > 1}
    return {run: {"network": training_of(run) if name in doubled else name} for run, name in names.items()}


def training_of(run: str) -> str:
    """How a network was trained, as a label: its name and that of the training run, which is the same for all seeds."""
    name = re.sub(r"-seed\d+$", "", Path(run).name)
    return f"{checkpoint.read_description(build.path(run)).network} ({name})"


def remarks(subject: Subject) -> tuple[str, ...]:
    """What a reader has to know about the subject of a table."""
    accuracy = np.mean(subject.predicted == subject.labels)
    said = [
        f"Network: {subject.net.name}, layer {subject.net.layer}; {len(subject)} test images of "
        f"{len(subject.class_names)} classes, accuracy {accuracy:.3f}"
    ]
    if subject.student is not None:
        said.append(f"student {np.mean(subject.student == subject.labels):.3f}")
    if subject.predictor is None:
        said.append("no hardness predictor, so that rows with easiness and hardness are missing")
    if subject.student is None:
        said.append("no student, so that there is no advanced user")
    return ("; ".join(said) + ".",)


def hashes(cfg: Any) -> dict[str, str]:
    """What identifies the trained networks (the hash of their parameters) and the test images (of paths and labels)."""
    runs = {Path(run).name: build.path(run) for run in checkpoints(cfg)}
    found = {name: checkpoint.read_header(path)["params_sha256"] for name, path in runs.items()}
    with np.load(next(iter(runs.values())) / "predictions.npz") as arrays:
        images = {name: arrays[name] for name in ("paths", "labels")}
    return found | {f"test images of {cfg.dataset.name}": provenance.params_sha256(images)}


def _checked(cfg: Any, run: str) -> Description:
    """The description of a training run, once it is certain that it is of the classes of the data set."""
    described, names = checkpoint.read_description(build.run_folder(cfg, run)), _class_names(_text(cfg.dataset))
    if names != tuple(described.class_names):
        raise InputError(
            f"{run} was trained on {len(described.class_names)} other classes than the {len(names)} of "
            f"{cfg.dataset.name}; give the checkpoint that was trained on it"
        )
    return described


def _text(options: Any) -> str:
    """Options as something that can be looked up."""
    return json.dumps(OmegaConf.to_container(options, resolve=True))


@functools.lru_cache(maxsize=2)
def _class_names(options: str) -> tuple[str, ...]:
    found = OmegaConf.create(json.loads(options))
    return build.invented_classes(found) if found.kind in build.INVENTED else tuple(_dataset(options).class_names)


@functools.lru_cache(maxsize=2)
def _subject(options: str, run: str, layer: str | None, batch_size: int) -> Subject:
    path = build.path(run)
    net = checkpoint.load_network(path, layer)
    described = checkpoint.read_description(path)
    test = build.test_part(_dataset(options))
    student = _student(path, test)
    easiness = None if described.predictor_layer is None else checkpoint.load_predictor(path, net.layer)
    discriminant, shared = _truth(options)
    return examine(net, test, discriminant, shared, predictor=easiness, student=student, batch_size=batch_size)


@functools.lru_cache(maxsize=2)
def _dataset(options: str) -> PartDataset | SceneDataset:
    return build.dataset(OmegaConf.create(json.loads(options)))


@functools.lru_cache(maxsize=2)
def _truth(options: str) -> tuple[np.ndarray, np.ndarray]:
    """Discriminant and shared parts or objects by pair of classes."""
    dataset = _dataset(options)
    if isinstance(dataset, PartDataset):
        return ground_truth.discriminant_parts(dataset), ground_truth.shared_parts(dataset)
    frequencies = ground_truth.object_frequencies(objects_present(dataset), dataset)
    return ground_truth.discriminant_objects(frequencies), ground_truth.shared_objects(frequencies)


def _student(path: Path, test: PartDataset | SceneDataset) -> np.ndarray | None:
    """What the student of a training run predicts for the test images.

    Raises:
        InputError: the run predicted other images, or no question can be asked about these.
    """
    file = path / "predictions.npz"
    if not file.exists():
        raise InputError(f"{file} is missing: train to the end with python experiments/train.py")
    with np.load(file) as arrays:
        paths, labels, right = arrays["paths"], arrays["labels"], arrays["logits"].argmax(-1) == arrays["labels"]
        student = arrays["student"]
    if tuple(paths) != test.paths:
        raise InputError(f"{file} is about other test images than those of {test.name}; train on this data set")
    if not right.any():
        raise InputError(f"no image counts: the network of {path} gets none of the {len(labels)} test images right")
    if (student < 0).all():
        return None
    mistaken = right & (student != labels)
    if not mistaken.any():
        raise InputError(f"no image counts for the advanced user: the student of {path} is wrong on none that count")
    if not np.isin(student[mistaken], labels).any():
        raise InputError(f"no image counts for the advanced user: no class that {path}'s student says has a test image")
    return student.astype(np.int32)
