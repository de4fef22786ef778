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
from galore.precision import Precision, computed, named

Features = Callable[[PyTree, Float[Array, "H W c"]], Float[Array, "h w d"]]
Head = Callable[[PyTree, Float[Array, "h w d"]], Float[Array, " C"]]

FINEST = 4
"""The largest `detail` of `Network.finer`: sixteen crops."""


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
        with jax.named_scope("features"):
            activation = self.features(self.params, image)
        if not _is_array(activation, 3):
            raise InputError(f"the features of {self._called} give {_described(activation)}, expected floats [h, w, d]")
        return activation

    def logits(self, activation: Float[Array, "h w d"]) -> Float[Array, " C"]:
        """The logits of one example, from its activations. What the head gives is checked by shape and type alone.

        Raises:
            InputError: the head gives anything but one vector of at least two numbers, one per class name.
        """
        with jax.named_scope("head"):
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
        """The same network with `detail` times as many cells a side, by crops that overlap.

        It looks at detail x detail crops of the image's size, a `detail`-th of a cell apart, and averages their logits.
        F holds the cells of all crops by their place: cell (i, j) of the crop that is shifted by (y, x) steps stands at
        (detail * i + y, detail * j + x), so that the cells divide the image evenly as before, and maps of F need no
        other treatment. Crops reach beyond the image by less than half a cell; there its edge is repeated.

        Args:
            detail: 1 to `FINEST`; it has to divide the pixels of a cell, which is found out when an image comes.
                The cost of the features is `detail` squared.

        Raises:
            InputError: another detail.
        """
        if detail not in range(1, FINEST + 1):
            raise InputError(f"detail={detail}: expected a whole number from 1 to {FINEST}")
        if detail == 1:
            return self
        one, key = dataclasses.replace(self, params=None), (self.features, self.head, self.extra_rows, detail)

        def features(params: PyTree, image: Float[Array, "H W c"]) -> Float[Array, "rows w d"]:
            net = dataclasses.replace(one, params=params)
            F = jax.eval_shape(net.activation, image)
            steps = (
                _step(image.shape[0], F.shape[0] - one.extra_rows, detail),
                _step(image.shape[1], F.shape[1], detail),
            )
            return _interleaved(jax.vmap(net.activation)(_shifted(image, steps, detail)), detail)

        def head(params: PyTree, F: Float[Array, "rows w d"]) -> Float[Array, " C"]:
            net = dataclasses.replace(one, params=params)
            return jnp.mean(jax.vmap(net.logits)(_by_crop(F, detail)), axis=0)

        return dataclasses.replace(
            self,
            features=None if self.features is None else Keyed(features, ("finer features", *key)),
            head=Keyed(head, ("finer head", *key)),
            extra_rows=detail * self.extra_rows,
        )

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

        return dataclasses.replace(self, params=_cast(self.params, dtype))

    def with_precision(self, precision: Precision | str) -> "Network":
        """The same network, computing as exactly as this, so that every explanation of it does.

        Args:
            precision: "highest", "high", "default", "mixed" or "bfloat16", see `galore.precision.Precision`. What
                JAX is told elsewhere (`jax.default_matmul_precision`) has no say in it any more.

        Raises:
            InputError: another one.
        """
        precision = named(precision)
        features, head = (
            None if function is None else Keyed(computed(function, precision), ("precision", precision, function))
            for function in (self.features, self.head)
        )
        net = dataclasses.replace(self, features=features, head=head)
        return net.astype(jnp.bfloat16) if precision == Precision.BFLOAT16 else net


def _cast(tree: PyTree, dtype: Any) -> PyTree:
    """With its floating-point leaves cast."""

    def cast(leaf: Any) -> Any:
        array = leaf if hasattr(leaf, "dtype") else jnp.asarray(leaf)
        return array.astype(dtype) if jnp.issubdtype(array.dtype, jnp.floating) else leaf

    return jax.tree.map(cast, tree)


def _step(pixels: int, cells: int, detail: int) -> int:
    """How many pixels two neighbouring crops are apart."""
    if pixels % (cells * detail):
        raise InputError(
            f"detail={detail}: {cells} cells on {pixels} pixels cannot be divided by {detail} into whole pixels; try "
            "another layer or detail"
        )
    return pixels // (cells * detail)


def _shifted(image: Float[Array, "H W c"], steps: tuple[int, int], detail: int) -> Float[Array, "crops H W c"]:
    """Crops of the image's size, by row and column of their shift; their mean place is the image's own."""
    beyond = [((detail - 1) * step // 2, -(-(detail - 1) * step // 2)) for step in steps]
    padded = jnp.pad(image, (*beyond, (0, 0)), mode="edge")
    height, width = image.shape[:2]
    places = [(row * steps[0], column * steps[1]) for row in range(detail) for column in range(detail)]
    return jnp.stack([padded[row : row + height, column : column + width] for row, column in places])


def _interleaved(F: Float[Array, "crops h w d"], detail: int) -> Float[Array, "H W d"]:
    """The cells of the crops side by side; rows without a location stay behind the others."""
    _, h, w, d = F.shape
    return F.reshape(detail, detail, h, w, d).transpose(2, 0, 3, 1, 4).reshape(detail * h, detail * w, d)


def _by_crop(F: Float[Array, "H W d"], detail: int) -> Float[Array, "crops h w d"]:
    """The reverse of `_interleaved`."""
    height, width, d = F.shape
    h, w = height // detail, width // detail
    return F.reshape(h, detail, w, detail, d).transpose(1, 3, 0, 2, 4).reshape(detail * detail, h, w, d)


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
