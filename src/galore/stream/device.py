"""Batches through all devices of this process, some of them ahead of the one that is fetched."""

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, UInt8

from galore.data.loader import Example
from galore.errors import InputError, is_out_of_memory
from galore.network import Network
from galore.stream.answers import Columns
from galore.stream.folder import HostColumns

Answer = Callable[[Network, Float[Array, "B H W c"]], Columns]
AHEAD = 2
"""Batches that are with the device while the one before them is fetched."""


class Started(NamedTuple):
    """A batch that is being computed: in how many pieces, and their columns; None where the memory did not suffice."""

    pieces: int
    columns: list[Columns] | None


def all_devices() -> Mesh:
    """The devices of this process, in one row."""
    devices = jax.local_devices()
    return jax.make_mesh((len(devices),), ("images",), devices=devices, axis_types=(AxisType.Auto,))


def placed(mesh: Mesh, whole: Any, *batches: Any) -> tuple[Any, ...]:
    """Something that every device holds, and arrays of which each holds its share of the images."""
    split = NamedSharding(mesh, PartitionSpec("images"))
    return (jax.device_put(whole, NamedSharding(mesh, PartitionSpec())), *jax.device_put(batches, split))


def divided(function: Callable[..., Any], mesh: Mesh, batches: int) -> Callable[..., Any]:
    """A function of something whole and of some batches, run by each device on its share; devices do not talk."""
    split, whole = PartitionSpec("images"), PartitionSpec()
    return jax.shard_map(function, mesh=mesh, in_specs=(whole, *(split,) * batches), out_specs=split, check_vma=False)


@partial(jax.jit, static_argnums=(0, 1))
def _ask(answer: Answer, mesh: Mesh, net: Network, pixels: UInt8[Array, "B H W 3"]) -> Columns:
    def of_share(net: Network, pixels: Array) -> Columns:
        assert net.preprocessing is not None
        return answer(net, net.preprocessing.normalise(pixels).astype(net.dtype))

    return divided(of_share, mesh, 1)(net, pixels)


class Devices:
    """The compiled function of a batch; each device takes its share, and no device talks to another.

    Where the memory does not suffice, a batch is divided again and again, which a warning says once for each time.
    """

    def __init__(self, net: Network, answer: Answer, batch_size: int) -> None:
        """
        Args:
            net: with its preprocessing.
            answer: what to compute.
            batch_size: of every batch that will come.

        Raises:
            InputError: the devices cannot share a batch equally.
        """
        mesh = all_devices()
        if batch_size < 1 or batch_size % mesh.size:
            raise InputError(f"a batch of {batch_size} images cannot be shared equally by {mesh.size} devices")
        self._mesh, self._ask = mesh, partial(_ask, answer, mesh)
        (self._net,) = placed(mesh, net)
        self._share = NamedSharding(mesh, PartitionSpec("images"))
        self._batch_size, self._pieces = batch_size, 1

    def answers(self, batches: Iterable[Example]) -> Iterator[tuple[Example, HostColumns]]:
        """The batches, in their order, with their columns on the host."""
        waiting: deque[tuple[Example, Started]] = deque()
        for batch in batches:
            waiting.append((batch, self._start(batch["image"])))
            if len(waiting) > AHEAD:
                yield self._finish(*waiting.popleft())
        while waiting:
            yield self._finish(*waiting.popleft())

    def _start(self, images: UInt8[np.ndarray, "B H W 3"]) -> Started:
        try:
            pieces = np.split(images, self._pieces)
            return Started(self._pieces, [self._ask(self._net, jax.device_put(x, self._share)) for x in pieces])
        except (jax.errors.JaxRuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return Started(self._pieces, None)

    def _finish(self, batch: Example, started: Started) -> tuple[Example, HostColumns]:
        while True:
            columns = self._fetch(started)
            if columns is not None:
                return batch, columns
            if started.pieces == self._pieces:
                self._halve()
            started = self._start(batch["image"])

    def _fetch(self, started: Started) -> HostColumns | None:
        if started.columns is None:
            return None
        try:
            return jax.tree.map(lambda *pieces: np.concatenate(pieces), *jax.device_get(started.columns))
        except (jax.errors.JaxRuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return None

    def _halve(self) -> None:
        self._pieces *= 2
        at_once, rest = divmod(self._batch_size, self._pieces)
        if rest or at_once % self._mesh.size:
            raise InputError(
                f"out of memory with {self._batch_size * 2 // self._pieces} images at once, which cannot be halved for "
                f"{self._mesh.size} devices"
            )
        warnings.warn(f"out of memory: going on with {at_once} images at once", stacklevel=2)
