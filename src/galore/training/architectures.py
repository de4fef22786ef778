"""The networks that can be trained: their structure by name, and a `Network` from trained parameters."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from galore.data.preprocessing import Preprocessing
from galore.errors import InputError, closest
from galore.models.factory import ARCHITECTURES, draw
from galore.models.layers import LayeredNetwork, check_layer
from galore.network import Network, from_nnx
from galore.training.forward import shapes

_NARROW = "_narrow"
_WIDTHS = {"small_cnn": 16, "alexnet": 16, "vgg16_bn": 16, "resnet18": 16}
"""Channels of the first layer of the narrow networks: half of the small CNN's, a quarter of the others'."""

_BUILDERS: dict[str, Callable[..., LayeredNetwork]] = {
    name: architecture.build for name, architecture in ARCHITECTURES.items()
} | {f"{name}{_NARROW}": functools.partial(ARCHITECTURES[name].build, width=width) for name, width in _WIDTHS.items()}


def names() -> tuple[str, ...]:
    """The networks that can be trained."""
    return tuple(_BUILDERS)


def build(name: str, classes: int, *, rngs: nnx.Rngs) -> LayeredNetwork:
    """A network with random values.

    Raises:
        InputError: an unknown name.
    """
    if name not in _BUILDERS:
        hint = closest(name, names())
        raise InputError(
            f"unknown network {name!r}, expected one of {', '.join(names())}" + (f" ({hint})" if hint else "")
        )
    return _BUILDERS[name](classes, rngs=rngs)


@functools.cache
def module(name: str, classes: int) -> LayeredNetwork:
    """The structure of a network, without values.

    Raises:
        InputError: an unknown name.
    """
    return nnx.eval_shape(lambda: build(name, classes, rngs=nnx.Rngs(0)))


def preprocessing(name: str) -> Preprocessing:
    """What a network expects, one of `names()`."""
    return ARCHITECTURES[name.removesuffix(_NARROW)].preprocessing


def classifier(name: str) -> str:
    """The path of a network's last linear layer, one of `names()`."""
    return ARCHITECTURES[name.removesuffix(_NARROW)].classifier


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
    structure = module(name, len(class_names))
    layer = check_layer(structure, layer)
    template = from_nnx(
        structure,
        features=lambda module, x: module.features(x, layer),
        head=lambda module, activation: module.head(activation, layer),
    )
    return Network(
        params=dict(params),
        features=template.features,
        head=template.head,
        preprocessing=preprocessing,
        class_names=class_names,
        layer=layer,
        name=name,
    )


def channels(name: str, layer: str, preprocessing: Preprocessing) -> int:
    """How many channels the activations of a layer have."""
    structure = module(name, 2)
    template = from_nnx(structure, features=lambda module, x: module.features(x, layer))
    image = jax.ShapeDtypeStruct((preprocessing.crop, preprocessing.crop, 3), jnp.float32)
    return jax.eval_shape(template.features, shapes(structure), image).shape[-1]


def through(
    module: LayeredNetwork, x: Float[Array, "*b H W c"], start: str | None, stop: str
) -> Float[Array, "*b h w d"]:
    """The activation of a layer from that of an earlier one (None: from the image)."""
    order = list(module.layers())
    first = 0 if start is None else order.index(check_layer(module, start)) + 1
    for name in order[first : order.index(check_layer(module, stop)) + 1]:
        x = module.layers()[name](x)
    return x
