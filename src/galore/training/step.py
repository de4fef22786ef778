"""One optimisation step as a pure function of (state, batch), data-parallel over a mesh of devices."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, Key, PyTree, Shaped

from galore.errors import InputError
from galore.training.forward import Params

Batch = dict[str, Any]
"""The arrays of one batch, each with a leading axis of the global batch: "image", "label", ..., and "valid"."""

Loss = Callable[[Params, Batch, Key[Array, ""]], tuple[Float[Array, ""], tuple[Params, dict[str, Array]]]]
"""`(params, batch, key) -> (loss, (BatchNorm statistics after this batch, metrics))`."""


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


def replicate(tree: PyTree, mesh: Mesh) -> PyTree:
    """The same values on every device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def shard(batch: Mapping[str, Shaped[np.ndarray, "b ..."]], mesh: Mesh) -> Batch:
    """Splits a batch over the devices.

    Args:
        batch: this process's share of the global batch, in host memory.
        mesh: of all devices.
    """
    sharding = NamedSharding(mesh, PartitionSpec("batch"))
    return {name: jax.make_array_from_process_local_data(sharding, value) for name, value in batch.items()}


def is_finite(metrics: Mapping[str, Array]) -> bool:
    """Whether loss and update are numbers; waits for the step."""
    return math.isfinite(float(metrics["loss"])) and math.isfinite(float(metrics["update_norm"]))
