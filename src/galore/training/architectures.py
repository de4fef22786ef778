"""The networks that can be trained: their structure by name, and as pure functions of flat, dotted parameters."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key, PyTree

from galore.data.preprocessing import Preprocessing
from galore.errors import InputError, closest
from galore.models.factory import ARCHITECTURES, draw
from galore.models.layers import LayeredNetwork, check_layer
from galore.network import Network, from_nnx, is_floating, pure
from galore.network import _dotted as dotted
from galore.training.losses import at_least_float32

Params = dict[str, Float[Array, "..."]]
"""Dotted names, as in `Network.params` of `galore.from_nnx`: {"bn0.mean": ..., "fc.kernel": ...}."""

Forward = Callable[[Params, Any, Key[Array, ""]], tuple[Any, Params]]
"""`(params, inputs, key) -> (outputs, the BatchNorm statistics after this batch)`."""

_WIDTHS = {"small_cnn": 16, "alexnet": 16, "vgg16_bn": 16, "resnet18": 16}
"""Channels of the first layer of the narrow networks: half of the small CNN's, a quarter of the others'."""

_ARCHITECTURES = ARCHITECTURES | {
    f"{name}_narrow": dataclasses.replace(
        ARCHITECTURES[name], build=functools.partial(ARCHITECTURES[name].build, width=width)
    )
    for name, width in _WIDTHS.items()
}


def names() -> tuple[str, ...]:
    """The networks that can be trained."""
    return tuple(_ARCHITECTURES)


def build(name: str, classes: int, *, rngs: nnx.Rngs) -> LayeredNetwork:
    """A network with random values.

    Raises:
        InputError: an unknown name.
    """
    if name not in _ARCHITECTURES:
        hint = closest(name, names())
        raise InputError(
            f"unknown network {name!r}, expected one of {', '.join(names())}" + (f" ({hint})" if hint else "")
        )
    return _ARCHITECTURES[name].build(classes, rngs=rngs)


@functools.cache
def module(name: str, classes: int) -> LayeredNetwork:
    """The structure of a network, without values.

    Raises:
        InputError: an unknown name.
    """
    return nnx.eval_shape(lambda: build(name, classes, rngs=nnx.Rngs(0)))


def preprocessing(name: str) -> Preprocessing:
    """What a network expects, one of `names()`."""
    return _ARCHITECTURES[name].preprocessing


def classifier(name: str) -> str:
    """The path of a network's last linear layer, one of `names()`."""
    return _ARCHITECTURES[name].classifier


def random_params(name: str, classes: int, seed: int) -> dict[str, Float[Array, "..."]]:
    """Parameters to start from, drawn by the seed."""
    return draw(shapes(module(name, classes)), seed)


def network(
    name: str,
    params: Mapping[str, Any],
    *,
    layer: str | None,
    class_names: tuple[str, ...],
    preprocessing: Preprocessing,
) -> Network:
    """A `Network` with these parameters.

    Raises:
        InputError: an unknown name or layer.
    """
    layer = check_layer(module(name, len(class_names)), layer)
    return dataclasses.replace(_template(name, layer, class_names, preprocessing), params=dict(params))


@functools.lru_cache(maxsize=32)
def _template(name: str, layer: str, class_names: tuple[str, ...], preprocessing: Preprocessing) -> Network:
    """The same functions for all trainings of a network, so that what was compiled for one serves the others."""
    return from_nnx(
        module(name, len(class_names)),
        features=lambda module, x: module.features(x, layer),
        head=lambda module, activation: module.head(activation, layer),
        preprocessing=preprocessing,
        class_names=class_names,
        layer=layer,
        name=name,
    )


def channels(name: str, layer: str | None, preprocessing: Preprocessing) -> int:
    """How many channels the activations of a layer have."""
    structure = module(name, 2)
    features = pure(structure, lambda module, x: module.features(x, layer))
    image = jax.ShapeDtypeStruct((preprocessing.crop, preprocessing.crop, 3), jnp.float32)
    return jax.eval_shape(features, shapes(structure), image).shape[-1]


def through(
    module: LayeredNetwork, x: Float[Array, "*b H W c"], start: str | None, stop: str
) -> Float[Array, "*b h w d"]:
    """The activation of a layer from that of an earlier one (None: from the image)."""
    order = list(module.layers())
    first = 0 if start is None else order.index(check_layer(module, start)) + 1
    for name in order[first : order.index(check_layer(module, stop)) + 1]:
        x = module.layers()[name](x)
    return x


def training_forward(
    module: nnx.Module,
    call: Callable[[Any, Any], Any] = lambda module, x: module(x),
    frozen_statistics: bool = False,
    groups: int = 1,
    compute: str = "float32",
) -> Forward:
    """The module in training mode: dropout draws from the key, BatchNorm uses and updates the batch's statistics.

    Under `jax.jit` with a batch sharded over devices, BatchNorm's means are those of the *global* batch: the program
    is the one for a single device, and the compiler inserts the sums across devices.

    Args:
        module: with or without values; only its structure is used.
        call: `(module, inputs) -> outputs`, for instance the head alone on cached activations.
        frozen_statistics: normalise by the running statistics and leave them alone, the usual choice when a trained
            network is tuned on little data.
        groups: into how many parts a batch is cut, each normalised by its own statistics, of which those of the first
            are kept: what torch's `DataParallel` does with so many GPUs.
        compute: the dtype of everything but BatchNorm's statistics; the parameters that come in and the outputs are
            float32 where it is bfloat16.

    Returns:
        `(params, inputs, key) -> (outputs, statistics)` with `statistics` a part of the params, under the same names.
    """
    view = nnx.view(module, deterministic=False, use_running_average=frozen_statistics, raise_if_not_found=False)
    for _, part in nnx.iter_graph(view):
        if isinstance(part, nnx.BatchNorm):
            part.dtype = jnp.dtype(compute)  # else its statistics would make everything behind it float32
    graph, floating, rest = nnx.split(view, is_floating, ...)
    paths, _ = zip(*jax.tree_util.tree_leaves_with_path(floating), strict=True)
    names, structure = [dotted(path) for path in paths], jax.tree.structure(floating)

    def forward(params: Params, inputs: Any, key: Key[Array, ""]) -> tuple[Any, Params]:
        cast = [params[name] if name.endswith((".mean", ".var")) else params[name].astype(compute) for name in names]
        merged = nnx.merge(graph, jax.tree.unflatten(structure, cast), _with_key(rest, key), copy=True)
        outputs = call(merged, jnp.asarray(inputs, compute))
        statistics = nnx.state(merged, nnx.BatchStat)
        leaves = jax.tree_util.tree_leaves_with_path(statistics)
        return jax.tree.map(at_least_float32, outputs), {dotted(path): leaf for path, leaf in leaves}

    return forward if groups == 1 else _in_groups(forward, groups)


def _in_groups(forward: Forward, groups: int) -> Forward:
    """Cuts a batch as `torch.chunk` does: all parts have the same size but the last, which may be smaller."""

    def run(params: Params, inputs: Any, key: Key[Array, ""]) -> tuple[Any, Params]:
        size = -(-len(inputs) // groups)
        count = len(inputs) // size
        equal, rest = inputs[: count * size].reshape(count, size, *inputs.shape[1:]), inputs[count * size :]
        keys = jax.random.split(key, count + 1)
        outputs, statistics = jax.vmap(forward, (None, 0, 0))(params, equal, keys[:-1])
        outputs = jax.tree.map(lambda output: output.reshape(count * size, *output.shape[2:]), outputs)
        if len(rest):
            outputs = jax.tree.map(lambda *parts: jnp.concatenate(parts), outputs, forward(params, rest, keys[-1])[0])
        return outputs, jax.tree.map(lambda leaf: leaf[0], statistics)

    return run


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
