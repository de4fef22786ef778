"""The pixels of any open image as 8-bit sRGB, as a viewer shows them."""

import functools
import io
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageCms

from galore.errors import InputError

UNUSED_PROFILE = "its colour profile cannot be used, so that its colours are taken for those of sRGB"

_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
_NARROW_GREYS = {"1": 1, "L;2": 3, "L;4": 15}
"""Pillow's names of greys with fewer than eight bits, and their largest value."""


def to_rgb(image: Image.Image, path: Path) -> tuple[UInt8[np.ndarray, "height width 3"], tuple[str, ...]]:
    """Converts an image: 16 bits are scaled, colours converted to sRGB, transparency is laid on white.

    Args:
        image: opened, and not yet decoded.
        path: of its file, for the message.

    Returns:
        The pixels, and what could not be done to its colours, as parts of a sentence.

    Raises:
        InputError: the pixels have an unknown range.
        Exception: whatever Pillow raises on damaged files.
    """
    coded = _coding(image)
    image.load()
    profile = image.info.get("icc_profile")
    opaque, alpha = _without_alpha(image, path, coded)
    converted, notes = _to_srgb(opaque, profile)
    if alpha is not None:
        white = Image.new("RGB", converted.size, "white")
        converted = Image.composite(converted, white, alpha)
    return np.asarray(converted), notes


def _without_alpha(image: Image.Image, path: Path, coded: str) -> tuple[Image.Image, Image.Image | None]:
    """The colours in 8 bits (of mode L, RGB, CMYK or another), and how opaque they are; None: all of them are."""
    transparent = image.info.get("transparency")
    if image.mode.startswith("I"):
        values = _wide_grey(image, path)
        alpha = None
        if isinstance(transparent, int):
            alpha = Image.fromarray(np.where(np.asarray(image) == transparent, 0, 255).astype(np.uint8))
        return Image.fromarray(np.round(255 * values).astype(np.uint8)), alpha
    if image.mode == "F":
        raise InputError(f"{path} has floating-point pixels of unknown range, expected 8 or 16 bits")
    if isinstance(transparent, int) and image.mode in ("1", "L"):
        # PNG counts in the bits of the file, Pillow's pixels are spread over 0 to 255.
        level = transparent * 255 // _NARROW_GREYS.get(coded, 255)
        grey = image.convert("L")
        return grey, Image.fromarray(np.where(np.asarray(grey) == level, 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return image.convert("RGB"), image.getchannel("A")
    return image.convert("RGB") if image.mode not in ("L", "CMYK") else image, None


def _coding(image: Image.Image) -> str:
    """How a PNG's pixels are coded, in Pillow's words, which forgets it when it has loaded them."""
    tiles = getattr(image, "tile", [])
    return tiles[0][3] if image.format == "PNG" and tiles else ""


def _wide_grey(image: Image.Image, path: Path) -> Float[np.ndarray, "height width"]:
    """Greys of more than 8 bits from 0 to 1; Pillow's own conversion clips them at 255 instead of scaling."""
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, 16)
    largest = 2 ** min(bits[0] if isinstance(bits, tuple) else bits, 16) - 1
    values = np.asarray(image).astype(np.float64) / largest
    if values.min() < 0 or values.max() > 1:
        raise InputError(f"{path} has pixels of more than 16 bits, expected 8 or 16 bits")
    return 1 - values if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else values


def _to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, tuple[str, ...]]:
    if not profile:
        return image.convert("RGB"), ()
    try:
        transform = _transform(profile, image.mode)
        return image.convert("RGB") if transform is None else transform.apply(image), ()
    except Exception:  # A profile that cannot be used stops no picture; the reader is told.
        return image.convert("RGB"), (UNUSED_PROFILE,)


@functools.lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From the colours of a profile to sRGB; None where they are sRGB.

    Raises:
        Exception: the profile is damaged, or made for another kind of image.
    """
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if "srgb" in ImageCms.getProfileDescription(source).lower():
        return None
    target = ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(source, target, mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
