"""The photos of a folder, whichever they are, as a network sees them."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from galore import foreign
from galore.data.loader import Example
from galore.data.photo import read_image
from galore.data.preprocessing import Preprocessing
from galore.errors import InputError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".tif", ".tiff", ".webp"})
LONGEST_PROBLEM = 300
"""Characters kept of the reason why a photo cannot be read."""


def folder_of(data: str | Path) -> Path:
    """Where the photos of a data set are: below images/ where there is such a folder (CUB, ADE20K), else below itself.

    Raises:
        InputError: there is no such folder.
    """
    data = Path(data)
    if not data.is_dir():
        raise InputError(f"{data} is not a folder, expected one with photos")
    return data / "images" if (data / "images").is_dir() else data


def find(root: Path) -> list[str]:
    """The photos below a folder, relative to it, in the order of their names.

    Raises:
        InputError: there is none, or a name has a line break.
    """
    names = [
        os.path.relpath(os.path.join(folder, name), root)
        for folder, _, files in os.walk(root, followlinks=True)
        for name in files
        if os.path.splitext(name)[1].lower() in SUFFIXES
    ]
    if not names:
        raise InputError(f"there are no photos below {root}, expected files that end in {', '.join(sorted(SUFFIXES))}")
    broken = next((name for name in names if len(name.splitlines()) > 1), None)
    if broken is not None:
        raise InputError(f"the name {broken!r} has a line break, which a list of images cannot hold; rename the file")
    return sorted(names)


def contents(path: Path) -> UInt8[np.ndarray, "32"]:
    """The SHA-256 of a file's bytes; zeros where they cannot be read."""
    try:
        with foreign.open_regular(path, "a photo") as file:
            return np.frombuffer(hashlib.file_digest(file, "sha256").digest(), np.uint8)
    except (InputError, OSError):
        return np.zeros(32, np.uint8)


@dataclass(frozen=True, eq=False)
class Photos:
    """Some rows of a list of photos, in uint8; one that cannot be read is black, and its problem is said.
    With each comes the hash of its file.

    Attributes:
        root: the folder.
        names: of all photos, relative to it.
        rows: which of them, in this order.
        preprocessing: of the network.
    """

    root: Path
    names: Sequence[str]
    rows: Int[np.ndarray, " n"]
    preprocessing: Preprocessing

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int, /) -> Example:
        row, side, problem = int(self.rows[position]), self.preprocessing.crop, ""
        digest = contents(self.root / self.names[row])
        try:
            pixels = read_image(self.root / self.names[row])
            image = self.preprocessing.transform(*pixels.shape[:2]).pixels(pixels)
        except InputError as error:
            image, problem = np.zeros((side, side, 3), np.uint8), str(error)
        return {"image": image, "problem": np.array(problem[:LONGEST_PROBLEM], f"U{LONGEST_PROBLEM}"), "sha256": digest}
