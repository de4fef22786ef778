"""A canvas that remembers what it shows: every stroke goes into a picture and into a map of labels.

Strokes are drawn by Pillow on a grid `FINENESS` times finer than the image, which is then averaged. Coordinates are
fractions of the image, x to the right and y down, so that a drawing is the same at every size.
"""

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFilter

FINENESS = 3  # odd, so that a pixel's centre is a sample

Color = tuple[int, int, int]
Points = Float[np.ndarray, "n 2"]


class Canvas:
    """A square picture and, beside it, the label of what is on top at every place (0: nothing, up to 255)."""

    def __init__(self, background: UInt8[np.ndarray, "h w 3"], size: int):
        self.size = size
        self._extent = size * FINENESS
        backdrop = Image.fromarray(background).resize((size, size), Image.Resampling.BICUBIC)
        self._picture = backdrop.resize((self._extent, self._extent), Image.Resampling.NEAREST)
        self._labels = Image.new("L", (self._extent, self._extent))
        self._paint = ImageDraw.Draw(self._picture)
        self._mark = ImageDraw.Draw(self._labels)

    def polygon(self, points: Points, color: Color, label: int | None = None) -> None:
        """Fills a polygon; without a label it is decoration, and what lies below keeps its name."""
        corners = list(map(tuple, (points * self._extent).tolist()))
        self._paint.polygon(corners, fill=color)
        if label is not None:
            self._mark.polygon(corners, fill=label)

    def mark(self, points: Points, label: int) -> None:
        """Names what lies in a polygon without painting it."""
        self._mark.polygon(list(map(tuple, (points * self._extent).tolist())), fill=label)

    def disc(self, center: Float[np.ndarray, "2"], radius: float, color: Color, label: int | None = None) -> None:
        """Fills a circle."""
        (x, y), r = center * self._extent, radius * self._extent
        self._paint.ellipse((x - r, y - r, x + r, y + r), fill=color)
        if label is not None:
            self._mark.ellipse((x - r, y - r, x + r, y + r), fill=label)

    def line(self, points: Points, width: float, color: Color, label: int | None = None) -> None:
        """Draws a line of round joints; `width` is a fraction of the image."""
        corners = list(map(tuple, (points * self._extent).tolist()))
        pixels = max(1, round(width * self._extent))
        self._paint.line(corners, fill=color, width=pixels, joint="curve")
        if label is not None:
            self._mark.line(corners, fill=label, width=pixels, joint="curve")

    def picture(self) -> Float[np.ndarray, "size size 3"]:
        """The picture, averaged to its final size, 0..255."""
        return np.asarray(self._picture.reduce(FINENESS), np.float32)

    def labels(self) -> UInt8[np.ndarray, "size size"]:
        """The label at each pixel's centre."""
        return np.asarray(self._labels)[FINENESS // 2 :: FINENESS, FINENESS // 2 :: FINENESS].copy()

    def coverage(self, first: int, last: int) -> Float[np.ndarray, "size size"]:
        """The share of each pixel that has a label in first..last."""
        inside = self._labels.point([255 * (first <= label <= last) for label in range(256)])
        return np.asarray(inside.reduce(FINENESS), np.float32) / 255


def relief(coverage: Float[np.ndarray, "h w"], toward_light: tuple[float, float]) -> Float[np.ndarray, "h w"]:
    """A factor around 1 that makes a flat shape look round, lit from one side.

    The blurred shape is taken for its height; the slope towards the light brightens.

    Args:
        coverage: the shape, 0..1.
        toward_light: direction of the light in the image (x, y), of length up to 1.
    """
    size = len(coverage)
    blurred = Image.fromarray((coverage * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(size * 0.035))
    slope_y, slope_x = np.gradient(np.asarray(blurred, np.float32) / 255)
    facing = -(slope_x * toward_light[0] + slope_y * toward_light[1]) * size * 0.1
    return 1 + coverage * np.clip(facing, -0.45, 0.35)


def smooth_curve(corners: Points, steps: int = 6, closed: bool = True) -> Float[np.ndarray, "m 2"]:
    """A curve through the corners (uniform Catmull-Rom spline), `steps` points to a span."""
    padded = (
        np.concatenate([corners[-1:], corners, corners[:2]])
        if closed
        else np.concatenate([corners[:1], corners, corners[-1:]])
    )
    p0, p1, p2, p3 = padded[:-3, None], padded[1:-2, None], padded[2:-1, None], padded[3:, None]
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    curve = p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    curve = curve.reshape(-1, 2)
    return curve if closed else np.concatenate([curve, corners[-1:]])


def soft_blobs(
    rng: np.random.Generator, top: np.ndarray, bottom: np.ndarray, blobs: np.ndarray, blur: float, count: int
) -> UInt8[np.ndarray, "64 64 3"]:
    """An out-of-focus backdrop: a vertical gradient with blurred discs of the given colours (k, 3) on it."""
    ramp = np.linspace(0, 1, 64)[:, None, None]
    image = Image.fromarray(
        np.broadcast_to((1 - ramp) * top + ramp * bottom, (64, 64, 3)).clip(0, 255).astype(np.uint8)
    )
    paint = ImageDraw.Draw(image)
    for x, y, r, pick in rng.random((count, 4)):
        x, y, r = 64 * x, 64 * y, 3 + 9 * r
        color = tuple(int(channel) for channel in blobs[int(pick * len(blobs))])
        paint.ellipse((x - r, y - r, x + r, y + r), fill=color)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(blur)))


def jitter(rng: np.random.Generator, color: Color | np.ndarray, amount: float | int) -> Color:
    """The colour, a little off: `amount` is the standard deviation in brightness, a third of it per channel."""
    shift = rng.normal(0, amount) + rng.normal(0, amount / 3, 3)
    return as_color(np.asarray(color) + shift)


def as_color(values: np.ndarray) -> Color:
    """Three numbers as a colour, clipped to 0..255."""
    red, green, blue = (min(255, max(0, round(float(value)))) for value in values)
    return red, green, blue
