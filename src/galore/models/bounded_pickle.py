"""Reads a pickle as data: nothing of it is run, and no more is taken than the file has room for.

A pickle is a program for a small machine. This one knows the opcodes that containers, numbers, texts and the tensors of
torch need, keeps what a program remembers in a dictionary (so that a large index costs nothing), calls nothing but the
functions that it was given, and stops after a number of steps that no weights file needs.
"""

import functools
import io
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from galore import foreign
from galore.errors import InputError

MOST_STEPS = 500_000
"""Of one pickle. A tensor needs about thirty; an optimiser's state has two or three tensors for each of a network's."""
LONGEST_NAME = 1 << 10
"""Bytes of the name of a module, class or function."""

Known = Mapping[tuple[str, str], Any]

_MARK = object()
_EMPTY = {b")": tuple, b"]": list, b"}": dict}
_CONSTANTS = {b"N": None, b"\x88": True, b"\x89": False}
_NUMBERS = {b"K": "<B", b"M": "<H", b"J": "<i", b"G": ">d"}
_TEXTS = {b"X": "<I", b"\x8c": "<B", b"\x8d": "<Q", b"T": "<i", b"U": "<B"}
_BYTES = {b"B": "<I", b"C": "<B", b"\x8e": "<Q"}
_INTEGERS = {b"\x8a": "<B", b"\x8b": "<i"}
_GETS, _PUTS = {b"h": "<B", b"j": "<I"}, {b"q": "<B", b"r": "<I"}
_TUPLES = {b"\x85": 1, b"\x86": 2, b"\x87": 3}


def load(stream: io.BufferedIOBase, available: int, known: Known, persistent: Callable[[Any], Any], source: str) -> Any:
    """One pickle of a stream.

    Args:
        stream: stands at the pickle, and behind it afterwards.
        available: how many bytes the stream has at most; no text is longer.
        known: (module, name) -> what stands for it. Functions among these are called with what the pickle gives.
        persistent: from what the pickle refers to, to the value.
        source: what to call the file in a message.

    Raises:
        InputError: it asks for another name, needs another opcode, or has too many parts.
        Exception: whatever damaged bytes lead to.
    """
    return _Machine(stream, available, known, persistent, source).run()


def filled(target: dict, items: Iterable[Any]) -> dict:
    """The dictionary with more items; no key is one that takes long to hash, or is made to collide with others."""
    for key, value in items:
        if not isinstance(key, str) and not (isinstance(key, int) and -(2**63) <= key < 2**63):
            raise ValueError(f"something of the type {type(key).__name__} is the key of a dictionary")
        target[key] = value
    return target


class _Machine:
    """The stack and the memory of one pickle."""

    def __init__(
        self, stream: io.BufferedIOBase, available: int, known: Known, persistent: Callable[[Any], Any], source: str
    ) -> None:
        self._stream, self._available, self._source = stream, available, source
        self._known, self._persistent = known, persistent
        self._callable = {id(value) for value in known.values() if callable(value)}
        self._stack: list[Any] = []
        self._memory: dict[int, Any] = {}
        self._steps = self._opcodes()

    def run(self) -> Any:
        read, steps = self._stream.read, self._steps
        for _ in range(MOST_STEPS):
            opcode = read(1)
            if opcode == b".":
                return self._pop()
            step = steps.get(opcode)
            if step is None:
                raise self._refusal(opcode)
            step()
        raise InputError(f"{self._source} has more than {MOST_STEPS} parts, expected tensors and plain containers")

    def _opcodes(self) -> dict[bytes, Callable[[], Any]]:
        push, bind = self._stack.append, functools.partial
        steps: dict[bytes, Callable[[], Any]] = {code: bind(push, value) for code, value in _CONSTANTS.items()}
        steps |= {code: lambda make=make: push(make()) for code, make in _EMPTY.items()}
        steps |= {code: lambda form=form: push(self._number(form)) for code, form in _NUMBERS.items()}
        steps |= {code: lambda form=form: push(self._counted(form).decode()) for code, form in _TEXTS.items()}
        steps |= {code: lambda form=form: push(self._counted(form)) for code, form in _BYTES.items()}
        steps |= {code: bind(self._integer, form) for code, form in _INTEGERS.items()}
        steps |= {code: lambda form=form: push(self._memory[self._number(form)]) for code, form in _GETS.items()}
        steps |= {code: lambda form=form: self._remember(self._number(form)) for code, form in _PUTS.items()}
        steps |= {code: bind(self._tuple, size) for code, size in _TUPLES.items()}
        return steps | {
            b"\x80": bind(self._read, 1), b"\x95": bind(self._read, 8), b"(": bind(push, _MARK),
            b"0": self._pop, b"1": self._above_mark,
            b"a": self._append, b"e": self._extend, b"s": self._set_item, b"u": self._set_items,
            b"l": lambda: push(self._above_mark()), b"t": lambda: push(tuple(self._above_mark())),
            b"d": lambda: push(_paired({}, self._above_mark())),
            b"\x94": lambda: self._remember(len(self._memory)),
            b"c": self._global, b"\x93": self._stacked_global, b"R": self._call, b"b": self._attach,
            b"Q": lambda: push(self._persistent(self._pop())),
        }  # fmt: skip

    def _refusal(self, opcode: bytes) -> Exception:
        if not opcode:
            return EOFError("the pickle ends in the middle")
        return InputError(
            f"{self._source} was refused: its pickle has the opcode {opcode!r}, which no plain weights need "
            "(nothing in the file was run), expected tensors and plain containers only"
        )

    def _read(self, size: int) -> bytes:
        if not 0 <= size <= self._available:
            raise EOFError(f"{size} bytes are announced, the file has {self._available}")
        content = self._stream.read(size)
        if len(content) < size:
            raise EOFError("the pickle ends in the middle")
        return content

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._read(struct.calcsize(form)))[0]

    def _counted(self, form: str) -> bytes:
        return self._read(self._number(form))

    def _integer(self, form: str) -> None:
        self._stack.append(int.from_bytes(self._counted(form), "little", signed=True))

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise ValueError("a mark stands where a value should")
        return value

    def _tuple(self, size: int) -> None:
        values = tuple(self._stack[-size:])
        if len(values) < size or any(value is _MARK for value in values):
            raise ValueError("a tuple has too few values")
        self._stack[-size:] = [values]

    def _above_mark(self) -> list[Any]:
        values: list[Any] = []
        while (value := self._stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def _remember(self, index: int) -> None:
        self._memory[index] = self._stack[-1]

    def _append(self) -> None:
        value = self._pop()
        self._target(list).append(value)

    def _extend(self) -> None:
        values = self._above_mark()
        self._target(list).extend(values)

    def _set_item(self) -> None:
        value, key = self._pop(), self._pop()
        filled(self._target(dict), [(key, value)])

    def _set_items(self) -> None:
        items = self._above_mark()
        _paired(self._target(dict), items)

    def _target(self, kind: type) -> Any:
        if not isinstance(self._stack[-1], kind):
            raise ValueError(f"a {kind.__name__} is missing")
        return self._stack[-1]

    def _global(self) -> None:
        module, name = (self._stream.readline(LONGEST_NAME).rstrip(b"\n").decode() for _ in range(2))
        self._stack.append(self._find(module, name))

    def _stacked_global(self) -> None:
        name, module = self._pop(), self._pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise ValueError("a name is no text")
        self._stack.append(self._find(module, name))

    def _find(self, module: str, name: str) -> Any:
        if (module, name) not in self._known:
            raise InputError(
                f"{self._source} was refused: it asks for {foreign.text(f'{module}.{name}')}, expected tensors and "
                "plain containers only (nothing in the file was run; re-save its state_dict() alone)"
            )
        return self._known[module, name]

    def _call(self) -> None:
        arguments, function = self._pop(), self._pop()
        if id(function) not in self._callable or not isinstance(arguments, tuple):
            raise ValueError("something is called that is no function")
        self._stack.append(function(*arguments))

    def _attach(self) -> None:
        """Attributes of a dictionary (torch's `_metadata`) are dropped."""
        self._pop()
        self._target(dict)


def _paired(target: dict, items: list[Any]) -> dict:
    return filled(target, zip(items[::2], items[1::2], strict=True))
