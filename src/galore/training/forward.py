"""A flax.nnx module in training mode as a pure function of flat, dotted parameters."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key, PyTree

from galore.network import _dotted as dotted
from galore.network import _is_floating as is_floating

Params = dict[str, Float[Array, "..."]]
"""Dotted names, as in `Network.params` of `galore.from_nnx`: {"bn0.mean": ..., "fc.kernel": ...}."""

Forward = Callable[[Params, Any, Key[Array, ""]], tuple[Any, Params]]
"""`(params, inputs, key) -> (outputs, the BatchNorm statistics after this batch)`."""


def training_forward(
    module: nnx.Module, call: Callable[[Any, Any], Any] = lambda module, x: module(x), frozen_statistics: bool = False
) -> Forward:
    """The module in training mode: dropout draws from the key, BatchNorm uses and updates the batch's statistics.

    Under `jax.jit` with a batch sharded over devices, BatchNorm's means are those of the *global* batch: the program
    is the one for a single device, and the compiler inserts the sums across devices.

    Args:
        module: with or without values; only its structure is used.
        call: `(module, inputs) -> outputs`, for instance the head alone on cached activations.
        frozen_statistics: normalise by the running statistics and leave them alone, the usual choice when a trained
            network is tuned on little data.

    Returns:
        `(params, inputs, key) -> (outputs, statistics)` with `statistics` a part of the params, under the same names.
    """
    view = nnx.view(module, deterministic=False, use_running_average=frozen_statistics, raise_if_not_found=False)
    graph, floating, rest = nnx.split(view, is_floating, ...)
    paths, _ = zip(*jax.tree_util.tree_leaves_with_path(floating), strict=True)
    names, structure = [dotted(path) for path in paths], jax.tree.structure(floating)

    def forward(params: Params, inputs: Any, key: Key[Array, ""]) -> tuple[Any, Params]:
        state = jax.tree.unflatten(structure, [params[name] for name in names])
        merged = nnx.merge(graph, state, _with_key(rest, key), copy=True)
        outputs = call(merged, inputs)
        statistics = nnx.state(merged, nnx.BatchStat)
        leaves = jax.tree_util.tree_leaves_with_path(statistics)
        return outputs, {dotted(path): leaf for path, leaf in leaves}

    return forward


def shapes(module: nnx.Module) -> dict[str, jax.ShapeDtypeStruct]:
    """The dotted names and the shapes of a module's floating-point variables."""
    _, floating, _ = nnx.split(module, is_floating, ...)
    leaves = jax.tree_util.tree_leaves_with_path(floating)
    return {dotted(path): jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for path, leaf in leaves}


def used_names(forward: Forward, params: Params, inputs: Any) -> tuple[str, ...]:
    """Which parameters a function reads: those of a head, when only the head is called.

    Args:
        forward: as `training_forward` gives it.
        params: all parameters, or their shapes.
        inputs: an example of its inputs, or its shape.

    Returns:
        Their names, sorted; BatchNorm statistics that are only passed through do not count.
    """
    names = sorted(params)
    traced = jax.make_jaxpr(lambda *leaves: forward(dict(zip(names, leaves)), inputs, jax.random.key(0))[0])
    jaxpr = traced(*(params[name] for name in names)).jaxpr
    read = {id(variable) for equation in jaxpr.eqns for variable in equation.invars}
    read |= {id(variable) for variable in jaxpr.outvars}
    return tuple(name for name, variable in zip(names, jaxpr.invars) if id(variable) in read)


def _with_key(rest: PyTree, key: Key[Array, ""]) -> PyTree:
    """The module's random streams, each restarted from a key of its own."""
    leaves, structure = jax.tree.flatten(rest)
    fresh = [
        jax.random.fold_in(key, position)
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        else jnp.zeros((), leaf.dtype)
        for position, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, fresh)
