"""The 3 x 3 convolution with fewer multiplications, for CPUs.

Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.1: F(2 x 2, 3 x 3) makes 2 x 2
outputs from a 4 x 4 tile of the input with 16 multiplications a channel instead of 36. Its rounding errors are of the
size of an ordinary convolution's.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float


def pays(x: Float[Array, "b H W c"], kernel: Float[Array, "h w c d"]) -> bool:
    """Whether it is expected to be faster than XLA's convolution on a CPU; always False unless the kernel is 3 x 3.

    Measured on two cores with AVX-512: VGG16 gains a fifth at batch 8, ResNet-34 a tenth, and at batch 1 neither loses.
    On smaller images the transform of the kernel outweighs the gain; on large ones with few channels the tiles outgrow
    the cache.
    """
    smaller, locations = min(x.shape[1:3]), x.shape[1] * x.shape[2]
    channels = min(kernel.shape[2:])
    return kernel.shape[:2] == (3, 3) and smaller >= 28 and channels >= 64 and locations <= channels**2


def convolve_3x3(x: Float[Array, "b H W c"], kernel: Float[Array, "3 3 c d"]) -> Float[Array, "b H W d"]:
    """A convolution with stride 1 and one zero around the image.

    Args:
        x: the images.
        kernel: height, width, inputs, outputs.

    Returns:
        What `jax.lax.conv_general_dilated` gives, up to rounding.
    """
    batch, height, width, _ = x.shape
    rows, columns = -(-height // 2), -(-width // 2)
    x = jnp.pad(x, ((0, 0), (1, 1 + height % 2), (1, 1 + width % 2), (0, 0)))
    kernels = [_kernel_transform(line) for line in _kernel_transform(kernel)]
    tiles = [_input_transform(line, 2, columns) for line in _input_transform(x, 1, rows)]
    products = [[tiles[i][j] @ kernels[i][j] for j in range(4)] for i in range(4)]
    by_column = [_output_transform([products[i][j] for i in range(4)]) for j in range(4)]
    pixels = [_output_transform([by_column[j][i] for j in range(4)]) for i in range(2)]
    y = jnp.stack([jnp.stack(line, axis=3) for line in pixels], axis=2)  # b, rows, 2, columns, 2, d
    return y.reshape(batch, 2 * rows, 2 * columns, -1)[:, :height, :width]


def _kernel_transform(lines: Any) -> list[Array]:
    """G of the paper along the first axis; sums and not a product with G, which takes far longer than they do."""
    outer, middle = 0.5 * (lines[0] + lines[2]), 0.5 * lines[1]
    return [lines[0], outer + middle, outer - middle, lines[2]]


def _input_transform(x: Array, axis: int, count: int) -> list[Array]:
    """B' of the paper along one axis: four combinations of the four lines of each tile; tiles are two lines apart."""

    def lines(start: int) -> Array:
        index = [slice(None)] * x.ndim
        index[axis] = slice(start, start + 2 * count - 1, 2)
        return x[tuple(index)]

    a, b, c, d = (lines(start) for start in range(4))
    return [a - c, b + c, c - b, b - d]


def _output_transform(products: list[Array]) -> list[Array]:
    """A' of the paper along one axis: two output lines from four products."""
    a, b, c, d = products
    return [a + b + c, b - c - d]
