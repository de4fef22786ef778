"""The networks: their names, and their parameters written in torch's format. `galore.load` makes one."""

import importlib
import warnings
from typing import Any

from galore.models.factory import names, save_safetensors

__all__ = ["names", "save_safetensors"]


def __getattr__(name: str) -> Any:
    if name == "load":
        warnings.warn("galore.models.load is now galore.load", DeprecationWarning, stacklevel=2)
        return importlib.import_module("galore.loading").load
    raise AttributeError(f"module 'galore.models' has no attribute {name!r}")
