"""One training in several processes, on one host or many: each reads its share of every batch."""

import time
from pathlib import Path
from typing import Any

import jax

from galore.errors import InputError


def join(hosts: Any) -> None:
    """Joins the other processes; must come before anything else that touches jax.

    Args:
        hosts: the options `cfg.hosts`: "coordinator": null for a single process, "auto" where the cluster says
            everything (Slurm, Open MPI, TPU pods), or the host:port of the first process, with "count" and "index".

    Raises:
        InputError: too few options, or the others cannot be reached.
    """
    if hosts.coordinator is None:
        return
    index, count = hosts.index, hosts.count
    if hosts.coordinator != "auto" and (index is None or count is None or not 0 <= index < count):
        raise InputError(
            f"hosts.count={hosts.count} and hosts.index={hosts.index}: expected the number of processes, and which of "
            "them, from 0, this is"
        )
    try:
        if hosts.coordinator == "auto":
            jax.distributed.initialize()
        else:
            jax.distributed.initialize(hosts.coordinator, hosts.count, hosts.index)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"hosts.coordinator={hosts.coordinator}: cannot join the other processes: {reason}") from error


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def wait_for(path: Path) -> None:
    """Waits, in the others, for a file or folder that the first process writes and that appears whole.

    No barrier: those have short time limits, and the first process may be drawing a data set.
    """
    while not is_first() and not path.exists():
        time.sleep(0.2)
