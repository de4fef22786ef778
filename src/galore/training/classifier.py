"""Training a classifier: its objective, its optimiser, and the loop that can be stopped and resumed at any step."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
from jax.sharding import Mesh
from jaxtyping import Array, Float, Key, Shaped

from galore.data.preprocessing import Preprocessing
from galore.errors import InputError
from galore.training import hardness, losses
from galore.training.forward import Forward, Params
from galore.training.step import Batch, Loss, State, is_finite, replicate, shard

Progress = dict[str, Any]
"""Where the run stands, besides the `State`: "best" value, "best_step" and "worse", the evaluations since."""


def objective(forward: Forward, inputs: Callable[[Array], Array], smoothing: float = 0.0) -> Loss:
    """The mean cross-entropy.

    Args:
        forward: the classifier in training mode, inputs -> logits.
        inputs: from a batch's "image" to the classifier's inputs, see `as_input`.
        smoothing: of the labels.
    """

    def loss(params: Params, batch: Batch, key: Key[Array, ""]) -> tuple[Array, tuple[Params, dict[str, Array]]]:
        logits, statistics = forward(params, inputs(batch["image"]), key)
        entropies = losses.cross_entropy(logits, batch["label"], smoothing)
        value = losses.classifier_loss(entropies, jnp.ones_like(entropies), batch["valid"])
        return value, (statistics, {"accuracy": _accuracy(logits, batch)})

    return loss


def joint_objective(
    forward: Forward,
    predictor: Forward,
    inputs: Callable[[Array], Array],
    smoothing: float = 0.0,
    own_trunk: bool = False,
) -> Loss:
    """The authors' joint training: classifier loss + predictor loss, each blind to the other's gradient.

    Args:
        forward: the classifier in training mode, inputs -> (activations, logits).
        predictor: the hardness predictor in training mode, activations -> k; its params stand under
            `hardness.PREFIX`. It reads the activations as they are and sends no gradient into them.
        inputs: from a batch's "image" to the classifier's inputs.
        smoothing: of the labels.
        own_trunk: the predictor reads the inputs instead, through a trunk of its own.
    """

    def loss(params: Params, batch: Batch, key: Key[Array, ""]) -> tuple[Array, tuple[Params, dict[str, Array]]]:
        x = inputs(batch["image"])
        (activation, logits), statistics = forward(params, x, key)
        own, other_key = hardness.own(params), jax.random.fold_in(key, 1)
        k, own_statistics = predictor(own, x if own_trunk else jax.lax.stop_gradient(activation), other_key)
        entropies = losses.cross_entropy(logits, batch["label"], smoothing)
        p = losses.true_class_probability(logits, batch["label"])
        of_classifier = losses.classifier_loss(entropies, k, batch["valid"])
        of_predictor = losses.predictor_loss(k, p, batch["valid"])
        metrics = {
            "accuracy": _accuracy(logits, batch),
            "classifier_loss": of_classifier,
            "predictor_loss": of_predictor,
        }
        return of_classifier + of_predictor, (statistics | hardness.prefixed(own_statistics), metrics)

    return loss


def as_input(preprocessing: Preprocessing) -> Callable[[Array], Array]:
    """From uint8 pixels to the network's inputs, on the device, so that a quarter of the bytes travel there.

    Floating-point arrays are cached activations and pass unchanged.
    """
    mean, std = np.array(preprocessing.mean, np.float32), np.array(preprocessing.std, np.float32)

    def inputs(image: Array) -> Array:
        if jnp.issubdtype(image.dtype, jnp.floating):
            return image.astype(jnp.float32)
        return (image.astype(jnp.float32) / 255 - mean) / std

    return inputs


def authors_optimiser(steps_per_epoch: int, learning_rate: float = 1e-3) -> optax.GradientTransformation:
    """SGD with momentum 0.9 and weight decay 1e-4, the rate falling by 0.95 each epoch; Adam 1e-5, weight decay 1e-3,
    for the predictor.

    Source: the authors' code for GALORE (TPAMI 2023). Their weight decay is torch's, a gradient of the square.
    """
    rate = optax.exponential_decay(checked_rate(learning_rate), steps_per_epoch, 0.95, staircase=True)
    sgd = optax.chain(optax.add_decayed_weights(1e-4), optax.sgd(rate, momentum=0.9))
    adam = optax.chain(optax.add_decayed_weights(1e-3), optax.adam(1e-5))
    return split_optimiser(sgd, adam)


def fast_optimiser(
    steps: int, learning_rate: float = 4e-3, weight_decay: float = 1e-2, predictor_rate: float = 1e-3
) -> optax.GradientTransformation:
    """AdamW with one cycle of the learning rate (Smith & Topin, 2018): up for a fifth of the steps, then down to 0."""
    rate = optax.schedules.cosine_onecycle_schedule(steps, checked_rate(learning_rate), 0.2)
    return split_optimiser(optax.adamw(rate, weight_decay=weight_decay), optax.adamw(predictor_rate, weight_decay=1e-3))


def muon_optimiser(
    steps: int, learning_rate: float = 2e-2, weight_decay: float = 1e-2, predictor_rate: float = 1e-3
) -> optax.GradientTransformation:
    """Muon (Jordan et al., 2024) for the kernels of convolutions, AdamW at a fifth of the rate for everything else; one
    cycle of both rates, up for a tenth of the steps. Learns from few steps, for networks that start from nothing.
    """
    rate = checked_rate(learning_rate)
    kernels = optax.contrib.muon(
        optax.schedules.cosine_onecycle_schedule(steps, rate, 0.1),
        weight_decay=weight_decay,
        adam_learning_rate=optax.schedules.cosine_onecycle_schedule(steps, rate / 5, 0.1),
        adam_weight_decay=weight_decay,
        muon_weight_dimension_numbers=_convolutions,  # pyright: ignore[reportArgumentType]
    )
    return split_optimiser(kernels, optax.adamw(predictor_rate, weight_decay=1e-3))


def split_optimiser(
    classifier: optax.GradientTransformation, predictor: optax.GradientTransformation
) -> optax.GradientTransformation:
    """One optimiser for the classifier's parameters and another for those of the hardness predictor."""

    def labels(params: Mapping[str, Any]) -> dict[str, str]:
        return {name: "predictor" if name.startswith(hardness.PREFIX) else "classifier" for name in params}

    return optax.partition({"classifier": classifier, "predictor": predictor}, labels)  # pyright: ignore


def checked_rate(learning_rate: Any) -> float:
    """The learning rate.

    Raises:
        InputError: it is no number above zero.
    """
    is_number = isinstance(learning_rate, int | float) and not isinstance(learning_rate, bool)
    if not is_number or not 0 < learning_rate < math.inf:
        raise InputError(f"learning_rate {learning_rate!r}: expected a number above 0, such as 0.001")
    return float(learning_rate)


def fit(
    step: Callable[[State, Batch], tuple[State, dict[str, Array]]],
    state: State,
    batches_from: Callable[[int], Iterator[Mapping[str, Shaped[np.ndarray, "b ..."]]]],
    mesh: Mesh,
    *,
    steps: int,
    evaluate: Callable[[Params], Mapping[str, float]] | None = None,
    evaluate_every: int = 0,
    patience: int | None = None,
    save: Callable[[State, Progress, tuple[str, ...]], Any] | None = None,
    save_every: int = 0,
    progress: Progress | None = None,
    on_record: Callable[[dict[str, Any]], Any] = lambda record: None,
) -> tuple[State, Progress]:
    """Takes the steps that remain.

    The step is jitted here, once, with the state donated. What comes out depends on the state, the progress and the
    batches alone: a run that is stopped and resumed from what `save` wrote ends with the same bits.

    Args:
        step: from `make_step`.
        state: the initial one, or that of a checkpoint.
        batches_from: step -> the batches from that step on, see `training_batches`.
        mesh: the devices.
        steps: at which count to end.
        evaluate: params -> at least "value", the larger the better; None: never.
        evaluate_every: after how many steps.
        patience: how many evaluations without a better value end the run; None: none do.
        save: called with the state, the progress and which of "best" and "last" this is.
        save_every: after how many steps, besides every evaluation and the end.
        progress: that of the checkpoint; None: a new run.
        on_record: told "step", "loss" and other metrics of every step, "waited" and "seconds"; and those of every
            evaluation under "validation".

    Returns:
        The state after the last step, and the progress.

    Raises:
        InputError: the loss or the update is not finite; nothing is saved then.
    """
    progress = dict(progress or {"best": -math.inf, "best_step": 0, "worse": 0})
    # A copy, because each step reuses the memory of the state that it is given, and the caller may want his again.
    state = replicate(jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), state), mesh)
    compiled = jax.jit(step, donate_argnums=0)
    count, batches = int(state.step), iter(batches_from(int(state.step)))
    saved = count
    while count < steps and not (patience is not None and progress["worse"] >= patience):
        began = time.perf_counter()
        batch = next(batches)
        waited = time.perf_counter() - began
        state, metrics = compiled(state, shard(batch, mesh))
        count += 1
        if not is_finite(metrics):
            raise InputError(
                f"the loss is {float(metrics['loss']):g} and the update's norm {float(metrics['update_norm']):g} at "
                f"batch {count - 1}; the last checkpoint, after {saved} batches, is kept. Try a smaller learning rate"
            )
        seconds = time.perf_counter() - began
        record = {"step": count, **{name: float(value) for name, value in metrics.items()}}
        on_record(record | {"waited": waited, "seconds": seconds})
        links: tuple[str, ...] = ()
        if evaluate is not None and (count == steps or (evaluate_every and count % evaluate_every == 0)):
            found = dict(evaluate(state.params))
            is_better = found["value"] > progress["best"]
            progress |= {"best": found["value"], "best_step": count, "worse": 0} if is_better else {}
            progress["worse"] += not is_better
            links = ("best", "last") if is_better else ("last",)
            on_record({"step": count, "validation": found})
        elif count == steps or (save_every and count % save_every == 0):
            links = ("last",) if evaluate is not None else ("best", "last")
        if save is not None and links:
            save(state, dict(progress), links)
            saved = count
    close = getattr(batches, "close", None)
    if close is not None:
        close()
    return state, progress


def _convolutions(params: Mapping[str, Any]) -> dict[str, Any]:
    """For Muon: a convolution is a matrix from the inputs under its window to its outputs; None for the rest."""
    window = optax.contrib.MuonDimensionNumbers((0, 1, 2), 3)
    # Depthwise kernels have one input channel, and their channels are not mixed; masked parameters have no shape.
    is_full = {name: len(getattr(value, "shape", ())) == 4 and value.shape[2] > 1 for name, value in params.items()}
    return {name: window if full else None for name, full in is_full.items()}


def _accuracy(logits: Float[Array, "B C"], batch: Batch) -> Float[Array, ""]:
    return losses.masked_mean((jnp.argmax(logits, -1) == batch["label"]).astype(jnp.float32), batch["valid"])
