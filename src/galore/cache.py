"""The user's cache folder: downloads, and the programs that earlier commands compiled.

A command that compiled a program keeps it, so that the next one with the same network and size starts at once. jax
names a program by all that goes into it (`jax_compilation_cache_dir`), but trusts what it finds and writes in place.
So each run works on a copy, in a temporary folder, of the entries that are whole and were made on such a machine by
this jax; what it adds is kept by one rename each.

    programs/MACHINE-PROGRAM    SHA-256 of what follows (32 bytes), then jax's entry
"""

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from galore import atomic
from galore.errors import InputError

LARGEST = 64 * 2**20
"""Bytes of all programs together; the oldest ones go first. That of `galore explain` takes about 0.2 MB."""

_DIGEST = 32
_PREFIX = "galore-programs-"


def folder() -> Path:
    """$GALORE_CACHE, or the usual place of the operating system."""
    import pooch

    return Path(os.environ.get("GALORE_CACHE") or pooch.os_cache("galore"))


@contextlib.contextmanager
def compiled(is_wanted: bool = True) -> Iterator[None]:
    """Lets jax take what an earlier block compiled, and keeps what this one compiles if it ends well.

    Whatever is wrong with the cache, be it damaged, full or not to be written, costs compilation and is no error.

    Args:
        is_wanted: False: everything is compiled. jax's own switch (`JAX_ENABLE_COMPILATION_CACHE`) and a folder that
            it was given (`JAX_COMPILATION_CACHE_DIR`) count more.
    """
    if _option("jax_compilation_cache_dir") or not _option("jax_enable_compilation_cache"):
        yield
        return
    with contextlib.ExitStack() as stack:
        copies = _temporary_folder(stack) if is_wanted else None
        if copies is None:
            stack.enter_context(_configured(jax_enable_compilation_cache=False))
            yield
            return
        store, machine = folder() / "programs", _machine()
        known = _copy(store, machine, copies)
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")
        options = {"jax_compilation_cache_dir": str(copies), "jax_persistent_cache_min_compile_time_secs": 0}
        # Otherwise the folder's name would be part of what names a program.
        stack.enter_context(_configured(**options, jax_persistent_cache_enable_xla_caches="none"))
        yield
        with contextlib.suppress(OSError, InputError):
            _keep([entry for entry in copies.iterdir() if entry.name not in known], store, machine)
            _shrink(store)


def _temporary_folder(stack: contextlib.ExitStack) -> Path | None:
    """A folder for copies, locked as long as the run lasts; those of runs that were killed are removed."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, InputError):
            if not left.is_symlink() and _is_own(left):
                with atomic.writer(left):
                    shutil.rmtree(left)
    try:
        made = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
        place = Path(stack.enter_context(made))
        stack.enter_context(atomic.writer(place))
        copies = place / "copies"
        copies.mkdir()
    except (OSError, InputError):
        return None
    return copies


@contextlib.contextmanager
def _configured(**options: Any) -> Iterator[None]:
    """jax with other options of its cache, at which it looks once and then, if told so, again."""
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    before = {name: _option(name) for name in options}
    try:
        for name, value in options.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()


def _option(name: str) -> Any:
    import jax

    return getattr(jax.config, name)


def _machine() -> str:
    """What programs depend on beside what jax names them by: its version, and what the processor can do."""
    try:
        described = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        processor = sorted({line for line in described if line.startswith(("model name", "flags", "Features", "isa"))})
    except OSError:  # no Linux
        processor = [platform.processor(), platform.version()]
    versions = [importlib.metadata.version(package) for package in ("jax", "jaxlib")]
    named = [*versions, platform.machine(), *processor]
    return hashlib.sha256("\n".join(named).encode()).hexdigest()[:16]


def _copy(store: Path, machine: str, copies: Path) -> set[str]:
    """Copies the entries of a machine that are whole and the user's own; returns their names. Damaged ones go."""
    for entry in store.glob(f"{machine}-*"):
        copy = copies / entry.name.removeprefix(f"{machine}-")
        try:
            if not _is_own(entry):
                continue  # a program runs with the user's rights
            content = entry.read_bytes()
            if hashlib.sha256(content[_DIGEST:]).digest() == content[:_DIGEST]:
                copy.write_bytes(content[_DIGEST:])
            else:
                entry.unlink()
        except OSError:
            with contextlib.suppress(OSError):
                copy.unlink(missing_ok=True)
    return {copy.name for copy in copies.iterdir()}


def _is_own(path: Path) -> bool:
    return not hasattr(os, "getuid") or path.stat().st_uid == os.getuid()


def _keep(new: list[Path], store: Path, machine: str) -> None:
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    for program in new:
        content = program.read_bytes()
        with atomic.file(store / f"{machine}-{program.name}") as path:
            path.write_bytes(hashlib.sha256(content).digest() + content)


def _shrink(store: Path) -> None:
    """Removes the oldest entries beyond what all may take, whichever machine or version they are of."""
    found = sorted(((entry.stat(), entry) for entry in store.glob("[!.]*")), key=lambda one: -one[0].st_mtime_ns)
    total = 0
    for state, entry in found:
        total += state.st_size
        if total > LARGEST:
            entry.unlink(missing_ok=True)
