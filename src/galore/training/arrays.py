"""Arrays on disk, written and read by orbax, and the errors of damaged ones in one sentence."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from galore import provenance
from galore.errors import InputError


def write(path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes named arrays into a new folder.

    Args:
        path: of the folder.
        arrays: of the host or the device; where a run has several processes, each holds them whole and calls this.

    Raises:
        OSError, ValueError: from orbax and tensorstore, for instance on a full disk.
    """
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, {name: np.asarray(array) for name, array in arrays.items()} or {"empty": np.zeros(())})


def read(path: Path, sha256: str) -> dict[str, np.ndarray]:
    """The arrays of a folder.

    Args:
        path: as given to `write`.
        sha256: of the arrays, see `provenance.params_sha256`.

    Raises:
        InputError: they are damaged, or not those that were written.
    """
    try:
        with ocp.PyTreeCheckpointer() as checkpointer:
            metadata = checkpointer.metadata(path)
            tree = metadata.item_metadata.tree
            arguments = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
            arrays = checkpointer.restore(path, restore_args=arguments)
    except Exception as error:
        # Whatever orbax or tensorstore raise on a damaged file, which they do not document.
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path.parent} is damaged, its {path.name} cannot be read: {reason}") from error
    arrays.pop("empty", None)
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    if provenance.params_sha256(arrays) != sha256:
        raise InputError(f"{path.parent} is damaged: its arrays are not those that were written (the hash differs)")
    return arrays
