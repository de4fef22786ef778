"""What the networks share beyond `flax.nnx`: the named layers at which they are cut, and three operations.

Images and activations are channels-last, `[..., height, width, channels]`, with or without a batch axis in front.
"""

import functools
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

    def compared_layers(self) -> list[str]:
        """What an ablation of layers compares unless somebody says which: the last four, about one per stage."""
        return list(self.layers())[-4:]

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


class BatchNorm(nnx.BatchNorm):
    """As torch's: the running variance is that of the population as n values tell it, the batch's times n / (n - 1)."""

    def __init__(self, channels: int, *, momentum: float = 0.9, epsilon: float = 1e-5, **options: Any):
        super().__init__(channels, momentum=momentum, epsilon=epsilon, **options)

    def __call__(self, x: Float[Array, "*b c"], **options: Any) -> Float[Array, "*b c"]:
        before, count = self.var[...], x.size // x.shape[-1]
        y = super().__call__(x, **options)
        if not self.use_running_average:
            kept = self.momentum * before
            self.var[...] = kept + (self.var[...] - kept) * (count / max(count - 1, 1))
        return y.astype(x.dtype)


def max_pool(x: Float[Array, "*b H W c"], size: int, stride: int, padding: int = 0) -> Float[Array, "*b h w c"]:
    """The largest value of each size x size window; among equal ones the first takes the gradient, as in torch.

    The columns of a window are compared first, then its rows. On CPUs this takes half the time of XLA's windowed
    reduction forwards and a tenth of it backwards.

    Raises:
        InputError: the image is smaller than one window.
    """
    return _maximum(_maximum(x, x.ndim - 2, size, stride, padding), x.ndim - 3, size, stride, padding)


def _maximum(x: Float[Array, "..."], axis: int, size: int, stride: int, padding: int) -> Float[Array, "..."]:
    length = (x.shape[axis] + 2 * padding - size) // stride + 1
    if length < 1:
        raise InputError(
            f"the image is too small for this network: {x.shape[axis]} positions are left to pool {size} of"
        )
    if padding:
        widths = [(padding, padding) if index == axis else (0, 0) for index in range(x.ndim)]
        x = jnp.pad(x, widths, constant_values=-jnp.inf)
    shifts = [jax.lax.slice_in_dim(x, shift, shift + stride * (length - 1) + 1, stride, axis) for shift in range(size)]
    return functools.reduce(lambda first, other: jnp.where((first >= other) | jnp.isnan(first), first, other), shifts)


def average_pool(x: Float[Array, "*b h w d"]) -> Float[Array, "*b d"]:
    """The mean over all locations.

    A matrix product and no `mean`: XLA on CPUs would fuse a mean with all convolutions before it into one slow loop
    (ResNet-18's last stage: 56 ms instead of 10).
    """
    locations = x.shape[-3] * x.shape[-2]
    weights = jnp.full((locations,), 1 / locations, x.dtype)
    return jnp.einsum("p,...pd->...d", weights, x.reshape(*x.shape[:-3], locations, x.shape[-1]))


def adaptive_average_pool(x: Float[Array, "*b H W c"], size: int) -> Float[Array, "*b {size} {size} c"]:
    """Means over size x size regions that cover the image, overlapping where it does not divide (torch's rule)."""
    rows, columns = _averages(x.shape[-3], size), _averages(x.shape[-2], size)
    if x.shape[-3:-1] == (size, size):
        return x
    return jnp.einsum("ih,jw,...hwc->...ijc", rows.astype(x.dtype), columns.astype(x.dtype), x)


def _averages(inputs: int, outputs: int) -> Float[np.ndarray, "outputs inputs"]:
    """Row i averages the inputs from floor(i * inputs / outputs) to ceil((i + 1) * inputs / outputs)."""
    matrix = np.zeros((outputs, inputs), np.float32)
    for index in range(outputs):
        start, end = index * inputs // outputs, -(-(index + 1) * inputs // outputs)
        matrix[index, start:end] = 1 / (end - start)
    return matrix


def flatten_channels_first(x: Float[Array, "*b h w c"]) -> Float[Array, "*b hwc"]:
    """One vector an image in torch's order: channel, row, column."""
    return jnp.moveaxis(x, -1, -3).reshape(*x.shape[:-3], -1)


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
