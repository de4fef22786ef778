"""Images with parts and objects: CUB-200-2011, ADE20K, their synthetic twins, geometry and loading.

Submodules are imported when first asked for: `galore.data.cub`, `galore.data.geometry`, ...
"""

import importlib
from typing import TYPE_CHECKING, Any

from galore.moved import MOVED

if TYPE_CHECKING:
    from galore.data import (
        ade20k,
        bare,
        check,
        colour,
        cub,
        dataset,
        geometry,
        loader,
        orientation,
        photo,
        preprocessing,
        sheet,
        synthetic,
        tables,
    )

__all__ = [
    "ade20k",
    "bare",
    "check",
    "colour",
    "cub",
    "dataset",
    "geometry",
    "loader",
    "orientation",
    "photo",
    "preprocessing",
    "sheet",
    "synthetic",
    "tables",
]


def __getattr__(name: str) -> Any:
    if name in __all__ or f"galore.data.{name}" in MOVED:
        return importlib.import_module(f"galore.data.{name}")
    raise AttributeError(f"module 'galore.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
