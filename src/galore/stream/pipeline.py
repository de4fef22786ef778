"""From a folder of photos to a folder of explanations: decoding, devices and disk all busy at the same time.

Threads decode ahead of the devices (`galore.data.loader`), the devices compute ahead of the host
(`galore.stream.device`), and a thread writes behind both. What is held in memory does not grow with the number of
images.
"""

import functools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from galore import atomic, foreign, provenance
from galore.data import loader
from galore.errors import InputError
from galore.network import Network
from galore.stream import photos, thumbnails
from galore.stream.device import Answer, Devices
from galore.stream.folder import DamagedShard, Folder, HostColumns, begin

NOT_FINITE = "the network's numbers for this image are not finite"
UNKNOWN = "the part tables or counterparts do not have its class, or not the one that it is asked against"


def run(
    net: Network,
    data: str | Path,
    out: str | Path,
    answer: Answer,
    *,
    settings: Mapping[str, Any] | None = None,
    batch_size: int = 32,
    shard_size: int = 256,
    threads: int | None = None,
    part: tuple[int, int] | None = None,
    has_thumbnails: bool = False,
    on_images: Callable[[int, int], None] | None = None,
    skipped: Counter[str] | None = None,
    on_notice: Callable[[str], object] = lambda text: None,
) -> Folder:
    """Explains every photo below a folder, or goes on with a run that was stopped.

    Args:
        net: with its preprocessing; its dtype is that of the computation.
        data: the folder; photos are looked for below its images/ where there is one.
        out: the folder of the run, see `galore.stream.folder`.
        answer: what to compute, one of `galore.stream.answers` or a function like them.
        settings: those behind `answer`, under names for the reader; they tell runs apart. None: the name of `answer`
            and the keywords bound to it.
        batch_size: images at once, a multiple of this process's devices.
        shard_size: images a file.
        threads: that decode; None: one a processor.
        part: (k, n): only every n-th shard, from the k-th on, so that n processes share the work; None: this
            process's part among those that `jax.distributed` joined.
        has_thumbnails: whether to write them, see `galore.stream.thumbnails`.
        on_images: called with the number of finished images and of all, after every batch.
        skipped: where to count what below `data` is no photo, by reason.
        on_notice: told in a sentence of each damaged shard, which is made again.

    Returns:
        The folder, finished as far as this part goes.

    Raises:
        InputError: no photos, a network without preprocessing, a folder that holds another run, be it of other photos
            of the same names, or that somebody else is writing, or sizes below 1.
    """
    if net.preprocessing is None:
        raise InputError("the network has no preprocessing, so that photos cannot be prepared for it")
    k, n = part or (jax.process_index(), jax.process_count())
    if not 0 <= k < n:
        raise InputError(f"part {k} of {n}: expected a number from 0 to {n - 1}")
    devices = Devices(net, answer, batch_size)
    root = photos.folder_of(data)
    skipped = Counter() if skipped is None else skipped
    names = photos.find(root, skipped)
    identity = {**_network(net), **(_settings(answer) if settings is None else settings)}
    with one_writer(out, k, n):
        origin = provenance.collect({"data": str(data), "left_out": dict(skipped)})
        folder = begin(out, names, identity, shard_size, origin)
        atomic.remove_leftovers(folder.root)
        own = range(k, folder.shards, n)
        check_finished(folder, root, names, [shard for shard in folder.finished() if shard in own], on_notice)
        missing = sorted(set(own) - set(folder.finished()))
        source = photos.Photos(root, names, np.arange(len(names)), net.preprocessing, has_thumbnails)
        if has_thumbnails:
            _add_thumbnails(folder, source, sorted(set(own) - set(missing)))
        if missing:
            rows = np.concatenate([folder.rows(shard) for shard in missing])
            batches = loader.batches(replace(source, rows=rows), batch_size, threads=threads or os.cpu_count() or 1)
            with closing(batches):  # pyright: ignore[reportArgumentType]
                answers = _counted(_complete(devices.answers(batches)), folder, on_images)
                _write(folder, _cut(answers, [(shard, len(folder.rows(shard))) for shard in missing]))
    return folder


@contextmanager
def one_writer(out: str | Path, k: int, n: int) -> Iterator[None]:
    """Makes this the only writer of its part of a folder; other parts may be written at the same time.

    Raises:
        InputError: somebody writes this part, or the whole, or one of the parts where this is the whole.
    """
    with atomic.writer(out, shared=n > 1), atomic.writer(out, f".lock-{k + 1}-of-{n}"):
        yield


def check_finished(
    folder: Folder, root: Path, names: Sequence[str], shards: Sequence[int], on_notice: Callable[[str], object]
) -> None:
    """Removes the shards that are damaged.

    Raises:
        InputError: a shard was made from another photo of the same name.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for shard in shards:
            try:
                there = folder.shard(shard)["sha256"]
            except DamagedShard as error:
                on_notice(f"{error}; it is made again")
                folder.path(shard).unlink()
                continue
            rows = folder.rows(shard)
            paths = [names[int(row)] for row in rows]
            now = np.stack(list(pool.map(lambda path: photos.contents(root / path), paths)))
            for place in np.flatnonzero((there != now).any(1)):
                raise InputError(
                    f"{folder.root} holds another run, whose {foreign.text(paths[place])} had other contents; "
                    "name a new folder or remove this one"
                )


def _add_thumbnails(folder: Folder, source: photos.Photos, shards: Sequence[int]) -> None:
    """Writes those of shards that were finished without."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for shard in shards:
            if not thumbnails.are_there(folder, shard):
                examples = pool.map(source.__getitem__, folder.rows(shard).tolist())
                is_explained = folder.shard(shard)["explained"]
                thumbnails.write(folder, shard, _shown([example["thumbnail"] for example in examples], is_explained))


def _network(net: Network) -> dict[str, Any]:
    prepared = {name: np.array(value).tolist() for name, value in vars(net.preprocessing).items()}
    digest = provenance.params_sha256(net.params)
    of_network = {"network": net.name, "layer": net.layer, "dtype": str(net.dtype), "params_sha256": digest}
    return of_network | {"preprocessing": prepared}


def _settings(answer: Answer) -> dict[str, Any]:
    if not isinstance(answer, functools.partial):
        return {"explanation": answer.__name__}
    return _settings(answer.func) | {name: _setting(value) for name, value in answer.keywords.items()}


def _setting(value: Any) -> Any:
    """What tells one value of an option from another; of arrays their contents do."""
    if isinstance(value, functools.partial):
        return _settings(value)
    if any(isinstance(leaf, jax.Array | np.ndarray) for leaf in jax.tree.leaves(value)):
        return provenance.params_sha256(value)
    return getattr(value, "__name__", str(value))


def _complete(answers: Iterable[tuple[loader.Example, HostColumns]]) -> Iterator[HostColumns]:
    """The rows that are no padding, each with its problem; where there is one, the numbers say nothing."""
    for batch, columns in answers:
        valid = batch["valid"]
        rows = {name: np.array(values[valid]) for name, values in columns.items()}
        problem = np.array(batch["problem"][valid])
        known, finite = rows.pop("known", np.True_), np.ones(len(problem), bool)
        for values in rows.values():
            finite &= np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        problem[(problem == "") & ~known] = UNKNOWN
        problem[(problem == "") & ~finite] = NOT_FINITE
        explained = problem == ""
        for values in rows.values():
            values[~explained] = (
                np.nan if np.issubdtype(values.dtype, np.floating) else np.array(-1).astype(values.dtype)
            )
        own = {name: batch[name][valid] for name in ("sha256", "thumbnail") if name in batch}
        yield rows | {"explained": explained, "problems": problem} | own


def _counted(
    answers: Iterable[HostColumns], folder: Folder, on_images: Callable[[int, int], None] | None
) -> Iterator[HostColumns]:
    done = sum(len(folder.rows(shard)) for shard in folder.finished())
    for columns in answers:
        done += len(columns["explained"])
        if on_images is not None:
            on_images(done, folder.images)
        yield columns


def _cut(answers: Iterable[HostColumns], sizes: list[tuple[int, int]]) -> Iterator[tuple[int, HostColumns]]:
    """Batches joined and cut anew into shards of the given sizes."""
    waiting: list[HostColumns] = []
    remaining = iter(answers)
    for shard, size in sizes:
        while sum(len(columns["explained"]) for columns in waiting) < size:
            waiting.append(next(remaining))
        joined = {name: np.concatenate([columns[name] for columns in waiting]) for name in waiting[0]}
        waiting = [{name: values[size:] for name, values in joined.items()}]
        yield shard, {name: values[:size] for name, values in joined.items()}


def _write(folder: Folder, shards: Iterable[tuple[int, HostColumns]]) -> None:
    """Writes each shard while the next one is computed."""
    with ThreadPoolExecutor(1, thread_name_prefix="galore-write") as writer:
        writing = None
        for shard, columns in shards:
            if writing is not None:
                writing.result()
            columns["problems"] = columns["problems"][~columns["explained"]].astype(str)
            writing = writer.submit(_write_one, folder, shard, columns)
        if writing is not None:
            writing.result()


def _write_one(folder: Folder, shard: int, columns: HostColumns) -> None:
    """The thumbnails come first: a shard that is there is finished."""
    if "thumbnail" in columns:
        thumbnails.write(folder, shard, _shown(columns.pop("thumbnail"), columns["explained"]))
    folder.write(shard, columns)


def _shown(pictures: Iterable[np.ndarray], is_explained: np.ndarray) -> Iterator[np.ndarray | None]:
    """The thumbnails of what is explained."""
    return (picture if shown else None for picture, shown in zip(pictures, is_explained.tolist()))
