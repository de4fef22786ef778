"""Weights that others published: where they are, and how to know that they are the right ones."""

import importlib.util
import json
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from galore.errors import InputError
from galore.models import weights


class Packaged(NamedTuple):
    """A file inside a Python package that the user installs; the package's code is never imported."""

    package: str
    file: str
    sha256: str
    command: str

    def path(self) -> Path:
        """The checked file.

        Raises:
            InputError: the package is not installed, or the file is another one.
        """
        found = importlib.util.find_spec(self.package)
        folders = list(found.submodule_search_locations or []) if found else []
        candidates = [Path(folder) / self.file for folder in folders if (Path(folder) / self.file).is_file()]
        if not candidates:
            raise InputError(f"the weights are not installed; install them with: {self.command}")
        weights.check_sha256(candidates[0], self.sha256)
        return candidates[0]


def imagenet_class_names() -> tuple[str, ...]:
    """The 1000 classes of ILSVRC 2012 in their usual order, one English name each."""
    text = resources.files("galore.models").joinpath("imagenet_class_names.json").read_text("utf-8")
    return tuple(json.loads(text))
