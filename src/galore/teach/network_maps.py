"""What the network makes of the images of two or more classes: which it gets right, and the maps of conditions."""

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from galore import batching, explain, regions
from galore.attribution import gradient_x_activation
from galore.class_names import find
from galore.confidence import softmax_score
from galore.data import ade20k, cub
from galore.data.dataset import PartDataset, SceneDataset
from galore.data.geometry import Transform
from galore.data.photo import read_image, read_size
from galore.data.preprocessing import Preprocessing
from galore.errors import InputError, closest
from galore.network import Network

BATCH = 8

ATTRIBUTION, CONFIDENCE = gradient_x_activation, softmax_score


def read(root: str | Path, classes: Sequence[str] | None = None) -> PartDataset | SceneDataset:
    """Reads a folder in the format of CUB-200-2011 or of ADE20K.

    Raises:
        InputError: it is neither, or something in it is wrong.
    """
    root = Path(root)
    if os.path.isfile(root / "sceneCategories.txt"):
        return ade20k.read(root, classes)
    if os.path.isfile(root / "images.txt") or not os.path.isdir(root):
        return cub.read(root, classes)
    raise InputError(f"{root} holds neither images.txt (CUB-200-2011) nor sceneCategories.txt (ADE20K)")


def two_classes(dataset: PartDataset | SceneDataset, names: Sequence[str]) -> tuple[int, int]:
    """The positions of two different classes, by name or part of a name.

    Raises:
        InputError: an unknown class (with the closest), or the same class twice.
    """
    first, second = (find(name, dataset.class_names) for name in names)
    if first == second:
        raise InputError(f"{names[0]} and {names[1]} are the same class ({dataset.class_names[first]}), expected two")
    return first, second


def indices_in(net: Network, class_names: Sequence[str]) -> list[int]:
    """Which logits of the network belong to these classes.

    Raises:
        InputError: the network has no names, knows a class twice, or does not know it (with the closest).
    """
    if not net.class_names:
        raise InputError(f"the network {net.name} does not say which classes it knows, expected a trained checkpoint")
    for name in class_names:
        if name not in net.class_names:
            hint = closest(name, net.class_names)
            raise InputError(f"the network {net.name} does not know the class {name}" + (f"; {hint}" if hint else ""))
        if net.class_names.count(name) > 1:
            raise InputError(f"the network {net.name} knows more than one class called {name}, expected one")
    return [net.class_names.index(name) for name in class_names]


def preprocessing(net: Network) -> Preprocessing:
    """How photos become images.

    Raises:
        InputError: the network does not say.
    """
    if net.preprocessing is None:
        raise InputError(f"the network {net.name} does not say how photos are prepared, expected Network.preprocessing")
    return net.preprocessing


def transform(net: Network, path: Path) -> Transform:
    """From the photo's pixels to the square that the network takes."""
    return preprocessing(net).transform(*read_size(path))


def images_of(net: Network, paths: Sequence[Path]) -> Float[np.ndarray, "n size size 3"]:
    """The photos as the network takes them."""
    return np.stack([preprocessing(net).apply(read_image(path)) for path in paths])


def over_photos(
    net: Network, paths: Sequence[Path], function: Callable[[Array, Int[np.ndarray, " b"]], PyTree]
) -> PyTree:
    """A function of a batch of images and of their positions, for all photos; each is decoded once.

    Args:
        net: tells how photos become images.
        paths: at least one photo.
        function: jitted by the caller.
    """

    def batch_of(positions: Int[np.ndarray, " b"]) -> tuple[Array, Int[np.ndarray, " b"]]:
        distinct, which = np.unique(positions, return_inverse=True)
        return jnp.asarray(images_of(net, [paths[i] for i in distinct])[which]), positions

    return batching.run(lambda batch: function(*batch), batch_of, len(paths), min(BATCH, len(paths)))


def predictions(net: Network, paths: Sequence[Path]) -> Float[np.ndarray, "n C"]:
    """The logits of photos."""
    return over_photos(net, paths, lambda images, _: _forward(net, images)[1]).astype(np.float32)


def activations(net: Network, paths: Sequence[Path]) -> Float[np.ndarray, "n h w d"]:
    """The activations at the cut."""
    return over_photos(net, paths, lambda images, _: _forward(net, images)[0]).astype(np.float32)


@jax.jit
def _forward(net: Network, images: Array) -> tuple[Array, Array]:
    return jax.vmap(net)(images)


def predictions_and_maps(
    net: Network,
    paths: Sequence[Path],
    classes: Int[np.ndarray, " n"],
    others: Int[np.ndarray, " n"],
    conditions: Sequence[str],
) -> tuple[Float[np.ndarray, "n C"], dict[str, Float[np.ndarray, "n h w"]]]:
    """The logits of photos and the maps that the conditions are made from.

    "counterfactual": D(x; y, c), for this condition and for "random"; "attributive": a(h_y).

    Args:
        net: the network.
        paths: photos.
        classes: y, the classes of the photos, indices of logits.
        others: c, the classes that they are told from.
        conditions: which; "whole" needs no map.
    """
    explanations = {}
    if "counterfactual" in conditions or "random" in conditions:
        explanations["counterfactual"] = _discriminant
    if "attributive" in conditions:
        explanations["attributive"] = _attributive

    def run(images: Array, which: Int[np.ndarray, " b"]) -> tuple[Array, dict[str, Array]]:
        pair = classes[which], others[which]
        return _forward(net, images)[1], {name: of(net, images, *pair) for name, of in explanations.items()}

    logits, maps = over_photos(net, paths, run)
    return logits.astype(np.float32), {name: maps[name].astype(np.float32) for name in explanations}


def discriminant_maps(
    net: Network, paths: Sequence[Path], classes: Int[np.ndarray, " n"], others: Int[np.ndarray, " n"]
) -> Float[np.ndarray, "n h w"]:
    """D(x; y, c) of each photo: what speaks for its class y and not for the class c."""
    return over_photos(
        net, paths, lambda images, which: _discriminant(net, images, classes[which], others[which])
    ).astype(np.float32)


@jax.jit
def _discriminant(net: Network, images: Array, classes: Array, others: Array) -> Array:
    return explain.discriminant(net, images, classes, others, attribution=ATTRIBUTION, confidence=CONFIDENCE).maps


@jax.jit
def _attributive(net: Network, images: Array, classes: Array, others: Array) -> Array:
    return explain.attributive(net, images, classes, attribution=ATTRIBUTION).maps


def moved(maps: Float[np.ndarray, "n h w"], generator: np.random.Generator) -> Float[np.ndarray, "n h w"]:
    """Each map rolled to a random place around the edges and mirrored at random."""
    result = []
    for map_ in maps:
        height, width = map_.shape
        while True:
            shift = int(generator.integers(height)), int(generator.integers(width))
            if shift != (0, 0) or map_.size == 1:
                break
        rolled = np.roll(map_, shift, (0, 1))
        result.append(rolled[:, ::-1] if generator.random() < 0.5 else rolled)
    return np.stack(result)


@functools.cache
def _region_function(fraction: float, size: int) -> Callable[[Array], Array]:
    return jax.jit(lambda map_: regions.largest_fraction(map_, fraction, (size, size)))


def region(map_: Float[np.ndarray, "h w"], fraction: float, size: int) -> Bool[np.ndarray, "size size"]:
    """The largest fraction of the upsampled map."""
    return np.asarray(_region_function(fraction, size)(jnp.asarray(map_)))


def parts_inside(
    dataset: Any, index: int, where: Transform, inside: Bool[np.ndarray, "size size"]
) -> tuple[Float[np.ndarray, "p 2"], Bool[np.ndarray, " p"]]:
    """The part points in units of the picture's side, and which are visible and inside a region."""
    points = where.points(dataset.points[index])
    visible = dataset.visible[index] & where.inside(dataset.points[index])
    size = inside.shape[0]
    column, row = (np.clip(np.floor(points[:, k]).astype(int), 0, size - 1) for k in (0, 1))
    return points / size, visible & inside[row, column]
