"""AlexNet, as torchvision defines it: Krizhevsky, "One weird trick for parallelizing CNNs", arXiv:1404.5997."""

from collections.abc import Callable
from functools import partial

from flax import nnx
from jaxtyping import Array, Float

from galore.models.layers import LayeredNetwork, adaptive_average_pool, flatten_channels_first, max_pool

_Conv = partial(nnx.Conv, kernel_size=(3, 3), padding=1)
_pool = partial(max_pool, size=3, stride=2)


class AlexNet(LayeredNetwork):
    """Layers: `conv1` to `conv5`, each after its ReLU and before the pooling that may follow."""

    def __init__(self, classes: int = 1000, *, width: int = 64, rngs: nnx.Rngs):
        """Builds the network.

        Args:
            classes: how many logits.
            width: channels of the first layer; the others keep their ratio to it. 64 is the published network.
            rngs: the random numbers of kernels and dropout.
        """
        self.conv1 = nnx.Conv(3, width, (11, 11), strides=4, padding=2, rngs=rngs)
        self.conv2 = nnx.Conv(width, 3 * width, (5, 5), padding=2, rngs=rngs)
        self.conv3 = _Conv(3 * width, 6 * width, rngs=rngs)
        self.conv4 = _Conv(6 * width, 4 * width, rngs=rngs)
        self.conv5 = _Conv(4 * width, 4 * width, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.fc6 = nnx.Linear(4 * width * 6 * 6, 64 * width, rngs=rngs)
        self.fc7 = nnx.Linear(64 * width, 64 * width, rngs=rngs)
        self.fc8 = nnx.Linear(64 * width, classes, rngs=rngs)

    def layers(self) -> dict[str, Callable]:
        return {
            "conv1": lambda x: nnx.relu(self.conv1(x)),
            "conv2": lambda x: nnx.relu(self.conv2(_pool(x))),
            "conv3": lambda x: nnx.relu(self.conv3(_pool(x))),
            "conv4": lambda x: nnx.relu(self.conv4(x)),
            "conv5": lambda x: nnx.relu(self.conv5(x)),
        }

    def classifier(self, activation: Float[Array, "*b h w d"]) -> Float[Array, "*b C"]:
        x = flatten_channels_first(adaptive_average_pool(_pool(activation), 6))
        x = nnx.relu(self.fc6(self.dropout(x)))
        x = nnx.relu(self.fc7(self.dropout(x)))
        return self.fc8(x)


_POSITIONS = {
    "conv1": "features.0",
    "conv2": "features.3",
    "conv3": "features.6",
    "conv4": "features.8",
    "conv5": "features.10",
    "fc6": "classifier.1",
    "fc7": "classifier.4",
    "fc8": "classifier.6",
}


def torch_name(path: str) -> str:
    """The name in torchvision's file, where layers are numbered: `conv2.weight` is `features.3.weight`."""
    layer, leaf = path.split(".")
    return f"{_POSITIONS[layer]}.{leaf}"
