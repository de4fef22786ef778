"""Pictures of a map on a photo, which stays in colour.

Two views of the same map. `lit`: the region is bright and the rest dark, with a line around the region; the light fades
over the width of one cell, since the map says no more about where the region ends. `heat`: every cell of the map in one
translucent colour, so that the picture is as coarse as the map is. The colours are the upper half of inferno, whose
lightness rises evenly and which reads the same with and without colour-blindness; the more, the more opaque.
"""

import base64
import io

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from scipy import ndimage

from galore.errors import InputError

LINE = (255, 214, 74)
DARK = 0.5
"""The light that is left outside a region."""

UNDER = 0.65
"""The light that is left of a photo under a map, so that the lowest colour is not the darkest thing in it."""

FAINT, STRONG = 0.1, 0.75
"""The opacity of the lowest and of the highest value."""

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


def lit(
    photo: UInt8[np.ndarray, "height width 3"], region: Bool[np.ndarray, "height width"], cells: tuple[int, ...]
) -> UInt8[np.ndarray, "height width 3"]:
    """The photo, darker outside the region and paler there, with a bright line around the region.

    Args:
        photo: the picture.
        region: what is lit.
        cells: how many cells the map has, down and across.
    """
    if not region.any() or region.all():
        return photo.copy()
    height, width = region.shape
    cell = max(1, height // cells[0]), max(1, width // cells[1])
    # The share of a cell around each pixel that is lit: one half on the line.
    own = region.astype(np.float32)
    light = ndimage.uniform_filter(own, cell, mode="nearest")[..., None]  # pyright: ignore[reportArgumentType]
    rest = DARK * (0.8 * photo + 0.2 * _grey(photo))
    picture = rest + light * (photo - rest)
    thickness = max(1, min(height, width) // 200)
    wider = np.asarray(ndimage.binary_dilation(region, iterations=thickness))
    widest = np.asarray(ndimage.binary_dilation(wider, iterations=thickness))
    picture[np.logical_xor(widest, wider)] *= 0.4
    picture[np.logical_xor(wider, region)] = LINE
    return picture.astype(np.uint8)


def heat(
    photo: UInt8[np.ndarray, "height width 3"],
    attribution: Float[np.ndarray, "h w"],
    scale: tuple[float, float] | None = None,
) -> UInt8[np.ndarray, "height width 3"]:
    """The photo under the cells of the map, coloured from the lowest to the highest value of a scale, or of the map."""
    height, width = photo.shape[:2]
    shares = scaled(attribution, scale).astype(np.float32)
    cells = np.asarray(Image.fromarray(shares).resize((width, height), Image.Resampling.NEAREST))
    return _under(photo, cells).astype(np.uint8)


def _under(photo: UInt8[np.ndarray, "*shape 3"], shares: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape 3"]:
    """Pixels under the colours of values from 0 to 1."""
    opacity = (FAINT + (STRONG - FAINT) * shares)[..., None]
    return (1 - opacity) * UNDER * photo + opacity * colours(shares)


def framed(
    photo: UInt8[np.ndarray, "height width 3"], window: tuple[float, float, float, float], longest: int = 480
) -> UInt8[np.ndarray, "small_height small_width 3"]:
    """The whole photo, small, with a line around the part that the network saw and the rest pale."""
    height, width = photo.shape[:2]
    scale = min(1.0, longest / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.array(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS))
    x0, y0, x1, y1 = (round(edge * scale) for edge in window)
    lit = np.zeros(small.shape[:2], bool)
    lit[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = True
    if lit.all():
        return small
    line = lit ^ np.asarray(ndimage.binary_erosion(lit, iterations=2, border_value=1))
    picture = np.where(lit[..., None], small, 0.45 * small)
    picture[line] = LINE
    return picture.astype(np.uint8)


def viewable(image: np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
    """An image as it can be looked at.

    Args:
        image: [height, width, 1 or 3]; uint8 is left as it is, floats are stretched from black to white.

    Raises:
        InputError: another shape, or no finite numbers.
    """
    if image.ndim != 3 or image.shape[2] not in (1, 3) or image.dtype.kind not in "uif":
        raise InputError(
            f"an image of {image.dtype}{list(image.shape)}: expected [height, width, 1 or 3], uint8 or floats"
        )
    if image.dtype != np.uint8:
        numbers = image.astype(np.float32)
        if not np.isfinite(numbers).all():
            raise InputError("an image with numbers that are not finite cannot be drawn")
        image = (255 * scaled(numbers)).round().astype(np.uint8)
    return np.broadcast_to(image, (*image.shape[:2], 3))


def scaled(
    attribution: Float[np.ndarray, "*shape"], scale: tuple[float, float] | None = None
) -> Float[np.ndarray, "*shape"]:
    """From 0 at the lowest value of the scale to 1 at the highest; without one, of the map; zeros where they agree."""
    low, high = scale or (float(attribution.min()), float(attribution.max()))
    if high <= low:
        return np.zeros_like(attribution)
    return np.clip((attribution - low) / (high - low), 0, 1)


def colours(shares: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape 3"]:
    """The colours of values from 0 to 1."""
    from matplotlib import colormaps

    return (255 * colormaps["inferno"](0.5 + 0.5 * shares)[..., :3]).round().astype(np.uint8)


def legend(steps: int = 256) -> UInt8[np.ndarray, "steps 3"]:
    """The colours of `heat` over a middle grey, from the lowest value to the highest."""
    return _under(np.full((steps, 3), 128, np.uint8), np.linspace(0, 1, steps)).astype(np.uint8)


def data_uri(picture: UInt8[np.ndarray, "height width 3"], quality: int = 86) -> str:
    """The picture as text for a page that asks nobody for anything."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, optimize=True, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _grey(photo: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "height width 1"]:
    return (photo @ _LUMINANCE)[..., None]
