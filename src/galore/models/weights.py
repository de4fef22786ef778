"""Weights files: read without running anything, matched to a network completely, written back.

A file keeps torch's names and layouts (`layer1.0.conv1.weight`, output channels first); here the same tensors are
`layer1.0.conv1.kernel`, output channels last.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from galore import atomic
from galore.errors import InputError
from galore.models.torch_file import read_torch_file

Params = Mapping[str, jax.Array]
TorchName = Callable[[str], str]

_TORCH_LEAF = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
_TO_TORCH = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}  # HWIO -> OIHW, IO -> OI
_FROM_TORCH = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}


class WeightsFile(NamedTuple):
    """The tensors of a file by torch's names, and the class names where the file tells them."""

    tensors: dict[str, np.ndarray]
    class_names: tuple[str, ...]


def read(path: str | Path) -> WeightsFile:
    """Reads a .safetensors file, or a torch file (.pth, .pt) without torch and without running what is in it.

    Raises:
        InputError: no such file, a damaged one, one that holds anything but tensors, or another suffix.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no weights file {path}")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in (".pth", ".pt", ".bin"):
        return WeightsFile(read_torch_file(path), ())
    raise InputError(f"{path} has the suffix {path.suffix!r}, expected .pth, .pt, .bin or .safetensors")


def _read_safetensors(path: Path) -> WeightsFile:
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        class_names = json.loads(metadata.get("class_names", "[]"))
    except (safetensors.SafetensorError, OSError, TypeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} is no safetensors file, or a damaged one ({error})") from error
    return WeightsFile(tensors, tuple(map(str, class_names)))


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
    problems += [f"extra {name}" for name in given if name not in wanted]
    problems += [
        f"{name} {problem}"
        for name, path in wanted.items()
        if name in given and (problem := _problem(given[name], to_torch_shape(shapes[path].shape)))
    ]
    if problems:
        count = f"{len(problems)} problem" + ("s" if len(problems) > 1 else "")
        raise InputError(f"{source} does not fit the network ({count}): " + "; ".join(problems))
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
    return "" if _is_finite(tensor.ravel()) else "holds NaN or infinite values"


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
