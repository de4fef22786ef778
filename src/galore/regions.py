"""From a map to the region of the image that it points at."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float
from scipy import ndimage

from galore.errors import InputError


def upsample(maps: Float[Array, "*batch h w"], size: tuple[int, int]) -> Float[Array, "*batch H W"]:
    """Bilinear upsampling with half-pixel centres and clamped edges.

    Args:
        maps: [..., h, w].
        size: (height, width) of the image, at least the map's.

    Returns:
        [..., H, W], float32.
    """
    return jax.image.resize(maps.astype(jnp.float32), (*maps.shape[:-2], *size), "linear", antialias=False)


def largest_fraction(
    map: Float[Array, "*batch h w"],
    fraction: float | Float[Array, ""],
    size: tuple[int, int],
) -> Bool[Array, "*batch H W"]:
    """The region that holds the largest `fraction` of the upsampled map's pixels.

    A pixel is kept where it lies strictly above the (1 - fraction) quantile, so a constant map has an empty region.

    Args:
        map: [..., h, w].
        fraction: between 0 and 1.
        size: (height, width) of the image.

    Returns:
        A mask [..., H, W].

    Raises:
        InputError: the fraction lies outside [0, 1].
    """
    if not isinstance(fraction, Tracer) and not 0 <= float(fraction) <= 1:
        raise InputError(f"fraction={fraction}: expected a number from 0 to 1")
    values = upsample(map, size)
    # An order statistic, not an interpolated value: rounding would lift whole plateaus above their own value.
    quantile = 1 - jnp.asarray(fraction)
    threshold = jnp.quantile(values, quantile, axis=(-2, -1), method="lower", keepdims=True)
    return values > threshold


class Region(NamedTuple):
    """A connected region: its pixels, and its bounding box (x0, y0, x1, y1), x1 and y1 exclusive."""

    mask: Bool[np.ndarray, "H W"]
    box: tuple[int, int, int, int]
    area: int


def connected(mask: Bool[Array, "H W"] | Bool[np.ndarray, "H W"], smallest: int = 1) -> list[Region]:
    """The 8-connected regions of a mask, the largest first.

    Args:
        mask: [H, W].
        smallest: regions of fewer pixels are left out.

    Returns:
        The regions with their boxes in pixels.
    """
    labels, _ = ndimage.label(np.asarray(mask), structure=np.ones((3, 3)))  # pyright: ignore[reportGeneralTypeIssues]
    parts = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        own = labels == number
        if (area := int(own.sum())) >= smallest:
            parts.append(Region(own, (columns.start, rows.start, columns.stop, rows.stop), area))
    return sorted(parts, key=lambda region: -region.area)
