"""VGG16 with and without BatchNorm, as torchvision defines it.

Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015, configuration D.
"""

from collections.abc import Callable
from functools import partial

from flax import nnx
from jaxtyping import Array, Float

from galore.models.convolution import convolve
from galore.models.layers import BatchNorm, LayeredNetwork, adaptive_average_pool, flatten_channels_first, max_pool

# Channels (in units of the first stage's) and number of convolutions of each stage; a 2 x 2 max pooling stands between
# two stages, and one at the end.
STAGES = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))
NAMES = tuple(f"{stage}_{index}" for stage, (_, count) in enumerate(STAGES, 1) for index in range(1, count + 1))

_Conv = partial(nnx.Conv, kernel_size=(3, 3), padding=1, conv_general_dilated=convolve)
_pool = partial(max_pool, size=2, stride=2)


class VGG16(LayeredNetwork):
    """Layers: `conv1_1`, `conv1_2`, `conv2_1`, ..., `conv5_3`, each after its ReLU and before the pooling."""

    def __init__(self, classes: int = 1000, *, batch_norm: bool = False, width: int = 64, rngs: nnx.Rngs):
        """Builds the network.

        Args:
            classes: how many logits.
            batch_norm: whether BatchNorm follows every convolution.
            width: channels of the first stage; the other layers keep their ratio to it. 64 is the published network.
            rngs: the random numbers of kernels and dropout.
        """
        channels = 3
        convolutions, norms = {}, {}
        for name in NAMES:
            outputs = STAGES[int(name[0]) - 1][0] * width
            convolutions[name] = _Conv(channels, outputs, rngs=rngs)
            if batch_norm:
                norms[name] = BatchNorm(outputs, rngs=rngs)
            channels = outputs
        self.conv = nnx.Dict(convolutions)
        self.bn = nnx.Dict(norms)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.fc6 = nnx.Linear(channels * 7 * 7, 64 * width, rngs=rngs)
        self.fc7 = nnx.Linear(64 * width, 64 * width, rngs=rngs)
        self.fc8 = nnx.Linear(64 * width, classes, rngs=rngs)

    def layers(self) -> dict[str, Callable]:
        return {f"conv{name}": partial(self._layer, name=name) for name in NAMES}

    def compared_layers(self) -> list[str]:
        """Those of the papers' ablation: the last of each stage but the first, which sees edges alone."""
        return ["conv2_2", "conv3_3", "conv4_3", "conv5_3"]

    def _layer(self, x: Float[Array, "*b H W c"], name: str) -> Float[Array, "*b h w d"]:
        if name.endswith("_1") and name != "1_1":
            x = _pool(x)
        x = self.conv[name](x)
        return nnx.relu(self.bn[name](x) if name in self.bn else x)

    def classifier(self, activation: Float[Array, "*b h w d"]) -> Float[Array, "*b C"]:
        x = flatten_channels_first(adaptive_average_pool(_pool(activation), 7))
        x = self.dropout(nnx.relu(self.fc6(x)))
        x = self.dropout(nnx.relu(self.fc7(x)))
        return self.fc8(x)


def torch_name(path: str, batch_norm: bool) -> str:
    """The name in torchvision's file, where layers are numbered: `conv.1_2.weight` is `features.2.weight`."""
    layer, *rest = path.split(".")
    if layer.startswith("fc"):
        return ".".join([f"classifier.{3 * (int(layer[2]) - 6)}", *rest])
    name, leaf = rest
    # Convolution, (BatchNorm) and ReLU of every layer before, and a pooling after every stage before.
    position = NAMES.index(name) * (3 if batch_norm else 2) + int(name[0]) - 1
    return f"features.{position + (layer == 'bn')}.{leaf}"
