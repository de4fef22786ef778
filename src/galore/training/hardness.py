"""The hardness predictor: a small network that reads activations and says how hard the image will be to classify.

Source: Wang & Vasconcelos, "Towards Realistic Predictors", ECCV 2018, whose predictor ends in fully connected layers
of 1000, 1000 and 100 units and a sigmoid, each after BatchNorm, ReLU and dropout; the widths are a choice here.
`HardnessPredictor` reads the activations of the classifier, frozen or trained jointly with it; `HardnessNetwork` has a
trunk of its own, as in the paper.
"""

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float

from galore.confidence import Predictor
from galore.models.layers import LayeredNetwork
from galore.network import Network, from_nnx
from galore.training import architectures, forward

PREFIX = "hardness."
"""Of the predictor's parameters, where they stand beside those of the classifier."""

AUTHORS_WIDTHS = (1000, 1000, 100)
"""The hidden layers of the authors' predictor."""


class HardnessPredictor(nnx.Module):
    """Mean over positions, then linear layers with BatchNorm, ReLU and dropout between them, and a sigmoid."""

    def __init__(self, channels: int, widths: tuple[int, ...] = (64,), *, dropout: float = 0.5, rngs: nnx.Rngs):
        """Builds the predictor.

        Args:
            channels: of the activations.
            widths: of the hidden layers.
            dropout: the share of units that is dropped in training.
            rngs: the random numbers of kernels and dropout.
        """
        sizes = (channels, *widths, 1)
        self.linears = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in itertools.pairwise(sizes)])
        self.norms = nnx.List([nnx.BatchNorm(width, momentum=0.9, rngs=rngs) for width in sizes[:-1]])
        self.dropout = nnx.Dropout(dropout, rngs=rngs)

    def __call__(self, activation: Float[Array, "*b h w d"]) -> Float[Array, "*b"]:
        """The hardness k in [0, 1]."""
        x = self.norms[0](activation.mean((-3, -2)))
        for linear, norm in zip(self.linears[:-1], self.norms[1:], strict=True):
            x = self.dropout(nnx.relu(norm(linear(x))))
        return nnx.sigmoid(self.linears[-1](x))[..., 0]


class HardnessNetwork(nnx.Module):
    """A trunk of its own whose outputs go through BatchNorm, ReLU, dropout and a linear layer for each width."""

    def __init__(
        self,
        trunk: Callable[..., LayeredNetwork],
        widths: tuple[int, ...] = AUTHORS_WIDTHS,
        *,
        dropout: float = 0.5,
        rngs: nnx.Rngs,
    ):
        """Builds the predictor.

        Args:
            trunk: `(outputs, rngs=) -> network`.
            widths: how many outputs the trunk has, and the hidden layers behind it.
            dropout: the share of units that is dropped in training.
            rngs: the random numbers of kernels and dropout.
        """
        self.trunk = trunk(widths[0], rngs=rngs)
        self.linears = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in itertools.pairwise((*widths, 1))])
        self.norms = nnx.List([nnx.BatchNorm(width, momentum=0.9, rngs=rngs) for width in widths])
        self.dropout = nnx.Dropout(dropout, rngs=rngs)

    def features(self, x: Float[Array, "*b H W c"], layer: str) -> Float[Array, "*b h w d"]:
        """The trunk's own activations F_s."""
        return self.trunk.features(x, layer)

    def head(self, activation: Float[Array, "*b h w d"], layer: str) -> Float[Array, "*b"]:
        """The hardness k in [0, 1] from the trunk's activations."""
        x = self.trunk.head(activation, layer)
        for linear, norm in zip(self.linears, self.norms, strict=True):
            x = linear(self.dropout(nnx.relu(norm(x))))
        return nnx.sigmoid(x)[..., 0]


@functools.cache
def module(channels: int, widths: tuple[int, ...], dropout: float = 0.5) -> HardnessPredictor:
    """The structure of a predictor, without values."""
    return nnx.eval_shape(lambda: HardnessPredictor(channels, widths, dropout=dropout, rngs=nnx.Rngs(0)))


@functools.cache
def with_trunk(network: str, widths: tuple[int, ...]) -> HardnessNetwork:
    """The structure of a predictor with a trunk of its own, without values.

    Args:
        network: the trunk's name, one of `architectures.names()`.
        widths: see `HardnessNetwork`.
    """
    trunk = functools.partial(architectures.build, network)
    return nnx.eval_shape(lambda: HardnessNetwork(trunk, widths, rngs=nnx.Rngs(0)))


def shapes(channels: int, widths: tuple[int, ...]) -> dict[str, jax.ShapeDtypeStruct]:
    """The names, with `PREFIX`, and the shapes of its parameters."""
    return {f"{PREFIX}{name}": shape for name, shape in forward.shapes(module(channels, widths)).items()}


def own(params: Mapping[str, Any]) -> dict[str, Any]:
    """The predictor's parameters among others, without `PREFIX`."""
    return {name.removeprefix(PREFIX): value for name, value in params.items() if name.startswith(PREFIX)}


def prefixed(params: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `own`."""
    return {f"{PREFIX}{name}": value for name, value in params.items()}


def as_confidence(
    params: Mapping[str, Any], channels: int, widths: tuple[int, ...], network: Network | None = None
) -> Predictor:
    """The easiness 1 - k as a confidence score of `galore.explain`.

    Args:
        params: of the predictor, with `PREFIX`.
        channels: of the activations it reads.
        widths: of its hidden layers.
        network: whose activations it reads, where those differ from the explained network's; None: they are the same.

    Returns:
        A pytree like `Network`.
    """
    hardness = from_nnx(module(channels, widths), features=lambda module, x: module(x), head=lambda module, x: x)
    values = {"own": own(params)}
    if network is None:
        return Predictor(values, head=lambda p, F: 1 - hardness.features(p["own"], F))
    return Predictor(
        values | {"trunk": network.params},
        head=lambda p, F: 1 - hardness.features(p["own"], F),
        features=lambda p, image: network.features(p["trunk"], image),
    )


def network_as_confidence(params: Mapping[str, Any], structure: HardnessNetwork, layer: str) -> Predictor:
    """The easiness 1 - k of a predictor with its own trunk, as a confidence score of `galore.explain`.

    Args:
        params: with `PREFIX`.
        structure: without values.
        layer: of the trunk, whose activations are attributed.

    Returns:
        A pytree like `Network`.
    """
    run = from_nnx(
        structure,
        features=lambda module, x: module.features(x, layer),
        head=lambda module, activation: 1 - module.head(activation, layer),
    )
    return Predictor(own(params), head=run.head, features=run.features)
