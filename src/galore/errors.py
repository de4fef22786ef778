"""What a person did wrong, in one sentence."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Raised where a wrong file, key or option enters.

    The message is one sentence that names the thing and says what was expected. The command line prints it
    on one line and exits with code 2; library users may catch it as a `ValueError`.
    """


def closest(name: str, candidates: Iterable[str], count: int = 3) -> str:
    """Words for an error message: which of the candidates were probably meant.

    Args:
        name: what was given.
        candidates: what there is.
        count: how many to offer at most.

    Returns:
        "the closest are a, b, c", or "" when nothing resembles the name.
    """
    by_lower_case = {candidate.lower(): candidate for candidate in candidates}
    matches = difflib.get_close_matches(name.lower(), by_lower_case, n=count, cutoff=0.4)
    if not matches:
        return ""
    return "the closest " + ("is " if len(matches) == 1 else "are ") + ", ".join(by_lower_case[m] for m in matches)


def is_out_of_memory(error: Exception) -> bool:
    """Whether a computation failed because a device or the host has too little memory, so that less at once may do."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)
