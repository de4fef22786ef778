"""What train.py does, in order: inputs, classifier, hardness predictor, student, predictions."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

import galore
from galore.data.dataset import PartDataset, SceneDataset
from galore.data.loader import Files, prepared
from galore.errors import InputError
from galore.models.layers import check_layer
from galore.models.loading import ARCHITECTURES, draw
from galore.training import architectures, checkpoint, classifier, evaluation, forward, hardness, held_out, inputs
from galore.training.step import check_batch_size, device_mesh, initial_state, make_step

Show = Callable[[str, int, int, str], Any]


@dataclass(frozen=True, eq=False)
class Fitted:
    """Predictions for the test images, in their order, and how fast the steps were."""

    predictions: dict[str, np.ndarray]
    input_share: float
    seconds_per_step: float


@dataclass(frozen=True, eq=False)
class Setting:
    """What all the classifiers of a run share.

    Attributes:
        train: the options `cfg.train`.
        description: of the checkpoint.
        module: the network's structure.
        params: to start from.
        cut: the layer up to which everything is frozen and cached; None: nothing is.
        whole: all images as the network (or what follows the cut) takes them, undistorted, row by row.
        labels: of all images.
        training: rows of the training images.
        epochs_of: positions among `training` -> epoch -> their examples, distorted at random.
    """

    train: Any
    description: checkpoint.Description
    module: Any
    params: dict[str, Any]
    cut: str | None
    whole: np.ndarray
    labels: np.ndarray
    training: np.ndarray
    epochs_of: Callable[[np.ndarray], inputs.SourceOfEpoch]

    def outputs(self, params: dict[str, Any], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The mean activations of the explained layer [n, d] and the logits [n, C] of undistorted images."""
        found = evaluation.in_batches(lambda x: self.compiled(params, x), self.whole[rows])
        return found[:, : -len(self.description.class_names)], found[:, -len(self.description.class_names) :]

    @functools.cached_property
    def compiled(self) -> Callable[[Any, Any], Any]:
        """(params, inputs) -> mean activations and logits side by side."""
        layer, cut = self.description.layer, self.cut
        to_input = classifier.as_input(self.description.preprocessing)

        def both(module: Any, x: Any) -> Any:
            activation = architectures.through(module, x, cut, layer)
            pooled = activation.mean((-3, -2))
            return jax.numpy.concatenate([pooled, module.head(activation, layer)], axis=-1)

        run = galore.from_nnx(self.module, features=both, head=lambda module, x: x).features
        return jax.jit(lambda params, x: run(params, to_input(x)))


def fit(
    cfg: Any, dataset: PartDataset | SceneDataset, folder: Path, on_record: Callable[[dict[str, Any]], Any], show: Show
) -> Fitted:
    """Trains everything that `cfg.train` asks for; resumes from what is in the folder."""
    check(dataset)
    check_choices(cfg.train)
    setting = prepare(cfg, dataset, show)
    test = np.flatnonzero(~dataset.is_training)
    labels = setting.labels[setting.training]
    kept, held = inputs.validation_split(labels, float(cfg.train.validation), cfg.train.seed)
    kept, held = np.flatnonzero(kept), np.flatnonzero(held)

    clock: list[tuple[float, float]] = []

    def record(found: dict[str, Any]) -> None:
        if "seconds" in found:
            clock.append((found["waited"], found["seconds"]))
        on_record(found)

    params = train_classifier(setting, kept, held, cfg.train.epochs, folder, record, show, "classifier")
    activations, logits = setting.outputs(params, test)
    found = {
        "paths": np.array([dataset.paths[row] for row in test]),
        "labels": setting.labels[test],
        "logits": logits,
        "hardness": np.full(len(test), np.nan, np.float32),
        "student": np.full(len(test), -1),
        "beginner": np.random.default_rng((cfg.train.seed, 4)).integers(0, logits.shape[1], len(test)),
    }
    predictor = {name: value for name, value in params.items() if name.startswith(hardness.PREFIX)}
    if cfg.train.hardness in ("held_out", "cross_fit"):
        predictor = fit_hardness(setting, params, kept, held, show)
        best = checkpoint.find(folder)
        checkpoint.add_predictor(best, setting.description, params | predictor)
    if predictor:
        widths = tuple(cfg.train.hardness_widths)
        found["hardness"] = held_out.predict(predictor, activations, widths)
    if cfg.train.student == "few_shot":
        few = few_of_each(labels, cfg.train.shots, cfg.train.seed)
        other = with_network(setting, cfg.train.student_network)
        weak = train_classifier(other, few, few[:0], cfg.train.student_epochs, None, lambda r: None, show, "student")
        found["student"] = other.outputs(weak, test)[1].argmax(-1)
    # The first step compiles and the input pipeline starts; they say nothing about the rest.
    waited, seconds = (sum(column) for column in zip(*clock[3:], strict=True)) if len(clock) > 3 else (0.0, 1.0)
    return Fitted(found, waited / seconds, seconds / max(1, len(clock) - 3))


def check(dataset: PartDataset | SceneDataset) -> None:
    """Refuses what no classifier can be trained on."""
    if not dataset.is_training.any():
        raise InputError(f"{dataset.name} has no training images")
    if dataset.is_training.all():
        raise InputError(f"{dataset.name} has no test images")
    present = np.unique(dataset.labels[dataset.is_training])
    if len(dataset.class_names) < 2 or len(present) < 2:
        raise InputError(f"{dataset.name} has training images of {len(present)} class, expected at least 2 classes")


def check_choices(train: Any) -> None:
    """Refuses options that no training knows."""
    known = {
        "hardness": ("none", "held_out", "cross_fit", "joint"),
        "student": ("none", "few_shot"),
        "optimiser": ("one_cycle", "muon", "authors"),
    }
    for name, choices in known.items():
        if train[name] not in choices:
            raise InputError(f"train.{name}={train[name]}: expected one of {', '.join(choices)}")
    for name in ("epochs", "batch_size", "evaluate_every", "save_every", "threads", "views", "shots", "student_epochs"):
        if not isinstance(train[name], int) or train[name] < 1:
            raise InputError(f"train.{name}={train[name]!r}: expected a whole number of at least 1")
    if train.hardness == "held_out" and not train.validation:
        raise InputError("train.hardness=held_out needs held-out images: give train.validation=0.1, or cross_fit")
    classifier.checked_rate(train.learning_rate)
    check_batch_size(train.batch_size, device_mesh())


def prepare(cfg: Any, dataset: PartDataset | SceneDataset, show: Show) -> Setting:
    """Decodes the images and computes once what stays frozen."""
    train, name = cfg.train, cfg.model.name
    module = architectures.module(name, len(dataset.class_names))
    preprocessing = ARCHITECTURES[name.removesuffix("_narrow")].preprocessing
    if cfg.model.size is not None:
        preprocessing = preprocessing.at(cfg.model.size)
    if cfg.model.weights is None:
        params = architectures.random_params(name, len(dataset.class_names), train.seed)
    else:
        params = galore.load(name, cfg.model.weights, classes=len(dataset.class_names), seed=train.seed).params
    layer = check_layer(module, cfg.model.layer)
    cut = None if train.from_layer is None else check_layer(module, train.from_layer)
    has_predictor = train.hardness != "none"
    description = checkpoint.Description(
        name, tuple(dataset.class_names), preprocessing, layer,
        layer if has_predictor else None, tuple(train.hardness_widths) if has_predictor else (),
    )  # fmt: skip
    training = np.flatnonzero(dataset.is_training)
    whole = inputs.in_memory(prepared(dataset, preprocessing), threads=train.threads).arrays["image"]
    show("images", len(whole), len(whole), "")
    crops = Crops(train, dataset, training, whole if dataset.name.startswith("synthetic") else None, preprocessing.crop)
    cached = None
    if cut is not None:
        to_input = classifier.as_input(preprocessing)
        run = galore.from_nnx(module, features=lambda m, x: architectures.through(m, x, None, cut), head=lambda m, x: x)
        compiled = jax.jit(lambda x: run.features(params, to_input(x)))
        total = train.views * len(training) + len(whole)
        whole = features(compiled, [whole], show, 0, total)
        views = []
        for view in range(train.views):
            source = crops.epochs_of(np.arange(len(training)))(view)
            images = inputs.in_memory(source, threads=train.threads).arrays["image"]
            views.append(features(compiled, [images], show, len(dataset) + view * len(training), total))
        cached = np.stack(views)

    def epochs_of(rows: np.ndarray) -> inputs.SourceOfEpoch:
        if cached is None:
            return crops.epochs_of(rows)
        # Chosen once: this copies, and every example of an epoch asks for the epoch's source.
        some, labels = cached[:, rows], dataset.labels[training[rows]]
        return lambda epoch: inputs.Views(some, labels, epoch)

    return Setting(train, description, module, dict(params), cut, whole, dataset.labels, training, epochs_of)


@dataclass(frozen=True, eq=False)
class Crops:
    """Random crops of the training images, from memory where they are (small images) or from the files."""

    train: Any
    dataset: PartDataset | SceneDataset
    training: np.ndarray
    pixels: np.ndarray | None
    size: int

    def epochs_of(self, rows: np.ndarray) -> inputs.SourceOfEpoch:
        """Positions among the training images -> epoch -> their crops."""
        chosen = self.training[rows]
        if self.pixels is None:
            source: Any = Files(self.dataset.subset(chosen))
        else:
            source = inputs.Arrays({"image": self.pixels[chosen], "label": self.dataset.labels[chosen]})
        scale = (float(self.train.crop_scale), 1.0)
        early, switch = self.train.early_size, round(self.train.early_share * self.train.epochs)
        size = self.size if early is None else lambda epoch: early if epoch < switch else self.size
        return inputs.augmented(source, size, self.train.seed, scale, self.train.flip)


def features(compiled: Any, images: list[np.ndarray], show: Show, done: int, total: int) -> np.ndarray:
    """Frozen activations of images, 16 at a time."""
    parts = []
    for start in range(0, len(images[0]), 256):
        parts.append(evaluation.in_batches(compiled, images[0][start : start + 256], 16))
        show("frozen layers", done + start + len(parts[-1]), total, "")
    return np.concatenate(parts)


def train_classifier(
    setting: Setting,
    rows: np.ndarray,
    held: np.ndarray,
    epochs: int,
    folder: Path | None,
    on_record: Callable[[dict[str, Any]], Any],
    show: Show,
    phase: str,
) -> dict[str, Any]:
    """Trains one classifier on some of the training images, and saves checkpoints where a folder is given.

    Args:
        setting: of the run.
        rows: positions among the training images.
        held: positions of the validation images, or none.
        epochs: how many.
        folder: of the checkpoints; None: neither save nor resume.
        on_record: see `classifier.fit`.
        show: the progress.
        phase: its name there.

    Returns:
        The parameters that were best in the validation, or the last ones.
    """
    train = setting.train
    batch_size = min(train.batch_size, len(rows))
    per_epoch = len(rows) // batch_size
    steps = per_epoch * epochs
    source_of = setting.epochs_of(rows)
    optimiser = make_optimiser(train, steps, per_epoch)
    is_joint = train.hardness == "joint" and folder is not None
    params, loss = objective(setting, is_joint)
    state = initial_state(params, trained_names(setting, params), optimiser)
    progress = None
    if folder is not None and (folder / "last").exists():
        state, progress = resume(folder / "last", state, train)
    best = dict(params)

    def evaluate(current: dict[str, Any]) -> dict[str, float]:
        logits = setting.outputs(current, setting.training[held])[1]
        labels = setting.labels[setting.training[held]]
        p = evaluation.true_class_probability(logits, labels)
        found = {"accuracy": evaluation.accuracy(logits, labels), "loss": float(-np.log(np.maximum(p, 1e-12)).mean())}
        # Accuracy first, loss among equals.
        return found | {"value": found["accuracy"] - 1e-3 * found["loss"]}

    def save(state: Any, progress: dict[str, Any], links: tuple[str, ...]) -> None:
        if folder is not None:
            options = progress | {"seed": train.seed, "steps": steps, "batch_size": batch_size}
            checkpoint.save(
                folder, without_predictor(setting.description, is_joint), state.params,
                step=int(state.step), optimiser=state.optimiser, progress=options, links=links,
            )  # fmt: skip
        elif "best" in links:
            best.update(jax.device_get(state.params))

    def told(record: dict[str, Any]) -> None:
        on_record(record)
        if "loss" in record:
            show(phase, record["step"], steps, f"loss {record['loss']:.2f}")

    def batches(start: int) -> Iterator[Any]:
        return inputs.training_batches(
            source_of, len(rows), batch_size, seed=train.seed, start=start, stop=steps, threads=train.threads
        )

    step = make_step(loss, optimiser, train.seed)
    classifier.fit(
        step, state, batches, device_mesh(), steps=steps, evaluate=evaluate if len(held) else None,
        evaluate_every=per_epoch * train.evaluate_every, patience=train.patience, save=save,
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


def resume(last: Path, like: Any, train: Any) -> tuple[Any, dict[str, Any]]:
    """The state and the progress of the last checkpoint."""
    header, params = checkpoint.read_header(last), checkpoint.load_params(last)
    if header["progress"]["seed"] != train.seed:
        raise InputError(f"{last} has train.seed={header['progress']['seed']}; name another model.checkpoint")
    trained = {name: params[name] for name in like.trained}
    others = {name: params[name] for name in like.others}
    optimiser = checkpoint.load_optimiser(last, like.optimiser)
    state = like._replace(trained=trained, others=others, optimiser=optimiser, step=jax.numpy.int32(header["step"]))
    return state, {name: header["progress"][name] for name in ("best", "best_step", "worse")}


def objective(setting: Setting, is_joint: bool) -> tuple[dict[str, Any], Any]:
    """The parameters to start from and the loss."""
    train, description, cut = setting.train, setting.description, setting.cut
    to_input = classifier.as_input(description.preprocessing)

    def both(module: Any, x: Any) -> tuple[Any, Any]:
        activation = architectures.through(module, x, cut, description.layer)
        return activation, module.head(activation, description.layer)

    run = forward.training_forward(setting.module, both, train.frozen_statistics)
    if not is_joint:
        alone = lambda params, x, key: (lambda out: (out[0][1], out[1]))(run(params, x, key))  # noqa: E731
        return setting.params, classifier.objective(alone, to_input, train.label_smoothing)
    channels = architectures.channels(description.network, description.layer, description.preprocessing)
    structure = hardness.module(channels, description.predictor_widths)
    own = hardness.prefixed(draw(forward.shapes(structure), train.seed))
    predictor = forward.training_forward(structure)
    return setting.params | own, classifier.joint_objective(run, predictor, to_input, train.label_smoothing)


def trained_names(setting: Setting, params: dict[str, Any]) -> tuple[str, ...]:
    """The parameters behind the cut, without BatchNorm's statistics."""
    names = [name for name in params if not name.endswith((".mean", ".var"))]
    if setting.cut is None:
        return tuple(names)
    run = forward.training_forward(setting.module, lambda m, x: m.head(x, setting.cut), frozen_statistics=True)
    used = forward.used_names(run, setting.params, jax.numpy.asarray(setting.whole[:1]))
    return tuple(name for name in names if name in used or name.startswith(hardness.PREFIX))


def without_predictor(description: checkpoint.Description, is_joint: bool) -> checkpoint.Description:
    """The description of a checkpoint that is still to get its predictor."""
    return description if is_joint else checkpoint.without_predictor(description)


def fit_hardness(
    setting: Setting, params: dict[str, Any], kept: np.ndarray, held: np.ndarray, show: Show
) -> dict[str, Any]:
    """Trains the predictor on the frozen activations, its targets from images that the judging classifier never saw."""
    train, labels = setting.train, setting.labels[setting.training]
    if train.hardness == "held_out":
        rows = held
        activations, logits = setting.outputs(params, setting.training[rows])
        probability = evaluation.true_class_probability(logits, labels[rows])
    else:
        rows = np.arange(len(labels))
        fold = held_out.folds(labels, train.hardness_folds, train.seed)
        ignore = lambda record: None  # noqa: E731

        def judge(chosen: np.ndarray) -> np.ndarray:
            subset = np.flatnonzero(chosen)
            other = train_classifier(setting, subset, rows[:0], train.epochs, None, ignore, show, "cross-fitting")
            return evaluation.true_class_probability(setting.outputs(other, setting.training)[1], labels)

        probability = held_out.cross_fit(judge, fold)
        activations, _ = setting.outputs(params, setting.training)
    return held_out.fit_predictor(activations, probability, widths=tuple(train.hardness_widths), seed=train.seed)


def with_network(setting: Setting, name: str | None) -> Setting:
    """The same images for another network, trained from random parameters; None: for the same one."""
    if name is None:
        return setting
    if setting.cut is not None:
        raise InputError("train.student_network needs images: give train.from_layer=null, or student_network=null")
    classes = len(setting.description.class_names)
    module = architectures.module(name, classes)
    description = dataclasses.replace(setting.description, network=name, layer=check_layer(module, None))
    params = architectures.random_params(name, classes, setting.train.seed)
    return dataclasses.replace(setting, description=description, module=module, params=params)


def few_of_each(labels: np.ndarray, shots: int, seed: int) -> np.ndarray:
    """Positions of a few images of every class."""
    rng = np.random.default_rng((seed, 5))
    return np.concatenate([rng.permutation(np.flatnonzero(labels == label))[:shots] for label in np.unique(labels)])
