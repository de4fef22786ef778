"""Optimisation: a step as a pure function of (state, batch), data-parallel over devices, and the loop around it."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, Key, PyTree, Shaped

from galore.errors import InputError
from galore.training.architectures import Params

Batch = dict[str, Any]
"""The arrays of one batch, each with a leading axis of the global batch: "image", "label", ..., and "valid"."""

Loss = Callable[[Params, Batch, Key[Array, ""]], tuple[Float[Array, ""], tuple[Params, dict[str, Array]]]]
"""`(params, batch, key) -> (loss, (BatchNorm statistics after this batch, metrics))`."""

Progress = dict[str, Any]
"""Where the run stands, besides the `State`: "best" value, "best_step" and "worse", the evaluations since."""

OnRecord = Callable[[dict[str, Any]], Any]
"""Told the metrics of a step or an evaluation, see `fit`."""


class State(NamedTuple):
    """Everything that a step changes; the data order and the random numbers follow from `step` and the seed.

    Attributes:
        trained: the parameters that the optimiser moves, by dotted name.
        others: those it does not: BatchNorm statistics and frozen layers.
        optimiser: the state of the optimiser.
        step: how many steps were taken.
    """

    trained: Params
    others: Params
    optimiser: PyTree
    step: Int[Array, ""]

    @property
    def params(self) -> Params:
        """All parameters."""
        return self.trained | self.others


def initial_state(
    params: Mapping[str, Shaped[Array, "..."]], trained: tuple[str, ...], optimiser: optax.GradientTransformation
) -> State:
    """The state before the first step.

    Args:
        params: all parameters, by dotted name.
        trained: the names of those that are trained.
        optimiser: which moves them.
    """
    moving = {name: jnp.asarray(params[name]) for name in trained}
    others = {name: jnp.asarray(value) for name, value in params.items() if name not in moving}
    return State(moving, others, optimiser.init(moving), jnp.zeros((), jnp.int32))


def make_step(
    loss: Loss, optimiser: optax.GradientTransformation, seed: int
) -> Callable[[State, Batch], tuple[State, dict[str, Array]]]:
    """A pure step `(state, batch) -> (state, metrics)`; jit it with the state donated.

    Args:
        loss: of one batch, see `Loss`.
        optimiser: with the learning-rate schedule inside.
        seed: of dropout; step n draws from `fold_in(key(seed), n)`.

    Returns:
        The step. Its metrics are those of the loss, "loss" before the update, and "update_norm", which is no number
        where the parameters would not be any more.
    """

    def step(state: State, batch: Batch) -> tuple[State, dict[str, Array]]:
        key = jax.random.fold_in(jax.random.key(seed), state.step)

        def of_trained(trained: Params) -> tuple[Array, tuple[Params, dict[str, Array]]]:
            return loss(trained | state.others, batch, key)

        (value, (statistics, metrics)), gradients = jax.value_and_grad(of_trained, has_aux=True)(state.trained)
        updates, optimiser_state = optimiser.update(gradients, state.optimiser, state.trained)
        trained = optax.apply_updates(state.trained, updates)
        others = state.others | {name: value for name, value in statistics.items() if name in state.others}
        norm = jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(updates)))
        metrics = metrics | {"loss": value, "update_norm": norm}
        return State(trained, others, optimiser_state, state.step + 1), metrics  # pyright: ignore

    return step


def device_mesh() -> Mesh:
    """All devices of all processes in a row, over which the batch is split."""
    return Mesh(np.array(jax.devices()), ("batch",))


def check_batch_size(batch_size: int, mesh: Mesh) -> None:
    """Refuses a batch that cannot be split evenly.

    Raises:
        InputError: the global batch is no multiple of the number of devices.
    """
    if batch_size < 1 or batch_size % mesh.size:
        raise InputError(f"batch_size {batch_size}: expected a multiple of the {mesh.size} devices")


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
    on_record: OnRecord = lambda record: None,
) -> tuple[State, Progress]:
    """Takes the steps that remain.

    The step is jitted here, once, with the state donated. What comes out depends on the state, the progress and the
    batches alone: a run that is stopped and resumed from what `save` wrote ends with the same bits.

    Args:
        step: from `make_step`.
        state: the initial one, or that of a checkpoint.
        batches_from: step -> a generator of the batches from that step on, see `training_batches`.
        mesh: the devices.
        steps: at which count to end.
        evaluate: params -> at least "value", the larger the better; None: never.
        evaluate_every: after how many steps.
        patience: how many evaluations without a better value end the run; None: none do.
        save: called with the state, the progress and which of "best" and "last" this is.
        save_every: after how many steps, besides every evaluation and the end.
        progress: that of the checkpoint; None: a new run.
        on_record: told "step", "loss" and other metrics of every step, the "seconds" since the one before, and how
            many of them the devices "waited" for a batch; and those of every evaluation under "validation". A step is
            told once the next one is under way, or before anything is evaluated or saved.

    Returns:
        The state after the last step, and the progress.

    Raises:
        InputError: the loss or the update is not finite; nothing is saved then.
    """
    progress = dict(progress or {"best": -math.inf, "best_step": 0, "worse": 0})
    # A copy, because each step reuses the memory of the state that it is given, and the caller may want his again.
    state = jax.device_put(
        jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), state), NamedSharding(mesh, PartitionSpec())
    )
    compiled = jax.jit(step, donate_argnums=0)
    saved = count = int(state.step)
    underway, tell = None, _teller(on_record)
    with contextlib.closing(batches_from(count)) as batches:  # pyright: ignore[reportArgumentType]
        while count < steps and not (patience is not None and progress["worse"] >= patience):
            before, began = underway, time.perf_counter()
            batch = next(batches)
            waited = 0.0 if before is not None and not before.is_done() else time.perf_counter() - began
            state, metrics = compiled(state, _sharded(batch, mesh))
            count += 1
            underway = _Taken(count, metrics, waited, began)
            # The devices have their next step before the host looks at the last one, so that neither waits.
            if before is not None:
                tell(before, saved)
            evaluates = count == steps or _is_due(count, evaluate_every)
            saves = count == steps or _is_due(count, save_every)
            if saves or (evaluates and evaluate is not None):
                tell(underway, saved)
                underway = None
            links: tuple[str, ...] = ()
            if evaluates and evaluate is not None:
                result = dict(evaluate(state.params))
                is_better = result["value"] > progress["best"]
                progress |= {"best": result["value"], "best_step": count, "worse": 0} if is_better else {}
                progress["worse"] += not is_better
                links = ("best", "last") if is_better else ("last",)
                on_record({"step": count, "validation": result})
            elif saves:
                links = ("last",) if evaluate is not None else ("best", "last")
            if save is not None and links:
                save(state, dict(progress), links)
                saved = count
    return state, progress


def _is_due(count: int, every: int) -> bool:
    return bool(every) and count % every == 0


class _Taken(NamedTuple):
    """A step that the devices were given."""

    count: int
    metrics: dict[str, Array]
    waited: float
    began: float

    def is_done(self) -> bool:
        return self.metrics["loss"].is_ready()  # pyright: ignore[reportAttributeAccessIssue]


def _teller(on_record: OnRecord) -> Callable[[_Taken, int], None]:
    """What waits for a step, tells its record, and refuses one that is no number, given when it was saved last."""
    last = -math.inf

    def tell(taken: _Taken, saved: int) -> None:
        nonlocal last
        values = {name: float(value) for name, value in jax.device_get(taken.metrics).items()}
        if not (math.isfinite(values["loss"]) and math.isfinite(values["update_norm"])):
            raise InputError(
                f"the loss is {values['loss']:g} and the update's norm {values['update_norm']:g} at batch "
                f"{taken.count - 1}; the last checkpoint, after {saved} batches, is kept. Try a smaller learning rate"
            )
        now = time.perf_counter()
        seconds, last = now - max(taken.began, last), now
        on_record({"step": taken.count} | values | {"waited": taken.waited, "seconds": seconds})

    return tell


def _sharded(batch: Mapping[str, Shaped[np.ndarray, "b ..."]], mesh: Mesh) -> Batch:
    """This process's share of the global batch, in host memory, split over its devices."""
    sharding = NamedSharding(mesh, PartitionSpec("batch"))
    return {name: jax.make_array_from_process_local_data(sharding, value) for name, value in batch.items()}
