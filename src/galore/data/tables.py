"""Reading the plain-text tables of a data set, with errors that name the file and the line."""

import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped

from galore import foreign
from galore.errors import InputError, closest

Classes = str | int | range | Iterable[str | int] | None
"""A selection of classes: numbers, ranges ("1-25"), names, or several of them; None is every class with images."""
LARGEST = 1 << 30
"""Bytes of a table; the largest of CUB has a tenth of it."""

_WHOLE = re.compile(r"[0-9]{1,18}")
_NUMBER = re.compile(r"(?!\S{57})[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
"""A number of a table: decimal, in ASCII, at most 56 long; what Python reads besides (1_0, nan, Arabic) is none."""
_NO_NUMBER = re.compile(r"[^0-9+\-.eE \t\n]|[^ \t\n]{57}")


@dataclass(frozen=True)
class Problem:
    """Something in a folder that cannot be right.

    Attributes:
        what: in words, with the file.
        count: how often.
        example: one of them.
    """

    what: str
    count: int
    example: str

    def __str__(self) -> str:
        return f"{self.what} ({self.count}, for example {foreign.text(self.example)})"


def lines(path: Path, expected: str) -> list[tuple[int, str]]:
    """The lines of a text file that are not blank, with their numbers from 1; CRLF or LF.

    Args:
        path: the file.
        expected: what the file should hold, for the error message.

    Raises:
        InputError: the file is missing, is not text or holds nothing.
    """
    if not os.path.exists(path):
        raise InputError(f"{foreign.text(path)} is missing, expected {expected}")
    try:
        text = foreign.read_bytes(path, expected, LARGEST).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{foreign.text(path)} is not a text file, expected {expected}") from error
    numbered = [(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not numbered:
        raise InputError(f"{path} is empty, expected {expected}")
    return numbered


def names(path: Path, expected: str) -> list[tuple[int, str]]:
    """The rows of a table "number name", in the order of the file.

    Raises:
        InputError: the file is missing, or a line is not a number and a name.
    """
    rows = []
    for number, line in lines(path, expected):
        first, _, rest = line.partition(" ")
        if not _WHOLE.fullmatch(first) or not rest.strip():
            raise InputError(f"{path}, line {number}: expected {expected}, found {line[:60]!r}")
        rows.append((int(first), rest.strip()))
    return rows


def numbers(path: Path, columns: int, expected: str) -> Float[np.ndarray, "rows columns"]:
    """The rows of a table of finite numbers, in the order of the file (float64).

    Raises:
        InputError: the file is missing, or a line holds anything but that many finite numbers.
    """
    rows = lines(path, expected)
    text = [line for _, line in rows]
    if not _NO_NUMBER.search("\n".join(text)):  # of what remains numpy reads `_NUMBER` and nothing else, and is fast
        try:
            values = np.loadtxt(text, comments=None, ndmin=2)
        except ValueError:
            values = None
        if values is not None and values.shape == (len(rows), columns) and np.isfinite(values).all():
            return values
    wrong = (row for row in rows if not _are_numbers(re.split(r"[ \t]+", row[1]), columns))
    number, line = next(wrong, rows[0])
    raise InputError(f"{path}, line {number}: expected {expected}, found {line[:60]!r}")


def _are_numbers(fields: list[str], columns: int) -> bool:
    right = len(fields) == columns and all(map(_NUMBER.fullmatch, fields))
    return right and all(math.isfinite(float(field)) for field in fields)


def select(classes: Classes, class_names: tuple[str, ...]) -> list[int]:
    """The 0-based positions of the selected classes, in ascending order.

    Args:
        classes: a number from 1, a range of numbers, a name, a text such as "1-25,Cardinal", or several of these.
            `name:10` and `number:10` say which is meant where a class is called 10.
        class_names: all there are; class k is number k + 1.

    Raises:
        InputError: a number or a name that does not exist, one that may be either, or nothing selected.
    """
    if classes is None:
        return list(range(len(class_names)))
    chosen: set[int] = set()
    for item in [classes] if isinstance(classes, str | int) else classes:
        for word in [item] if isinstance(item, int) else item.split(","):
            chosen.update(_numbers_of(str(word).strip(), class_names))
    if not chosen:
        raise InputError(f"no class is selected by {classes!r}, expected numbers, ranges such as 1-25, or names")
    return sorted(chosen)


def _numbers_of(word: str, class_names: tuple[str, ...]) -> list[int]:
    """The positions that a word means; a number that is another class's name is refused, but for a prefix."""
    kind, _, rest = word.partition(":")
    if word not in class_names and kind in ("name", "number"):
        return _called(rest, class_names) if kind == "name" else _numbered(rest, class_names)
    if not re.fullmatch(_RANGE, word):
        return _called(word, class_names)
    if word in class_names and _called(word, class_names) != _numbered(word, class_names):
        raise InputError(f"classes {word!r} may be a name or numbers: write name:{word} or number:{word}")
    return _numbered(word, class_names)


_RANGE = r"([0-9]{1,9})(?:\s*-\s*([0-9]{1,9}))?"


def _numbered(word: str, class_names: tuple[str, ...]) -> list[int]:
    match = re.fullmatch(_RANGE, word)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last <= len(class_names):
        raise InputError(f"classes {word!r}: expected numbers from 1 to {len(class_names)}, the smaller first")
    return list(range(first - 1, last))


def _called(word: str, class_names: tuple[str, ...]) -> list[int]:
    wanted = re.sub(r"^\d+\.", "", word).replace(" ", "_").lower()
    found = [position for position, name in enumerate(class_names) if name.replace(" ", "_").lower() == wanted]
    if len(found) > 1:
        numbers = ", ".join(str(position + 1) for position in found)
        raise InputError(f"{len(found)} classes are called {word!r}, select them by their numbers: {numbers}")
    if not found:
        hint = closest(word, class_names)
        raise InputError(f"there is no class {foreign.text(word, 60)!r}" + (f"; {hint}" if hint else ""))
    return found


def some(what: str, wrong: list[str] | Shaped[np.ndarray, "k"]) -> Problem | None:
    """A problem with the wrong values, or None where there are none."""
    if len(wrong) == 0:
        return None
    first = wrong[0]
    return Problem(what, len(wrong), first if isinstance(first, str) else f"{first:g}")


def repeated(what: str, keys: Shaped[np.ndarray, "k"], shown: Shaped[np.ndarray, "k"] | None = None) -> Problem | None:
    """A problem with the keys that occur more than once (an example is taken from `shown`), or None."""
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    return some(what, (keys if shown is None else shown)[first[counts > 1]])
