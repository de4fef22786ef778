"""The photos of a folder, whichever they are, as a network sees them."""

import hashlib
import os
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from galore.data import photo
from galore.data.loader import Example
from galore.data.preprocessing import Preprocessing
from galore.errors import InputError
from galore.stream import thumbnails

NO_IMAGE, NO_FILE = "no image", "no regular file"
READ_ALREADY, CLOSED = "a link to a folder that is read already", "a folder that cannot be read"
"""Why something below a folder is left out."""

LONGEST_PROBLEM = 300
"""Characters kept of the reason why a photo cannot be read."""


def folder_of(data: str | Path) -> Path:
    """Where the photos of a data set are: below images/ where there is such a folder (CUB, ADE20K), else below itself.

    Raises:
        InputError: there is no such folder.
    """
    data = Path(data)
    if not os.path.isdir(data):
        raise InputError(f"{data} is not a folder, expected one with photos")
    return data / "images" if os.path.isdir(data / "images") else data


def find(root: Path, skipped: Counter[str] | None = None) -> list[str]:
    """The photos below a folder, relative to it, in the order of their names, in every format that `explain` reads.

    A file is one if its name ends as those of images do, or if it begins like an image. Links to folders are followed,
    but no folder is read twice.

    Args:
        root: the folder.
        skipped: where to count what is left out, by reason.

    Raises:
        InputError: there is none, or a name has a line break.
    """
    skipped = Counter() if skipped is None else skipped
    names, known = [], photo.suffixes()
    for path, is_regular in _files(root, skipped):
        if not is_regular:
            skipped[NO_FILE] += 1
        elif os.path.splitext(path)[1].lower() in known or photo.is_image(path):
            names.append(os.path.relpath(path, root))
        else:
            skipped[NO_IMAGE] += 1
    if not names:
        left_out = f" ({told(skipped)})" if skipped else ""
        raise InputError(f"there are no photos below {root}{left_out}, expected JPEG, PNG or the like")
    broken = next((name for name in names if len(name.splitlines()) > 1), None)
    if broken is not None:
        raise InputError(f"the name {broken!r} has a line break, which a list of images cannot hold; rename the file")
    return sorted(names)


def told(skipped: Mapping[str, int]) -> str:
    """What is left out, in words: "left out: 3 x no image, 1 x no regular file"."""
    return "left out: " + ", ".join(f"{count} x {reason}" for reason, count in sorted(skipped.items()))


def _files(root: Path, skipped: Counter[str]) -> Iterator[tuple[str, bool]]:
    """Every file below a folder, and whether it is regular; folders before links to folders, so that a photo has the
    name that it has without links."""
    folders, links, seen = [os.fspath(root)], deque[str](), {os.path.realpath(root)}
    while folders or links:
        if folders:
            folder = folders.pop()
        else:
            folder = links.popleft()
            if _is_read_already(folder, root, seen):
                skipped[READ_ALREADY] += 1
                continue
        seen.add(os.path.realpath(folder))
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            skipped[CLOSED] += 1
            continue
        for entry in entries:
            if not _is_folder(entry):
                yield entry.path, _is_regular(entry)
            elif entry.is_symlink():
                links.append(entry.path)
            elif os.path.realpath(entry.path) not in seen:
                folders.append(entry.path)


def _is_read_already(link: str, root: Path, seen: set[str]) -> bool:
    """Whether a link leads to a folder that was read, or to one that holds all of them."""
    target = os.path.realpath(link)
    return target in seen or Path(os.path.realpath(root)).is_relative_to(target)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # Links that lead round in a circle.
        return False


def _is_regular(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def contents(path: Path) -> UInt8[np.ndarray, "32"]:
    """The SHA-256 of a photo's bytes; zeros where they cannot be read."""
    try:
        return _sha256(photo.content(path))
    except InputError:
        return np.zeros(32, np.uint8)


def _sha256(content: bytes) -> UInt8[np.ndarray, "32"]:
    return np.frombuffer(hashlib.sha256(content).digest(), np.uint8)


@dataclass(frozen=True, eq=False)
class Photos:
    """Some rows of a list of photos, in uint8; one that cannot be read is black, and its problem is said.
    With each comes the hash of its file and, where that is wanted, a thumbnail.

    Attributes:
        root: the folder.
        names: of all photos, relative to it.
        rows: which of them, in this order.
        preprocessing: of the network.
        has_thumbnails: whether they are wanted.
    """

    root: Path
    names: Sequence[str]
    rows: Int[np.ndarray, " n"]
    preprocessing: Preprocessing
    has_thumbnails: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int, /) -> Example:
        side, path = self.preprocessing.crop, self.root / self.names[int(self.rows[position])]
        image, digest, problem = np.zeros((side, side, 3), np.uint8), np.zeros(32, np.uint8), ""
        try:
            content = photo.content(path)
            digest = _sha256(content)
            pixels = photo.decode(content, path).pixels
            image = self.preprocessing.transform(*pixels.shape[:2]).pixels(pixels)
        except InputError as error:
            problem = str(error)
        problem = np.array(problem[:LONGEST_PROBLEM], f"U{LONGEST_PROBLEM}")
        own = {"thumbnail": thumbnails.small(image)} if self.has_thumbnails else {}
        return {"image": image, "problem": problem, "sha256": digest} | own
