"""The hardness predictor: a small network that reads activations and says how hard the image will be to classify.

Source: Wang & Vasconcelos, "Towards Realistic Predictors", ECCV 2018, whose predictor ends in fully connected layers
of 1000, 1000 and 100 units and a sigmoid, each after BatchNorm, ReLU and dropout; the widths are an option here.
`HardnessPredictor` reads the activations of the classifier, frozen or trained jointly with it; `HardnessNetwork` has a
trunk of its own, as in the paper.

`train` fits one on frozen activations. On its own training images a classifier is nearly always right and sure, so that
their true-class probability says nothing about hardness: the targets come from held-out images, a validation split, or
cross-fitting, where every training image is classified by a network that was trained without its fold.
"""

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from galore.confidence import Predictor
from galore.errors import InputError
from galore.models.factory import draw
from galore.models.layers import BatchNorm, LayeredNetwork
from galore.network import Network, pure
from galore.training import architectures, losses
from galore.training.architectures import Params
from galore.training.loop import initial_state, make_step

PREFIX = "hardness."
"""Of the predictor's parameters, where they stand beside those of the classifier."""

PredictorLoss = Callable[[Float[Array, " B"], Float[Array, " B"], Bool[Array, " B"] | None], Float[Array, ""]]


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
        self.norms = nnx.List([BatchNorm(width, rngs=rngs) for width in sizes[:-1]])
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
        widths: tuple[int, ...],
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
        self.norms = nnx.List([BatchNorm(width, rngs=rngs) for width in widths])
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

    def __call__(self, x: Float[Array, "*b H W c"], start: str | None, layer: str) -> Float[Array, "*b"]:
        """The hardness k from the activations of the layer `start` of the trunk (None: from the image)."""
        return self.head(architectures.through(self.trunk, x, start, layer), layer)


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


def own(params: Mapping[str, Any]) -> dict[str, Any]:
    """The predictor's parameters among others, without `PREFIX`."""
    return {name.removeprefix(PREFIX): value for name, value in params.items() if name.startswith(PREFIX)}


def prefixed(params: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `own`."""
    return {f"{PREFIX}{name}": value for name, value in params.items()}


def as_confidence(params: Mapping[str, Any], structure: HardnessPredictor, network: Network | None = None) -> Predictor:
    """The easiness 1 - k as a confidence score of `galore.explain`.

    Args:
        params: of the predictor, with `PREFIX`.
        structure: without values.
        network: whose activations it reads, where those differ from the explained network's; None: they are the same.

    Returns:
        A pytree like `Network`.
    """
    values, easiness = {"own": own(params)}, _easiness(structure)
    if network is None or network.features is None:
        return Predictor(values, head=easiness)
    values["trunk"] = network.params
    return Predictor(values, head=easiness, features=_of_trunk(network.features))


@functools.lru_cache(maxsize=32)
def _easiness(structure: HardnessPredictor) -> Callable[[Any, Array], Array]:
    """The same function for all trainings, so that what was compiled for one serves the others."""
    hardness = pure(structure, lambda module, x: module(x))
    return lambda p, activation: 1 - hardness(p["own"], activation)


@functools.lru_cache(maxsize=32)
def _of_trunk(features: Callable[[Any, Array], Array]) -> Callable[[Any, Array], Array]:
    return lambda p, image: features(p["trunk"], image)


def network_as_confidence(params: Mapping[str, Any], structure: HardnessNetwork, layer: str) -> Predictor:
    """The easiness 1 - k of a predictor with its own trunk, as a confidence score of `galore.explain`.

    Args:
        params: with `PREFIX`.
        structure: without values.
        layer: of the trunk, whose activations are attributed.

    Returns:
        A pytree like `Network`.
    """
    features = pure(structure, lambda module, x: module.features(x, layer))
    return Predictor(own(params), pure(structure, lambda module, F: 1 - module.head(F, layer)), features)


def folds(labels: Int[np.ndarray, " n"], count: int, seed: int) -> Int[np.ndarray, " n"]:
    """Deals the images of every class over the folds, as evenly as they go.

    Args:
        labels: of the images.
        count: how many folds.
        seed: of the dealing.

    Returns:
        The fold of every image, 0 to count - 1.
    """
    if count < 2:
        raise InputError(f"{count} folds: expected at least 2")
    fold = np.zeros(len(labels), np.int64)
    rng = np.random.default_rng((seed, 2))
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        fold[members] = (np.arange(len(members)) + rng.integers(count)) % count
    return fold


def cross_fit(
    fit_and_predict: Callable[[Bool[np.ndarray, " n"]], Float[np.ndarray, " n"]], fold: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """A held-out value for every image.

    Args:
        fit_and_predict: which images to train on -> values for *all* images; those of the others are kept.
        fold: of every image.
    """
    values = np.zeros(len(fold), np.float32)
    for number in np.unique(fold):
        values[fold == number] = fit_and_predict(fold != number)[fold == number]
    return values


def train(
    activations: Float[np.ndarray, "n d"],
    probability: Float[np.ndarray, " n"],
    *,
    widths: tuple[int, ...],
    seed: int,
    steps: int = 300,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-2,
    dropout: float = 0.5,
    loss: PredictorLoss = losses.hardness_cross_entropy,
) -> Params:
    """Trains a predictor on frozen activations; the same arguments give the same bits.

    Args:
        activations: their means over the positions, which is all that the predictor reads, [n, d].
        probability: held-out p of the true class.
        widths: of the hidden layers.
        seed: of kernels, dropout and order.
        steps: of AdamW.
        batch_size: at most.
        learning_rate: falls to zero along a cosine.
        weight_decay: of AdamW.
        dropout: the share of hidden units dropped.
        loss: `losses.hardness_cross_entropy`, or the authors' `losses.predictor_loss`.

    Returns:
        Its parameters, with `PREFIX`.
    """
    structure = module(activations.shape[-1], widths, dropout)
    expected, run = architectures.shapes(structure), architectures.training_forward(structure)

    def objective(params: Params, batch: dict[str, Array], key: Array):
        k, statistics = run(params, batch["image"], key)
        return loss(k, batch["probability"], None), (statistics, {})

    optimiser = optax.adamw(optax.cosine_decay_schedule(learning_rate, steps), weight_decay=weight_decay)
    trained = tuple(name for name in expected if not name.endswith((".mean", ".var")))
    params = draw(expected, seed)
    # Half-way between 0 and 1 for every image: no unit of the last layer is saturated at the start.
    last = f"linears.{len(widths)}.kernel"
    params[last] = 0.1 * params[last]
    state = initial_state(params, trained, optimiser)
    step = jax.jit(make_step(objective, optimiser, seed), donate_argnums=0)
    count, rng = len(probability), np.random.default_rng((seed, 3))
    for _ in range(steps):
        rows = rng.choice(count, min(batch_size, count), replace=False)
        batch = {"image": activations[rows][:, None, None, :], "probability": probability[rows]}
        state, _ = step(state, batch)
    return prefixed(state.params)


def predict(
    params: Mapping[str, Any], activations: Float[np.ndarray, "n d"], structure: HardnessPredictor
) -> Float[np.ndarray, " n"]:
    """The hardness k of every row of mean activations."""
    predictor = as_confidence(params, structure)
    return 1 - np.asarray(jax.jit(predictor.head)(predictor.params, activations[:, None, None, :]))
