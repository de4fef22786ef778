"""Finding the class that a person means."""

import re
from collections.abc import Sequence

from galore import foreign
from galore.errors import InputError, closest

SHOWN = 6


def find(text: str, names: Sequence[str]) -> int:
    """The index of the class that `text` means: an index, a name, or a part of exactly one name.

    Upper and lower case, underscores and spaces make no difference, and a whole name comes before a part of one. A
    number that is an index and also in the name of another class is refused; `name:10` and `index:10` say which is
    meant.

    Args:
        text: what the person wrote.
        names: of the classes, in the order of the logits; names may repeat.

    Returns:
        The index.

    Raises:
        InputError: nothing matches (with the closest names), or more than one class does (with their indices).
    """
    wanted, folded = _folded(text), [_folded(name) for name in names]
    if not wanted:
        raise InputError("the class is empty, expected a name, a part of a name, or an index")
    kind, _, rest = text.partition(":")
    if wanted not in folded and kind in ("index", "name"):
        return _at(rest, names) if kind == "index" else _called(rest, _folded(rest), names, folded)
    if not is_number(text):
        return _called(text, wanted, names, folded)
    called = _with_number(wanted, folded)
    if not called:
        return _at(text, names)
    index = _value(text)
    if index not in range(len(names)) or called == [index]:
        return _called(text, wanted, names, folded) if len(called) > 1 else called[0]
    raise InputError(
        f'"{text}" is the index of the class {names[index]} and also names {_list(called, names)}: write '
        f"index:{text.strip()} or name:{names[called[0]]}"
    )


def check_count(names: Sequence[str], classes: int, owner: str) -> None:
    """Raises `InputError` where there are names, but not one for each logit: the names would be those of others."""
    if names and len(names) != classes:
        raise InputError(f"{owner} has {len(names)} class names and {classes} logits: expected as many")


def is_number(text: str) -> bool:
    """Whether a text is a whole number as people write one, of any length."""
    return re.fullmatch(r"\s*-?[0-9]+\s*", text) is not None


def label(index: int, names: Sequence[str]) -> str:
    """A class's name as people may see it: no underscores, and with its index where another class has the same name."""
    plain = foreign.name(names[index].replace("_", " "))
    return f"{plain} ({index})" if sum(name == names[index] for name in names) > 1 else plain


def _at(text: str, names: Sequence[str]) -> int:
    index = _value(text) if is_number(text) else -1
    if index not in range(len(names)):
        raise InputError(f"class {text} does not exist, expected an index from 0 to {len(names) - 1}")
    return index


def _value(text: str) -> int:
    """A number; of more digits than any index has (which Python may refuse to read), one that no class has."""
    return int(text) if len(text.strip().lstrip("-0")) < 10 else -1


def _with_number(wanted: str, folded: Sequence[str]) -> list[int]:
    """The classes that a number may name: "10" and "010", else those with the word 10 in their names."""
    whole = [index for index, name in enumerate(folded) if is_number(name) and _plain(name) == _plain(wanted)]
    return whole or [index for index, name in enumerate(folded) if wanted in name.split()]


def _plain(number: str) -> str:
    return number.lstrip("0") or "0"


def _called(text: str, wanted: str, names: Sequence[str], folded: Sequence[str]) -> int:
    """The one class of this name, or with this in its name."""
    for matches in (
        [index for index, name in enumerate(folded) if name == wanted],
        [index for index, name in enumerate(folded) if f" {wanted} " in f" {name} "],
        [index for index, name in enumerate(folded) if wanted and wanted in name],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise InputError(
                f'"{text}" fits {len(matches)} classes, which one is meant? {_list(matches, names)}: give a whole name '
                "or an index"
            )
    hint = closest(text, names)
    raise InputError(
        f'no class is called "{text}"' + (f"; {hint}" if hint else f"; the network knows {len(names)} classes")
    )


def _folded(text: str) -> str:
    return " ".join(text.replace("_", " ").casefold().split())


def _list(matches: list[int], names: Sequence[str]) -> str:
    shown = ", ".join(f"{names[index]} ({index})" for index in matches[:SHOWN])
    return shown + (f" and {len(matches) - SHOWN} more" if len(matches) > SHOWN else "")
