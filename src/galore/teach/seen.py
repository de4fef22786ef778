"""What the network makes of the images of two or more classes: which it gets right, and the maps of conditions."""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from galore import explain, regions
from galore.attribution import gradient_x_activation
from galore.class_names import find
from galore.confidence import softmax_score
from galore.data import ade20k, cub
from galore.data.dataset import PartDataset, SceneDataset
from galore.data.geometry import Transform
from galore.data.photo import read_image
from galore.data.preprocessing import Preprocessing
from galore.errors import InputError, closest
from galore.network import Network

BATCH = 8

ATTRIBUTION, CONFIDENCE = gradient_x_activation, softmax_score


class Seen(NamedTuple):
    """The network's view of images.

    Attributes:
        logits: of each image.
        features: the activations at the cut, where asked for.
    """

    logits: Float[np.ndarray, "n C"]
    features: Float[np.ndarray, "n h w d"]


def read(root: str | Path, classes: Sequence[str] | None = None) -> PartDataset | SceneDataset:
    """Reads a folder in the format of CUB-200-2011 or of ADE20K.

    Raises:
        InputError: it is neither, or something in it is wrong.
    """
    root = Path(root)
    if (root / "sceneCategories.txt").is_file():
        return ade20k.read(root, classes)
    if (root / "images.txt").is_file() or not root.is_dir():
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
        InputError: the network has no names, or does not know a class (with the closest).
    """
    if not net.class_names:
        raise InputError(f"the network {net.name} does not say which classes it knows, expected a trained checkpoint")
    for name in class_names:
        if name not in net.class_names:
            hint = closest(name, net.class_names)
            raise InputError(f"the network {net.name} does not know the class {name}" + (f"; {hint}" if hint else ""))
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
    height, width = read_image(path).shape[:2]
    return preprocessing(net).transform(height, width)


def load(net: Network, paths: Sequence[Path]) -> Float[np.ndarray, "n size size 3"]:
    """The images as the network takes them."""
    return np.stack([preprocessing(net).apply(read_image(path)) for path in paths])


def look(net: Network, paths: Sequence[Path], with_features: bool = False) -> Seen:
    """Runs the network over photos, a few at a time."""
    logits, features = [], []
    for images, count in batches(net, paths):
        F, values = _forward(net, images)
        logits.append(np.asarray(values[:count], np.float32))
        if with_features:
            features.append(np.asarray(F[:count], np.float32))
    empty = np.zeros((len(paths), 0, 0, 0), np.float32)
    return Seen(np.concatenate(logits), np.concatenate(features) if with_features else empty)


@jax.jit
def _forward(net: Network, images: Array) -> tuple[Array, Array]:
    return jax.vmap(net)(images)


def batches(net: Network, paths: Sequence[Path]) -> Iterator[tuple[Array, int]]:
    """Batches of one size, so that everything is compiled once; the last one is filled up with its last image."""
    for start in range(0, len(paths), BATCH):
        images = load(net, paths[start : start + BATCH])
        missing = min(BATCH, len(paths)) - len(images) if start else 0
        yield jnp.asarray(np.concatenate([images, np.repeat(images[-1:], missing, 0)])), len(images)


def condition_maps(
    net: Network,
    paths: Sequence[Path],
    classes: Int[np.ndarray, " n"],
    others: Int[np.ndarray, " n"],
    conditions: Sequence[str],
) -> dict[str, Float[np.ndarray, "n h w"]]:
    """The maps that the conditions are made from.

    "counterfactual": D(x; y, c), for this condition and for "random"; "attributive": a(h_y).

    Args:
        net: the network.
        paths: photos.
        classes: y, the classes of the photos, indices of logits.
        others: c, the classes that they are told from.
        conditions: which; "whole" needs no map.
    """
    made = {}
    if "counterfactual" in conditions or "random" in conditions:
        made["counterfactual"] = discriminant_maps(net, paths, classes, others)
    if "attributive" in conditions:
        made["attributive"] = _run(net, _attributive, paths, classes, others)
    return made


def discriminant_maps(
    net: Network, paths: Sequence[Path], classes: Int[np.ndarray, " n"], others: Int[np.ndarray, " n"]
) -> Float[np.ndarray, "n h w"]:
    """D(x; y, c) of each photo: what speaks for its class y and not for the class c."""
    return _run(net, _discriminant, paths, classes, others)


@jax.jit
def _discriminant(net: Network, images: Array, classes: Array, others: Array) -> Array:
    return explain.discriminant(net, images, classes, others, attribution=ATTRIBUTION, confidence=CONFIDENCE).maps


@jax.jit
def _attributive(net: Network, images: Array, classes: Array, others: Array) -> Array:
    return explain.attributive(net, images, classes, attribution=ATTRIBUTION).maps


def _run(
    net: Network,
    run: Callable[..., Array],
    paths: Sequence[Path],
    classes: Int[np.ndarray, " n"],
    others: Int[np.ndarray, " n"],
) -> Float[np.ndarray, "n h w"]:
    maps, start = [], 0
    for images, count in batches(net, paths):
        filled = np.minimum(start + np.arange(len(images)), len(paths) - 1)
        maps.append(np.asarray(run(net, images, classes[filled], others[filled])[:count], np.float32))
        start += count
    return np.concatenate(maps)


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
