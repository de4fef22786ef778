"""Weights files: read without running anything, matched to a network completely, written back.

A file keeps torch's names and layouts (`layer1.0.conv1.weight`, output channels first); here the same tensors are
`layer1.0.conv1.kernel`, output channels last.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from galore import atomic, foreign
from galore.errors import InputError
from galore.models import safetensors_file
from galore.models.torch_file import StateDict, read_torch_file

Params = Mapping[str, jax.Array]
TorchName = Callable[[str], str]

_TORCH_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt", ".pth.tar", ".pt.tar", ".ckpt.tar")
_WRAPPERS = re.compile(r"^(?:(?:module|_orig_mod)\.)+")
_COMPILED = re.compile(r"\.(?:_orig_mod\.)+")
_TRAINERS = ("model.", "net.", "network.")
_SHOWN = 20
"""Problems of a file that a message lists."""
_TORCH_LEAF = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
_TO_TORCH = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}  # HWIO -> OIHW, IO -> OI
_FROM_TORCH = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}


class WeightsFile(NamedTuple):
    """What a file holds.

    Attributes:
        tensors: by torch's names, without the prefixes of wrappers.
        class_names: where the file tells them.
        note: in one sentence, what was unwrapped to get at the tensors; empty: nothing.
    """

    tensors: dict[str, np.ndarray]
    class_names: tuple[str, ...]
    note: str = ""


def read(path: str | Path) -> WeightsFile:
    """Reads a .safetensors file, or a torch file (.pth, .pt, .bin, .ckpt, .pth.tar) without torch and without running
    what is in it.

    Raises:
        InputError: no such file, a damaged one, one that holds anything but the tensors of one network, or another
            suffix.
    """
    path = Path(path)
    if not os.path.exists(path):
        raise InputError(f"no weights file {foreign.text(path)}")
    name = path.name.lower()
    if name.endswith(".safetensors"):
        tensors, class_names = safetensors_file.read(path)
        state = StateDict(tensors)
    elif name.endswith(_TORCH_SUFFIXES):
        state, class_names = read_torch_file(path), ()
    else:
        expected = f"{', '.join(_TORCH_SUFFIXES)} or .safetensors"
        raise InputError(f"{foreign.text(path)} has the suffix {foreign.text(path.suffix)!r}, expected {expected}")
    tensors, prefixes = without_wrappers(state.tensors, foreign.text(path))
    return WeightsFile(tensors, class_names, _note(path, state.under, prefixes))


def without_wrappers(tensors: Mapping[str, np.ndarray], source: str) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The tensors by the names that the network itself gives them, and the prefixes that were taken off.

    Data-parallel and compiled modules put one before the names that they wrap, each on its own level; a trainer puts
    the name of its attribute before all.

    Raises:
        InputError: two names are one without their prefixes.
    """
    short = {name: _unwrapped(name) for name in tensors}
    outer = next((prefix for prefix in _TRAINERS if short and all(s.startswith(prefix) for s in short.values())), "")
    short = {name: _unwrapped(rest.removeprefix(outer)) for name, rest in short.items()}
    found: dict[str, str] = {}
    for name, rest in short.items():
        if rest in found:
            shown = " and ".join(foreign.text(one, 100) for one in (found[rest], name))
            raise InputError(f"{source} holds {foreign.text(rest, 100)} twice, as {shown}; expected each tensor once")
        found[rest] = name
    changed = [name for name, rest in short.items() if rest != name]
    wrappers = [prefix for prefix in ("module.", "_orig_mod.") if any(prefix in name for name in changed)]
    return {rest: tensors[name] for rest, name in found.items()}, (*([outer] if outer else []), *wrappers)


def _unwrapped(name: str) -> str:
    return _COMPILED.sub(".", _WRAPPERS.sub("", name))


def _note(path: Path, under: tuple[str, ...], prefixes: tuple[str, ...]) -> str:
    said = [f"the weights lay under {' -> '.join(under)}"] if under else []
    said += [f"{' and '.join(prefixes)} was taken off their names"] if prefixes else []
    return f"{foreign.text(path.name)}: {' and '.join(said)}." if said else ""


def check_sha256(path: Path, expected: str) -> None:
    """Raises `InputError` where the file's SHA-256 is another one."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != expected:
        raise InputError(f"{path} has the SHA-256 {digest}, expected {expected}: it is damaged or another file")


def to_torch_name(path: str) -> str:
    """`layer1.0.conv1.kernel` -> `layer1.0.conv1.weight`."""
    *parents, leaf = path.split(".")
    return ".".join([*parents, _TORCH_LEAF[leaf]])


def match(
    shapes: Mapping[str, jax.ShapeDtypeStruct],
    tensors: Mapping[str, np.ndarray],
    source: str,
    torch_name: TorchName = lambda name: name,
) -> dict[str, jax.Array]:
    """The network's parameters out of a file's tensors: every one found, none left over.

    Args:
        shapes: parameter path (`layer1.0.conv1.kernel`) -> its shape in the network (or any array of it).
        tensors: torch name -> array in torch's layout.
        source: what to call the file in an error.
        torch_name: from the path with torch's leaf name to the name in the file.

    Returns:
        Parameter path -> float32 array in the network's layout.

    Raises:
        InputError: with every missing, extra, mis-shaped, non-float and non-finite tensor.
    """
    wanted = {torch_name(to_torch_name(path)): path for path in shapes}
    # Torch counts the batches that a BatchNorm has seen; nothing here needs the number.
    given = {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
    problems = [f"missing {name}" for name in wanted if name not in given]
    problems += [f"extra {foreign.text(name, 60)}" for name in given if name not in wanted]
    problems += [
        f"{name} {problem}"
        for name, path in wanted.items()
        if name in given and (problem := _problem(given[name], to_torch_shape(shapes[path].shape)))
    ]
    if problems:
        count = f"{len(problems)} problem" + ("s" if len(problems) > 1 else "")
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise InputError(f"{source} does not fit the network ({count}): " + "; ".join(problems[:_SHOWN]) + more)
    return jax.device_put({path: _from_torch(given[name]) for name, path in wanted.items()}, may_alias=False)


def to_torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Height, width, inputs, outputs -> outputs, inputs, height, width; inputs, outputs -> outputs, inputs."""
    return tuple(shape[axis] for axis in _TO_TORCH[len(shape)])


def _problem(tensor: np.ndarray, shape: tuple[int, ...]) -> str:
    if tensor.shape != shape:
        transposed = len(shape) > 1 and tensor.shape == shape[::-1]
        return f"has the shape {tensor.shape}, expected {shape}" + (" (is it transposed?)" if transposed else "")
    if not jnp.issubdtype(tensor.dtype, jnp.floating):
        return f"is {tensor.dtype}, expected floating point"
    with np.errstate(all="ignore"):
        cast = tensor.astype(np.float32, copy=False)
    if _is_finite(cast.ravel()):
        return ""
    return "holds NaN or infinite values" + ("" if cast is tensor else f" once {tensor.dtype} has become float32")


def _is_finite(flat: np.ndarray) -> bool:
    """A product with itself shows it at half the cost; the second look is for one that overflows."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(np.vdot(flat, flat)) or np.isfinite(flat).all())


def _from_torch(tensor: np.ndarray) -> np.ndarray:
    return tensor.astype(np.float32, copy=False).transpose(_FROM_TORCH[tensor.ndim])


def save_safetensors(
    path: str | Path,
    params: Params,
    torch_name: TorchName = lambda name: name,
    class_names: tuple[str, ...] = (),
) -> None:
    """Writes parameters under torch's names and layouts, so that torch can read them too.

    Args:
        path: where to; the file appears whole or not at all.
        params: parameter path -> array, as `Network.params` of this package's networks.
        torch_name: as in `match`.
        class_names: kept in the file's metadata, as a JSON list.
    """
    tensors = {
        torch_name(to_torch_name(name)): np.ascontiguousarray(np.transpose(value, _TO_TORCH[value.ndim]))
        for name, value in params.items()
    }
    metadata = {"format": "pt", "class_names": json.dumps(class_names)}
    with atomic.file(path) as temporary:
        safetensors.numpy.save_file(tensors, temporary, metadata=metadata)
