"""How the result of a layer becomes F[h, w, d], and back."""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galore.cutting.axes import Axes


class Layout(NamedTuple):
    """Where the locations of a layer's result are.

    Entries without a location, such as a class token, become the last rows of F, filled up with zeros.

    Attributes:
        shape: of the result.
        axes: the axes of height and width, or the one of tokens.
        grid: (h, w).
        before: tokens without a location in front of the others.
        after: those behind.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    grid: tuple[int, int]
    before: int = 0
    after: int = 0

    @property
    def extra_rows(self) -> int:
        """The rows of F behind the locations."""
        return -(-(self.before + self.after) // self.grid[1])

    @property
    def channels(self) -> int:
        return math.prod(size for axis, size in enumerate(self.shape) if axis not in self.axes)

    def to_locations(self, result: Float[Array, "..."]) -> Float[Array, "h w d"]:
        """F, of what the layer returned."""
        height, width = self.grid
        entries = jnp.moveaxis(result, self.axes, range(len(self.axes))).reshape(-1, self.channels)
        located = entries[self.before : self.before + height * width]
        if not self.extra_rows:
            return located.reshape(height, width, -1)
        others = jnp.concatenate([entries[: self.before], entries[self.before + height * width :]])
        others = jnp.pad(others, ((0, self.extra_rows * width - len(others)), (0, 0)))
        return jnp.concatenate([located, others]).reshape(height + self.extra_rows, width, -1)

    def from_locations(self, F: Float[Array, "h w d"]) -> Float[Array, "..."]:
        """What the layer would have returned, of F."""
        height, width = self.grid
        entries = F.reshape(-1, self.channels)
        if self.extra_rows:
            located, others = entries[: height * width], entries[height * width :][: self.before + self.after]
            entries = jnp.concatenate([others[: self.before], located, others[self.before :]])
        moved = [self.shape[axis] for axis in self.axes]
        kept = [size for axis, size in enumerate(self.shape) if axis not in self.axes]
        return jnp.moveaxis(entries.reshape(*moved, *kept), range(len(self.axes)), self.axes)


def found(shape: tuple[int, ...], axes: Axes | None) -> Layout | None:
    """The layout of a value whose axes were followed; None where they do not lie on one grid, height first."""
    placed = [number for number, axis in enumerate(axes or ()) if axis.is_known]
    letters = [axes[number].letters for number in placed] if axes else []
    if axes is None or sorted(letters) not in (["H", "W"], ["HW"]):
        return None
    ordered = sorted(placed, key=lambda number: axes[number].letters)
    factors = [factor for number in ordered for factor in axes[number].factors]
    if len(factors) != 2 or any(factor.stride != 1 for factor in factors):
        return None
    before, after = (axes[ordered[0]].before, axes[ordered[0]].after) if len(ordered) == 1 else (0, 0)
    return Layout(shape, tuple(ordered), (factors[0].size, factors[1].size), before, after)


def of_axes(shape: tuple[int, ...], axes: tuple[int, int]) -> Layout:
    """By the axes of height and width."""
    height, width = (axis % len(shape) for axis in axes)
    return Layout(shape, (height, width), (shape[height], shape[width]))


def of_tokens(shape: tuple[int, ...], grid: tuple[int, int], before: int) -> Layout | None:
    """By the grid of the tokens and how many others come before it; None where there is no such axis."""
    count = math.prod(grid)
    fitting = [axis for axis, size in enumerate(shape) if size >= before + count]
    # Of [tokens, channels], the channels can be as many: the first axis counts.
    if not fitting:
        return None
    axis = fitting[0]
    return Layout(shape, (axis,), grid, before, int(np.subtract(shape[axis], before + count)))
