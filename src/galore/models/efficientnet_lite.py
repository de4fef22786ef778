"""EfficientNet-Lite0: mobile inverted bottlenecks without squeeze-and-excitation, ReLU6 throughout.

Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019; the Lite variant:
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite (75.1 % top-1 on ImageNet at 224 x 224).
"""

from collections.abc import Callable
from functools import partial

from flax import nnx
from jaxtyping import Array, Float

from galore.models.convolution import convolve
from galore.models.layers import BatchNorm, DepthwiseConv, LayeredNetwork, average_pool

# Kernel size, stride of the first block, expansion, output channels, number of blocks.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)

_Conv = partial(nnx.Conv, use_bias=False, padding="SAME", conv_general_dilated=convolve)
_BatchNorm = partial(BatchNorm, momentum=0.99, epsilon=1e-3)


class Block(nnx.Module):
    """Expand (1 x 1), filter each channel (k x k), project (1 x 1), and add the input where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, stride: int, expansion: int, *, rngs: nnx.Rngs):
        inner = inputs * expansion
        self.is_residual = stride == 1 and inputs == outputs
        self.is_expanded = expansion != 1
        if self.is_expanded:
            self.expand_conv = _Conv(inputs, inner, (1, 1), rngs=rngs)
            self.bn0 = _BatchNorm(inner, rngs=rngs)
        self.depthwise_conv = DepthwiseConv(inner, kernel_size, stride, rngs=rngs)
        self.bn1 = _BatchNorm(inner, rngs=rngs)
        self.project_conv = _Conv(inner, outputs, (1, 1), rngs=rngs)
        self.bn2 = _BatchNorm(outputs, rngs=rngs)

    def __call__(self, x: Float[Array, "*b H W c"]) -> Float[Array, "*b h w d"]:
        y = nnx.relu6(self.bn0(self.expand_conv(x))) if self.is_expanded else x
        y = nnx.relu6(self.bn1(self.depthwise_conv(y)))
        y = self.bn2(self.project_conv(y))
        return x + y if self.is_residual else y


class EfficientNetLite0(LayeredNetwork):
    """Layers: `stage1` to `stage7` (each stage's sum, before any ReLU) and `conv_head` (after ReLU6)."""

    def __init__(self, classes: int = 1000, *, rngs: nnx.Rngs):
        self.conv_stem = _Conv(3, 32, (3, 3), strides=2, rngs=rngs)
        self.bn0 = _BatchNorm(32, rngs=rngs)
        blocks, channels = [], 32
        for kernel_size, stride, expansion, outputs, count in STAGES:
            for index in range(count):
                first = index == 0
                blocks.append(Block(channels, outputs, kernel_size, stride if first else 1, expansion, rngs=rngs))
                channels = outputs
        self.blocks = nnx.List(blocks)
        self.conv_head = _Conv(channels, 1280, (1, 1), rngs=rngs)
        self.bn1 = _BatchNorm(1280, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.fc = nnx.Linear(1280, classes, rngs=rngs)

    def layers(self) -> dict[str, Callable]:
        steps, end = {}, 0
        for number, (*_, count) in enumerate(STAGES, 1):
            steps[f"stage{number}"] = partial(self._stage, start=end, end=end + count)
            end += count
        return steps | {"conv_head": lambda x: nnx.relu6(self.bn1(self.conv_head(x)))}

    def compared_layers(self) -> list[str]:
        """The last stage of each resolution from a quarter of the image's on, and the layer before the pooling."""
        return ["stage2", "stage3", "stage5", "stage7", "conv_head"]

    def _stage(self, x: Float[Array, "*b H W c"], start: int, end: int) -> Float[Array, "*b h w d"]:
        if start == 0:
            x = nnx.relu6(self.bn0(self.conv_stem(x)))
        for index in range(start, end):
            x = self.blocks[index](x)
        return x

    def classifier(self, activation: Float[Array, "*b h w d"]) -> Float[Array, "*b C"]:
        return self.fc(self.dropout(average_pool(activation)))


def torch_name(path: str) -> str:
    """The name in the published file: `blocks.3.bn1.scale` is kept there as `_blocks.3._bn1.weight`."""
    return ".".join(part if part.isdigit() or part in _LEAVES else f"_{part}" for part in path.split("."))


_LEAVES = ("weight", "bias", "running_mean", "running_var")
