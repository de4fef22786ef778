"""What made a result: choices, code, versions, device, seed and the hashes of what went in."""

import functools
import hashlib
import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

import galore

PACKAGES = ("jax", "jaxlib", "flax", "numpy", "pillow")


def collect(
    options: Mapping[str, Any],
    *,
    seed: int | None = None,
    files: Mapping[str, str] | None = None,
    params: PyTree | None = None,
) -> dict[str, Any]:
    """Everything needed to make a result again, as plain data for JSON.

    Args:
        options: the resolved options; values that JSON does not know become text.
        seed: of the random numbers; None where there were none.
        files: sha256 of each file that went in, by name (see `file_sha256`).
        params: the network's parameters, whose hash is taken (see `params_sha256`); None: leave it out.

    Returns:
        options, seed, files, params_sha256, galore (version), git (commit and dirty flag, or None outside a
        repository), versions (of Python and the packages) and device.
    """
    return {
        "options": {name: _plain(value) for name, value in options.items()},
        "seed": seed,
        "files": dict(files or {}),
        "params_sha256": None if params is None else params_sha256(params),
        "galore": galore.__version__,
        "git": git(),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "device": device(),
    }


def file_sha256(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def params_sha256(params: PyTree) -> str:
    """The SHA-256 over the path, dtype, shape and bytes of every leaf, in the order of the tree."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        is_key = hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        array = np.asarray(jax.random.key_data(leaf) if is_key else leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def device() -> str:
    """The kind and number of the devices that jax uses: "cpu", "NVIDIA H100 80GB HBM3 x 2"."""
    devices = jax.devices()
    return devices[0].device_kind + (f" x {len(devices)}" if len(devices) > 1 else "")


@functools.cache
def git() -> dict[str, Any] | None:
    """The commit of galore's own sources and whether they differ from it; None where no repository tracks them."""
    here = Path(__file__).resolve()
    if _run_git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return None
    commit = _run_git(here.parent, "rev-parse", "HEAD")
    return None if commit is None else {"commit": commit, "dirty": differs(here.parent)}


def differs(folder: Path) -> bool:
    """Whether the repository of a folder differs from its commit; results/ does not count, which runs write."""
    return bool(_run_git(folder, "status", "--porcelain", "--", ":(top)", ":(top,exclude)results"))


def _run_git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
