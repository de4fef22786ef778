"""Training a classifier: its objective, its optimiser, and the run from its start or from its last checkpoint."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
from jaxtyping import Array, Int, Key

from galore.errors import InputError
from galore.models.factory import draw
from galore.training import architectures, checkpoint, evaluation, hardness, header, inputs, losses
from galore.training.architectures import Forward, Params
from galore.training.config import TrainConfig
from galore.training.header import Description
from galore.training.loop import (
    Batch,
    Loss,
    OnRecord,
    Progress,
    State,
    Step,
    device_mesh,
    fit,
    initial_state,
    make_step,
)  # fmt: skip
from galore.training.task import OnProgress, Task

_IDENTITY = (
    "seed", "first_stage", "from_layer", "views", "frozen_statistics", "batch_norm_groups", "compute", "optimiser",
    "learning_rate", "weight_decay", "momentum", "decay", "decay_every", "predictor_learning_rate",
    "predictor_weight_decay", "label_smoothing", "epochs", "batch_size", "keep_last_batch", "early_size",
    "early_share", "crop_scale", "crops_from", "flip", "validation", "patience", "evaluate_every",
)  # fmt: skip
"""The options that the classifier's parameters depend on."""


def train(
    task: Task,
    positions: Int[np.ndarray, " n"],
    *,
    epochs: int,
    validation: Int[np.ndarray, " m"] | None = None,
    is_joint: bool = False,
    folder: Path | None = None,
    phase: str = "classifier",
    on_progress: OnProgress = lambda phase, done, total, text: None,
    on_record: OnRecord = lambda record: None,
) -> dict[str, Any]:
    """Trains one classifier, and saves checkpoints where a folder is given.

    Args:
        task: where to start, and the images.
        positions: which of the training images to train on.
        epochs: how often to go through them.
        validation: which of the training images decide which parameters are best; None: the last ones are.
        is_joint: whether the hardness predictor is trained with the classifier.
        folder: of the checkpoints; what is there is resumed. None: neither save nor resume.
        phase: its name for `on_progress`.
        on_progress: told after every step.
        on_record: told the metrics, see `loop.fit`.

    Returns:
        The parameters that were best in the validation, or the last ones.

    Raises:
        InputError: a checkpoint of another training, a loss that is no number, or a full disk.
    """
    config = task.config
    validation = positions[:0] if validation is None else validation
    batch_size = min(config.batch_size, len(positions))
    per_epoch = inputs.steps_of_epoch(len(positions), batch_size, config.keep_last_batch)
    steps = per_epoch * epochs
    (state, step), progress = beginning(task, is_joint, steps, per_epoch), None
    description = task.description if is_joint else header.without_predictor(task.description)
    identity = _identity(task, positions, validation, is_joint)
    if folder is not None and (folder / "last").exists():
        state, progress = _resume(folder / "last", state, description, identity)
    best: dict[str, Any] = {}

    def batches_from(step: int) -> Iterator[Any]:
        return inputs.training_batches(
            task.examples_of(positions), len(positions), batch_size, seed=config.seed, start=step, stop=steps,
            threads=config.threads, keep_last=config.keep_last_batch,
        )  # fmt: skip

    def save(state: State, progress: Progress, links: tuple[str, ...]) -> None:
        if folder is not None:
            # "choices" is the name in the files.
            checkpoint.save(
                folder, description, state.params, step=int(state.step), optimiser=state.optimiser,
                progress=progress | {"choices": identity}, links=links,
            )  # fmt: skip
        elif "best" in links:
            best.update(jax.device_get(state.params))

    def record(metrics: dict[str, Any]) -> None:
        on_record(metrics)
        if "loss" in metrics:
            on_progress(phase, metrics["step"], steps, f"loss {metrics['loss']:.2f}")

    fit(
        step, state, batches_from, device_mesh(), steps=steps,
        evaluate=(lambda params: validate(task, params, validation)) if len(validation) else None,
        evaluate_every=per_epoch * config.evaluate_every, patience=config.patience if len(validation) else None,
        save=save, save_every=(config.save_every or per_epoch) if folder is not None else 0, progress=progress,
        on_record=record, phase=phase,
    )  # fmt: skip
    return best if folder is None else checkpoint.read(folder).params


def beginning(task: Task, is_joint: bool, steps: int, per_epoch: int) -> tuple[State, Step]:
    """The state before the first step, and the step.

    Args:
        task: where to start.
        is_joint: whether the hardness predictor is trained with the classifier.
        steps: of the whole training.
        per_epoch: steps of an epoch.
    """
    optimiser = make_optimiser(task.config, steps, per_epoch)
    params, loss = _start_and_loss(task, is_joint)
    state = initial_state(params, _trained_names(task, params), optimiser)
    return state, make_step(loss, optimiser, task.config.seed)


def validate(task: Task, params: Mapping[str, Any], positions: Int[np.ndarray, " m"]) -> dict[str, float]:
    """What parameters are worth on some of the training images; "value" is the larger the better."""
    labels = task.training_labels[positions]
    # From the memory of the host: every process, and one device of it, looks at all images.
    _, logits = task.outputs(jax.device_get(params), task.training[positions])
    p = evaluation.true_class_probability(logits, labels)
    accuracy, loss = evaluation.accuracy(logits, labels), float(-np.log(np.maximum(p, 1e-12)).mean())
    return {
        "accuracy": accuracy,
        "class_balanced_accuracy": evaluation.class_balanced_accuracy(logits, labels),
        "loss": loss,
        # Accuracy first, loss among equals.
        "value": accuracy - 1e-3 * loss,
    }


def objective(
    forward: Forward,
    to_input: Callable[[Array], Array],
    smoothing: float = 0.0,
    predictor: Forward | None = None,
    own_trunk: bool = False,
) -> Loss:
    """The mean cross-entropy; with a predictor the authors' joint training: classifier loss + predictor loss, each
    blind to the other's gradient.

    Args:
        forward: the classifier in training mode, inputs -> (activations, logits).
        to_input: from a batch's "image" to the classifier's inputs, see `inputs.as_input`.
        smoothing: of the labels.
        predictor: the hardness predictor in training mode, activations -> k; its params stand under
            `hardness.PREFIX`. It reads the activations as they are and sends no gradient into them.
        own_trunk: the predictor reads the inputs instead, through a trunk of its own.
    """

    def loss(params: Params, batch: Batch, key: Key[Array, ""]) -> tuple[Array, tuple[Params, dict[str, Array]]]:
        x, valid, k = to_input(batch["image"]), batch["valid"], None
        (activation, logits), statistics = forward(params, x, key)
        if predictor is not None:
            read, own_key = x if own_trunk else jax.lax.stop_gradient(activation), jax.random.fold_in(key, 1)
            k, own_statistics = predictor(hardness.own(params), read, own_key)
            statistics = statistics | hardness.prefixed(own_statistics)
        entropies = losses.cross_entropy(logits, batch["label"], smoothing)
        of_classifier = losses.classifier_loss(entropies, jnp.ones_like(entropies) if k is None else k, valid)
        is_right = (jnp.argmax(logits, -1) == batch["label"]).astype(jnp.float32)
        metrics = {"accuracy": losses.masked_mean(is_right, valid)}
        if k is None:
            return of_classifier, (statistics, metrics)
        of_predictor = losses.predictor_loss(k, losses.true_class_probability(logits, batch["label"]), valid)
        metrics |= {"classifier_loss": of_classifier, "predictor_loss": of_predictor}
        return of_classifier + of_predictor, (statistics, metrics)

    return loss


def make_optimiser(config: TrainConfig, steps: int, per_epoch: int) -> optax.GradientTransformation:
    """The optimiser of the options: one for the classifier's parameters, another for those of the hardness predictor.

    `authors` is SGD with momentum and `falling_rate`, and Adam for the predictor; their weight decay is torch's, a
    gradient of the square. Source: the authors' code for GALORE (TPAMI 2023). `one_cycle` is AdamW with one cycle of
    the learning rate (Smith & Topin, 2018): up for a fifth of the steps, then down to 0. `muon` is Muon (Jordan et al.,
    2024) for the kernels of convolutions, AdamW at a fifth of the rate for everything else, and one cycle of both
    rates, up for a tenth of the steps; it learns from few steps, for networks that start from nothing.

    Args:
        config: the options.
        steps: of the whole training.
        per_epoch: steps of an epoch.
    """
    rate, decay, cycle = config.learning_rate, config.weight_decay, optax.schedules.cosine_onecycle_schedule
    predictor = optax.adamw(1e-3, weight_decay=1e-3)
    if config.optimiser == "authors":
        falling = falling_rate(config, per_epoch)
        classifier = optax.chain(optax.add_decayed_weights(decay), optax.sgd(falling, momentum=config.momentum))
        predictor = optax.chain(
            optax.add_decayed_weights(config.predictor_weight_decay), optax.adam(config.predictor_learning_rate)
        )
    elif config.optimiser == "one_cycle":
        classifier = optax.adamw(cycle(steps, rate, 0.2), weight_decay=decay)
    else:
        classifier = optax.contrib.muon(
            cycle(steps, rate, 0.1),
            weight_decay=decay,
            adam_learning_rate=cycle(steps, rate / 5, 0.1),
            adam_weight_decay=decay,
            muon_weight_dimension_numbers=_convolutions,  # pyright: ignore[reportArgumentType]
        )

    def part_of(params: Mapping[str, Any]) -> dict[str, str]:
        return {name: "predictor" if name.startswith(hardness.PREFIX) else "classifier" for name in params}

    return optax.partition({"classifier": classifier, "predictor": predictor}, part_of)  # pyright: ignore


def falling_rate(config: TrainConfig, per_epoch: int) -> optax.Schedule:
    """Step -> learning rate of `authors`, which every `decay_every` epochs is multiplied by `decay`.

    Args:
        config: the options.
        per_epoch: steps of an epoch.
    """
    return optax.exponential_decay(config.learning_rate, per_epoch * config.decay_every, config.decay, staircase=True)


def _convolutions(params: Mapping[str, Any]) -> dict[str, Any]:
    """For Muon: a convolution is a matrix from the inputs under its window to its outputs; None for the rest."""
    window = optax.contrib.MuonDimensionNumbers((0, 1, 2), 3)
    # Depthwise kernels have one input channel, and their channels are not mixed; masked parameters have no shape.
    is_full = {name: len(getattr(value, "shape", ())) == 4 and value.shape[2] > 1 for name, value in params.items()}
    return {name: window if full else None for name, full in is_full.items()}


def _start_and_loss(task: Task, is_joint: bool) -> tuple[Params, Loss]:
    """The parameters to start from and the loss."""
    config, description = task.config, task.description
    to_input = inputs.as_input(description.preprocessing)
    forward = architectures.training_forward(task.module, task.run, config.frozen_statistics, **_as_told(config))
    if not is_joint:
        return task.params, objective(forward, to_input, config.label_smoothing)
    own, predictor = _joint_predictor(task)
    loss = objective(forward, to_input, config.label_smoothing, predictor, description.predictor_trunk)
    return task.params | own, loss


def _as_told(config: TrainConfig) -> dict[str, Any]:
    return {"groups": config.batch_norm_groups, "compute": config.compute}


def _joint_predictor(task: Task) -> tuple[Params, Forward]:
    """The predictor's parameters to start from, and the predictor in training mode.

    A trunk of its own starts as the classifier does, except for its last layer, which has another width.
    """
    structure, cut, layer = header.predictor_module(task.description), task.cut, task.description.layer
    own, as_told = draw(architectures.shapes(structure), task.config.seed), _as_told(task.config)
    if isinstance(structure, hardness.HardnessPredictor):
        return hardness.prefixed(own), architectures.training_forward(structure, **as_told)
    for name, value in task.params.items():
        if own[f"trunk.{name}"].shape == value.shape:
            own[f"trunk.{name}"] = value
    forward = architectures.training_forward(structure, lambda module, x: module(x, cut, layer), **as_told)
    return hardness.prefixed(own), forward


def _trained_names(task: Task, params: Params) -> tuple[str, ...]:
    """The parameters behind the cut, without BatchNorm's statistics."""
    names = tuple(name for name in params if not name.endswith((".mean", ".var")))
    if task.cut is None:
        return names
    head = architectures.training_forward(task.module, lambda m, x: m.head(x, task.cut), frozen_statistics=True)
    used = architectures.used_names(head, task.params, jnp.asarray(task.images[np.arange(1)]))
    frozen, trunk = set(task.params) - set(used), f"{hardness.PREFIX}trunk."
    return tuple(name for name in names if name.removeprefix(trunk) not in frozen)


def _identity(
    task: Task, positions: Int[np.ndarray, " n"], validation: Int[np.ndarray, " m"], is_joint: bool
) -> dict[str, Any]:
    """What a resumed run must share with the one that it resumes: options, the images, their order and their pixels."""
    images = np.concatenate([task.training[positions], [-1], task.training[validation]])
    order = hashlib.sha256(images.astype(np.int64).tobytes() + task.labels.tobytes()).hexdigest()
    chosen, idle = dataclasses.asdict(task.config), task.config.idle
    identity = {f"train.{name}": chosen[name] for name in _IDENTITY if name not in idle} | {"joint predictor": is_joint}
    # As JSON gives it back.
    return json.loads(json.dumps(identity | {"images and order": order[:16], "pixels": task.pixels_sha256[:16]}))


def _resume(last: Path, like: State, description: Description, identity: Mapping[str, Any]) -> tuple[State, Progress]:
    """The state and the progress of the last checkpoint.

    Raises:
        InputError: it is damaged, or another training made it.
    """
    opened = checkpoint.read(last)
    progress = opened.header["progress"]
    fields = [field.name for field in dataclasses.fields(description)]
    pairs = {name: (getattr(opened.description, name), getattr(description, name)) for name in fields}
    # What an option did before there was one is what it does by default.
    recorded = {f"train.{name}": value for name, value in dataclasses.asdict(TrainConfig()).items()}
    recorded |= progress.get("choices", {})
    pairs |= {name: (recorded.get(name), value) for name, value in identity.items()}
    for name, (theirs, ours) in pairs.items():
        if theirs != ours:
            raise InputError(
                f"{last} is of another training: {name} is {theirs!r} there and {ours!r} here; "
                "name another folder with model.checkpoint=, or remove this one"
            )
    state = like._replace(
        trained={name: opened.params[name] for name in like.trained},
        others={name: opened.params[name] for name in like.others},
        optimiser=opened.optimiser(like.optimiser),
        step=jnp.int32(opened.header["step"]),
    )
    wanted = ("best", "best_step", "worse")
    if missing := [name for name in wanted if name not in progress]:
        raise InputError(f"the header of {last} is damaged: its progress lacks {', '.join(missing)}")
    return state, {name: progress[name] for name in wanted}
