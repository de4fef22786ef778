"""ResNet-18, -34 and -50, as torchvision defines them (the stride of a bottleneck sits in its 3 x 3 convolution).

He, Zhang, Ren & Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, table 1.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from flax import nnx
from jaxtyping import Array, Float

from galore.models.convolution import convolve
from galore.models.layers import BatchNorm, LayeredNetwork, average_pool, max_pool

_Conv = partial(nnx.Conv, use_bias=False, conv_general_dilated=convolve)


class BasicBlock(nnx.Module):
    """Two 3 x 3 convolutions and the input added to what they give."""

    EXPANSION = 1

    def __init__(self, inputs: int, width: int, stride: int, *, rngs: nnx.Rngs):
        self.conv1 = _Conv(inputs, width, (3, 3), strides=stride, padding=1, rngs=rngs)
        self.bn1 = BatchNorm(width, rngs=rngs)
        self.conv2 = _Conv(width, width, (3, 3), padding=1, rngs=rngs)
        self.bn2 = BatchNorm(width, rngs=rngs)
        self.downsample = _shortcut(inputs, width, stride, rngs)

    def __call__(self, x: Float[Array, "*b H W c"]) -> Float[Array, "*b h w d"]:
        y = nnx.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        for step in self.downsample:
            x = step(x)
        return nnx.relu(x + y)


class Bottleneck(nnx.Module):
    """1 x 1 to fewer channels, 3 x 3, 1 x 1 to four times as many, and the input added to what they give."""

    EXPANSION = 4

    def __init__(self, inputs: int, width: int, stride: int, *, rngs: nnx.Rngs):
        outputs = width * self.EXPANSION
        self.conv1 = _Conv(inputs, width, (1, 1), rngs=rngs)
        self.bn1 = BatchNorm(width, rngs=rngs)
        self.conv2 = _Conv(width, width, (3, 3), strides=stride, padding=1, rngs=rngs)
        self.bn2 = BatchNorm(width, rngs=rngs)
        self.conv3 = _Conv(width, outputs, (1, 1), rngs=rngs)
        self.bn3 = BatchNorm(outputs, rngs=rngs)
        self.downsample = _shortcut(inputs, outputs, stride, rngs)

    def __call__(self, x: Float[Array, "*b H W c"]) -> Float[Array, "*b h w d"]:
        y = nnx.relu(self.bn1(self.conv1(x)))
        y = nnx.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        for step in self.downsample:
            x = step(x)
        return nnx.relu(x + y)


def _shortcut(inputs: int, outputs: int, stride: int, rngs: nnx.Rngs) -> Any:
    """An `nnx.List`: nothing where the shapes agree, else a 1 x 1 convolution and its BatchNorm."""
    if stride == 1 and inputs == outputs:
        return nnx.List([])
    convolution = _Conv(inputs, outputs, (1, 1), strides=stride, padding=0, rngs=rngs)
    return nnx.List([convolution, BatchNorm(outputs, rngs=rngs)])


class ResNet(LayeredNetwork):
    """Layers: `layer1` to `layer4`, the four stages, each after its last ReLU."""

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        counts: tuple[int, int, int, int],
        classes: int = 1000,
        *,
        width: int = 64,
        rngs: nnx.Rngs,
    ):
        """Builds the network.

        Args:
            block: of which the stages are made.
            counts: blocks in each of the four stages.
            classes: how many logits.
            width: channels of the stem and of the first stage's convolutions; each stage doubles it. 64 is the
                published network.
            rngs: the random numbers of the initial kernels.
        """
        self.conv1 = _Conv(3, width, (7, 7), strides=2, padding=3, rngs=rngs)
        self.bn1 = BatchNorm(width, rngs=rngs)
        channels, stages = width, []
        for index, count in enumerate(counts):
            blocks = []
            for position in range(count):
                stride = 2 if index > 0 and position == 0 else 1
                blocks.append(block(channels, width * 2**index, stride, rngs=rngs))
                channels = width * 2**index * block.EXPANSION
            stages.append(nnx.List(blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = nnx.Linear(channels, classes, rngs=rngs)

    def layers(self) -> dict[str, Callable]:
        return {
            "layer1": lambda x: _chain(self.layer1, self._stem(x)),
            "layer2": lambda x: _chain(self.layer2, x),
            "layer3": lambda x: _chain(self.layer3, x),
            "layer4": lambda x: _chain(self.layer4, x),
        }

    def _stem(self, x: Float[Array, "*b H W 3"]) -> Float[Array, "*b h w d"]:
        return max_pool(nnx.relu(self.bn1(self.conv1(x))), size=3, stride=2, padding=1)

    def classifier(self, activation: Float[Array, "*b h w d"]) -> Float[Array, "*b C"]:
        return self.fc(average_pool(activation))


def _chain(blocks: Any, x: Float[Array, "*b H W c"]) -> Float[Array, "*b h w d"]:
    for block in blocks:
        x = block(x)
    return x


ResNet18 = partial(ResNet, BasicBlock, (2, 2, 2, 2))
ResNet34 = partial(ResNet, BasicBlock, (3, 4, 6, 3))
ResNet50 = partial(ResNet, Bottleneck, (3, 4, 6, 3))
