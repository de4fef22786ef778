"""One training in several processes, on one host or many: each reads its share of every batch."""

import time
from pathlib import Path

import jax
from jax.experimental import multihost_utils

from galore.errors import InputError


def join(coordinator: str | None, count: int | None = None, index: int | None = None) -> None:
    """Joins the other processes; must come before anything else that touches jax.

    Args:
        coordinator: None for a single process, "auto" where the cluster says everything (Slurm, Open MPI, TPU pods),
            or the host:port of the first process.
        count: how many processes there are.
        index: which of them, from 0, this is.

    Raises:
        InputError: too few options, or the others cannot be reached.
    """
    if coordinator is None:
        return
    if coordinator != "auto" and (index is None or count is None or not 0 <= index < count):
        raise InputError(
            f"hosts.count={count} and hosts.index={index}: expected the number of processes, and which of them, from "
            "0, this is"
        )
    try:
        if coordinator == "auto":
            jax.distributed.initialize()
        else:
            jax.distributed.initialize(coordinator, count, index)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"hosts.coordinator={coordinator}: cannot join the other processes: {reason}") from error


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def barrier(name: str) -> None:
    """Waits until every process is here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def wait_for(path: Path) -> None:
    """Waits, in the others, for a file or folder that the first process writes and that appears whole.

    No barrier: those have short time limits, and the first process may be drawing a data set.
    """
    while not is_first() and not path.exists():
        time.sleep(0.2)
