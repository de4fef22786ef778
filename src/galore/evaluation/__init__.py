"""Explanations against ground truth: test sets, queries, methods, scores; faithfulness; counterfactual search."""

import importlib
import pkgutil
from typing import Any


def __getattr__(name: str) -> Any:
    """Imports a module when it is first asked for."""
    if name in __dir__():
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__))
