"""Any number of examples through a function that is compiled for one batch size."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, PyTree

OnProgress = Callable[[str, int, int], Any]
"""Told what is being computed, for how many examples it is done, and for how many it will be."""

_on_progress: ContextVar[OnProgress] = ContextVar("on_progress", default=lambda what, done, total: None)


@contextlib.contextmanager
def told(on_progress: OnProgress) -> Iterator[None]:
    """Within the block, and nowhere else, `run` tells how far it is: programs show it, results do not depend on it."""
    before = _on_progress.set(on_progress)
    try:
        yield
    finally:
        _on_progress.reset(before)


def run(
    function: Callable[[Any], PyTree],
    batch_of: Callable[[Int[np.ndarray, " b"]], Any],
    count: int,
    batch_size: int,
    what: str = "images",
) -> PyTree:
    """A function of a batch for all of `count` examples.

    Args:
        function: batch -> arrays whose first axis is the batch's; jitted by the caller.
        batch_of: positions of examples -> their batch; asked for one batch after the other, in order.
        count: how many examples there are, at least one.
        batch_size: of every batch; the last one is filled up with its first example, so that nothing compiles twice.
        what: is being computed, for who is `told`.

    Returns:
        The results for all examples, in order, as numpy arrays.
    """
    results, tell = [], _on_progress.get()
    for batch, some in enumerate(_positions(count, batch_size)):
        tell(what, batch * batch_size, count)
        results.append(jax.tree.map(np.asarray, function(batch_of(some))))
    tell(what, count, count)
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *results)


def _positions(count: int, batch_size: int) -> Iterator[Int[np.ndarray, " b"]]:
    """Of the examples of each batch."""
    for start in range(0, count, batch_size):
        positions = np.arange(start, min(start + batch_size, count))
        yield np.concatenate([positions, np.full(batch_size - len(positions), start)])
