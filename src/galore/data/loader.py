"""From an annotated data set to batches: decoding, moving pixels and annotations together, shuffling, padding.

A source is anything with `__len__` and `__getitem__(int)` that gives a dictionary of NumPy arrays, so that a grain or
torch loader can stand in for `batches`. Sources stack: files -> transformed -> batches.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Shaped

from galore.data.ade20k import upright_mask
from galore.data.dataset import PartDataset, SceneDataset
from galore.data.geometry import Transform
from galore.data.photo import read_image
from galore.data.preprocessing import Preprocessing
from galore.errors import InputError

Example = dict[str, Shaped[np.ndarray, "..."]]
"""One image (uint8 [height, width, 3]) with its "index" in the data set, "label" and annotations: "points" [p, 2],
"visible" [p] and "box" [4] for birds, "mask" [height, width] for scenes."""

Geometry = Callable[[int, int, int], Transform]
"""(index of the image, height, width) -> the transform for it; a function of the index so that it can be repeated."""


@runtime_checkable
class Source(Protocol):
    """A sequence of examples."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Example: ...


@dataclass(frozen=True, eq=False)
class Files:
    """The images of a data set as they lie on disk, with their annotations or, which is faster, without them; images
    differ in size, so they make no batch."""

    dataset: PartDataset | SceneDataset
    is_annotated: bool = True

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int, /) -> Example:
        dataset = self.dataset
        image = read_image(dataset.image_path(index))
        example: Example = {"image": image, "index": np.array(index), "label": np.array(dataset.labels[index])}
        if not self.is_annotated:
            return example
        if isinstance(dataset, PartDataset):
            points, visible, box = dataset.points[index], dataset.visible[index], dataset.boxes[index]
            return example | {"points": points, "visible": visible, "box": box}
        return example | {"mask": upright_mask(dataset, index)}


@dataclass(frozen=True, eq=False)
class Transformed:
    """A source whose images, points, boxes and masks are moved by one geometry."""

    source: Source
    geometry: Geometry

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int, /) -> Example:
        example = self.source[index]
        height, width = example["image"].shape[:2]
        return move(example, self.geometry(index, height, width))


def prepared(
    dataset: PartDataset | SceneDataset, preprocessing: Preprocessing, is_annotated: bool = True
) -> Transformed:
    """The images of a data set as a network sees them when it is tested, in uint8 (see `Preprocessing.normalise`)."""
    return Transformed(Files(dataset, is_annotated), lambda _, height, width: preprocessing.transform(height, width))


def move(example: Example, transform: Transform) -> Example:
    """Moves the image of an example and everything that is tied to its pixels; points that leave become invisible."""
    moved = example | {"image": transform.pixels(example["image"])}
    if "points" in example:
        moved["points"] = transform.points(example["points"])
        moved["visible"] = example["visible"] & transform.inside(example["points"])
    if "box" in example:
        moved["box"] = transform.boxes(example["box"])
    if "mask" in example:
        moved["mask"] = transform.mask(example["mask"])
    return moved


def batches(
    source: Source,
    batch_size: int,
    *,
    shuffle_seed: int | tuple[int, ...] | None = None,
    threads: int = 2,
    broken: list[str] | None = None,
    sizes: Iterable[int] | None = None,
) -> Iterator[Example]:
    """Batches of a source whose examples have one shape, decoded ahead of time by threads.

    The order depends on the seed alone, never on which thread is faster.

    Args:
        source: what to read.
        batch_size: of every batch; the last one is padded with zeros.
        shuffle_seed: of the order, a number or several such as (seed, epoch); None keeps the order of the source.
        threads: how many read at a time.
        broken: where to append the message of every image that cannot be read, which is then left out; None
            raises at the first one.
        sizes: of the batches, one after the other, where they differ; None: all have `batch_size`.

    Yields:
        The arrays of the examples, stacked, with "valid": bool [batch_size], False where a batch is padded.

    Raises:
        InputError: an image cannot be read, and `broken` is None.
    """
    if batch_size < 1 or threads < 1:
        raise InputError(f"batch_size {batch_size} and threads {threads}: expected at least 1 of each")
    order = np.arange(len(source))
    if shuffle_seed is not None:
        order = np.random.default_rng(shuffle_seed).permutation(len(source))
    examples = _decoded(source, order.tolist(), threads, 2 * batch_size + threads, broken)
    return _batches(examples, iter(sizes) if sizes is not None else itertools.repeat(batch_size))


def _decoded(source: Source, order: list[int], threads: int, ahead: int, broken: list[str] | None) -> Iterator[Example]:
    """The examples in the given order, with at most `ahead` of them decoded or being decoded."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="galore-decode")
    waiting: deque[Future[Example]] = deque()
    remaining = iter(order)
    try:
        while True:
            while len(waiting) < ahead and (index := next(remaining, None)) is not None:
                waiting.append(pool.submit(source.__getitem__, index))
            if not waiting:
                return
            try:
                example = waiting.popleft().result()
            except InputError as error:
                if broken is None:
                    raise
                broken.append(str(error))
                continue
            yield example
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _batches(examples: Iterator[Example], sizes: Iterator[int]) -> Iterator[Example]:
    try:
        for size in sizes:
            group = list(itertools.islice(examples, size))
            if not group:
                return
            yield _stack(group, size)
    finally:
        examples.close()  # pyright: ignore[reportAttributeAccessIssue]


def _stack(group: list[Example], batch_size: int) -> Example:
    batch: Example = {}
    for name, first in group[0].items():
        stacked = np.zeros((batch_size, *np.shape(first)), np.asarray(first).dtype)
        for position, example in enumerate(group):
            stacked[position] = example[name]
        batch[name] = stacked
    batch["valid"] = np.arange(batch_size) < len(group)
    return batch
