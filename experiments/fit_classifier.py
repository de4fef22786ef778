"""Trains one classifier of a run, from its start or from its last checkpoint."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from setting import Setting, Show

from galore.errors import InputError
from galore.models.factory import draw
from galore.training import architectures, checkpoint, classifier, evaluation, forward, hardness, header, inputs
from galore.training.step import State, device_mesh, initial_state, make_step

_DECIDING = (
    "seed", "from_layer", "views", "frozen_statistics", "optimiser", "learning_rate", "weight_decay",
    "label_smoothing", "epochs", "batch_size", "early_size", "early_share", "crop_scale", "crops_from", "flip",
    "validation", "patience", "evaluate_every",
)  # fmt: skip
"""The options of `cfg.train` that the classifier's parameters depend on."""


@dataclass(frozen=True, eq=False)
class Plan:
    """One training: which images, how often.

    Attributes:
        setting: of the run.
        rows: positions among the training images.
        held: positions of the validation images, or none.
        epochs: how many.
        is_joint: whether the hardness predictor is trained with the classifier.
    """

    setting: Setting
    rows: np.ndarray
    held: np.ndarray
    epochs: int
    is_joint: bool = False

    @property
    def batch_size(self) -> int:
        return min(self.setting.train.batch_size, len(self.rows))

    @property
    def per_epoch(self) -> int:
        return len(self.rows) // self.batch_size

    @property
    def steps(self) -> int:
        return self.per_epoch * self.epochs

    def batches(self, start: int) -> Iterator[Any]:
        """The batches from a step on."""
        train, source_of = self.setting.train, self.setting.epochs_of(self.rows)
        return inputs.training_batches(
            source_of, len(self.rows), self.batch_size, seed=train.seed, start=start, stop=self.steps,
            threads=train.threads,
        )  # fmt: skip

    def evaluate(self, params: dict[str, Any]) -> dict[str, float]:
        """What the parameters are worth on the validation images."""
        rows = self.setting.training[self.held]
        # From the memory of the host: every process, and one device of it, looks at all images.
        logits, labels = self.setting.outputs(jax.device_get(params), rows)[1], self.setting.labels[rows]
        p = evaluation.true_class_probability(logits, labels)
        found = {
            "accuracy": evaluation.accuracy(logits, labels),
            "class_balanced_accuracy": evaluation.class_balanced_accuracy(logits, labels),
            "loss": float(-np.log(np.maximum(p, 1e-12)).mean()),
        }
        # Accuracy first, loss among equals.
        return found | {"value": found["accuracy"] - 1e-3 * found["loss"]}

    def choices(self) -> dict[str, Any]:
        """What a resumed run must share with the one that it resumes: options, the images and their order."""
        train = self.setting.train
        images = np.concatenate([self.setting.training[self.rows], [-1], self.setting.training[self.held]])
        order = hashlib.sha256(images.astype(np.int64).tobytes() + self.setting.labels.tobytes()).hexdigest()
        found = {f"train.{name}": train[name] for name in _DECIDING} | {"joint predictor": self.is_joint}
        # As JSON gives it back.
        return json.loads(json.dumps(found | {"images and order": order[:16]}))


def train_classifier(
    plan: Plan,
    show: Show,
    phase: str,
    folder: Path | None = None,
    on_record: Callable[[dict[str, Any]], Any] = lambda record: None,
) -> dict[str, Any]:
    """Trains one classifier, and saves checkpoints where a folder is given.

    Args:
        plan: what to train on.
        show: the progress.
        phase: its name there.
        folder: of the checkpoints; what is there is resumed. None: neither save nor resume.
        on_record: see `classifier.fit`.

    Returns:
        The parameters that were best in the validation, or the last ones.
    """
    train = plan.setting.train
    optimiser = make_optimiser(train, plan.steps, plan.per_epoch)
    params, loss = objective(plan)
    state, progress = initial_state(params, trained_names(plan.setting, params), optimiser), None
    if folder is not None and (folder / "last").exists():
        state, progress = resume(folder / "last", state, plan)
    best: dict[str, Any] = {}

    def keep(state: State, progress: dict[str, Any], links: tuple[str, ...]) -> None:
        if folder is not None:
            save(folder, plan, state, progress, links)
        elif "best" in links:
            best.update(jax.device_get(state.params))

    def told(record: dict[str, Any]) -> None:
        on_record(record)
        if "loss" in record:
            show(phase, record["step"], plan.steps, f"loss {record['loss']:.2f}")

    classifier.fit(
        make_step(loss, optimiser, train.seed), state, plan.batches, device_mesh(), steps=plan.steps,
        evaluate=plan.evaluate if len(plan.held) else None, evaluate_every=plan.per_epoch * train.evaluate_every,
        patience=train.patience if len(plan.held) else None, save=keep,
        save_every=train.save_every if folder is not None else 0, progress=progress, on_record=told,
    )  # fmt: skip
    return best if folder is None else checkpoint.load_params(folder)


def make_optimiser(train: Any, steps: int, per_epoch: int) -> Any:
    """The optimiser of `cfg.train`."""
    rate = classifier.checked_rate(train.learning_rate)
    if train.optimiser == "authors":
        return classifier.authors_optimiser(per_epoch, rate)
    make = classifier.muon_optimiser if train.optimiser == "muon" else classifier.fast_optimiser
    return make(steps, rate, float(train.weight_decay))


def objective(plan: Plan) -> tuple[dict[str, Any], Any]:
    """The parameters to start from and the loss."""
    setting = plan.setting
    train, description, cut = setting.train, setting.description, setting.cut
    to_input = classifier.as_input(description.preprocessing)

    def both(module: Any, x: Any) -> tuple[Any, Any]:
        activation = architectures.through(module, x, cut, description.layer)
        return activation, module.head(activation, description.layer)

    run = forward.training_forward(setting.module, both, train.frozen_statistics)
    if not plan.is_joint:
        alone = lambda params, x, key: (lambda out: (out[0][1], out[1]))(run(params, x, key))  # noqa: E731
        return setting.params, classifier.objective(alone, to_input, train.label_smoothing)
    own, predictor = joint_predictor(setting)
    loss = classifier.joint_objective(run, predictor, to_input, train.label_smoothing, description.predictor_trunk)
    return setting.params | own, loss


def joint_predictor(setting: Setting) -> tuple[dict[str, Any], forward.Forward]:
    """The predictor's parameters to start from, and the predictor in training mode.

    A trunk of its own starts as the classifier does, except for its last layer, which has another width.
    """
    description, cut = setting.description, setting.cut
    layer, widths = description.layer, description.predictor_widths
    if not description.predictor_trunk:
        channels = architectures.channels(description.network, layer, description.preprocessing)
        structure = hardness.module(channels, widths)
        own = draw(forward.shapes(structure), setting.train.seed)
        return hardness.prefixed(own), forward.training_forward(structure)
    structure = hardness.with_trunk(description.network, widths)
    own = draw(forward.shapes(structure), setting.train.seed)
    for name, value in setting.params.items():
        if own[f"trunk.{name}"].shape == value.shape:
            own[f"trunk.{name}"] = value
    judge = lambda module, x: module.head(architectures.through(module.trunk, x, cut, layer), layer)  # noqa: E731
    return hardness.prefixed(own), forward.training_forward(structure, judge)


def trained_names(setting: Setting, params: dict[str, Any]) -> tuple[str, ...]:
    """The parameters behind the cut, without BatchNorm's statistics."""
    names = [name for name in params if not name.endswith((".mean", ".var"))]
    if setting.cut is None:
        return tuple(names)
    run = forward.training_forward(setting.module, lambda m, x: m.head(x, setting.cut), frozen_statistics=True)
    used = forward.used_names(run, setting.params, jnp.asarray(setting.whole[:1]))
    trunk = f"{hardness.PREFIX}trunk."
    frozen = {name for name in setting.params if name not in used}
    return tuple(name for name in names if name.removeprefix(trunk) not in frozen)


def save(folder: Path, plan: Plan, state: State, progress: dict[str, Any], links: tuple[str, ...]) -> None:
    """Writes a checkpoint of the training so far."""
    description = plan.setting.description
    checkpoint.save(
        folder, description if plan.is_joint else header.without_predictor(description), state.params,
        step=int(state.step), optimiser=state.optimiser, progress=progress | {"choices": plan.choices()}, links=links,
    )  # fmt: skip


def resume(last: Path, like: State, plan: Plan) -> tuple[State, dict[str, Any]]:
    """The state and the progress of the last checkpoint.

    Raises:
        InputError: it is damaged, or another training made it.
    """
    known, found = header.read_header(last), header.read_description(last)
    wanted = plan.setting.description if plan.is_joint else header.without_predictor(plan.setting.description)
    for field in dataclasses.fields(wanted):
        theirs, ours = getattr(found, field.name), getattr(wanted, field.name)
        if theirs != ours:
            raise _other(last, field.name, theirs, ours)
    theirs, ours = known["progress"].get("choices", {}), plan.choices()
    for name, value in ours.items():
        if theirs.get(name) != value:
            raise _other(last, name, theirs.get(name), value)
    params = checkpoint.load_params(last)
    state = like._replace(
        trained={name: params[name] for name in like.trained},
        others={name: params[name] for name in like.others},
        optimiser=checkpoint.load_optimiser(last, like.optimiser),
        step=jnp.int32(known["step"]),
    )
    return state, {name: known["progress"][name] for name in ("best", "best_step", "worse")}


def _other(last: Path, name: str, theirs: Any, ours: Any) -> InputError:
    return InputError(
        f"{last} is of another training: {name} is {theirs!r} there and {ours!r} here; "
        "name another folder with model.checkpoint=, or remove this one"
    )
