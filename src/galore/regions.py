"""From a map to the region of the image that it points at."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, UInt32
from scipy import ndimage

from galore.errors import InputError

SOFTNESS = 0.6
"""Of `smoothed`, in cells: enough for outlines without corners, and little enough for neighbouring cells to differ."""


@jax.named_scope("region")
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
    return largest(upsample(map, size), fraction)


@jax.named_scope("region")
def smoothed(maps: Float[Array, "*batch h w"], size: tuple[int, int]) -> Float[Array, "*batch H W"]:
    """Upsampling for the eye: a pixel is the mean of the cells, by a Gaussian of its distance from their centres.

    Where bilinear interpolation has ridges from cell to cell, on which regions end in drips and strips, this has none.
    Its standard deviation is `SOFTNESS` cells. Evaluations use `upsample`, as the papers do.

    Args:
        maps: [..., h, w].
        size: (height, width) of the picture.

    Returns:
        [..., H, W], float32; constant where the map is.
    """
    down, across = (_gaussian(cells, pixels) for cells, pixels in zip(maps.shape[-2:], size))
    lowest = jnp.min(maps, axis=(-2, -1), keepdims=True).astype(jnp.float32)
    # The weights sum to 1 but for rounding, which must not make a region of a constant map.
    return lowest + jnp.einsum("yh,...hw,xw->...yx", down, maps - lowest, across, precision="highest")


def _gaussian(cells: int, pixels: int) -> Float[Array, "pixels cells"]:
    distance = (jnp.arange(pixels)[:, None] + 0.5) * cells / pixels - (jnp.arange(cells) + 0.5)
    weights = jnp.exp(-0.5 * (distance / SOFTNESS) ** 2)
    return weights / weights.sum(axis=1, keepdims=True)


@jax.named_scope("region")
def largest(values: Float[Array, "*batch H W"], fraction: float | Float[Array, ""]) -> Bool[Array, "*batch H W"]:
    """The pixels that hold the largest `fraction` of the values, strictly above their (1 - fraction) quantile.

    Args:
        values: [..., H, W], such as `upsample` or `smoothed` gives.
        fraction: between 0 and 1.

    Returns:
        A mask [..., H, W].

    Raises:
        InputError: the fraction lies outside [0, 1].
    """
    if not isinstance(fraction, Tracer) and not 0 <= float(fraction) <= 1:
        raise InputError(f"fraction={fraction}: expected a number from 0 to 1")
    # An order statistic, not an interpolated value: rounding would lift whole plateaus above their own value.
    values = values.astype(jnp.float32)
    flat = values.reshape(*values.shape[:-2], -1)
    place = jnp.floor((1 - jnp.asarray(fraction, jnp.float32)) * (flat.shape[-1] - 1)).astype(jnp.int32)
    return values > _order_statistic(flat, place)[..., None, None]


def order_keys(values: Float[Array, "*n"]) -> UInt32[Array, "*n"]:
    """Whole numbers in the order of the values, equal where those are; NaN has no place in it. On CPUs XLA sorts them
    in an eighth of the time that it takes for floats."""
    values = jnp.where(values == 0, 0, values.astype(jnp.float32))  # -0 is 0
    bits = jax.lax.bitcast_convert_type(values, jnp.uint32)
    # Of negative values all bits are flipped, of others the sign.
    return jnp.where(bits >> 31 == 1, ~bits, bits | jnp.uint32(1 << 31))


def _order_statistic(values: Float[Array, "*batch N"], place: Int[Array, ""]) -> Float[Array, "*batch"]:
    """The value at a place of the sorted ones, NaN where one is; bit by bit: on CPUs a sixteenth of the time that
    sorting takes."""
    keys = order_keys(values)

    def set_bit(number: Int[Array, ""], found: UInt32[Array, "*batch"]) -> UInt32[Array, "*batch"]:
        larger = found | (jnp.uint32(1 << 31) >> number.astype(jnp.uint32))
        smaller = jnp.sum(keys < larger[..., None], axis=-1, dtype=jnp.int32)
        return jnp.where(smaller <= place, larger, found)

    found = jax.lax.fori_loop(0, 32, set_bit, jnp.zeros(values.shape[:-1], jnp.uint32))
    bits = jnp.where(found >> 31 == 1, found & jnp.uint32((1 << 31) - 1), ~found)
    number = jax.lax.bitcast_convert_type(bits, jnp.float32)
    return jnp.where(jnp.any(jnp.isnan(values), axis=-1), jnp.nan, number)


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
