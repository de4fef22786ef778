"""The convolution of the networks, by whichever exact way is the fastest for its shape."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from galore.models import winograd

SMALL = 8
"""Up to this many rows and columns a 3 x 3 convolution is one matrix product on CPUs. On two cores ResNet-18 and -34
take a tenth less time at batch 1, no more at batch 8; with 14 rows nothing is gained, and with more much is lost."""


def convolve(
    x: Float[Array, "b H W c"], kernel: Float[Array, "k k c d"], strides: Any, padding: Any, **options: Any
) -> Float[Array, "b h w d"]:
    """`jax.lax.conv_general_dilated` for `nnx.Conv`, with three cases that are faster otherwise.

    A 1 x 1 kernel is a matrix product. On CPUs most 3 x 3 kernels are taken by Winograd's method, and those on few
    locations as a matrix product too.
    """

    def plain(x: Array, kernel: Array) -> Array:
        return jax.lax.conv_general_dilated(x, kernel, strides, padding, **options)

    if kernel.shape[:2] == (1, 1):
        return jnp.matmul(x[:, :: strides[0], :: strides[1]], kernel[0, 0], precision=options["precision"])
    if jnp.finfo(x.dtype).bits < 32:  # their sums would be rounded in between
        return plain(x, kernel)
    is_padded_by_one = [tuple(sides) for sides in padding] == [(1, 1), (1, 1)]
    if kernel.shape[:2] == (3, 3) and tuple(strides) == (1, 1) and is_padded_by_one:
        if winograd.pays(x, kernel):
            return jax.lax.platform_dependent(x, kernel, cpu=winograd.convolve_3x3, default=plain)
        if max(x.shape[1:3]) <= SMALL:
            return jax.lax.platform_dependent(x, kernel, cpu=multiply_3x3, default=plain)
    return plain(x, kernel)


def multiply_3x3(x: Float[Array, "b H W c"], kernel: Float[Array, "3 3 c d"]) -> Float[Array, "b H W d"]:
    """A 3 x 3 convolution with stride 1 and one zero around the image, as one matrix product.

    Args:
        x: the images; each location's 3 x 3 neighbours are copied side by side.
        kernel: height, width, inputs, outputs.
    """
    _, height, width, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    neighbours = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return jnp.concatenate(neighbours, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])
