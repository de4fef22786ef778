"""Which example comes when: a function of (seed, epoch, step) alone, so that a resumed run sees what it would have."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Shaped

from galore.data.geometry import random_resized_crop
from galore.data.loader import Example, Source, Transformed, batches
from galore.data.preprocessing import Preprocessing
from galore.errors import InputError

SourceOfEpoch = Callable[[int], Source]
"""epoch -> the examples as that epoch sees them, for instance with its random crops."""


@dataclass(frozen=True, eq=False)
class Arrays:
    """Examples in memory: a dictionary of arrays with one row each."""

    arrays: dict[str, Shaped[np.ndarray, "n ..."]]

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def __getitem__(self, index: int, /) -> Example:
        return {name: array[index] for name, array in self.arrays.items()}


@dataclass(frozen=True, eq=False)
class _Schedule:
    """All the examples of the steps to come, in their order, so that the loader reads ahead across epochs."""

    source_of: SourceOfEpoch
    count: int
    batch_size: int
    seed: int
    start: int
    stop: int
    share: tuple[int, int]

    def __len__(self) -> int:
        return (self.stop - self.start) * self._local

    def __getitem__(self, position: int, /) -> Example:
        step, within = divmod(position, self._local)
        epoch, batch = divmod(self.start + step, self.count // self.batch_size)
        order = epoch_order(self.count, self.seed, epoch)
        index = order[batch * self.batch_size + self.share[0] * self._local + within]
        return self.source_of(epoch)[int(index)]

    @property
    def _local(self) -> int:
        return self.batch_size // self.share[1]


@functools.lru_cache(maxsize=4)
def epoch_order(count: int, seed: int, epoch: int) -> Int[np.ndarray, " n"]:
    """The order of the examples in an epoch; those behind the last full batch wait for another epoch."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def training_batches(
    source_of: SourceOfEpoch, count: int, batch_size: int, *, seed: int, start: int, stop: int, threads: int = 2
) -> Iterator[Example]:
    """The batches of the steps start, ..., stop - 1, read ahead by threads.

    Args:
        source_of: epoch -> its examples, all of one shape.
        count: how many examples an epoch has.
        batch_size: of the global batch; every process reads its own share of it.
        seed: of the order.
        start: the first step; every epoch has count // batch_size of them.
        stop: the step before which to end.
        threads: how many read at a time.

    Raises:
        InputError: a batch is larger than the data set.
    """
    if batch_size > count:
        raise InputError(f"batch_size {batch_size} is larger than the {count} training images")
    share = (jax.process_index(), jax.process_count())
    schedule = _Schedule(source_of, count, batch_size, seed, start, stop, share)
    return batches(schedule, batch_size // share[1], threads=threads)


def augmented(
    source: Source,
    size: int | Callable[[int], int],
    seed: int,
    scale: tuple[float, float] = (0.08, 1.0),
    flip: bool = True,
) -> SourceOfEpoch:
    """Random resized crops and flips; the same seed, epoch and index give the same crop.

    Args:
        source: larger or equal images with their labels; anything else in its examples is dropped.
        size: the side of the square that comes out, in pixels; or epoch -> side, for networks that take any size and
            learn faster from small images at first (Howard, DAWNBench 2018).
        seed: of the crops.
        scale: the smallest and the largest share of the area that is kept.
        flip: whether half of the images are mirrored.
    """
    bare = _ImageAndLabel(source)

    def source_of(epoch: int) -> Source:
        side = size(epoch) if callable(size) else size

        def geometry(index: int, height: int, width: int):
            rng = np.random.default_rng((seed, epoch, index))
            return random_resized_crop(rng, height, width, side, scale, flip_probability=0.5 if flip else 0.0)

        return Transformed(bare, geometry)

    return source_of


@dataclass(frozen=True, eq=False)
class _ImageAndLabel:
    source: Source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int, /) -> Example:
        example = self.source[index]
        return {"image": example["image"], "label": example["label"]}


def views(activations: Shaped[np.ndarray, "views n h w d"], labels: Int[np.ndarray, " n"]) -> SourceOfEpoch:
    """Cached activations of several random views of each image: epoch e is given view e modulo their number."""
    return lambda epoch: Arrays({"image": activations[epoch % len(activations)], "label": labels})


def in_memory(source: Source, batch_size: int = 32, threads: int = 2) -> Arrays:
    """The images and labels of a source, read once."""
    parts = [
        {name: batch[name][batch["valid"]] for name in ("image", "label")}
        for batch in batches(_ImageAndLabel(source), batch_size, threads=threads)
    ]
    return Arrays({name: np.concatenate([part[name] for part in parts]) for name in ("image", "label")})


def validation_split(
    labels: Int[np.ndarray, " n"], share: float, seed: int
) -> tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Holds out the same share of every class, at least one image of a class that has two.

    Args:
        labels: of the training images.
        share: how many to hold out, in [0, 1).
        seed: of the choice.

    Returns:
        Which images are for training and which are held out.

    Raises:
        InputError: the share is outside [0, 1).
    """
    if not 0 <= share < 1:
        raise InputError(f"validation share {share}: expected a number from 0 to below 1")
    held_out = np.zeros(len(labels), bool)
    rng = np.random.default_rng((seed, 1))
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        count = round(share * len(members)) if share else 0
        held_out[members[: min(max(count, int(share > 0)), len(members) - 1)]] = True
    return ~held_out, held_out


def as_input(preprocessing: Preprocessing) -> Callable[[Array], Array]:
    """From uint8 pixels to the network's inputs, on the device, so that a quarter of the bytes travel there.

    Floating-point arrays are cached activations and pass unchanged.
    """
    mean, std = np.array(preprocessing.mean, np.float32), np.array(preprocessing.std, np.float32)

    def inputs(image: Array) -> Array:
        if jnp.issubdtype(image.dtype, jnp.floating):
            return image.astype(jnp.float32)
        return (image.astype(jnp.float32) / 255 - mean) / std

    return inputs
