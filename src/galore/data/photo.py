"""Reading one image file as RGB."""

import struct
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from galore.errors import InputError

MINIMUM_SIDE = 8
"""Images with a shorter side hold nothing to explain (pixels)."""

# What Pillow's decoders raise on damaged files, besides OSError.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, struct.error, zlib.error)

# warnings.catch_warnings changes global state, so that two threads must not be inside at once.
_warnings_lock = threading.Lock()


def read_image(path: str | Path, minimum_side: int = MINIMUM_SIDE) -> UInt8[np.ndarray, "height width 3"]:
    """Decodes an image file to upright 8-bit RGB.

    Greyscale, palette, CMYK and 16-bit images are converted, transparency is laid on white, an animation gives its
    first frame, and the EXIF orientation is applied.

    Args:
        path: any file that Pillow can read.
        minimum_side: the shortest side allowed, in pixels.

    Returns:
        The pixels, row by row from the top left.

    Raises:
        InputError: there is no such file, it is no image, it is damaged, or it is far too large or too small.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder, expected an image file")
    if not path.exists():
        raise InputError(f"{path} does not exist, expected an image file")
    with _open(path) as image:
        width, height = image.size
        if min(width, height) < minimum_side:
            raise InputError(
                f"{path} is only {width} x {height} pixels, expected at least {minimum_side} x {minimum_side}"
            )
        try:
            return np.asarray(_to_rgb(ImageOps.exif_transpose(image), path))
        except InputError:
            raise
        except _DAMAGED as error:
            raise InputError(f"{path} is damaged and cannot be decoded: {error}") from error


def read_size(path: str | Path) -> tuple[int, int]:
    """Height and width of an upright image in pixels, mostly without decoding it.

    Raises:
        InputError: it is no image.
    """
    with _open(Path(path)) as image:
        width, height = image.size
        return (width, height) if image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8) else (height, width)


def _open(path: Path) -> Image.Image:
    try:
        with _warnings_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is not an image that can be read, expected a JPEG, PNG or the like") from error
    except Image.DecompressionBombError as error:
        raise _too_large(path) from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except _DAMAGED as error:
        raise InputError(f"{path} is damaged and cannot be decoded: {error}") from error
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        image.close()
        raise _too_large(path)
    return image


def _too_large(path: Path) -> InputError:
    limit = (Image.MAX_IMAGE_PIXELS or 0) / 1e6
    return InputError(f"{path} would decode to more than {limit:.0f} million pixels; make it smaller first")


def _to_rgb(image: Image.Image, path: Path) -> Image.Image:
    if image.mode.startswith("I"):
        # 16 bits a pixel; Pillow's own conversion clips at 255 instead of scaling.
        values = np.asarray(image).astype(np.float64)
        if values.min() < 0 or values.max() > 65535:
            raise InputError(f"{path} has pixels of more than 16 bits, expected 8 or 16 bits")
        return Image.fromarray(np.round(values / 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise InputError(f"{path} has floating-point pixels of unknown range, expected 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
