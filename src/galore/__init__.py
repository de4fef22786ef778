"""galore: what supports this prediction, where did the network hesitate, and why not that other class?"""

import importlib
from typing import TYPE_CHECKING, Any

from galore import moved

if TYPE_CHECKING:
    from galore import attribution, confidence, data, evaluation, explain, models, regions, report, stream, training
    from galore.cutting import cut, layers
    from galore.errors import InputError
    from galore.loading import load
    from galore.network import Network, from_linen, from_nnx
    from galore.report import explain_photo

__version__ = "0.1.0"

moved.install()

_MODULES = (
    "attribution",
    "confidence",
    "data",
    "evaluation",
    "explain",
    "models",
    "regions",
    "report",
    "stream",
    "training",
)
_NAMES = {
    "InputError": "galore.errors",
    "Network": "galore.network",
    "cut": "galore.cutting",
    "explain_photo": "galore.report",
    "from_linen": "galore.network",
    "from_nnx": "galore.network",
    "layers": "galore.cutting",
    "load": "galore.loading",
}

__all__ = [
    "InputError",
    "Network",
    "attribution",
    "confidence",
    "cut",
    "data",
    "evaluation",
    "explain",
    "explain_photo",
    "from_linen",
    "from_nnx",
    "layers",
    "load",
    "models",
    "regions",
    "report",
    "stream",
    "training",
]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for, so that `galore --help` need not wait for jax."""
    if name in _MODULES or f"galore.{name}" in moved.MOVED:
        return importlib.import_module(f"galore.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'galore' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_NAMES})
