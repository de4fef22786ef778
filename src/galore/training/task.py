"""What the classifiers of a run have in common: the network to start from, and the images as it takes them."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from galore import batching
from galore.data.dataset import PartDataset, SceneDataset
from galore.data.loader import Files, prepared
from galore.models import factory
from galore.models.layers import LayeredNetwork, check_layer
from galore.network import pure
from galore.training import architectures, checkpoint, hardness, inputs
from galore.training.architectures import Params
from galore.training.config import ModelConfig, TrainConfig
from galore.training.header import Description, predictor_module

OnProgress = Callable[[str, int, int, str], Any]
"""Told the name of the phase, how much is done of how much, and a few words."""

ExamplesOf = Callable[[Int[np.ndarray, " k"]], inputs.SourceOfEpoch]
"""Positions among the training images -> epoch -> their examples, distorted at random."""


@dataclass(frozen=True, eq=False)
class Task:
    """What to train and on which images.

    Attributes:
        config: the options.
        description: of the checkpoint.
        module: the network's structure.
        params: to start from.
        cut: the layer up to which everything is frozen and cached; None: nothing is.
        images: all images as the network (or what follows the cut) takes them, undistorted, row by row; held, or read
            when they are asked for.
        labels: of all images.
        training: rows of the training images.
        examples_of: the training images, distorted.
        pixels_sha256: of all images before anything is cached.
    """

    config: TrainConfig
    description: Description
    module: LayeredNetwork
    params: Params
    cut: str | None
    images: Shaped[np.ndarray, "n h w d"] | inputs.Read
    labels: Int[np.ndarray, " n"]
    training: Int[np.ndarray, " m"]
    examples_of: ExamplesOf
    pixels_sha256: str

    @property
    def training_labels(self) -> Int[np.ndarray, " m"]:
        """Of the training images."""
        return self.labels[self.training]

    def run(self, module: Any, x: Float[Array, "*b h w d"]) -> tuple[Float[Array, "*b i j k"], Float[Array, "*b C"]]:
        """The activations of the explained layer and the logits, from the network's inputs or cached activations."""
        activation = architectures.through(module, x, self.cut, self.description.layer)
        return activation, module.head(activation, self.description.layer)

    def outputs(
        self, params: Mapping[str, Any], rows: Int[np.ndarray, " k"]
    ) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, "k C"]]:
        """The mean activations of the explained layer and the logits of undistorted images.

        Args:
            params: of the classifier, on the device or the host.
            rows: of the images.
        """
        classes, both = len(self.description.class_names), self._in_batches(lambda x: self._compiled(params, x), rows)
        return both[:, :-classes], both[:, -classes:]

    def hardness(
        self, predictor: Mapping[str, Any], activations: Float[np.ndarray, "k d"], rows: Int[np.ndarray, " k"]
    ) -> Float[np.ndarray, " k"]:
        """The hardness k of undistorted images.

        Args:
            predictor: its parameters, with `hardness.PREFIX`.
            activations: the classifier's mean activations for these images.
            rows: of the images.
        """
        structure, cut, layer = predictor_module(self.description), self.cut, self.description.layer
        if isinstance(structure, hardness.HardnessPredictor):
            return hardness.predict(predictor, activations, structure)
        run = pure(structure, lambda module, x: module(x, cut, layer))
        to_input, values = inputs.as_input(self.description.preprocessing), hardness.own(predictor)
        compiled = jax.jit(lambda values, x: run(values, to_input(x)))
        return self._in_batches(lambda x: compiled(values, x), rows)

    def _in_batches(self, function: Callable[[Any], Any], rows: np.ndarray) -> np.ndarray:
        return batching.run(function, lambda some: self.images[rows[some]], len(rows), min(64, len(rows)))

    @functools.cached_property
    def _compiled(self) -> Callable[[Any, Any], Any]:
        """(params, inputs) -> mean activations and logits side by side."""

        def side_by_side(module: Any, x: Any) -> Any:
            activation, logits = self.run(module, x)
            return jnp.concatenate([activation.mean((-3, -2)), logits], axis=-1)

        run = pure(self.module, side_by_side)
        to_input = inputs.as_input(self.description.preprocessing)
        return jax.jit(lambda params, x: run(params, to_input(x)))


def prepare(
    dataset: PartDataset | SceneDataset, train: TrainConfig, model: ModelConfig, on_progress: OnProgress
) -> Task:
    """Decodes the images and computes once what stays frozen.

    Args:
        dataset: with training and test images.
        train: the options of the training.
        model: the network.
        on_progress: told how far this is.

    Raises:
        InputError: an unknown network or layer, weights that cannot be had, or an image that cannot be read.
    """
    description, params = start(train, model, tuple(dataset.class_names))
    module = architectures.module(model.name, len(dataset.class_names))
    images: Any = inputs.Read(prepared(dataset, description.preprocessing, is_annotated=False), train.threads)
    if train.crops_from == "memory" or train.from_layer is not None:
        images = inputs.in_memory(images.source, threads=train.threads).arrays["image"]
    digest = _digest(images, on_progress)
    pixels = images if train.crops_from == "memory" else None
    crops = _crops(dataset, train, pixels, description.preprocessing.crop)
    training = np.flatnonzero(dataset.is_training)
    task = Task(train, description, module, params, None, images, dataset.labels, training, crops, digest)
    if train.from_layer is None:
        return task
    return _frozen(task, check_layer(module, train.from_layer), on_progress)


def _digest(images: Any, on_progress: OnProgress) -> str:
    """Of all pixels, image by image; one that cannot be read is found now, and not after hours."""
    digest = hashlib.sha256()
    for first in range(0, len(images), 64):
        rows = np.arange(first, min(first + 64, len(images)))
        digest.update(np.ascontiguousarray(images[rows]).data)
        on_progress("images", int(rows[-1]) + 1, len(images), "")
    return digest.hexdigest()


def start(train: TrainConfig, model: ModelConfig, class_names: tuple[str, ...]) -> tuple[Description, Params]:
    """The description of the checkpoint, and the parameters to start from."""
    name, classes = model.name, len(class_names)
    layer = check_layer(architectures.module(name, classes), model.layer)
    if model.weights is None:
        params = architectures.random_params(name, classes, train.seed)
    else:
        build = checkpoint.build_network if Path(model.weights).is_dir() else factory.build_network
        params = build(name, model.weights, layer, classes, train.seed)[0].params
    preprocessing = architectures.preprocessing(name)
    if model.size is not None:
        preprocessing = preprocessing.at(model.size)
    given = {"mean": train.pixel_mean, "std": train.pixel_std}
    preprocessing = dataclasses.replace(preprocessing, **{name: value for name, value in given.items() if value})
    description = Description(name, class_names, preprocessing, layer)
    if train.hardness != "none":
        description = dataclasses.replace(
            description,
            predictor_layer=layer,
            predictor_widths=train.hardness_widths,
            predictor_trunk=train.hardness_trunk == "own",
        )
    return description, dict(params)


def _crops(dataset: PartDataset | SceneDataset, train: TrainConfig, pixels: np.ndarray | None, size: int) -> ExamplesOf:
    """Random crops of the training images.

    Args:
        dataset: of all images.
        train: the options.
        pixels: all images, prepared, to crop from; None: from the files.
        size: side of the crops, in pixels.
    """
    training, switch = np.flatnonzero(dataset.is_training), round(train.early_share * train.epochs)

    def side(epoch: int) -> int:
        return train.early_size if train.early_size is not None and epoch < switch else size

    def examples_of(positions: np.ndarray) -> inputs.SourceOfEpoch:
        rows = training[positions]
        if pixels is None:
            source: Any = Files(dataset.subset(rows), is_annotated=False)
        else:
            source = inputs.Arrays({"image": pixels[rows], "label": dataset.labels[rows]})
        return inputs.augmented(source, side, train.seed, (train.crop_scale, 1.0), train.flip)

    return examples_of


def _frozen(task: Task, cut: str, on_progress: OnProgress) -> Task:
    """The task behind the cut: the frozen layers are computed once, for all images and each view of a training image.

    Args:
        task: before the cut.
        cut: the last frozen layer.
        on_progress: told how far this is.
    """
    views, count = task.config.views, len(task.training)
    to_input = inputs.as_input(task.description.preprocessing)
    run = pure(task.module, lambda module, x: architectures.through(module, x, None, cut))
    compiled = functools.partial(jax.jit(lambda params, x: run(params, to_input(x))), task.params)
    total, done = len(task.images) + views * count, 0

    def activations(pixels: Any) -> np.ndarray:
        nonlocal done
        parts = []
        for first in range(0, len(pixels), 256):
            some = pixels[first : first + 256]
            parts.append(batching.run(compiled, some.__getitem__, len(some), min(16, len(some))))
            done += len(some)
            on_progress("frozen layers", done, total, "")
        return np.concatenate(parts)

    images = activations(task.images)
    sources = [task.examples_of(np.arange(count))(view) for view in range(views)]
    pixels = (inputs.in_memory(source, threads=task.config.threads).arrays["image"] for source in sources)
    by_view = np.stack([activations(some) for some in pixels])

    def examples_of(positions: np.ndarray) -> inputs.SourceOfEpoch:
        return inputs.views(by_view[:, positions], task.training_labels[positions])

    return dataclasses.replace(task, cut=cut, images=images, examples_of=examples_of)
