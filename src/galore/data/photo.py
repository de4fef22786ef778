"""The one place where an image file is opened and decoded.

Pillow's plugins raise whatever they like on damaged files, and some of them start other programs. So a list of raster
formats decides what is decoded, and whatever is raised on the way becomes an `InputError` that names the file.
"""

import ctypes
import functools
import io
import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import PIL
from jaxtyping import Shaped, UInt8
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from galore import foreign
from galore.data import orientation
from galore.data.bare import bare
from galore.data.colour import to_rgb
from galore.errors import InputError

MINIMUM_SIDE = 8
"""Images with a shorter side hold nothing to explain (pixels)."""

FORMATS = (
    *("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "DIB", "PPM", "AVIF", "JPEG2000"),
    *("TGA", "DDS", "ICO", "PCX", "SGI", "QOI", "PSD"),
)
"""Pillow's names of the raster formats that it decodes by itself; EPS, WMF and the like are drawn by other programs."""

LARGEST_FILE = 2**30
"""Bytes of an image file; more than any image of `Image.MAX_IMAGE_PIXELS` pixels needs."""

LEFT_OUT = "its metadata are damaged and were left out, with its colour profile if it had one"

_EXPECTED = "an image file"
_T = TypeVar("_T")

# Pillow knows greys of 12 bits, and those of 16 in which white is zero (`to_rgb` turns them), in one order of bytes
# alone; 12 bits are packed alike in both (TIFF 6.0, FillOrder).
TiffImagePlugin.OPEN_INFO.setdefault((b"MM", 1, (1,), 1, (12,), ()), ("I;16", "I;12"))
TiffImagePlugin.OPEN_INFO.setdefault((b"MM", 0, (1,), 1, (16,), ()), ("I;16B", "I;16B"))

# What is wrong with a file is raised as well; without a handler Python would print what Pillow logs.
logging.getLogger("PIL").addHandler(logging.NullHandler())

# warnings.catch_warnings changes global state, so that two threads must not be inside at once.
_warnings_lock = threading.Lock()


class Picture(NamedTuple):
    """A decoded image.

    Attributes:
        pixels: upright, in sRGB.
        orientation: EXIF's, by which the stored pixels were turned; 1 where they were upright.
        notes: what a viewer might show otherwise, as parts of a sentence whose subject is the image.
    """

    pixels: UInt8[np.ndarray, "height width 3"]
    orientation: int
    notes: tuple[str, ...]


def content(path: str | Path) -> bytes:
    """The bytes of an image file, for those who need them besides its pixels (see `decode`).

    Raises:
        InputError: there is no such file, it cannot be read, or it is far too large.
    """
    return foreign.read_bytes(path, _EXPECTED, LARGEST_FILE)


def read(path: str | Path, minimum_side: int = MINIMUM_SIDE) -> Picture:
    """Decodes an image file to upright 8-bit sRGB.

    Greyscale, palette, CMYK and 16-bit images are converted, colours by the file's profile; transparency is laid on
    white, and an animation gives its first frame. Of the metadata, EXIF's orientation and the colour profile count; the
    rest is ignored, damaged or not.

    Args:
        path: of a regular file in one of `FORMATS`, whatever its name.
        minimum_side: the shortest side allowed, in pixels.

    Raises:
        InputError: there is no such file, it is no image, it is damaged, or it is far too large or too small.
    """
    return decode(content(path), path, minimum_side)


def decode(content: bytes, path: str | Path, minimum_side: int = MINIMUM_SIDE) -> Picture:
    """As `read`, for the bytes of an image file that were read; `path` is what it is called."""
    picture, without_metadata = _decoded(Path(path), content, lambda image: _picture(image, Path(path), minimum_side))
    return picture._replace(notes=(*picture.notes, LEFT_OUT)) if without_metadata else picture


def from_memory(image: Any, name: str, minimum_side: int = MINIMUM_SIDE) -> Picture:
    """As `read`, for an image that is open already.

    Args:
        image: a `PIL.Image.Image`, or its pixels: uint8, [height, width, 3], or [height, width] of a grey one.
        name: what it is called in errors.
        minimum_side: the shortest side allowed, in pixels.

    Raises:
        InputError: it is neither, it is damaged, or it is too small.
    """
    if not isinstance(image, Image.Image):
        pixels = np.asarray(image)
        if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
            raise InputError(
                f"{name} of type {type(image).__name__}, {pixels.dtype}{list(pixels.shape)}: expected the path of a "
                "photo, a PIL image, or pixels uint8 [height, width, 3]"
            )
        image = Image.fromarray(pixels)
    with _boundary(Path(name)):
        return _picture(image, Path(name), minimum_side)


def _picture(image: Image.Image, path: Path, minimum_side: int) -> Picture:
    width, height = image.size
    if min(width, height) < minimum_side:
        raise InputError(f"{path} is only {width} x {height} pixels, expected at least {minimum_side} x {minimum_side}")
    by_pillow = _tiff_orientation(image)
    pixels, notes = to_rgb(image, path)
    tag = by_pillow or _orientation(image)
    return Picture(pixels if by_pillow else orientation.turn(pixels, tag), tag, notes)


def read_image(path: str | Path, minimum_side: int = MINIMUM_SIDE) -> UInt8[np.ndarray, "height width 3"]:
    """The pixels that `read` gives, row by row from the top left.

    Raises:
        InputError: as `read`.
    """
    return read(path, minimum_side).pixels


def read_labels(path: str | Path) -> tuple[Shaped[np.ndarray, "height width *channels"], int]:
    """The values of an image as they are coded, such as numbers of objects or entries of a palette.

    Returns:
        The values as a viewer shows them, and EXIF's orientation by which they were turned.

    Raises:
        InputError: as `read`.
    """

    def values_of(image: Image.Image) -> tuple[Shaped[np.ndarray, "height width *channels"], int]:
        by_pillow = _tiff_orientation(image)
        image.load()
        tag = by_pillow or _orientation(image)
        values = np.asarray(image)
        return values if by_pillow else orientation.turn(values, tag), tag

    return _decoded(Path(path), content(path), values_of)[0]


def read_header(path: str | Path) -> tuple[int, int, int]:
    """Height and width of an upright image in pixels and EXIF's orientation of the stored one, mostly undecoded.

    Raises:
        InputError: it is no image.
    """

    def measure(image: Image.Image) -> tuple[int, int, int]:
        width, height = image.size
        if image.format == "PNG" and "exif" not in image.info:
            image.load()  # It may stand behind the pixels.
        tag = _orientation(image)
        # Pillow turns TIFF by itself, its size included.
        swapped = orientation.swaps_sides(tag) and image.format != "TIFF"
        return (width, height, tag) if swapped else (height, width, tag)

    return _decoded(Path(path), content(path), measure)[0]


def read_size(path: str | Path) -> tuple[int, int]:
    """Height and width of an upright image in pixels, mostly without decoding it.

    Raises:
        InputError: it is no image.
    """
    return read_header(path)[:2]


def read_description(path: str | Path) -> str:
    """The text "Description" of a PNG, or ""."""
    return _decoded(Path(path), content(path), lambda image: getattr(image, "text", {}).get("Description", ""))[0]


def is_image(path: str | Path) -> bool:
    """Whether a file begins like an image in one of `FORMATS`, whatever its name."""
    try:
        with foreign.open_regular(path, _EXPECTED) as file, _boundary(Path(path)), _open(file):
            return True
    except InputError:
        return False


def suffixes() -> frozenset[str]:
    """The usual ends of the names of `FORMATS`: ".jpg", ".png", ..."""
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS)


def _decoded(path: Path, content: bytes, decode: Callable[[Image.Image], _T]) -> tuple[_T, bool]:
    """What `decode` makes of an image, and whether that was possible only without the image's metadata."""
    try:
        return _attempt(path, content, decode), False
    except InputError as first:
        without = bare(content)
        if without is None or without == content:
            raise
        try:
            return _attempt(path, without, decode), True
        except InputError:
            raise first from None


def _attempt(path: Path, content: bytes, decode: Callable[[Image.Image], _T]) -> _T:
    with _boundary(path), _open(io.BytesIO(content)) as image:
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and image.width * image.height > limit:
            raise Image.DecompressionBombError
        return decode(image)


@contextmanager
def _boundary(path: Path) -> Iterator[None]:
    """Whatever Pillow raises on the way becomes one sentence that names the file; a lack of memory stays one."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is not an image that can be read, expected a JPEG, PNG or the like") from error
    except Image.DecompressionBombError as error:
        limit = (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise InputError(
            f"{path} would decode to more than {limit:.0f} million pixels; make it smaller first"
        ) from error
    except Exception as error:  # The list of what plugins raise on mutated files has no end.
        raise InputError(f"{path} is damaged and cannot be decoded: {str(error) or type(error).__name__}") from error


def _open(file: Any) -> Image.Image:
    _silence_libtiff()
    with _quiet():
        return Image.open(file, formats=FORMATS)


def _orientation(image: Image.Image) -> int:
    with _quiet():
        return orientation.of_image(image)


@functools.cache
def _silence_libtiff() -> None:
    """Stops libtiff from printing what is wrong with a file, past everyone; what stops a picture Pillow raises as well.

    Only the libtiff that Pillow brings along is sure to be the one that decodes; where there is none, it goes on.
    """
    for library in Path(PIL.__file__).parents[1].glob("pillow.libs/libtiff*"):
        ctypes.CDLL(os.fspath(library)).TIFFSetErrorHandler(None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Pillow's warnings about metadata."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _tiff_orientation(image: Image.Image) -> int | None:
    """The orientation by which Pillow is going to turn a TIFF when it is loaded; None for other formats.

    By itself it would also obey what XMP says.
    """
    if image.format != "TIFF":
        return None
    image.info.pop("xmp", None)
    return _orientation(image)
