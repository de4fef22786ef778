"""How a stored picture is turned to stand upright, and its annotations with it.

EXIF's tag 274 says which way a camera was held: 1 is upright, 2 to 8 are mirrored or turned. Annotations of a data set
are taken to be in the pixels as a viewer shows them, upright; a folder whose annotations are in the pixels as they are
stored says so in a file `orientation.txt` that holds the word "raw".
"""

import os
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped
from PIL import ExifTags, Image

from galore import foreign
from galore.errors import InputError

UPRIGHT = 1
FILE = "orientation.txt"

_STEPS = {
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}
"""Whether rows and columns change places, and whether the result is then mirrored left to right, and top to bottom."""


def of_image(image: Image.Image) -> int:
    """The orientation from 1 to 8 of an open image's own tag; what is no such number, or cannot be read, is 1.

    For other formats than TIFF it is certain once the image is loaded: PNG may say it at the end.
    """
    try:
        tags = getattr(image, "tag_v2", None)
        if tags is None:
            tags = Image.Exif()
            tags.load(image.info.get("exif") or b"")
        value = tags.get(ExifTags.Base.Orientation)
    except Exception:  # Metadata that cannot be read says nothing, and stops no picture.
        return UPRIGHT
    return value if isinstance(value, int) and value in _STEPS else UPRIGHT


def swaps_sides(orientation: int) -> bool:
    """Whether the upright picture is as wide as the stored one is high."""
    return _STEPS[orientation][0]


def turn(pixels: Shaped[np.ndarray, "h w *c"], orientation: int) -> Shaped[np.ndarray, "height width *c"]:
    """The upright picture of a stored one, or a mask likewise."""
    swapped, left_right, top_bottom = _STEPS[orientation]
    pixels = pixels.swapaxes(0, 1) if swapped else pixels
    pixels = pixels[:, ::-1] if left_right else pixels
    return np.ascontiguousarray(pixels[::-1] if top_bottom else pixels)


def turn_back(pixels: Shaped[np.ndarray, "height width *c"], orientation: int) -> Shaped[np.ndarray, "h w *c"]:
    """The stored picture of an upright one."""
    return turn(pixels, {6: 8, 8: 6}.get(orientation, orientation))


def turn_points(xy: Float[np.ndarray, "*n 2"], orientation: int, height: int, width: int) -> Float[np.ndarray, "*n 2"]:
    """Where points (x, y) of a stored picture lie in the upright one.

    Args:
        xy: continuous, pixel i covers [i, i + 1).
        orientation: from 1 to 8.
        height: of the upright picture, in pixels.
        width: likewise.
    """
    swapped, left_right, top_bottom = _STEPS[orientation]
    x, y = (xy[..., 1], xy[..., 0]) if swapped else (xy[..., 0], xy[..., 1])
    x, y = width - x if left_right else x, height - y if top_bottom else y
    return np.stack([x, y], axis=-1).astype(xy.dtype)


def turn_boxes(
    boxes: Float[np.ndarray, "*n 4"], orientation: int, height: int, width: int
) -> Float[np.ndarray, "*n 4"]:
    """As `turn_points`, for boxes (x, y, width, height)."""
    first = turn_points(boxes[..., :2], orientation, height, width)
    second = turn_points(boxes[..., :2] + boxes[..., 2:], orientation, height, width)
    corner = np.minimum(first, second)
    return np.concatenate([corner, np.maximum(first, second) - corner], axis=-1)


def is_raw(root: str | Path) -> bool:
    """Whether a data set says that its annotations are in the pixels as stored; without a word they are upright.

    Raises:
        InputError: its file `orientation.txt` says something else than "raw" or "upright".
    """
    path = Path(root) / FILE
    if not os.path.exists(path):
        return False
    expected = '"raw" or "upright"'
    said = foreign.read_bytes(path, f"a file that holds {expected}", largest=100).decode("utf-8", "replace").strip()
    if said not in ("raw", "upright"):
        raise InputError(f"{path}: expected {expected}, found {said!r}")
    return said == "raw"
