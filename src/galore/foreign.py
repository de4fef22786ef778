"""What comes from outside: files that others wrote, and texts that a person will see.

Every file from outside is opened by `open_regular`, so that no pipe or device is waited for; JSON and YAML come in
through `json_file`, `json_text` and `yaml_file`, which say in one sentence what is wrong; and every foreign text, be it
the name of a file, a class, a part or a tensor, passes `text` before a person sees it.
"""

import contextlib
import io
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from galore.errors import InputError, harmless

LARGEST_TEXT_FILE = 256 * 2**20
"""Bytes of a JSON or YAML file; the largest that we write ourselves are below a tenth of it."""

LONGEST_NAME, LONGEST_PATH = 80, 4096
"""Characters of a name where it is shown, and of a path in a table."""
DEEPEST_YAML = 100


def text(value: object, longest: int = 200) -> str:
    """A foreign text as a person may see it: on one line, without control characters, and short.

    Args:
        value: a name, a path, a message.
        longest: characters; of a longer text the middle is left out.
    """
    return harmless(str(value), longest)


def name(value: object) -> str:
    """A foreign name (of a file, a class, a part) as it stands in a sentence, a figure or a table."""
    return text(value, LONGEST_NAME)


def cell(value: object) -> str:
    """A foreign text for a table that a spreadsheet may open: where it would be a formula, ' stands before it."""
    shown = text(value, LONGEST_PATH)
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@", "'")) else shown


def inside(folder: str | Path, name: str, where: str) -> Path:
    """The path of a name that a file gives, relative to a folder and below it.

    Args:
        folder: that it must not leave; links in it may lead elsewhere, since they are its owner's.
        name: such as "001.Albatross/bird.jpg".
        where: what the name stands in, for the message.

    Raises:
        InputError: it is absolute, empty, goes up ("..") or holds what no path can.
    """
    if not stays_inside(name):
        raise InputError(f"{where} names {text(name)!r}, expected a path that stays below {text(folder)}")
    return Path(folder, name)


def stays_inside(name: str) -> bool:
    """Whether a name is a path that leads from any folder to something below it."""
    path = Path(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name


def open_regular(path: str | Path, expected: str) -> io.BufferedReader:
    """Opens a file for reading, and nothing that is no file: a pipe or a device could be waited for without end.

    Args:
        path: of a file, or of a link to one.
        expected: what it should be, for the message.

    Raises:
        InputError: there is none, it cannot be read, or it is something else.
    """
    shown = text(path)
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise InputError(f"{shown} does not exist, expected {expected}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {shown}: {getattr(error, 'strerror', None) or error}") from error
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise InputError(f"{shown} is {kind}, expected {expected}")
    return io.BufferedReader(io.FileIO(handle))


def read_bytes(path: str | Path, expected: str, largest: int = LARGEST_TEXT_FILE) -> bytes:
    """The bytes of a regular file of at most `largest`.

    Raises:
        InputError: as `open_regular`; the file is larger, or reading it fails.
    """
    with open_regular(path, expected) as file:
        size = os.fstat(file.fileno()).st_size
        if size > largest:
            raise InputError(f"{text(path)} has {size} bytes, expected {expected}, at most {largest}")
        try:
            return file.read(largest + 1)
        except OSError as error:
            raise InputError(f"cannot read {text(path)}: {error.strerror or error}") from error


def json_file(path: str | Path, kind: Any, expected: str) -> Any:
    """A JSON file as a value of a type: a dataclass, a `TypedDict`, or a type such as `dict[str, float]`.

    Args:
        path: of the file.
        kind: as `msgspec.convert` knows them; `Any` takes whatever is JSON.
        expected: what the file should be, for the message.

    Raises:
        InputError: no regular file, no JSON, or another type somewhere; the message says where.
    """
    return json_text(read_bytes(path, expected), kind, text(path), expected)


def json_text(content: bytes | str, kind: Any, where: str, expected: str) -> Any:
    """As `json_file`, for content that is in memory; `where` says what it is in a message.

    Raises:
        InputError: no JSON, or another type somewhere; the message says where.
    """
    try:
        return msgspec.convert(json.loads(content), kind)
    except msgspec.ValidationError as error:
        raise InputError(f"{where} is not {expected}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is damaged, expected {expected}: {_why(error)}") from error


def yaml_file(path: str | Path, expected: str) -> Any:
    """A YAML file as plain data; without aliases, which could stand for more than any memory holds.

    Raises:
        InputError: no regular file, no YAML, or one with aliases.
    """
    import yaml

    content = read_bytes(path, expected)
    try:
        depth = 0
        for event in yaml.parse(content, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise InputError(f"{text(path)} has YAML aliases (*name), expected {expected} without them")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST_YAML:  # its reader takes the square of the depth
                raise InputError(f"{text(path)} is damaged, expected {expected}: it is nested too deeply")
        return yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{text(path)} is damaged, expected {expected}: {_why(error)}") from error


@contextlib.contextmanager
def understood(path: str | Path, expected: str) -> Iterator[None]:
    """Around what takes a file apart: whatever damage that nobody foresaw raises there becomes one sentence.

    Args:
        path: of the file.
        expected: what it should be, for the message.

    Raises:
        InputError: instead of any other exception; a memory that does not suffice says nothing about the file.
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        why = f"{type(error).__name__} {text(error)}".strip()
        raise InputError(f"{text(path)} is damaged, expected {expected} ({why})") from error


def _why(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else text(error)
