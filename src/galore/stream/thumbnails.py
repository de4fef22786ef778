"""Small pictures of what the network saw of each photo, one folder a shard, for the gallery.

thumbnails/000000/000.jpg    row 0 of shard 0; a photo that is not explained has none
"""

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from galore import atomic
from galore.stream.folder import Folder

SIDE, QUALITY = 128, 80
FOLDER = "thumbnails"


def small(image: UInt8[np.ndarray, "S S 3"]) -> UInt8[np.ndarray, "s s 3"]:
    """A picture of at most `SIDE` x `SIDE` pixels."""
    picture = Image.fromarray(image)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(picture)


def _jpeg(picture: UInt8[np.ndarray, "s s 3"]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def path(shard: int, place: int) -> str:
    """Where the thumbnail of a row of a shard is, or would be, from the root of the run."""
    return f"{FOLDER}/{shard:06d}/{place:03d}.jpg"


def are_there(folder: Folder, shard: int) -> bool:
    """Whether the thumbnails of a shard are written."""
    return (folder.root / FOLDER / f"{shard:06d}").is_dir()


def write(folder: Folder, shard: int, pictures: Iterable[UInt8[np.ndarray, "s s 3"] | None]) -> None:
    """Makes all thumbnails of a shard appear at once; the same files every time.

    Args:
        folder: of the run.
        shard: its number.
        pictures: one a row, as `small` makes them; None where there is none.

    Raises:
        InputError: the disk is full, or the folder cannot be written.
    """
    with atomic.folder(folder.root / FOLDER / f"{shard:06d}", overwrite=True) as new:
        for place, picture in enumerate(pictures):
            if picture is not None:
                (new / Path(path(shard, place)).name).write_bytes(_jpeg(picture))
