"""The hardness predictor on frozen activations, trained on images that the classifier was *not* fitted to.

On its own training images a classifier is nearly always right and sure, so that their true-class probability says
nothing about hardness. Here the targets come from held-out images: a validation split, or cross-fitting, where every
training image is judged by a classifier that was trained without its fold.
"""

from collections.abc import Callable, Iterator

import jax
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from galore.errors import InputError
from galore.models.factory import draw
from galore.training import forward, hardness, losses
from galore.training.forward import Params
from galore.training.step import initial_state, make_step

PredictorLoss = Callable[[Float[Array, " B"], Float[Array, " B"], Bool[Array, " B"] | None], Float[Array, ""]]


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


def fit_predictor(
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
        Its parameters, with `hardness.PREFIX`.
    """
    module = hardness.module(activations.shape[-1], widths, dropout)
    shapes = forward.shapes(module)
    run = forward.training_forward(module)

    def objective(params: Params, batch: dict[str, Array], key: Array):
        k, statistics = run(params, batch["image"], key)
        return loss(k, batch["probability"], None), (statistics, {})

    optimiser = optax.adamw(optax.cosine_decay_schedule(learning_rate, steps), weight_decay=weight_decay)
    trained = tuple(name for name in shapes if not name.endswith((".mean", ".var")))
    params = draw(shapes, seed)
    # Half-way between 0 and 1 for every image: no unit of the last layer is saturated at the start.
    last = f"linears.{len(widths)}.kernel"
    params[last] = 0.1 * params[last]
    state = initial_state(params, trained, optimiser)
    step = jax.jit(make_step(objective, optimiser, seed), donate_argnums=0)
    for rows in _rows(len(probability), min(batch_size, len(probability)), steps, seed):
        batch = {"image": activations[rows][:, None, None, :], "probability": probability[rows]}
        state, _ = step(state, batch)
    return hardness.prefixed(state.params)


def predict(params: Params, activations: Float[np.ndarray, "n d"], widths: tuple[int, ...]) -> Float[np.ndarray, " n"]:
    """The hardness k of every row of mean activations."""
    predictor = hardness.as_confidence(params, activations.shape[-1], widths)
    return 1 - np.asarray(jax.jit(predictor.head)(predictor.params, activations[:, None, None, :]))


def _rows(count: int, batch_size: int, steps: int, seed: int) -> Iterator[Int[np.ndarray, " b"]]:
    rng = np.random.default_rng((seed, 3))
    for _ in range(steps):
        yield rng.choice(count, batch_size, replace=False)
