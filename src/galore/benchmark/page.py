"""One page about all records of a folder."""

from pathlib import Path


def draw(folder: Path) -> Path:
    raise NotImplementedError
