"""Images with parts and objects: CUB-200-2011, ADE20K, their synthetic twins, geometry and loading.

Submodules are imported when first asked for: `galore.data.cub`, `galore.data.geometry`, ...
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from galore.data import (
        ade20k,
        check,
        cub,
        dataset,
        geometry,
        loader,
        photo,
        sheet,
        synthetic_birds,
        synthetic_scenes,
        tables,
    )

__all__ = [
    "ade20k",
    "check",
    "cub",
    "dataset",
    "geometry",
    "loader",
    "photo",
    "sheet",
    "synthetic_birds",
    "synthetic_scenes",
    "tables",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"galore.data.{name}")
    raise AttributeError(f"module 'galore.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
