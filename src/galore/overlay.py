"""Pictures of a map on a photo.

Two views of the same map. `lit`: the region keeps its colours, the rest turns dark and grey, and a line runs between
them; it needs no colour to be read. `heat`: every cell of the map in one flat colour over the grey photo, so that the
picture is as coarse as the map is. The colours are cividis, whose lightness rises evenly and which reads the same with
and without colour-blindness (Nuñez, Anderton & Renslow, PLOS ONE 2018).
"""

import base64
import io

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from scipy import ndimage

LINE = (255, 214, 74)
OPACITY = 0.62
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


def lit(
    photo: UInt8[np.ndarray, "height width 3"], region: Bool[np.ndarray, "height width"]
) -> UInt8[np.ndarray, "height width 3"]:
    """The photo, dark and grey outside the region, with a bright line around the region."""
    grey = _grey(photo)
    rest = 0.42 * (0.75 * grey + 0.25 * photo)
    picture = np.where(region[..., None], photo, rest)
    thickness = max(1, min(photo.shape[:2]) // 150)
    wider = np.asarray(ndimage.binary_dilation(region, iterations=thickness))
    widest = np.asarray(ndimage.binary_dilation(wider, iterations=thickness))
    line, rim = np.logical_xor(wider, region), np.logical_xor(widest, wider)
    picture[rim] = 0.25 * picture[rim]
    picture[line] = LINE
    return picture.astype(np.uint8)


def heat(
    photo: UInt8[np.ndarray, "height width 3"],
    attribution: Float[np.ndarray, "h w"],
    scale: tuple[float, float] | None = None,
) -> UInt8[np.ndarray, "height width 3"]:
    """The grey photo under the cells of the map, coloured from the map's lowest to its highest value."""
    height, width = photo.shape[:2]
    cells = Image.fromarray(colours(scaled(attribution, scale))).resize((width, height), Image.Resampling.NEAREST)
    grey = 0.35 * 128 + 0.65 * _grey(photo)
    return ((1 - OPACITY) * grey + OPACITY * np.asarray(cells)).astype(np.uint8)


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


def scaled(attribution: Float[np.ndarray, "h w"], scale: tuple[float, float] | None = None) -> Float[np.ndarray, "h w"]:
    """From 0 at the lowest value of the scale to 1 at the highest; without one, of the map; zeros where they agree."""
    low, high = scale or (float(attribution.min()), float(attribution.max()))
    if high <= low:
        return np.zeros_like(attribution)
    return (attribution - low) / (high - low)


def colours(shares: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape 3"]:
    """The colours of values from 0 to 1."""
    from matplotlib import colormaps

    return (255 * colormaps["cividis"](shares)[..., :3]).round().astype(np.uint8)


def legend(steps: int = 256) -> UInt8[np.ndarray, "steps 3"]:
    """The colours of `heat` over a middle grey, from the lowest value to the highest."""
    return ((1 - OPACITY) * 128 + OPACITY * colours(np.linspace(0, 1, steps))).astype(np.uint8)


def data_uri(picture: UInt8[np.ndarray, "height width 3"], quality: int = 86) -> str:
    """The picture as text for a page that asks nobody for anything."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, optimize=True, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _grey(photo: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "height width 1"]:
    return (photo @ _LUMINANCE)[..., None]
