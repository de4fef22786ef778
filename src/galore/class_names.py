"""Finding the class that a person means."""

from collections.abc import Sequence

from galore.errors import InputError, closest

SHOWN = 6


def find(text: str, names: Sequence[str]) -> int:
    """The index of the class that `text` means: an index, a name, or a part of exactly one name.

    Upper and lower case, underscores and spaces make no difference, and a whole name comes before a part of one.

    Args:
        text: what the person wrote.
        names: of the classes, in the order of the logits; names may repeat.

    Returns:
        The index.

    Raises:
        InputError: nothing matches (with the closest names), or more than one class does (with their indices).
    """
    if _is_index(text):
        if 0 <= int(text) < len(names):
            return int(text)
        raise InputError(f"class {text} does not exist, expected an index from 0 to {len(names) - 1}")
    wanted = _folded(text)
    if not wanted:
        raise InputError("the class is empty, expected a name, a part of a name, or an index")
    folded = [_folded(name) for name in names]
    for matches in (
        [index for index, name in enumerate(folded) if name == wanted],
        [index for index, name in enumerate(folded) if f" {wanted} " in f" {name} "],
        [index for index, name in enumerate(folded) if wanted in name],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise InputError(
                f'"{text}" fits {len(matches)} classes, give a whole name or an index: {_list(matches, names)}'
            )
    hint = closest(text, names)
    raise InputError(
        f'no class is called "{text}"' + (f"; {hint}" if hint else f"; the network knows {len(names)} classes")
    )


def label(index: int, names: Sequence[str]) -> str:
    """A class's name for people: no underscores, and with its index where another class has the same name."""
    plain = names[index].replace("_", " ")
    return f"{plain} ({index})" if sum(name == names[index] for name in names) > 1 else plain


def _is_index(text: str) -> bool:
    return text.strip().removeprefix("-").isdecimal()


def _folded(text: str) -> str:
    return " ".join(text.replace("_", " ").casefold().split())


def _list(matches: list[int], names: Sequence[str]) -> str:
    shown = ", ".join(f"{names[index]} ({index})" for index in matches[:SHOWN])
    return shown + (f" and {len(matches) - SHOWN} more" if len(matches) > SHOWN else "")
