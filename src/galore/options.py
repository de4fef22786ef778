"""Typed options: frozen dataclasses whose types say what each value may be, filled from plain data.

What is unknown, of a wrong type or of a wrong value is named in one sentence.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from galore import foreign
from galore.errors import InputError, closest

Config = TypeVar("Config")


class Range(NamedTuple):
    """The values that an option may have, in words and as a predicate."""

    expected: str
    contains: Callable[[Any], bool]


MOST, LARGEST_SIDE, LARGEST_SEED = 1_000_000, 4096, 2**32 - 1
"""More are never meant, and would be found out by a memory that does not suffice, hours later."""

Count = Annotated[int, Range(f"a whole number from 1 to {MOST}", lambda n: 1 <= n <= MOST)]
AtLeastTwo = Annotated[int, Range(f"a whole number from 2 to {MOST}", lambda n: 2 <= n <= MOST)]
Side = Annotated[int, Range(f"a number of pixels from 1 to {LARGEST_SIDE}", lambda n: 1 <= n <= LARGEST_SIDE)]
Seed = Annotated[int, Range(f"a whole number from 0 to {LARGEST_SEED}", lambda n: 0 <= n <= LARGEST_SEED)]
Rate = Annotated[float, Range("a number above 0, such as 0.001", lambda x: 0 < x < math.inf)]
Decay = Annotated[float, Range("a number of at least 0", lambda x: 0 <= x < math.inf)]
Share = Annotated[float, Range("a number from 0 to 1", lambda x: 0 <= x <= 1)]
PositiveShare = Annotated[float, Range("a number above 0, up to 1", lambda x: 0 < x <= 1)]
ShareBelowOne = Annotated[float, Range("a number from 0 to below 1", lambda x: 0 <= x < 1)]

_EXPECTED = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def from_mapping(config: type[Config], options: Mapping[str, Any]) -> Config:
    """The config of plain options, such as those of a YAML file; those that are missing have their defaults.

    Args:
        config: a frozen dataclass with a class variable `group`: "train" for the options train.epochs and so on.
        options: by name.

    Raises:
        InputError: an unknown option, a wrong type or a wrong value; names the option and what was expected.
    """
    return _filled(config, options, config.group)  # type: ignore[attr-defined]


def _filled(config: type[Config], options: Mapping[str, Any], group: str) -> Config:
    names = [field.name for field in dataclasses.fields(config)]  # type: ignore[arg-type]
    for name in options:
        if name not in names:
            hint = closest(str(name), names) or f"expected some of {', '.join(names)}"
            raise InputError(f"unknown option {group}.{name}: {hint}")
    kinds = typing.get_type_hints(config, include_extras=True)
    return config(**{name: parsed(f"{group}.{name}=", value, kinds[name]) for name, value in options.items()})


def parsed(lead: str, value: Any, kind: Any, alternative: str = "") -> Any:
    """A value as its type has it.

    Args:
        lead: of the message, up to the value.
        value: as it was given.
        kind: the type.
        alternative: what may be given instead, for the message.
    """
    if kind is Any:
        return value
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return None if value is None else parsed(lead, value, arguments[0], " or null")
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(parsed(lead.replace("=", " has "), item, arguments[0]) for item in value)
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise InputError(f"{lead}{_shown(value)}: expected options by name{alternative}")
        return _filled(kind, value, lead.removesuffix("="))  # type: ignore[type-var]
    limit = Range("", lambda value: True)
    if origin is Annotated:
        kind, limit = arguments
    if origin is Literal:
        limit = Range(f"one of {', '.join(arguments)}", lambda value: value in arguments)
        kind = str
    is_right = type(value) in ((int, float) if kind is float else (kind,)) and limit.contains(value)
    if not is_right:
        expected = limit.expected or _EXPECTED.get(kind, "a list")
        raise InputError(f"{lead}{_shown(value)}: expected {expected}{alternative}")
    return kind(value)


def _shown(value: Any) -> str:
    """Python writes no number of thousands of digits."""
    is_long = type(value) is int and abs(value) > 10**100
    return "a number of more than 100 digits" if is_long else foreign.text(repr(value))
