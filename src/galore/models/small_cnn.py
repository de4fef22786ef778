"""A small convolutional network for small images: trained in a minute or two on two cores.

An overlapping stem reduces the image four times at once and the rest works on few positions with many channels, which
is what CPUs are good at. The last map is 12 x 12 for an image of 96 x 96.
"""

from collections.abc import Callable
from functools import partial

from flax import nnx
from jaxtyping import Array, Float

from galore.models.layers import BatchNorm, LayeredNetwork

_Conv = partial(nnx.Conv, use_bias=False, padding="SAME", kernel_init=nnx.initializers.he_normal())


class SmallCNN(LayeredNetwork):
    """Four convolutions, each with BatchNorm and ReLU, then the mean over positions and one linear layer.

    Layers (side for an image of 96, channels): `conv1` (24, 32), `conv2` (24, 64), `conv3` and `conv4` (12, 128).
    """

    def __init__(self, classes: int = 20, *, width: int = 32, rngs: nnx.Rngs):
        """Builds the network.

        Args:
            classes: how many logits.
            width: channels of the stem; the other layers have two, four and four times as many.
            rngs: the random numbers of the initial kernels.
        """
        self.conv1 = _Conv(3, width, (7, 7), strides=4, rngs=rngs)
        self.conv2 = _Conv(width, 2 * width, (3, 3), rngs=rngs)
        self.conv3 = _Conv(2 * width, 4 * width, (3, 3), strides=2, rngs=rngs)
        self.conv4 = _Conv(4 * width, 4 * width, (3, 3), rngs=rngs)
        self.bn1 = BatchNorm(width, rngs=rngs)
        self.bn2 = BatchNorm(2 * width, rngs=rngs)
        self.bn3 = BatchNorm(4 * width, rngs=rngs)
        self.bn4 = BatchNorm(4 * width, rngs=rngs)
        self.fc = nnx.Linear(4 * width, classes, rngs=rngs)

    def layers(self) -> dict[str, Callable]:
        return {
            "conv1": lambda x: nnx.relu(self.bn1(self.conv1(x))),
            "conv2": lambda x: nnx.relu(self.bn2(self.conv2(x))),
            "conv3": lambda x: nnx.relu(self.bn3(self.conv3(x))),
            "conv4": lambda x: nnx.relu(self.bn4(self.conv4(x))),
        }

    def classifier(self, activation: Float[Array, "*b h w d"]) -> Float[Array, "*b C"]:
        return self.fc(activation.mean((-3, -2)))
