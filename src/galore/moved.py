"""Names that moved keep working: importing an old one gives the new one, with a warning that names it.

`MOVED` is the list, and its documentation: old module -> (new module, {old name in it: new name}). Names that stayed
as they were are not listed.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
import warnings
from typing import Any

MOVED: dict[str, tuple[str, dict[str, str]]] = {
    "galore.training.arrays": ("galore.training.checkpoint", {"read": "read_arrays", "write": "write_arrays"}),
    "galore.training.forward": ("galore.training.architectures", {}),
    "galore.training.held_out": ("galore.training.hardness", {"fit_predictor": "train"}),
    "galore.training.step": ("galore.training.loop", {}),
}


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of `MOVED`."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(fullname, self) if fullname in MOVED else None

    def exec_module(self, module: types.ModuleType) -> None:
        new, names = MOVED[module.__name__]
        warnings.warn(f"{module.__name__} is now {new}", DeprecationWarning, stacklevel=2)
        there = importlib.import_module(new)
        module.__dict__.update({name: value for name, value in vars(there).items() if not name.startswith("__")})
        module.__dict__.update({old: getattr(there, name) for old, name in names.items()})


def install() -> None:
    """Lets Python find the moved modules."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
