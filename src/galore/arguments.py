"""What a person gives to an explanation, checked and turned into what the explanation computes with.

Whatever does not fit is told in one sentence that names the argument, what was given and what was expected. What only
shows in the values is told where they are known, outside `jit`.
"""

import operator
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Int

from galore import attribution as attributions
from galore import class_names
from galore import confidence as confidences
from galore.attribution import Attribution
from galore.confidence import Confidence, Predictor
from galore.errors import InputError, closest
from galore.network import Network

ATTRIBUTIONS: dict[str, Attribution] = {
    function.__name__: function
    for function in (
        attributions.gradient_x_activation,
        attributions.integrated_gradients,
        attributions.image_path_integrated_gradients,
        attributions.grad_cam,
        attributions.second_order,
    )
}
CONFIDENCES: dict[str, Confidence] = {
    function.__name__: function for function in (confidences.softmax_score, confidences.certainty)
}

UNSCALED = 10
"""Images whose values lie this many times beyond those of any prepared photo were not prepared."""


def attribution(given: Any, name: str = "attribution") -> Attribution:
    """An attribution function, or the one of this name.

    Raises:
        InputError: it is neither a function nor one of `ATTRIBUTIONS`.
    """
    return _function(
        given, ATTRIBUTIONS, name, "a function (score, F) -> map, or the name of one of galore.attribution"
    )


def confidence(given: Any) -> Confidence | Predictor:
    """A confidence, or the one of this name.

    Raises:
        InputError: it is neither a function, nor one of `CONFIDENCES`, nor a predictor.
    """
    if isinstance(given, Predictor):
        return given
    expected = "a function logits -> s, a Predictor, or the name of one of galore.confidence"
    return _function(given, CONFIDENCES, "confidence", expected)


def _function(given: Any, known: Mapping[str, Callable[..., Any]], name: str, expected: str) -> Callable[..., Any]:
    if isinstance(given, str):
        function = known.get(given.strip().lower().replace("-", "_").replace(" ", "_"))
        if function is None:
            hint = closest(given, known) or f"there are {', '.join(known)}"
            raise InputError(f'{name} "{given}": expected {expected}; {hint}')
        return function
    if not callable(given):
        raise InputError(f"{name} of type {type(given).__name__}: expected {expected}")
    return given


def whole_number(given: Any, name: str, least: int) -> int:
    """A whole number of at least `least`.

    Raises:
        InputError: it is none, or smaller.
    """
    try:
        number = None if isinstance(given, bool) else operator.index(given)
    except TypeError:
        number = None
    if number is None or number < least:
        raise InputError(f"{name}={given!r}: expected a whole number of at least {least}")
    return number


def check_examples(net: Network, images: Any, activations: Any = None, name: str = "images") -> None:
    """Whether images, or activations in their place, are a batch that the network can take, as far as it can be told.

    Args:
        net: the network.
        images: [B, H, W, c], prepared as the network's preprocessing does; None where activations are given.
        activations: [B, h, w, d], or None.
        name: what the images are called.

    Raises:
        InputError: neither is given; they are no arrays, no batch, no numbers, or not as many as each other; images
            that were not prepared for a network that has preprocessing.
    """
    if not isinstance(net, Network):
        raise InputError(
            f"net of type {type(net).__name__}: expected a galore.Network, as galore.load or galore.from_nnx makes one"
        )
    if images is None and activations is None:
        raise InputError(f"neither {name} nor activations are given: expected one of the two")
    if images is not None:
        _check_batch(images, name, "[B, H, W, c]")
        _check_prepared(net, images, name)
    if activations is not None:
        _check_batch(activations, "activations", "[B, h, w, d]")
        if not jnp.issubdtype(activations.dtype, jnp.floating):
            raise InputError(f"activations of type {activations.dtype}: expected floating-point numbers")
        if images is not None and len(images) != len(activations):
            raise InputError(f"{len(images)} {name} and {len(activations)} activations: expected as many")


def _check_batch(array: Any, name: str, expected: str) -> None:
    first = _first(array)
    if isinstance(first, str | bytes | os.PathLike):
        raise InputError(
            f"{name} {first!r}: expected an array {expected}, not a file; galore.data.photo.read_image reads a photo, "
            "and the preprocessing of the network, net.preprocessing.apply, prepares it"
        )
    if not hasattr(array, "dtype") or not hasattr(array, "ndim"):
        raise InputError(f"{name} of type {type(array).__name__}: expected an array {expected}")
    if array.ndim != 4:
        one = f"; for one of them, {name}[None]" if array.ndim == 3 else ""
        raise InputError(f"{name} of shape {tuple(array.shape)}: expected a batch {expected}{one}")
    if not jnp.issubdtype(array.dtype, jnp.number):
        raise InputError(f"{name} of type {array.dtype}: expected numbers")


def _first(given: Any) -> Any:
    return given[0] if isinstance(given, list | tuple) and given else given


def _check_prepared(net: Network, images: Any, name: str) -> None:
    if net.preprocessing is None:
        return
    how = f"prepare photos with net.preprocessing.apply, or {name} of the right size with net.preprocessing.normalise"
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise InputError(f"{name} of type {images.dtype}: the network takes prepared images, floats; {how}")
    if isinstance(images, Tracer):
        return
    ends = net.preprocessing.normalise(np.array([[0, 0, 0], [255, 255, 255]], np.uint8))
    with jax.ensure_compile_time_eval():
        largest = float(jnp.max(jnp.abs(images)))
    if largest > UNSCALED * np.abs(ends).max():
        raise InputError(
            f"{name} with values up to {largest:.4g}: the network takes prepared images, with values from "
            f"{ends.min():.2g} to {ends.max():.2g}; {how}"
        )


def class_indices(net: Network, images: Any, activations: Any, classes: Any, name: str) -> Int[Array, " B"] | None:
    """The classes as one index per example, checked where their values are known.

    Args:
        net: the network, with the names of its classes where it has some.
        images, activations: the examples, checked by `check_examples`.
        classes: one index or one name, or one of them per example; None: they are not given.
        name: of the argument.

    Raises:
        InputError: names that no class has, indices outside the range, no integers, or not as many as the examples.
    """
    if classes is None:
        return None
    count = len(images if activations is None else activations)
    known = not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(classes))
    indices = _indices_of_names(net, classes, name) if known else jnp.asarray(classes)
    if not jnp.issubdtype(indices.dtype, jnp.integer):
        raise InputError(f"{name} of type {indices.dtype}: expected class indices, integers, or names of classes")
    if indices.shape not in ((), (1,), (count,)):
        raise InputError(f"{name} of shape {indices.shape}: expected one class, or one per image ({count})")
    if known:
        logits = _number_of_logits(net, images, activations)
        wrong = [int(index) for index in np.ravel(indices) if not 0 <= index < logits]
        if wrong:
            raise InputError(f"{name} {wrong[0]}: the network has classes 0 to {logits - 1}")
    return jnp.broadcast_to(jnp.asarray(indices, jnp.int32), (count,))


def _number_of_logits(net: Network, images: Any, activations: Any) -> int:
    if activations is None:
        return jax.eval_shape(lambda net, image: net(image)[1], net, images[0]).shape[0]
    return jax.eval_shape(lambda net, F: net.logits(F), net, activations[0]).shape[0]


def _indices_of_names(net: Network, classes: Any, name: str) -> np.ndarray:
    """Classes of which some are names as indices; others as they are."""
    if isinstance(classes, str):
        return np.asarray(_index_of(net, classes, name))
    if isinstance(classes, np.ndarray) and classes.dtype.kind in "UO":
        classes = classes.tolist()
    if isinstance(classes, list | tuple) and any(isinstance(one, str) for one in classes):
        classes = [_index_of(net, one, name) if isinstance(one, str) else one for one in classes]
    try:
        return np.asarray(classes)
    except ValueError:
        raise InputError(f"{name} of unequal lengths: expected one class, or one per image") from None


def _index_of(net: Network, text: str, name: str) -> int:
    if not net.class_names:
        raise InputError(f'{name} "{text}": the network has no class names, expected class indices')
    try:
        return class_names.find(text, net.class_names)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
