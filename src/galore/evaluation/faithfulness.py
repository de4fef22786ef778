"""Does a map point at what the network uses? Editing pixels in its order, and randomising the network.

Deletion and insertion: Petsiuk, Das, Saenko, "RISE", BMVC 2018. Parameter randomisation: Adebayo et al., "Sanity Checks
for Saliency Maps", NeurIPS 2018. Editing towards the true counterfactual is ours: where the same object was drawn
again with one part replaced, the pixels come from that picture instead of from a blank.
"""

import dataclasses
from collections.abc import Callable, Collection

import jax
import jax.extend
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from galore.network import Network
from galore.regions import largest_fraction

Fractions = tuple[float, ...]


def replacement_curve(
    score: Callable[[Float[Array, "H W c"]], Float[Array, "*n"]],
    image: Float[Array, "H W c"],
    other: Float[Array, "H W c"],
    map: Float[Array, "h w"],
    fractions: Fractions,
) -> Float[Array, "T *n"]:
    """The score after the largest fraction of the map's pixels was taken from another picture.

    Deletion: `other` is blank. Insertion: `image` is blank and `other` the picture. True counterfactual: `other` is
    the picture with one part replaced.

    Args:
        score: of an image, the parameters filled in; one number or several.
        image: what is edited.
        other: where the pixels come from.
        map: which pixels first.
        fractions: T region sizes.

    Returns:
        The score at each size, [T, ...].
    """
    size = (image.shape[0], image.shape[1])

    def after(fraction: Float[Array, ""]) -> Array:
        return score(jnp.where(largest_fraction(map, fraction, size)[..., None], other, image))

    return jax.lax.map(after, jnp.asarray(fractions))


def area(curve: Float[Array, "*n T"], fractions: Fractions) -> Float[Array, "*n"]:
    """The area under a curve over the fractions (trapezoidal), divided by their range: a mean height."""
    x = jnp.asarray(fractions)
    return jnp.trapezoid(curve, x, axis=-1) / (x[-1] - x[0])


def blurred(image: Float[Array, "H W c"], side: int = 8) -> Float[Array, "H W c"]:
    """The image with everything but its coarsest side x side pattern taken away: what replaces deleted pixels."""
    small = jax.image.resize(image, (side, side, image.shape[-1]), "linear")
    return jax.image.resize(small, image.shape, "linear")


def order_of_use(net: Network, image: Float[Array, "H W c"]) -> list[str]:
    """The names of the parameters in the order in which the network first uses them, the output's last.

    Args:
        net: whose params are a dict.
        image: an input.
    """
    names, leaves = list(net.params), list(net.params.values())

    def logits(*leaves: Array) -> Array:
        return dataclasses.replace(net, params=dict(zip(names, leaves)))(image)[1]

    jaxpr = jax.make_jaxpr(logits)(*leaves).jaxpr
    position: dict = dict(zip(jaxpr.invars, names))
    used: dict[str, None] = {}
    for equation in jaxpr.eqns:
        for variable in equation.invars:
            if not isinstance(variable, jax.extend.core.Literal) and variable in position:
                used[position[variable]] = None
    return list(used)


def randomise(net: Network, names: Collection[str], key: Key[Array, ""]) -> Network:
    """The network with some parameters drawn anew: each array's own values in random order.

    Shuffling keeps the distribution of every array, so that the network's activations keep their scale.

    Args:
        net: whose params are a dict.
        names: of the parameters to randomise.
        key: of the shuffles.
    """

    def shuffled(name: str, leaf: Array, key: Key[Array, ""]) -> Array:
        if name not in names:
            return leaf
        return jax.random.permutation(key, jnp.asarray(leaf).reshape(-1)).reshape(leaf.shape)

    keys = jax.random.split(key, len(net.params))
    params = {name: shuffled(name, leaf, k) for (name, leaf), k in zip(net.params.items(), keys)}
    return dataclasses.replace(net, params=params)


def rank_correlation(first: Float[Array, "h w"], second: Float[Array, "h w"]) -> Float[Array, ""]:
    """Spearman's correlation of two maps: 1 where they order the locations alike; NaN for a constant map."""
    a, b = _mid_ranks(first.reshape(-1)), _mid_ranks(second.reshape(-1))
    a, b = a - jnp.mean(a), b - jnp.mean(b)
    scale = jnp.sqrt(jnp.sum(a * a) * jnp.sum(b * b))
    return jnp.sum(a * b) / jnp.where(scale == 0, jnp.nan, scale)


def moved(start: Float[Array, "*#n"], edited: Float[Array, "*#n"], goal: Float[Array, "*#n"]) -> Float[Array, "*#n"]:
    """How much of the way from one score to another an edit went: 0 nothing, 1 all of it; NaN where there is no way."""
    way = goal - start
    return (edited - start) / jnp.where(way == 0, jnp.nan, way)


def _mid_ranks(values: Float[Array, " n"]) -> Float[Array, " n"]:
    ascending = jnp.sort(values)
    smaller: Int[Array, " n"] = jnp.searchsorted(ascending, values, side="left")
    return (smaller + jnp.searchsorted(ascending, values, side="right") - 1) / 2
