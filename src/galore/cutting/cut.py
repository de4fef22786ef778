"""Any model as a `Network`, cut at a layer: features record what the layer returns, the head puts F in its place.

The model is traced whole, once per kind of input; either part is the stretch of its operations that it needs. So the
head costs what a head written by hand would, and nobody rewrites a model.
"""

import dataclasses
import functools
import warnings
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from galore.cutting import parts as cutting
from galore.cutting.frameworks import Call, Model, understood
from galore.cutting.parts import Parts, Placement
from galore.cutting.program import Program, trace, type_of
from galore.cutting.scores import Scores
from galore.data.preprocessing import Preprocessing
from galore.errors import InputError
from galore.network import Keyed, Network

LEAST_ALIGNMENT = 1e-5
"""Below this, gradient times activation is rounding error alone."""

Choose = Callable[[Any], Any] | str | int


@dataclasses.dataclass(frozen=True)
class Whole:
    """A model as a function `(params, image) -> output` of one example.

    Attributes:
        model: what runs.
        shape, dtype: of the example.
        batched: the model gets a batch of one.
        turned: the model takes channels first; the example has them last.
        choose: of a tuple or dictionary that the model returns, what holds the scores.
    """

    model: Model
    shape: tuple[int, ...]
    dtype: Any
    batched: bool
    turned: bool
    choose: Choose | None

    def traced(self, params: PyTree, dtype: Any) -> Program:
        """The program for parameters of these shapes and an image of a dtype."""
        return trace(self, params, jax.ShapeDtypeStruct(self.shape, dtype))

    def __call__(self, params: PyTree, image: Array) -> Array:
        x = jnp.moveaxis(image, -1, 0) if self.turned else image
        returned = self.model.function(params, x[None] if self.batched else x)
        scores = _chosen(returned, self.choose, self.model.name)
        if not self.batched:
            return scores
        if scores.ndim < 1 or scores.shape[0] != 1:
            raise ValueError(f"of a batch of one it returns shape {list(scores.shape)}, expected [1, C]")
        return scores[0]


def _chosen(returned: Any, choose: Choose | None, name: str) -> Array:
    if callable(choose):
        returned = choose(returned)
    elif choose is not None:
        try:
            returned = returned[choose]
        except (KeyError, IndexError, TypeError) as error:
            raise InputError(f"output={choose!r}: {name} returns {_described(returned)}") from error
    if not hasattr(returned, "shape"):
        raise InputError(f"{name} returns {_described(returned)}: say with output= which holds the scores")
    return returned


def _described(returned: Any) -> str:
    if isinstance(returned, Mapping):
        return f"a dictionary of {', '.join(map(repr, returned))}"
    if isinstance(returned, tuple | list):
        return f"a {type(returned).__name__} of {len(returned)}"
    return f"shape {returned.shape}" if hasattr(returned, "shape") else f"a {type(returned).__name__}"


@dataclasses.dataclass(frozen=True)
class Cut:
    """A model and where it is cut; equal ones are the same functions, so nothing is compiled twice.

    Attributes:
        whole: the model.
        layer: whose result becomes F; None: the last value at which the model can be cut.
        placement: what the caller says of the locations.
        keep_normalisation: whether a softmax or sigmoid at the end stays.
        binary: whether one logit becomes two.
        known: the parts for each kind of parameters and image that came.
    """

    whole: Whole
    layer: str | None
    placement: Placement
    keep_normalisation: bool
    binary: bool
    known: dict[Hashable, Parts] = dataclasses.field(default_factory=dict, init=False, compare=False, repr=False)

    def parts(self, params: PyTree, dtype: Any) -> Parts:
        """The parts of the model for parameters of some dtypes and an image of one."""
        leaves, structure = jax.tree.flatten(params)
        kind = (structure, *map(type_of, leaves), jnp.dtype(dtype))
        if kind not in self.known:
            self.known[kind] = self._parts(self.whole.traced(params, dtype))
        return self.known[kind]

    def _parts(self, program: Program) -> Parts:
        scores = cutting.scores_of(program, self.keep_normalisation, self.whole.model.name)
        _check_scores(program, scores, self.binary, self.whole.model.name)
        if self.layer is not None:
            value = cutting.value_of(program, self.layer)
            return cutting.cut_at(program, value, self.layer, self.placement, scores)
        value = next(cutting.bottlenecks(program, scores), None)
        if value is None:
            raise InputError(
                f"{self.whole.model.name} has no value with locations through which everything passes: name a layer; "
                "galore.layers lists them"
            )
        return cutting.cut_at(program, value, "found", self.placement, scores)

    def features(self, params: PyTree, image: Float[Array, "H W c"]) -> Float[Array, "h w d"]:
        """F, of an image."""
        if image.shape != self.whole.shape:
            raise InputError(
                f"{self.whole.model.name} was cut for images of shape {list(self.whole.shape)}, this one has "
                f"{list(image.shape)}: cut it again for those"
            )
        parts = self.parts(params, image.dtype)
        known = parts.program.given(params) | {parts.program.image: image}
        (value,) = parts.program.run(parts.trunk, known, [parts.value])
        return parts.layout.to_locations(value)

    def head(self, params: PyTree, F: Float[Array, "h w d"]) -> Float[Array, " C"]:
        """The logits, of F."""
        is_floating = jnp.issubdtype(self.whole.dtype, jnp.floating)
        parts = self.parts(params, F.dtype if is_floating else self.whole.dtype)
        value = parts.layout.from_locations(F).astype(parts.program.types[parts.value].dtype)
        known = parts.program.given(params) | {parts.value: value}
        (scores,) = parts.program.run(parts.top, known, [parts.scores.value])
        logits = scores.reshape(-1)
        return jnp.concatenate([-logits / 2, logits / 2]) if self.binary else logits


def _check_scores(program: Program, scores: Scores, binary: bool, name: str) -> None:
    """One vector of at least two numbers, or of one where two classes are to be made of it."""
    shape = program.types[scores.value].shape  # type: ignore[index]
    long = [size for size in shape if size != 1]
    if len(long) > 1:
        raise InputError(f"{name} returns shape {list(shape)}, expected one vector of logits; output= chooses another")
    if binary and long:
        raise InputError(f"binary=True: {name} returns {long[0]} numbers, expected one")
    if not binary and not long:
        raise InputError(f"{name} returns a single number: binary=True makes two classes of it")


def cut(
    model: Any,
    layer: str | None = None,
    image: Any = None,
    *,
    params: PyTree | None = None,
    variables: PyTree | None = None,
    call: Call | None = None,
    output: Choose | None = None,
    batched: bool | None = None,
    channels_first: bool | None = None,
    axes: tuple[int, int] | None = None,
    grid: tuple[int, int] | None = None,
    prefix: int = 0,
    binary: bool = False,
    keep_normalisation: bool = False,
    check: bool = True,
    preprocessing: Preprocessing | None = None,
    class_names: tuple[str, ...] = (),
    name: str = "",
    **keywords: Any,
) -> Network:
    """Any model as a `Network`, cut at a layer by its name. `galore.layers` lists the names.

    A softmax, log-softmax or sigmoid at the end is left out, so that the head gives logits. Of a transformer, F holds
    the grid of patches and, in rows of their own behind it, the class token and the like, which no map shows.

    Args:
        model: of flax.nnx, flax.linen, equinox, haiku, keras on JAX, torch (through torchax), an ONNX model (through
            jaxonnxruntime), or any function `(params, image) -> logits`.
        layer: whose result becomes F: a module's path, or, of a function, a `jax.named_scope` or a name given with
            `jax.ad_checkpoint.checkpoint_name`; None: the last one through which everything passes and that has
            locations.
        image: one example, [H, W, c], or as the model takes it; its numbers matter only to the check.
        params: of a function or a haiku model.
        variables: of a linen module.
        call: `(model, x) -> output`, for models that are not simply called.
        output: which of several outputs holds the scores: a key, an index, or a function of them.
        batched: whether the model wants a batch axis; None: whichever works.
        channels_first: whether it takes [c, H, W] while images are [H, W, c]; None: whichever works.
        axes: which axes of the layer's result, batch axis counted, are height and width; None: they are followed from
            the image.
        grid: (h, w) of the tokens that the layer returns; None: likewise.
        prefix: how many tokens come before the grid's, where `grid` is given.
        binary: one logit z becomes two classes, with logits -z/2 and z/2.
        keep_normalisation: explain what a softmax or sigmoid at the end gives, not the logits.
        check: run image and cut once and compare with the model; False saves the time.
        preprocessing, class_names, name: as in `Network`.
        **keywords: handed to the model's call.

    Warns where what the layer returns is normalised before anything else happens, as in front of a transformer's last
    block: gradient times activation is zero there, whatever the image.

    Raises:
        InputError: there is no such layer, it is called more than once or inside a loop, the image reaches the logits
            around it, its locations are unknown, or the model gives no vector of scores.
    """
    whole, values = whole_model(model, image, params, variables, call, output, batched, channels_first, keywords)
    here = Cut(whole, layer, Placement(axes, grid, prefix), keep_normalisation, binary)
    parts = here.parts(values, whole.dtype)
    if check and not isinstance(image, jax.ShapeDtypeStruct):
        here = _checked(here, values, jnp.asarray(image))
        parts = here.parts(values, whole.dtype)
    return Network(
        values,
        Keyed(here.features, ("features", here)),
        Keyed(here.head, ("head", here)),
        preprocessing=preprocessing,
        class_names=class_names,
        layer=layer or _name_of(parts),
        name=name or whole.model.name,
        extra_rows=parts.layout.extra_rows,
    )


def whole_model(
    model: Any,
    image: Any,
    params: PyTree | None,
    variables: PyTree | None,
    call: Call | None,
    output: Choose | None,
    batched: bool | None,
    channels_first: bool | None,
    keywords: Mapping[str, Any],
) -> tuple[Whole, PyTree]:
    """A model as a function of one example, and its parameters; the arguments are those of `cut`."""
    known = understood(model, params, variables, call, keywords)
    return _whole(known, image, batched, channels_first, output), known.params


def _name_of(parts: Parts) -> str:
    """Of a value that was found: the layer that returned it, the scope in which it was made, or what it lies behind."""
    program = parts.program
    names = {value: name for name, values in cutting.named(program).items() for value in values}
    if parts.value in names:
        return names[parts.value]
    made = next(step.scope for step in parts.trunk if parts.value in step.outputs)
    before = [value for step in parts.trunk for value in step.outputs if value in names]
    return made or (f"behind {names[before[-1]]}" if before else "the image")


def _whole(model: Model, image: Any, batched: bool | None, channels_first: bool | None, output: Choose | None) -> Whole:
    """The model as a function of one example: with or without a batch axis, channels last or first, whichever works."""
    if image is None or not hasattr(image, "shape") or not hasattr(image, "dtype"):
        found = "is missing" if image is None else f"is a {type(image).__name__}"
        raise InputError(f"image= {found}: expected one example, an array [H, W, c]")
    shape, dtype = tuple(image.shape), image.dtype
    if len(shape) == 4 and shape[0] == 1:
        raise InputError(f"image of shape {list(shape)}: expected one example without a batch axis, image[0]")
    axes = (True, False) if model.takes_batches else (False, True)
    first: Exception | None = None
    for turned in (False, True) if channels_first is None else (channels_first,):
        for with_batch in axes if batched is None else (batched,):
            whole = Whole(model, shape, dtype, with_batch, turned, output)
            try:
                result = jax.eval_shape(whole, jax.tree.map(type_of, model.params), jax.ShapeDtypeStruct(shape, dtype))
            except InputError:
                raise
            except Exception as error:  # whatever a model raises
                first = first or error
                continue
            if sum(size != 1 for size in result.shape) <= 1:
                return whole
            first = first or InputError(f"it returns shape {list(result.shape)}, expected one vector of logits")
    said = str(first).strip().splitlines()
    reason = f"{type(first).__name__}: {said[0]}" if said else type(first).__name__
    raise InputError(f"{model.name} does not take an image of shape {list(shape)}, {dtype}: {reason}") from first


def _checked(here: Cut, params: PyTree, image: Array) -> Cut:
    """The same cut, after an image went through the model and through its parts; or an earlier one, if none was named.

    Warns where gradient times activation is zero at the layer that was named.

    Raises:
        InputError: features and head together are not the model, or the logits see no location.
    """
    if not _is_normalised_at_once(here, params, image):
        return here
    names = cutting.earlier(here.parts(params, image.dtype))
    others = (dataclasses.replace(here, layer=name) for name in names)
    better = next((there for there in others if not _is_normalised_at_once(there, params, image)), None)
    if here.layer is None and better is not None:
        return better
    warnings.warn(
        f"the logits stay as they are when what {_called(here)} returns grows at a location, since it is normalised "
        "before anything else: gradient times activation is zero there, and its maps are rounding errors"
        + (f"; cut at {better.layer}" if better else ""),
        stacklevel=3,
    )
    return here


def _called(here: Cut) -> str:
    return f"the layer {here.layer}" if here.layer else "the last place that has locations"


def _is_normalised_at_once(here: Cut, params: PyTree, image: Array) -> bool:
    """Whether the logits do not change when the activation of a location grows.

    Raises:
        InputError: features and head together are not the model, or the logits see no location.
    """
    parts, name, layer = here.parts(params, image.dtype), here.whole.model.name, _called(here)
    try:
        run = _quickly_compiled(functools.partial(_run, here), params, image)
    except Exception as error:  # whatever an operation without derivatives raises
        reason = (str(error).strip().splitlines() or [""])[0]
        raise InputError(f"{name} has no gradient behind {layer}: {type(error).__name__}: {reason}") from error
    expected, ours, is_unseen, alignment = run(params, image)
    as_they_are = here.keep_normalisation or parts.scores.normalisation is not None
    if not as_they_are and bool((expected >= 0).all()) and abs(float(expected.sum()) - 1) < 1e-3:
        raise InputError(
            f"{name} returns probabilities, and no logits were found in front of them: cut a model that returns "
            "logits, or explain the probabilities with keep_normalisation=True"
        )
    scale = float(jnp.max(jnp.abs(expected))) or 1.0
    if not np.allclose(expected, ours, rtol=0, atol=1e-4 * scale, equal_nan=True):
        raise InputError(
            f"{name} gives other numbers when it is cut at {layer}, up to "
            f"{float(jnp.max(jnp.abs(expected - ours))):.3g} of {scale:.3g}: it may draw random numbers"
        )
    if bool(is_unseen):
        raise InputError(f"behind {layer} the logits see no location, only what has none: cut earlier")
    return float(alignment) < LEAST_ALIGNMENT and parts.program.types[parts.value].dtype == jnp.float32


def _quickly_compiled(function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    """Compiled for a single call: with less optimisation where the compiler can do with less."""
    lowered = jax.jit(function).lower(*arguments)
    on_cpu = jax.default_backend() == "cpu"
    return lowered.compile(compiler_options={"xla_backend_optimization_level": "0"} if on_cpu else None)


def _run(here: Cut, params: PyTree, image: Array) -> tuple[Array, Array, Array, Array]:
    """What the model returns, what features and head make of it, and what the logits see of the locations.

    The third is whether they see none of them; the fourth the largest |<gradient, activation>| of a location, as a
    share of the largest product of their norms: 0 where an activation is normalised before anything else happens.
    """
    parts = here.parts(params, image.dtype)
    F = here.features(params, image)
    value = parts.layout.from_locations(F).astype(parts.program.types[parts.value].dtype)
    behind = parts.program.needed(parts.program.results, given={parts.value})
    known = parts.program.given(params) | {parts.program.image: image, parts.value: value}
    (ours,) = parts.program.run(behind, known, parts.program.results)
    rows = F.shape[0] - parts.layout.extra_rows
    unseen = here.head(params, F.at[:rows].set(jnp.nan))
    gradient = jax.grad(lambda G: here.head(params, G).max())(F)[:rows]
    products = jnp.abs((gradient * F[:rows]).sum(-1)).max()
    norms = (jnp.linalg.norm(gradient, axis=-1) * jnp.linalg.norm(F[:rows], axis=-1)).max()
    alignment = jnp.where(norms > 0, products / jnp.where(norms > 0, norms, 1), 1)
    return here.whole(params, image).reshape(-1), ours.reshape(-1), jnp.isfinite(unseen).all(), alignment
