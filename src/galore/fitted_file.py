"""Files of what was fitted to the activations of one network at its cut: part tables and counterparts."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from galore import atomic, foreign, npz, provenance
from galore.errors import InputError
from galore.network import Network

Fitted = TypeVar("Fitted")


class Kind(NamedTuple):
    """What a file holds.

    Attributes:
        name: in the plural.
        command: what makes it.
        format: and its version.
    """

    name: str
    command: str
    format: str


def save(path: str | Path, kind: Kind, arrays: Mapping[str, Array], net: Network) -> None:
    """Writes arrays into an .npz file, whole or not at all, with what tells whose they are.

    Args:
        path: of the file.
        kind: of the file.
        arrays: fitted to activations of the network at its cut.
        net: the network.

    Raises:
        InputError: the place cannot be written.
    """
    told = {"format": kind.format, "network": net.name, **_identity(net), **arrays}
    with atomic.file(path) as unfinished, open(unfinished, "wb") as file:
        np.savez(file, allow_pickle=False, **{name: np.asarray(value) for name, value in told.items()})


def load(path: str | Path, kind: Kind, read: Callable[[Mapping[str, np.ndarray]], Fitted], net: Network) -> Fitted:
    """Reads what `save` wrote.

    Args:
        path: of the file, which somebody else may have made.
        kind: of the file.
        read: makes it of the arrays; whatever it raises says that they are others.
        net: the network that will use it; with other parameters, or cut elsewhere, its cells mean something else.

    Raises:
        InputError: no such file, a damaged or hostile one, or one of another network.
    """
    expected = f"{kind.name}, as {kind.command} makes them"
    with foreign.open_regular(path, expected) as file, foreign.understood(path, expected), npz.opened(file) as arrays:
        if (found := str(arrays["format"])) != kind.format:
            raise ValueError(f"the format {found}")
        name, identity = str(arrays["network"]), {key: str(arrays[key]) for key in _identity(net)}
        fitted = read(arrays)
    if identity != _identity(net):
        whose = f"{foreign.name(name)} cut at {foreign.name(identity['layer'])}"
        raise InputError(
            f"the {kind.name} {foreign.text(path)} are of another network ({whose}), expected those that "
            f"{kind.command} makes of {foreign.name(net.name)} cut at {foreign.name(net.layer)} with these parameters"
        )
    return fitted


def numbers(arrays: Mapping[str, np.ndarray], name: str, *shape: int | None) -> Array:
    """Finite numbers of a shape, of which None may be anything.

    Raises:
        KeyError, ValueError: there are none, or others.
    """
    values = arrays[name]
    fits = values.ndim == len(shape) and all(size in (None, given) for size, given in zip(shape, values.shape))
    if not fits or 0 in values.shape or values.dtype != np.float32 or not np.isfinite(values).all():
        raise ValueError(f"{name} of {values.dtype} {values.shape}")
    return jnp.asarray(values)


def classes(arrays: Mapping[str, np.ndarray], fewest: int) -> Array:
    """Which classes it was fitted to, in rising order.

    Raises:
        KeyError, ValueError: there are none, or others.
    """
    found = arrays["classes"]
    if found.dtype != np.int32 or found.ndim != 1 or found.size < fewest or np.diff(found, prepend=-1).min() < 1:
        raise ValueError(f"classes of {found.dtype} {found.shape}")
    return jnp.asarray(found)


def _identity(net: Network) -> dict[str, str]:
    return {"layer": net.layer, "params_sha256": provenance.params_sha256(net.params)}
