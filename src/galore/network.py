"""A classifier cut in two: features up to a chosen layer, and the head that turns them into logits."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx
from jax.core import Tracer
from jaxtyping import Array, Float, PyTree

from galore import class_names as naming
from galore import representation
from galore.data.preprocessing import Preprocessing
from galore.errors import InputError

Features = Callable[[PyTree, Float[Array, "H W c"]], Float[Array, "h w d"]]
Head = Callable[[PyTree, Float[Array, "h w d"]], Float[Array, " C"]]

FINEST = 4
"""The largest `detail` of `Network.finer`: sixteen times the pixels."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """Parameters and two pure functions of a *single* example; `jax.vmap(net)` for many.

    A pytree: `params` are its leaves, everything else is static. It may be an argument of `jax.jit`, `jax.vmap` and
    `jax.grad`; replacing the parameters (`dataclasses.replace(net, params=...)`) does not trace anything again.

    Attributes:
        params: any pytree of arrays; others than floating-point numbers, such as keys and counters, are constants.
        features: `(params, image[H, W, c]) -> F[h, w, d]`, the activations at the cut; None where only activations
            are explained.
        head: `(params, F[h, w, d]) -> logits[C]`.
        preprocessing: how a photo becomes `image`; None where the caller takes care of it.
        class_names: a name per logit, or empty.
        layer: the name of the layer at the cut, for reports.
        name: the name of the network, for reports.
        extra_rows: the last rows of F that hold values without a location, such as a transformer's class token; no map
            has them.
    """

    params: PyTree
    features: Features | None = dataclasses.field(metadata={"static": True})
    head: Head = dataclasses.field(metadata={"static": True})
    preprocessing: Preprocessing | None = dataclasses.field(default=None, metadata={"static": True})
    class_names: tuple[str, ...] = dataclasses.field(default=(), metadata={"static": True})
    layer: str = dataclasses.field(default="", metadata={"static": True})
    name: str = dataclasses.field(default="", metadata={"static": True})
    extra_rows: int = dataclasses.field(default=0, metadata={"static": True})

    __repr__ = representation.fields

    def __call__(self, image: Float[Array, "H W c"]) -> tuple[Float[Array, "h w d"], Float[Array, " C"]]:
        """The activations and the logits of one example.

        Raises:
            InputError: as `activation` and `logits`.
        """
        activation = self.activation(image)
        return activation, self.logits(activation)

    def activation(self, image: Float[Array, "H W c"]) -> Float[Array, "h w d"]:
        """The activations of one example alone.

        Raises:
            InputError: the network has no features, or they give anything but numbers [h, w, d].
        """
        if self.features is None:
            raise InputError(f"{self._called} has no features, so it takes activations, no images")
        activation = self.features(self.params, image)
        if not _is_array(activation, 3):
            raise InputError(f"the features of {self._called} give {_described(activation)}, expected floats [h, w, d]")
        return activation

    def logits(self, activation: Float[Array, "h w d"]) -> Float[Array, " C"]:
        """The logits of one example, from its activations. What the head gives is checked by shape and type alone.

        Raises:
            InputError: the head gives anything but one vector of at least two numbers, one per class name.
        """
        logits = self.head(self.params, activation)
        if not _is_array(logits, 1) or len(logits) < 2:
            raise InputError(
                f"the head of {self._called} gives {_described(logits)}, expected floats [C], at least 2 of one example"
            )
        naming.check_count(self.class_names, len(logits), self._called)
        return logits

    def locations(
        self, activation: Float[Array, "rows w d"]
    ) -> tuple[Float[Array, "h w d"], Callable[[Float[Array, "h w d"]], Float[Array, "rows w d"]]]:
        """What maps are made of: the rows of F that hold locations, and what puts others in their place.

        Args:
            activation: F, `extra_rows` included.

        Returns:
            The locations alone, and a function from such to F with the same extra rows.
        """
        if not self.extra_rows:
            return activation, lambda located: located
        rows = activation.shape[0] - self.extra_rows
        return activation[:rows], lambda located: jnp.concatenate([located, activation[rows:]])

    def finer(self, detail: int) -> "Network":
        """The same network, looking at the same square of a photo through `detail` times as many pixels a side.

        F and every map have about `detail` times as many cells a side, at `detail` squared times the cost. The network
        sees things `detail` times as large as it was trained to, so that it may predict other classes.

        Args:
            detail: 1, 2, 3 or 4.

        Raises:
            InputError: another detail, a network without preprocessing, or one that takes images of one size only.
        """
        if detail not in range(1, FINEST + 1):
            raise InputError(f"detail={detail}: expected a whole number from 1 to {FINEST}")
        if detail == 1:
            return self
        if self.preprocessing is None:
            raise InputError(f"detail={detail}: {self._called} has no preprocessing, which says the size of its images")
        preprocessing = self.preprocessing.at(detail * self.preprocessing.crop)
        image = jax.ShapeDtypeStruct((preprocessing.crop, preprocessing.crop, 3), self.dtype)
        try:
            jax.eval_shape(self, image)
        except Exception as error:  # whatever a model of somebody else raises for shapes that do not fit
            raise InputError(
                f"detail={detail}: {self._called} takes no images of {preprocessing.crop} pixels a side, only of "
                f"{self.preprocessing.crop}"
            ) from error
        return dataclasses.replace(self, preprocessing=preprocessing)

    @property
    def dtype(self) -> jnp.dtype:
        """Of the floating-point parameters: that of the first one, float32 where there is none."""
        dtypes = (leaf.dtype for leaf in jax.tree.leaves(self.params) if hasattr(leaf, "dtype"))
        return next((dtype for dtype in dtypes if jnp.issubdtype(dtype, jnp.floating)), jnp.dtype(jnp.float32))

    @property
    def _called(self) -> str:
        return f"the network {self.name or 'given'}"

    def astype(self, dtype: Any) -> "Network":
        """The same network with its floating-point parameters cast, for example to `jnp.bfloat16`; cast images too."""

        def cast(leaf: Any) -> Any:
            array = leaf if hasattr(leaf, "dtype") else jnp.asarray(leaf)
            return array.astype(dtype) if jnp.issubdtype(array.dtype, jnp.floating) else leaf

        return dataclasses.replace(self, params=jax.tree.map(cast, self.params))


class Keyed:
    """A function that equals another one of an equal key, so that what `jit` compiled for one it finds for the other.

    Attributes:
        function: what is called.
        key: all that decides what the function does; where it cannot be hashed, the function equals itself alone.
    """

    def __init__(self, function: Callable[..., Any], key: tuple[Any, ...]) -> None:
        self.function = function
        try:
            # Once: a module of many layers takes milliseconds, and jit asks at every call.
            self.key, self._hash = key, hash(key)
        except TypeError:
            self.key, self._hash = (id(self),), id(self)

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Keyed) or self._hash != other._hash or self.key != other.key:
            return False
        self.key = other.key  # the same object, which the next comparison sees at once
        return True

    def __repr__(self) -> str:
        return representation.short(self.function)


def _is_array(value: Any, dimensions: int) -> bool:
    is_floating = hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jnp.floating)
    return is_floating and value.ndim == dimensions and value.size > 0


def _described(value: Any) -> str:
    """What something is, by type or by shape."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype}[{', '.join(map(str, value.shape))}]"
    return f"a {type(value).__name__}"


def from_nnx(
    module: nnx.Module,
    features: Callable[[Any, Array], Array] | None = None,
    head: Callable[[Any, Array], Array] | None = None,
    *,
    batched: bool = False,
    preprocessing: Preprocessing | None = None,
    class_names: tuple[str, ...] = (),
    layer: str = "",
    name: str = "",
) -> Network:
    """A `Network` from a `flax.nnx` module, seen in evaluation mode; the module itself is left untouched.

    Args:
        module: the module; dropout is off and BatchNorm uses its running statistics in the view that is explained.
        features: `(module, x) -> F`; None: the module's method `.features`.
        head: `(module, F) -> logits`; None: the module's method `.head`.
        batched: the two functions insist on a leading batch axis.
        preprocessing, class_names, layer, name: as in `Network`.

    Returns:
        A network whose `params` are all floating-point variables of the module, BatchNorm statistics included. One
        that is made again of a module alike, with the same functions, is compiled no second time.

    Raises:
        InputError: the module has no `.features` or `.head` and none is given.
    """
    params = floating_params(module)
    calls = (pure(module, features or _method(module, "features")), pure(module, head or _method(module, "head")))
    return Network(
        params,
        *((_single(call) if batched else call) for call in calls),
        preprocessing=preprocessing,
        class_names=class_names,
        layer=layer,
        name=name,
    )


def pure(module: nnx.Module, call: Callable[[Any, Any], Any]) -> Keyed:
    """A function of a `flax.nnx` module, seen in evaluation mode, as a pure function of its parameters.

    Args:
        module: with or without values; only its structure is used.
        call: `(module, x) -> anything`.

    Returns:
        `(params, x) -> anything`, with the floating-point variables by dotted name, as in `from_nnx(module).params`.
        It equals one that was made of the same `call` and a module of the same structure and constants.
    """
    graph, floating, rest = nnx.split(_evaluated(module), is_floating, ...)
    paths, _ = zip(*jax.tree_util.tree_leaves_with_path(floating), strict=True)
    names, structure = [_dotted(path) for path in paths], jax.tree.structure(floating)

    def on_params(params: PyTree, x: Any) -> Any:
        state = jax.tree.unflatten(structure, [params[name] for name in names])
        return call(nnx.merge(graph, state, rest, copy=True), x)

    return Keyed(on_params, ("nnx", graph, structure, fingerprint(rest), call))


def from_linen(
    module: linen.Module,
    variables: PyTree,
    features: Callable[[Any, Array], Array] | None = None,
    head: Callable[[Any, Array], Array] | None = None,
    *,
    batched: bool = False,
    preprocessing: Preprocessing | None = None,
    class_names: tuple[str, ...] = (),
    layer: str = "",
    name: str = "",
) -> Network:
    """A `Network` from a `flax.linen` module and its variables (parameters and BatchNorm statistics).

    Args:
        module: the unbound module.
        variables: what `module.init` gave, or a checkpoint: `{"params": ..., "batch_stats": ...}`.
        features: `(bound module, x) -> F`, for example `lambda m, x: m.features(x, train=False)`; None: the method
            `.features`.
        head: `(bound module, F) -> logits`; None: the method `.head`.
        batched: the two functions insist on a leading batch axis.
        preprocessing, class_names, layer, name: as in `Network`.

    Raises:
        InputError: the module has no `.features` or `.head` and none is given.
    """

    def call(method: Callable[[Any, Array], Array]) -> Callable[[PyTree, Array], Array]:
        def on_params(params: PyTree, x: Array) -> Any:
            return module.apply(params, x, method=method)

        keyed = Keyed(on_params, ("linen", module, method))
        return _single(keyed) if batched else keyed

    return Network(
        params=variables,
        features=call(features or _method(module, "features")),
        head=call(head or _method(module, "head")),
        preprocessing=preprocessing,
        class_names=class_names,
        layer=layer,
        name=name,
    )


def _evaluated(module: nnx.Module) -> nnx.Module:
    """Without dropout, and with BatchNorm by its running statistics."""
    return nnx.view(module, deterministic=True, use_running_average=True, raise_if_not_found=False)


def floating_params(module: nnx.Module) -> dict[str, Any]:
    _, floating, _ = nnx.split(_evaluated(module), is_floating, ...)
    return {_dotted(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(floating)}


def _method(module: Any, name: str) -> Callable[[Any, Array], Array]:
    method: Any = getattr(type(module), name, None)
    if method is None:
        raise InputError(
            f"{type(module).__name__} has no method .{name}; give {name}=, a function of the module and its input"
        )
    return method


def is_floating(path: Any, variable: Any) -> bool:
    value = variable.get_value() if isinstance(variable, nnx.Variable) else variable
    return hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jnp.floating)


def _dotted(path: Any) -> str:
    parts = (str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", "")))) for key in path)
    return ".".join(part for part in parts if part != "value")


def _single(function: Callable[[PyTree, Array], Any]) -> Callable[[PyTree, Array], Any]:
    """A function of one example from a function that wants a batch."""
    return Keyed(lambda params, x: function(params, x[None])[0], ("single", function))


def fingerprint(constants: PyTree) -> tuple[Any, ...]:
    """What a tree of arrays holds, as something to compare by."""
    leaves, structure = jax.tree.flatten(constants)
    return structure, *map(_leaf_fingerprint, leaves)


def _leaf_fingerprint(leaf: Any) -> Any:
    if isinstance(leaf, Tracer):
        return id(leaf)
    if not isinstance(leaf, jax.Array | np.ndarray):
        return leaf
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    values = jax.random.key_data(leaf) if is_key else leaf
    return str(leaf.dtype), leaf.shape, np.asarray(values).tobytes()
