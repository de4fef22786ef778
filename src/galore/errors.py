"""What a person did wrong, in one sentence."""

import difflib
import unicodedata
from collections.abc import Iterable

LONGEST_MESSAGE = 1000
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode's categories of what is no character to look at: controls, directions of writing, halves of pairs."""


class InputError(ValueError):
    """Raised where a wrong file, key or option enters.

    The message is one sentence that names the thing and says what was expected. The command line prints it
    on one line and exits with code 2; library users may catch it as a `ValueError`. Names in it come from outside, so
    that it is made `harmless` here.
    """

    def __init__(self, message: str) -> None:
        super().__init__(harmless(message, LONGEST_MESSAGE))


def harmless(text: str, longest: int) -> str:
    """A text on one line, with escapes for what a terminal would obey, and without its middle where it is too long.

    Args:
        text: from outside, or with something from outside in it.
        longest: characters of the result, about.
    """
    if len(text) > longest:
        text = f"{text[: longest * 2 // 3]}... ({len(text)} characters) ...{text[-longest // 3 :]}"
    if text.isprintable():
        return text
    spaced = " ".join(text.split())
    return "".join(_escaped(c) if unicodedata.category(c) in _INVISIBLE else c for c in spaced)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def closest(name: str, candidates: Iterable[str], count: int = 3, cutoff: float = 0.4) -> str:
    """Words for an error message: which of the candidates were probably meant.

    Args:
        name: what was given.
        candidates: what there is.
        count: how many to offer at most.
        cutoff: how alike they must be, from 0 to 1.

    Returns:
        "the closest are a, b, c", or "" when nothing resembles the name.
    """
    by_lower_case = {candidate.lower(): candidate for candidate in candidates}
    # The comparison is quadratic in the length, and nothing that long was meant to be a name.
    matches = difflib.get_close_matches(name.lower()[:200], by_lower_case, n=count, cutoff=cutoff)
    if not matches:
        return ""
    return "the closest " + ("is " if len(matches) == 1 else "are ") + ", ".join(by_lower_case[m] for m in matches)


def is_out_of_memory(error: Exception) -> bool:
    """Whether a computation failed because a device or the host has too little memory, so that less at once may do."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)
