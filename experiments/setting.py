"""What all the classifiers of a training run share: the images as the network takes them, and where it starts."""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import galore
from galore.data.dataset import PartDataset, SceneDataset
from galore.data.loader import Files, prepared
from galore.models.layers import check_layer
from galore.training import architectures, classifier, evaluation, inputs
from galore.training.header import Description

Show = Callable[[str, int, int, str], Any]
"""Told the name of the phase, how much is done of how much, and a few words."""


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
    description: Description
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
            return jnp.concatenate([activation.mean((-3, -2)), module.head(activation, layer)], axis=-1)

        run = galore.from_nnx(self.module, features=both, head=lambda module, x: x).features
        return jax.jit(lambda params, x: run(params, to_input(x)))


def prepare(dataset: PartDataset | SceneDataset, train: Any, model: Any, show: Show) -> Setting:
    """Decodes the images and computes once what stays frozen.

    Args:
        dataset: with training and test images.
        train: the options `cfg.train`.
        model: the options `cfg.model`.
        show: the progress.
    """
    description, module, params = start(model, train, tuple(dataset.class_names))
    preprocessing, training = description.preprocessing, np.flatnonzero(dataset.is_training)
    whole = inputs.in_memory(prepared(dataset, preprocessing), threads=train.threads).arrays["image"]
    show("images", len(whole), len(whole), "")
    pixels = whole if train.crops_from == "memory" else None
    crops = Crops(train, dataset, training, pixels, preprocessing.crop)
    images = Setting(train, description, module, params, None, whole, dataset.labels, training, crops.epochs_of)
    if train.from_layer is None:
        return images
    cut = check_layer(module, train.from_layer)
    cached, views = frozen(cut, images, show)

    def epochs_of(rows: np.ndarray) -> inputs.SourceOfEpoch:
        # Chosen once: this copies, and every example of an epoch asks for the epoch's source.
        some, labels = views[:, rows], dataset.labels[training[rows]]
        return lambda epoch: inputs.Views(some, labels, epoch)

    return dataclasses.replace(images, cut=cut, whole=cached, epochs_of=epochs_of)


def start(model: Any, train: Any, class_names: tuple[str, ...]) -> tuple[Description, Any, dict[str, Any]]:
    """The description of the checkpoint, the structure of the network, and the parameters to start from."""
    name, classes = model.name, len(class_names)
    module = architectures.module(name, classes)
    if model.weights is None:
        params = architectures.random_params(name, classes, train.seed)
    else:
        params = galore.load(name, model.weights, classes=classes, seed=train.seed).params
    layer, preprocessing = check_layer(module, model.layer), architectures.preprocessing(name)
    if model.size is not None:
        preprocessing = preprocessing.at(model.size)
    description = Description(name, class_names, preprocessing, layer)
    if train.hardness != "none":
        description = dataclasses.replace(
            description,
            predictor_layer=layer,
            predictor_widths=tuple(train.hardness_widths),
            predictor_trunk=train.hardness_trunk == "own",
        )
    return description, module, dict(params)


@dataclass(frozen=True, eq=False)
class Crops:
    """Random crops of the training images.

    Attributes:
        train: the options `cfg.train`.
        dataset: of all images.
        training: rows of the training images.
        pixels: all images, prepared, to crop from; None: from the files.
        size: side of the crops, in pixels.
    """

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


def frozen(cut: str, images: Setting, show: Show) -> tuple[np.ndarray, np.ndarray]:
    """What the frozen layers make of all images [N, h, w, d], and of each view of the training images [v, n, h, w, d].

    Args:
        cut: the last frozen layer.
        images: the setting before the cut.
        show: the progress.
    """
    train, count = images.train, len(images.training)
    to_input = classifier.as_input(images.description.preprocessing)
    run = galore.from_nnx(
        images.module, features=lambda m, x: architectures.through(m, x, None, cut), head=lambda m, x: x
    )
    compiled = jax.jit(lambda x: run.features(images.params, to_input(x)))
    total, done = len(images.whole) + train.views * count, 0

    def computed(pixels: np.ndarray) -> np.ndarray:
        nonlocal done
        parts = []
        for first in range(0, len(pixels), 256):
            parts.append(evaluation.in_batches(compiled, pixels[first : first + 256], 16))
            done += len(parts[-1])
            show("frozen layers", done, total, "")
        return np.concatenate(parts)

    whole = computed(images.whole)
    views = []
    for view in range(train.views):
        source = images.epochs_of(np.arange(count))(view)
        views.append(computed(inputs.in_memory(source, threads=train.threads).arrays["image"]))
    return whole, np.stack(views)
