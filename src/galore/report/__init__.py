"""What people get to see of the answers about a photo: an object for notebooks, a page, figures, and plain numbers.

explain_photo       from a network and a photo to a `PhotoExplanation`
PhotoExplanation    shows itself in a notebook; `.plot()`, `.save("figure.pdf")`; `.answer` is all that it says
Answer              the answers to the three questions, as numbers, maps and regions
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from galore.report.answer import Answer
    from galore.report.explanation import PhotoExplanation, explain_photo

_NAMES = {
    "Answer": "galore.report.answer",
    "PhotoExplanation": "galore.report.explanation",
    "explain_photo": "galore.report.explanation",
}

__all__ = ["Answer", "PhotoExplanation", "explain_photo"]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for, so that the command line need not wait for jax."""
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'galore.report' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
