"""Outputs that appear whole or not at all, each by one writer at a time.

What is being written lies under a hidden name, beside its place, and its writer holds a lock on it. The kernel takes
the lock away when the writer ends, however it ends. So what lies there unlocked is a leftover, and the next writer of
the same output removes it, or finishes it where it was complete.

    .NAME.unfinished-TOKEN.SUFFIX    a file
    .NAME.unfinished/new-TOKEN       a folder; in NAME/.unfinished where NAME itself cannot be replaced (a mount point)
"""

import contextlib
import ctypes
import errno
import hashlib
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from galore.errors import InputError

_MARK = ".unfinished"
_LOCK, _COMPLETE, _OLD = "lock", "complete", "old"
_LONGEST_HIDDEN = 200
"""Bytes of a name that can be made longer and stay legal; of longer names a hash stands in the hidden one."""

_PROBE = "probe-" + 58 * "-"
"""As long as any name that is written into a folder, so that a file system with shorter ones is found at once."""


@contextlib.contextmanager
def file(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which takes its place when the block ends without an error.

    Several may write one file at a time; the last one wins.

    Raises:
        InputError: the place cannot be written, or the disk is full.
    """
    given, path = path, _resolved(path)
    with _preparing(given):
        if path.exists() and not path.is_file():
            raise InputError(f"{given} is no file, expected one or a name that is free")
        parent = _parent_of(path)
        _remove_dead(parent, _hidden(path))
        temporary, lock = _locked_file(path)
    try:
        with _keeping(given):
            yield temporary
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(lock)


@contextlib.contextmanager
def folder(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Yields a temporary folder, which takes the place of `path` when the block ends without an error.

    Args:
        path: the folder to make; of a link, the folder that it leads to.
        overwrite: what to do where the folder exists and holds something: replace the files of the same names and
            leave the others alone (True), or raise (False). Where there are no others, the folder is replaced in one.

    Raises:
        InputError: the place cannot be written, is a file, or is not empty and `overwrite` is False; somebody else is
            writing it; or the disk is full. All but the last before the block begins.
    """
    given, path = path, _resolved(path)
    with contextlib.ExitStack() as stack:
        with _preparing(given):
            if path.exists() and not path.is_dir():
                raise InputError(f"{given} is a file, expected a folder or a name that is free")
            if path.is_dir() and not os.access(path, os.W_OK):
                raise InputError(f"cannot write into {given}: permission denied")
            place = stack.enter_context(_workplace(given, path))
            _recover(place, path)
            if not overwrite and _entries(path):
                raise InputError(f"{given} is not empty; name a new folder or remove this one first")
            # A new name each time: processes that a killed writer had started may still write under the old one.
            new = place / f"new-{secrets.token_hex(4)}"
            new.mkdir()
            (new / _PROBE).write_bytes(bytes(4096))
            (new / _PROBE).unlink()
        with _keeping(given):
            yield new
            _put(new, path)


@contextlib.contextmanager
def writer(path: str | Path, name: str = ".lock", shared: bool = False) -> Iterator[None]:
    """Makes this the only writer of a folder that grows, as long as the block lasts.

    Args:
        path: the folder; it is made where it is missing.
        name: of the lock in it.
        shared: whether others who share may write at the same time.

    Raises:
        InputError: somebody else is writing it, or the place cannot be written.
    """
    given, path = path, _resolved(path)
    with _preparing(given):
        is_new = not path.exists()
        path.mkdir(parents=True, exist_ok=True)
        lock = _lock(path / name, given, shared)
    try:
        yield
    finally:
        # Others may share the lock; only the last of them removes it.
        if not shared or _is_ours(lock, shared=False):
            (path / name).unlink(missing_ok=True)
        os.close(lock)
        if is_new:
            with contextlib.suppress(OSError):  # it holds something
                path.rmdir()


@contextlib.contextmanager
def turn(path: str | Path) -> Iterator[None]:
    """Waits until no other program makes an output that several need, and keeps others waiting meanwhile.

    Whoever has waited looks whether the output is there already.

    Raises:
        InputError: the place cannot be written.
    """
    given, path = path, _resolved(path)
    with _preparing(given):
        place = _parent_of(path) / f"{_hidden(path)}-turn"
        handle = _waited_for(place)
    try:
        yield
    finally:
        place.unlink(missing_ok=True)
        os.close(handle)


def remove_leftovers(path: Path) -> None:
    """Removes the temporary files in a folder whose writers are dead."""
    _remove_dead(path, "")


def _resolved(path: str | Path) -> Path:
    try:
        return Path(os.path.realpath(path))
    except ValueError as error:
        raise InputError(f"cannot write {path}: {error}") from error


def _parent_of(path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot create the folder {path.parent} for the output: {error.strerror}") from error
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"cannot write into {path.parent}: permission denied")
    return path.parent


@contextlib.contextmanager
def _preparing(given: str | Path) -> Iterator[None]:
    """Whatever the system has against a place, in one sentence."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write {given}: {error.strerror or error}") from error


@contextlib.contextmanager
def _keeping(given: str | Path) -> Iterator[None]:
    """A disk that fills up, in one sentence; libraries hide that error behind others of their own."""
    try:
        yield
    except Exception as error:
        if _is_full(error):
            raise InputError(f"no space is left on the disk for {given}; what was there before is kept") from error
        raise


def _is_full(error: BaseException | None) -> bool:
    numbers, words = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG), ("No space left on device", "Disk quota exceeded")
    while error is not None:
        if getattr(error, "errno", None) in numbers or any(word in str(error) for word in words):
            return True
        error = error.__cause__ or error.__context__
    return False


def _hidden(path: Path) -> str:
    """The name, or what every name begins with, under which an output is written."""
    name = os.fsencode(path.name)
    short = path.name if len(name) <= _LONGEST_HIDDEN else hashlib.sha256(name).hexdigest()[:16]
    return f".{short}{_MARK}"


def _locked_file(path: Path) -> tuple[Path, int]:
    while True:
        # With the same suffix, from which libraries learn the format.
        temporary = path.with_name(f"{_hidden(path)}-{secrets.token_hex(4)}{path.suffix[:20]}")
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if _is_ours(handle) and _is_at(handle, temporary):
            return temporary, handle
        os.close(handle)  # another one took it for a leftover, in the moment before it was locked


def _remove_dead(parent: Path, prefix: str) -> None:
    """Removes the temporary files with a prefix that nobody holds a lock on."""
    for entry in os.scandir(parent):
        if not (entry.name.startswith(prefix or ".") and f"{_MARK}-" in entry.name and entry.is_file()):
            continue
        with contextlib.suppress(OSError):  # it is gone, or another user's
            handle = os.open(entry.path, os.O_RDWR)
            try:
                _flock(handle)
                os.unlink(entry.path)
            finally:
                os.close(handle)


def _flock(handle: int, *, shared: bool = False, waits: bool = False) -> None:
    """Locks an open file.

    Raises:
        BlockingIOError: somebody else has locked it.
        OSError: the system or its file system knows no locks.
    """
    try:
        import fcntl
    except ImportError:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK)) from None  # Windows
    fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if waits else fcntl.LOCK_NB))


def _is_ours(handle: int, shared: bool = False) -> bool:
    """Tries to lock an open file; a file system that knows no locks gives everyone everything."""
    try:
        _flock(handle, shared=shared)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _is_at(handle: int, path: Path) -> bool:
    """Whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _lock(path: Path, given: str | Path, shared: bool = False) -> int:
    """Locks a file, which is made where it is missing.

    Raises:
        InputError: somebody else has locked it.
    """
    while True:
        path.parent.mkdir(exist_ok=True)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            continue  # its folder has just been removed by who was ready
        if not _is_ours(handle, shared):
            os.close(handle)
            raise InputError(f"{given} is being written by another program; wait for it, or name another place")
        if _is_at(handle, path):
            return handle
        os.close(handle)


def _waited_for(path: Path) -> int:
    """Locks a file, which is made where it is missing, as soon as nobody else has locked it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        with contextlib.suppress(OSError):  # a file system that knows no locks
            _flock(handle, waits=True)
        if _is_at(handle, path):
            return handle
        os.close(handle)


@contextlib.contextmanager
def _workplace(given: str | Path, path: Path) -> Iterator[Path]:
    """The hidden folder in which a folder is made, locked: beside its place, or in it where another disk is mounted."""
    is_fixed = path.is_dir() and (os.path.ismount(path) or not os.access(path.parent, os.W_OK))
    beside = () if is_fixed else (_parent_of(path) / _hidden(path),)
    for place in (*beside, path / _MARK):
        with _locked_place(given, place):
            if place.parent == path or not path.is_dir() or _reaches(place, path):
                yield place
                return


@contextlib.contextmanager
def _locked_place(given: str | Path, place: Path) -> Iterator[None]:
    with os.fdopen(_lock(place / _LOCK, given)):
        try:
            yield
        finally:
            _clear(place)
            (place / _LOCK).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # the next writer is in it already
                place.rmdir()


def _reaches(place: Path, path: Path) -> bool:
    """Whether a file can be moved from one folder to another, which a folder that is mounted forbids."""
    here, there = place / "probe", path / f"{_MARK}-probe"
    here.touch()
    try:
        here.rename(there)
    except OSError:
        return False
    finally:
        here.unlink(missing_ok=True)
        there.unlink(missing_ok=True)
    return True


def _entries(path: Path) -> list[Path]:
    """What a folder holds, besides work in progress."""
    return [entry for entry in path.iterdir() if not entry.name.startswith(_MARK)] if path.is_dir() else []


def _recover(place: Path, path: Path) -> None:
    """Brings a writer's work to an end that was killed while its folder took its place, and removes its leftovers."""
    if (place / _OLD).exists() and not path.exists():
        (place / _OLD).rename(path)
    if (place / _COMPLETE).exists():
        _move_files(place / _COMPLETE, path)
    _clear(place)


def _clear(place: Path) -> None:
    for leftover in place.iterdir():
        if leftover.name != _LOCK:
            shutil.rmtree(leftover, ignore_errors=True)


def _put(new: Path, path: Path) -> None:
    """Makes the new folder appear: in one move, or file by file where others' files lie between."""
    place = new.parent
    if not path.exists():
        new.rename(path)
    elif place.parent != path and not _is_in_use(path) and not _others(path, new):
        shutil.copymode(path, new)
        _exchange(new, path, place / _OLD)
    else:
        new.rename(place / _COMPLETE)  # from here on the next writer would finish it
        _move_files(place / _COMPLETE, path)


def _is_in_use(path: Path) -> bool:
    """Whether this program, and so perhaps the shell behind it, is in the folder: it would be left in a removed one."""
    return Path(os.path.realpath(".")).is_relative_to(path)


def _others(path: Path, new: Path) -> bool:
    """Whether a folder holds files that the new one lacks."""
    files = (entry for entry in path.rglob("*") if entry.is_symlink() or not entry.is_dir())
    return any(not (new / file.relative_to(path)).is_file() for file in files)


def _exchange(new: Path, path: Path, old: Path) -> None:
    """Gives each of two folders the other's name, at once where the system can do that."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    at_working_folder, exchange = -100, 2
    names = os.fsencode(new), os.fsencode(path)
    if renameat2 is None or renameat2(at_working_folder, names[0], at_working_folder, names[1], exchange):
        path.rename(old)
        new.rename(path)


def _move_files(source: Path, path: Path) -> None:
    """Moves all files to their places in a folder."""
    for entry in sorted(source.rglob("*")):
        target = path / entry.relative_to(source)
        if not entry.is_dir():
            entry.replace(target)
        elif not target.is_dir():
            target.unlink(missing_ok=True)
            target.mkdir()
