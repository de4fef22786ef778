"""The one place that knows the frameworks: any model as a pure function whose layers are marked by their names.

No framework is imported before a model of it arrives.
"""

import dataclasses
import functools
import importlib
import inspect
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from galore.cutting.program import mark
from galore.errors import InputError
from galore.network import fingerprint, floating_params, pure

Call = Callable[[Any, Any], Any]
"""`(model, x) -> output`."""

IN_EVALUATION = {
    "deterministic": True,
    "inference": True,
    "is_training": False,
    "train": False,
    "training": False,
    "use_running_average": True,
}
"""What models call it when they are not being trained; given to those that take it."""

SOURCES_OF_CHANCE = frozenset({"key", "rng", "rngs"})
"""Given as None where a model insists on one: in evaluation nothing is drawn."""


@dataclasses.dataclass(frozen=True)
class Model:
    """A model as `function(params, x)`; two are the same program where their keys are equal.

    Attributes:
        function: of the parameters and an image, or a batch of one; what its layers return is marked.
        params: any pytree.
        key: what the function was made of.
        name: for messages and reports.
        takes_batches: whether such models usually want a batch axis.
    """

    function: Callable[[PyTree, Any], Any] = dataclasses.field(compare=False)
    params: PyTree = dataclasses.field(compare=False)
    key: Hashable
    name: str
    takes_batches: bool = True


def understood(
    model: Any, params: PyTree | None, variables: PyTree | None, call: Call | None, keywords: Mapping[str, Any]
) -> Model:
    """A model of any framework.

    Args:
        model: a module of flax.nnx, flax.linen, equinox, keras on JAX or torch, what `haiku.transform` gave, an ONNX
            model, or a function `(params, x) -> output`.
        params: those of a function or of haiku.
        variables: those of a linen module.
        call: `(model, x) -> output`; None: the model itself is called.
        keywords: handed to the model's call.

    Raises:
        InputError: it is none of these, its parameters are missing, or what it needs is not installed.
    """
    for kind, adapter in _ADAPTERS.items():
        if any(f"{base.__module__}.".startswith(f"{kind}.") for base in type(model).__mro__):
            return adapter(model, params, variables, call, dict(keywords))
    if callable(model):
        return _function(model, params, variables, call, dict(keywords))
    raise InputError(
        f"a model of type {type(model).__name__}: expected a module of flax, equinox, haiku, keras or torch, an ONNX "
        "model, or a function (params, image) -> logits"
    )


def _nnx(module: Any, params: PyTree, variables: PyTree, call: Call | None, keywords: dict[str, Any]) -> Model:
    from flax import nnx

    _refuse(params=params, variables=variables)
    run = call or _called(type(module).__call__, keywords)

    def marked(merged: Any, x: Any) -> Any:
        for path, part in nnx.iter_modules(merged):
            _mark_calls(part, ".".join(map(str, path)))
        return run(merged, x)

    # The same structure, constants and call make the same function, whenever the marks were put into it.
    key = (pure(module, call or _whole).key, _of(keywords))
    return Model(pure(module, marked), floating_params(module), key, type(module).__name__)


def _linen(module: Any, params: PyTree, variables: PyTree, call: Call | None, keywords: dict[str, Any]) -> Model:
    from flax import linen

    _refuse(params=params)
    _require(variables, "variables", "a linen module", "what module.init gave, or a checkpoint")
    run = call or _called(type(module).__call__, keywords)

    def intercept(method: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        result = method(*args, **kwargs)
        path = "/".join(context.module.path)
        return mark(result, path) if context.method_name == "__call__" and path else result

    def function(values: PyTree, x: Any) -> Any:
        with linen.intercept_methods(intercept):
            return module.apply(values, x, method=run)

    return Model(function, variables, ("linen", module, call, _of(keywords)), type(module).__name__)


def _equinox(model: Any, params: PyTree, variables: PyTree, call: Call | None, keywords: dict[str, Any]) -> Model:
    import equinox

    _refuse(params=params, variables=variables)
    run = call or _called(type(model).__call__, keywords)
    arrays, static = equinox.partition(equinox.nn.inference_mode(model), equinox.is_array)
    named = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(arrays)}
    structure = jax.tree.structure(arrays)

    def function(values: PyTree, x: Any) -> Any:
        whole = equinox.combine(jax.tree.unflatten(structure, [values[name] for name in named]), static)
        for name, part in _parts(whole, ""):
            _mark_calls(part, name)
        return run(whole, x)

    # Whatever is no array is part of the structure, but for functions, which are compared as themselves.
    key = ("equinox", structure, fingerprint(static), call, _of(keywords))
    return Model(function, named, key, type(model).__name__, takes_batches=False)


def _parts(module: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The modules of equinox inside a module, by their path, inner ones too."""
    import equinox

    entries: Any = ()
    if isinstance(module, equinox.Module):
        entries = ((field.name, getattr(module, field.name, None)) for field in dataclasses.fields(module))
    elif isinstance(module, list | tuple):
        entries = enumerate(module)
    elif isinstance(module, dict):
        entries = module.items()
    for name, part in entries:
        inside = f"{path}.{name}" if path else str(name)
        if isinstance(part, equinox.Module) and callable(part):
            yield inside, part
        yield from _parts(part, inside)


def _haiku(model: Any, params: PyTree, variables: PyTree, call: Call | None, keywords: dict[str, Any]) -> Model:
    import haiku

    _refuse(variables=variables)
    _require(params, "params", "a haiku model", "what init gave")
    with_state = isinstance(model, haiku.TransformedWithState)
    state = keywords.pop("state", None)
    if with_state and state is None:
        raise InputError("state= is missing: a haiku model with state needs what init gave beside the parameters")
    values = {"params": params, "state": state} if with_state else params

    def intercept(method: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        result = method(*args, **kwargs)
        return mark(result, context.module.module_name) if context.method_name == "__call__" else result

    def function(values: PyTree, x: Any) -> Any:
        with haiku.intercept_methods(intercept):
            if call is not None:
                return call(model, x)
            if with_state:
                return model.apply(values["params"], values["state"], None, x, **keywords)[0]
            return model.apply(values, None, x, **keywords)

    return Model(function, values, ("haiku", model, call, _of(keywords)), "the haiku model")


def _keras(model: Any, params: PyTree, variables: PyTree, call: Call | None, keywords: dict[str, Any]) -> Model:
    import keras

    _refuse(params=params, variables=variables, call=call)
    if keras.config.backend() != "jax":
        raise InputError(
            f"keras runs on {keras.config.backend()}: set KERAS_BACKEND=jax in the environment before keras is imported"
        )
    groups = {"trainable": model.trainable_variables, "fixed": model.non_trainable_variables}
    values = {group: {v.path: v.value for v in variables} for group, variables in groups.items()}
    options = {"training": False, **keywords}

    def function(values: PyTree, x: Any) -> Any:
        given = ([values[group][v.path] for v in variables] for group, variables in groups.items())
        with _marked_keras_layers(model):
            return model.stateless_call(*given, x, **options)[0]

    return Model(function, values, ("keras", model, _of(keywords)), model.name)


class _marked_keras_layers:
    """While inside, every layer of a model marks what it returns: its own `call` is replaced, for this model alone."""

    def __init__(self, model: Any) -> None:
        self.layers = list(model._flatten_layers(include_self=False))

    def __enter__(self) -> None:
        for layer in self.layers:
            original = layer.call
            object.__setattr__(layer, "call", _marking(original, layer.name))

    def __exit__(self, *_: Any) -> None:
        for layer in self.layers:
            object.__delattr__(layer, "call")


def _marking(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def marked(*args: Any, **kwargs: Any) -> Any:
        return mark(function(*args, **kwargs), name)

    return marked


def _torch(module: Any, params: PyTree, variables: PyTree, call: Call | None, keywords: dict[str, Any]) -> Model:
    _refuse(params=params, variables=variables, call=call)
    torchax = _installed("torchax", "a torch module")
    values, run = torchax.extract_jax(module)
    environment = torchax.default_env()

    def marks(name: str) -> Callable[[Any, Any, Any], Any]:
        return lambda module, given, result: environment.j2t_iso(mark(environment.t2j_iso(result), name))

    def function(values: PyTree, x: Any) -> Any:
        parts = dict(module.named_modules())
        modes = {part: part.training for part in parts.values()}
        hooks = [part.register_forward_hook(marks(name)) for name, part in parts.items() if name]
        module.eval()
        try:
            return run(values, (x,), keywords)
        finally:
            for hook in hooks:
                hook.remove()
            for part, mode in modes.items():
                part.training = mode

    return Model(function, values, ("torch", module, _of(keywords)), type(module).__name__)


def _onnx(model: Any, params: PyTree, variables: PyTree, call: Call | None, keywords: dict[str, Any]) -> Model:
    _refuse(params=params, variables=variables, call=call)
    _installed("jaxonnxruntime", "an ONNX model")
    backend = importlib.import_module("jaxonnxruntime.call_onnx")
    initial = {tensor.name for tensor in model.graph.initializer}
    (entry, *_) = [value for value in model.graph.input if value.name not in initial]
    shape = [dimension.dim_value or 1 for dimension in entry.type.tensor_type.shape.dim]
    run, values = backend.call_onnx_model(model, {entry.name: np.zeros(shape, np.float32)})

    def function(values: PyTree, x: Any) -> Any:
        returned = run(values, {entry.name: x})
        return returned[0] if len(returned) == 1 else returned

    return Model(function, values, ("onnx", model, _of(keywords)), "the ONNX model")


def _function(model: Any, params: PyTree, variables: PyTree, call: Call | None, keywords: dict[str, Any]) -> Model:
    _refuse(variables=variables)
    name = getattr(model, "__name__", type(model).__name__)
    _require(params, "params", f"the function {name}", "its first argument; {} where it has none")

    def function(values: PyTree, x: Any) -> Any:
        return model(values, x, **keywords) if call is None else call(functools.partial(model, values), x)

    return Model(function, params, ("function", model, call, _of(keywords)), name, takes_batches=False)


_ADAPTERS: dict[str, Callable[..., Model]] = {
    "flax.nnx": _nnx,
    "flax.linen": _linen,
    "equinox": _equinox,
    "haiku": _haiku,
    "keras": _keras,
    "torch": _torch,
    "onnx": _onnx,
}


def _of(keywords: Mapping[str, Any]) -> Hashable:
    """Keywords as something to compare by, arrays by what they hold."""
    return fingerprint(dict(keywords))


def _whole(model: Any, x: Any) -> Any:
    """The call of a model that is simply called."""
    return model(x)


def _called(function: Callable[..., Any], keywords: Mapping[str, Any]) -> Call:
    """Calls a model with an image and what it takes to be in evaluation."""
    taken = inspect.signature(function).parameters
    options = {name: value for name, value in IN_EVALUATION.items() if name in taken}
    options |= {
        name: None for name in SOURCES_OF_CHANCE if name in taken and taken[name].default is inspect.Parameter.empty
    }
    options |= keywords
    return lambda model, x: model(x, **options)


_NAME = "_name_in_galore"


def _mark_calls(module: Any, name: str) -> None:
    """From now on this one object marks what it returns; its class is replaced by one that does."""
    if name and type(module).__call__ is not object.__call__:
        object.__setattr__(module, _NAME, name)
        object.__setattr__(module, "__class__", _class_that_marks(type(module)))


@functools.cache
def _class_that_marks(kind: type) -> type:
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = kind.__call__(self, *args, **kwargs)  # pyright: ignore[reportCallIssue]
        name = getattr(self, _NAME, None)
        return result if name is None else mark(result, name)

    return type(kind)(kind.__name__, (kind,), {"__call__": __call__, "__module__": kind.__module__})


def _refuse(**given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise InputError(f"{name}= is given, and the model holds its own or takes them by another name")


def _require(value: Any, option: str, what: str, meaning: str) -> None:
    if value is None:
        raise InputError(f"{option}= is missing: {what} needs {meaning}")


def _installed(package: str, what: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(f"{what} needs the package {package}: pip install {package}") from error
