"""Outputs that appear whole or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from galore.errors import InputError


def _parent_of(path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot create the folder {path.parent} for the output: {error.strerror}") from error
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"cannot write into {path.parent}: permission denied")
    return path.parent


@contextlib.contextmanager
def file(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which takes its place when the block ends without an error.

    Raises:
        InputError: the folder cannot be written.
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=_parent_of(path), prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    os.chmod(name, 0o666 & ~_umask())
    temporary = Path(name)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def folder(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Yields a temporary folder beside `path`, which takes its place when the block ends without an error.

    Args:
        path: the folder to make.
        overwrite: what to do where the folder exists and holds something: replace the files of the same names and
            leave the others alone (True), or raise (False).

    Raises:
        InputError: the place cannot be written, is a file, or is not empty and `overwrite` is False.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file, expected a folder or a name that is free")
    if path.is_dir() and not os.access(path, os.W_OK):
        raise InputError(f"cannot write into {path}: permission denied")
    if path.is_dir() and any(path.iterdir()) and not overwrite:
        raise InputError(f"{path} is not empty; name a new folder or remove this one first")
    temporary = Path(tempfile.mkdtemp(dir=_parent_of(path), prefix=f".{path.name}.unfinished-"))
    os.chmod(temporary, 0o777 & ~_umask())
    try:
        yield temporary
        _move_into_place(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _move_into_place(temporary: Path, path: Path) -> None:
    if not path.exists() or not any(path.iterdir()):
        os.replace(temporary, path)
        return
    for source in sorted(temporary.rglob("*")):
        target = path / source.relative_to(temporary)
        if source.is_dir():
            target.mkdir(exist_ok=True)
        else:
            os.replace(source, target)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
