"""Small pictures of what the network saw of each photo, one folder a shard, for the gallery.

thumbnails/000000/000.jpg    row 0 of shard 0; a photo that cannot be read has none
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from galore import atomic
from galore.stream.folder import Folder

SIDE, QUALITY = 128, 80
FOLDER = "thumbnails"


def jpeg(image: UInt8[np.ndarray, "height width 3"]) -> bytes:
    """A picture of at most `SIDE` x `SIDE` pixels as a JPEG file; the same bytes every time."""
    small, file = Image.fromarray(image), io.BytesIO()
    small.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    small.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def path(shard: int, place: int) -> str:
    """Where the thumbnail of a row of a shard is, or would be, from the root of the run."""
    return f"{FOLDER}/{shard:06d}/{place:03d}.jpg"


def are_there(folder: Folder, shard: int) -> bool:
    """Whether the thumbnails of a shard are written."""
    return (folder.root / FOLDER / f"{shard:06d}").is_dir()


def write(folder: Folder, shard: int, files: Sequence[bytes]) -> None:
    """Makes all thumbnails of a shard appear at once.

    Args:
        folder: of the run.
        shard: its number.
        files: one a row, as `jpeg` makes them; empty where there is none.

    Raises:
        InputError: the disk is full, or the folder cannot be written.
    """
    with atomic.folder(folder.root / FOLDER / f"{shard:06d}", overwrite=True) as new:
        for place, content in enumerate(files):
            if content:
                (new / Path(path(shard, place)).name).write_bytes(content)
