"""What the networks share beyond `flax.nnx`: the named layers at which they are cut, and four operations.

Images and activations are channels-last, `[..., height, width, channels]`, with or without a batch axis in front.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from galore.errors import InputError, closest

Step = Callable[[Any], Any]


class LayeredNetwork(nnx.Module):
    """A chain of named layers and a classifier behind the last of them; it can be cut at every name.

    A subclass gives `layers()` and `classifier(activation)`.
    """

    def layers(self) -> dict[str, Step]:
        """Layer name -> the step that leads from the layer before (first: from the image) to this one."""
        raise NotImplementedError

    def classifier(self, activation: Float[Array, "*b h w d"]) -> Float[Array, "*b C"]:
        """From the last layer's activation to the logits."""
        raise NotImplementedError

    def features(self, x: Float[Array, "*b H W 3"], layer: str | None = None) -> Float[Array, "*b h w d"]:
        """The activation of a layer (None: the last one)."""
        layer = check_layer(self, layer)
        for name, step in self.layers().items():
            x = step(x)
            if name == layer:
                break
        return x

    def head(self, activation: Float[Array, "*b h w d"], layer: str | None = None) -> Float[Array, "*b C"]:
        """The logits from the activation of a layer (None: the last one)."""
        names = list(self.layers())
        for name in names[names.index(check_layer(self, layer)) + 1 :]:
            activation = self.layers()[name](activation)
        return self.classifier(activation)

    def __call__(self, x: Float[Array, "*b H W 3"]) -> Float[Array, "*b C"]:
        return self.head(self.features(x))


def check_layer(network: LayeredNetwork, layer: str | None) -> str:
    """The name of the layer (None: the last one).

    Raises:
        InputError: the network has no such layer; the message lists those that it has.
    """
    names = list(network.layers())
    if layer is None:
        return names[-1]
    if layer not in names:
        hint = closest(layer, names, count=1)
        raise InputError(
            f"unknown layer {layer!r}, expected one of {', '.join(names)}" + (f" ({hint})" if hint else "")
        )
    return layer


class DepthwiseConv(nnx.Module):
    """A convolution of each channel with its own k x k kernel, TensorFlow's "SAME" padding.

    XLA runs a grouped convolution well on GPUs and TPUs and many times too slowly on CPUs (measured at batch 8: 15 to
    50 times slower than the k * k shifted products used there, which it fuses into one loop).
    """

    def __init__(self, channels: int, kernel_size: int, stride: int, *, rngs: nnx.Rngs):
        self.stride = stride
        shape = (kernel_size, kernel_size, 1, channels)
        init = nnx.initializers.variance_scaling(2.0, "fan_in", "truncated_normal")
        self.kernel = nnx.Param(init(rngs.params(), shape))

    def __call__(self, x: Float[Array, "*b H W c"]) -> Float[Array, "*b h w c"]:
        batch = x.shape[:-3]
        y = jax.lax.platform_dependent(
            x.reshape(-1, *x.shape[-3:]),
            self.kernel[...],
            cpu=lambda x, kernel: _shifted_products(x, kernel, self.stride),
            default=lambda x, kernel: _grouped_convolution(x, kernel, self.stride),
        )
        return y.reshape(*batch, *y.shape[1:])


def _shifted_products(
    x: Float[Array, "b H W c"], kernel: Float[Array, "k k 1 c"], stride: int
) -> Float[Array, "b h w c"]:
    size = kernel.shape[0]
    padding = same_padding(x.shape[1], size, stride), same_padding(x.shape[2], size, stride)
    height, width = -(-x.shape[1] // stride), -(-x.shape[2] // stride)
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    total = jnp.zeros((), x.dtype)
    for i in range(size):
        for j in range(size):
            rows = slice(i, i + stride * (height - 1) + 1, stride)
            columns = slice(j, j + stride * (width - 1) + 1, stride)
            total = total + x[:, rows, columns, :] * kernel[i, j, 0]
    return total


def _grouped_convolution(
    x: Float[Array, "b H W c"], kernel: Float[Array, "k k 1 c"], stride: int
) -> Float[Array, "b h w c"]:
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's "SAME" padding of one axis, before and after: the odd pixel comes after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
