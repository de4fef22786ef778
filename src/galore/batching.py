"""Any number of examples through a function that is compiled for one batch size."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, PyTree


def run(
    function: Callable[[Any], PyTree],
    batch_of: Callable[[Int[np.ndarray, " b"]], Any],
    count: int,
    batch_size: int,
) -> PyTree:
    """A function of a batch for all of `count` examples.

    Args:
        function: batch -> arrays whose first axis is the batch's; jitted by the caller.
        batch_of: positions of examples -> their batch; asked for one batch after the other, in order.
        count: how many examples there are, at least one.
        batch_size: of every batch; the last one is filled up with its first example, so that nothing compiles twice.

    Returns:
        The results for all examples, in order, as numpy arrays.
    """
    results = [jax.tree.map(np.asarray, function(batch_of(some))) for some in _positions(count, batch_size)]
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *results)


def _positions(count: int, batch_size: int) -> Iterator[Int[np.ndarray, " b"]]:
    """Of the examples of each batch."""
    for start in range(0, count, batch_size):
        positions = np.arange(start, min(start + batch_size, count))
        yield np.concatenate([positions, np.full(batch_size - len(positions), start)])
