"""Reads a pickle as data: nothing of it is run, and no more is taken than the file has room for.

A pickle is a program for a small machine. This one knows the opcodes that containers, numbers, texts and the tensors of
torch need, keeps what a program remembers in a dictionary (so that a large index costs nothing), calls nothing but the
functions that it was given, and stops after a number of steps that no weights file needs.
"""

import io
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from galore import foreign
from galore.errors import InputError

MOST_STEPS = 2_000_000
"""Of one pickle. A tensor needs about thirty; an optimiser's state has two or three tensors for each of a network's."""
LONGEST_NAME = 1 << 16
"""Bytes of the name of a class or function."""

Known = Mapping[tuple[str, str], Any]

_MARK = object()
_FIXED = {
    b"K": "<B", b"M": "<H", b"J": "<i", b"G": ">d",
    b"h": "<B", b"j": "<I", b"q": "<B", b"r": "<I",
}  # fmt: skip
_CONSTANTS: dict[bytes, Callable[[], Any]] = {
    b"N": lambda: None, b"\x88": lambda: True, b"\x89": lambda: False, b")": tuple, b"]": list, b"}": dict,
}  # fmt: skip
# Opcode -> how the length is written, and what the bytes are.
_COUNTED = {
    b"X": ("<I", "text"), b"\x8c": ("<B", "text"), b"\x8d": ("<Q", "text"),
    b"T": ("<i", "text"), b"U": ("<B", "text"),
    b"B": ("<I", "bytes"), b"C": ("<B", "bytes"), b"\x8e": ("<Q", "bytes"),
    b"\x8a": ("<B", "integer"), b"\x8b": ("<i", "integer"),
}  # fmt: skip
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
        InputError: it asks for another name, or has too many parts.
        Exception: whatever damaged bytes lead to.
    """
    return _Machine(stream, available, known, persistent, source).run()


def filled(target: dict, items: Iterable[tuple[Any, Any]]) -> dict:
    """The dictionary with more items; no key is one that takes long to hash, or is made to collide with others."""
    for key, value in items:
        if not isinstance(key, str) and not (isinstance(key, int) and -(2**63) <= key < 2**63):
            raise ValueError(f"a {type(key).__name__} is the key of a dictionary")
        target[key] = value
    return target


def _filled(target: dict, items: list[Any]) -> dict:
    return filled(target, zip(items[::2], items[1::2], strict=True))


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
        self._steps = {
            b"\x80": self._skip(1), b"\x95": self._skip(8), b"(": lambda: self._stack.append(_MARK),
            b"0": self._pop, b"1": self._above_mark,
            b"a": self._append, b"e": self._extend, b"s": self._set_item, b"u": self._set_items,
            b"l": lambda: self._stack.append(self._above_mark()),
            b"t": lambda: self._stack.append(tuple(self._above_mark())),
            b"d": lambda: self._stack.append(_filled({}, self._above_mark())),
            b"\x94": lambda: self._remember(len(self._memory)),
            b"c": self._global, b"\x93": self._stacked_global, b"R": self._call, b"b": self._attach,
            b"Q": lambda: self._stack.append(self._persistent(self._pop())),
        }  # fmt: skip

    def run(self) -> Any:
        for _ in range(MOST_STEPS):
            opcode = self._read(1)
            if opcode == b".":
                return self._pop()
            self._step(opcode)
        raise InputError(f"{self._source} has more than {MOST_STEPS} parts, expected tensors and plain containers")

    def _step(self, opcode: bytes) -> None:
        if opcode in _CONSTANTS:
            self._stack.append(_CONSTANTS[opcode]())
        elif opcode in _COUNTED:
            self._stack.append(self._counted(*_COUNTED[opcode]))
        elif opcode in _TUPLES:
            self._stack.append(tuple(reversed([self._pop() for _ in range(_TUPLES[opcode])])))
        elif opcode in _FIXED:
            (number,) = struct.unpack(_FIXED[opcode], self._read(struct.calcsize(_FIXED[opcode])))
            if opcode in b"hj":
                self._stack.append(self._memory[number])
            elif opcode in b"qr":
                self._remember(number)
            else:
                self._stack.append(number)
        elif opcode in self._steps:
            self._steps[opcode]()
        else:
            raise InputError(
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

    def _skip(self, size: int) -> Callable[[], Any]:
        return lambda: self._read(size)

    def _counted(self, length: str, kind: str) -> Any:
        (size,) = struct.unpack(length, self._read(struct.calcsize(length)))
        content = self._read(size)
        if kind == "text":
            return content.decode("utf-8")
        return content if kind == "bytes" else int.from_bytes(content, "little", signed=True)

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise ValueError("a mark stands where a value should")
        return value

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
        _filled(self._target(dict), [key, value])

    def _set_items(self) -> None:
        items = self._above_mark()
        _filled(self._target(dict), items)

    def _target(self, kind: type) -> Any:
        if not isinstance(self._stack[-1], kind):
            raise ValueError(f"a {kind.__name__} is missing")
        return self._stack[-1]

    def _global(self) -> None:
        module, name = (self._stream.readline(LONGEST_NAME).rstrip(b"\n").decode("utf-8") for _ in range(2))
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
