"""Weights that others published: where they are, and how to know that they are the right ones."""

import importlib.util
import json
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import pooch

from galore import atomic, cache
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
        spec = importlib.util.find_spec(self.package)
        folders = list(spec.submodule_search_locations or []) if spec else []
        candidates = [Path(folder) / self.file for folder in folders if (Path(folder) / self.file).is_file()]
        if not candidates:
            raise InputError(f"the weights are not installed; install them with: {self.command}")
        weights.check_sha256(candidates[0], self.sha256)
        return candidates[0]


class Download(NamedTuple):
    """A file at an official address, kept in the user's cache folder once it has arrived whole."""

    url: str
    sha256: str

    def path(self) -> Path:
        """The checked file, downloaded if it is not there yet.

        Raises:
            InputError: it cannot be had (the message says where to put it by hand), or it is another file. Nothing
                is kept of a download that failed.
        """
        name = self.url.rsplit("/", 1)[-1]
        path = cache_folder() / name
        if path.is_file():
            weights.check_sha256(path, self.sha256)
            return path
        with atomic.file(path) as temporary:
            try:
                pooch.HTTPDownloader(timeout=30)(self.url, str(temporary), None)
            except (OSError, ValueError) as error:  # what requests raises is an OSError
                raise InputError(
                    f"the weights cannot be downloaded from {self.url} ({type(error).__name__}); "
                    f"where there is a network, fetch that file and put it at {path}"
                ) from error
            weights.check_sha256(temporary, self.sha256)
        return path


def cache_folder() -> Path:
    """Where downloads are kept."""
    return cache.folder() / "weights"


def imagenet_class_names() -> tuple[str, ...]:
    """The 1000 classes of ILSVRC 2012 in their usual order, one English name each."""
    text = resources.files("galore.models").joinpath("imagenet_class_names.json").read_text("utf-8")
    return tuple(json.loads(text))
