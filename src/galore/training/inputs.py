"""Which example comes when: a function of (seed, epoch, step) alone, so that a resumed run sees what it would have."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

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
    order_of: Callable[[int], Int[np.ndarray, " n"]]
    epochs: Int[np.ndarray, " steps"]
    firsts: Int[np.ndarray, " steps"]
    ends: Int[np.ndarray, " steps"]

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def __getitem__(self, position: int, /) -> Example:
        step = int(np.searchsorted(self.ends, position, side="right"))
        within = position - (self.ends[step - 1] if step else 0)
        epoch = int(self.epochs[step])
        return self.source_of(epoch)[int(self.order_of(epoch)[self.firsts[step] + within])]


class Whole(dict[str, Any]):
    """A batch that every process holds whole, because it does not divide over all devices."""


@functools.lru_cache(maxsize=4)
def epoch_order(count: int, seed: int, epoch: int) -> Int[np.ndarray, " n"]:
    """The order of the examples in an epoch."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def steps_of_epoch(count: int, batch_size: int, keep_last: bool) -> int:
    """How many batches an epoch of `count` examples has, an incomplete last one included or not."""
    return -(-count // batch_size) if keep_last else count // batch_size


def training_batches(
    source_of: SourceOfEpoch,
    count: int,
    batch_size: int,
    *,
    seed: int,
    start: int,
    stop: int,
    threads: int = 2,
    keep_last: bool = False,
) -> Iterator[Example]:
    """The batches of the steps start, ..., stop - 1, read ahead by threads.

    Args:
        source_of: epoch -> its examples, all of one shape.
        count: how many examples an epoch has.
        batch_size: of the global batch; every process reads its own share of it.
        seed: of the order.
        start: the first step; every epoch has `steps_of_epoch` of them.
        stop: the step before which to end.
        threads: how many read at a time.
        keep_last: whether the examples behind the last full batch of an epoch make a smaller one, which is a `Whole`
            where it does not divide over all devices; else they wait for another epoch.

    Raises:
        InputError: a batch is larger than the data set.
    """
    if batch_size > count and not keep_last:
        raise InputError(f"batch_size {batch_size} is larger than the {count} training images")
    epochs, numbers = np.divmod(np.arange(start, stop), steps_of_epoch(count, batch_size, keep_last))
    sizes = np.minimum(batch_size, count - numbers * batch_size)
    is_whole = sizes % jax.device_count() != 0
    shares = np.where(is_whole, sizes, sizes // jax.process_count())
    firsts = numbers * batch_size + np.where(is_whole, 0, jax.process_index() * shares)
    order_of = functools.partial(epoch_order, count, seed)
    schedule = _Schedule(source_of, order_of, epochs, firsts, np.cumsum(shares))
    read = batches(schedule, batch_size // jax.process_count() or 1, threads=threads, sizes=shares.tolist())
    return _marked(read, is_whole.tolist())


def _marked(read: Iterator[Example], is_whole: list[bool]) -> Iterator[Example]:
    with contextlib.closing(read):  # pyright: ignore[reportArgumentType]
        for whole, batch in zip(is_whole, read, strict=True):
            yield Whole(batch) if whole else batch


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


@dataclass(frozen=True, eq=False)
class Read:
    """The images of a source, read when rows are asked for: where there are too many to hold them."""

    source: Source
    threads: int = 2

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, rows: Int[np.ndarray, " k"], /) -> Shaped[np.ndarray, "k h w c"]:
        return in_memory(_Rows(self.source, rows), len(rows), self.threads).arrays["image"]


@dataclass(frozen=True, eq=False)
class _Rows:
    source: Source
    rows: Int[np.ndarray, " k"]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int, /) -> Example:
        return self.source[int(self.rows[index])]


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
