"""Does a map point at what the network uses? Editing pixels in its order, and randomising the network.

Deletion and insertion: Petsiuk, Das, Saenko, "RISE", BMVC 2018; by imputation: Rong et al., "A Consistent and Efficient
Evaluation Strategy for Attribution Methods" (ROAD), ICML 2022. Parameter randomisation: Adebayo et al., "Sanity Checks
for Saliency Maps", NeurIPS 2018. Editing towards the true counterfactual is ours: where the same object was drawn
again with one part replaced, the pixels come from that picture instead of from a blank.
"""

import dataclasses
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from galore.errors import InputError, closest
from galore.evaluation.imputation import noisy_linear
from galore.head_program import CALLS, inner, is_variable
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


def imputation_curve(
    score: Callable[[Float[Array, "H W c"]], Float[Array, "*n"]],
    image: Float[Array, "H W c"],
    map: Float[Array, "h w"],
    key: Key[Array, ""],
    fractions: Fractions,
) -> Float[Array, "T *n"]:
    """The score after the largest fraction of the map's pixels was removed and filled from what is left around it.

    Deletion by ROAD: what is filled in looks natural, so that the shape of the removed region tells little.

    Args:
        score: of an image, the parameters filled in; one number or several.
        image: what is edited.
        map: which pixels first.
        key: of the noise on the filled pixels.
        fractions: T region sizes.

    Returns:
        The score at each size, [T, ...].
    """
    size = (image.shape[0], image.shape[1])

    def after(fraction: Float[Array, ""]) -> Array:
        return score(noisy_linear(image, largest_fraction(map, fraction, size), key))

    return jax.lax.map(after, jnp.asarray(fractions))


def mu_fidelity(
    score: Callable[[Float[Array, "H W c"]], Float[Array, ""]],
    image: Float[Array, "H W c"],
    other: Float[Array, "H W c"],
    map: Float[Array, "h w"],
    key: Key[Array, ""],
    size: int,
    *,
    samples: int = 128,
    chunk: int = 16,
) -> Float[Array, ""]:
    """How well the map's sum over random cells tells how much the score falls when they are taken from another picture.

    Pearson's correlation over random sets of cells, all of one size: mu-fidelity (Bhatt et al., "Evaluating and
    Aggregating Feature-based Model Explanations", IJCAI 2020), which is sensitivity-n with n = `size` (Ancona et al.,
    "Towards better understanding of gradient-based attribution methods for Deep Neural Networks", ICLR 2018).

    Args:
        score: of an image, the parameters filled in.
        image: what is edited.
        other: where the pixels of the cells come from; a blank.
        map: the attributions; each cell stands for the pixels nearest to it.
        key: of the sets.
        size: how many cells a set has.
        samples: how many sets.
        chunk: edited images at once; bounds the memory.

    Returns:
        From -1 to 1; NaN where the sums or the scores of all sets are the same.

    Raises:
        InputError: sets of no cell or of all of them, or fewer than two sets.
    """
    if not 0 < size < map.size or samples < 2:
        raise InputError(f"size={size}, samples={samples}: expected 1 to {map.size - 1} cells, and at least 2 sets")
    whole = score(image)

    def one(key: Key[Array, ""]) -> tuple[Array, Array]:
        chosen = (jax.random.permutation(key, map.size) < size).reshape(map.shape)
        pixels = jax.image.resize(chosen.astype(jnp.float32), image.shape[:2], "nearest")[..., None] > 0
        return jnp.sum(jnp.where(chosen, map, 0), dtype=jnp.float32), whole - score(jnp.where(pixels, other, image))

    return _correlation(*jax.lax.map(one, jax.random.split(key, samples), batch_size=chunk))


def area(curve: Float[Array, "*n T"], fractions: Fractions) -> Float[Array, "*n"]:
    """The area under a curve over the fractions (trapezoidal), divided by their range: a mean height."""
    x = jnp.asarray(fractions)
    return jnp.trapezoid(curve, x, axis=-1) / (x[-1] - x[0])


def blurred(image: Float[Array, "H W c"], side: int = 8) -> Float[Array, "H W c"]:
    """The image with everything but its coarsest side x side pattern taken away: what replaces deleted pixels."""
    small = jax.image.resize(image, (side, side, image.shape[-1]), "linear")
    return jax.image.resize(small, image.shape, "linear")


def order_of_use(net: Network, image: Float[Array, "H W c"]) -> list[str]:
    """The names of the parameters in the order in which the image meets them, the output's last.

    What becomes of parameters alone, a cast or a normalised kernel, is no use yet. Parameters that are never met, and
    leaves that are no floating-point numbers, are left out.

    Args:
        net: with any tree of parameters; the name of a leaf is its path, joined by dots.
        image: an input.
    """
    names = _names(net)
    leaves, tree = jax.tree.flatten(net.params)
    floating = [place for place, name in enumerate(names) if name is not None]

    def logits(image: Array, *parameters: Array) -> Array:
        given = dict(zip(floating, parameters))
        params = jax.tree.unflatten(tree, [given.get(place, leaf) for place, leaf in enumerate(leaves)])
        return dataclasses.replace(net, params=params)(image)[1]

    traced = jax.make_jaxpr(logits)(image, *(leaves[place] for place in floating)).jaxpr
    parameters = [_Operand((name,)) for name in names if name is not None]
    used: dict[str, None] = {}
    _follow(traced, [_Operand(sees_image=True), *parameters], used)
    return list(used)


def randomise(net: Network, names: Collection[str] | None, key: Key[Array, ""]) -> Network:
    """The network with some parameters drawn anew: each array's own values in random order.

    Shuffling keeps the distribution of every array, so that the network's activations keep their scale.

    Args:
        net: with any tree of parameters.
        names: of the parameters to randomise, as `order_of_use` gives them; None: all.
        key: of the shuffles.

    Raises:
        InputError: a name that no parameter has.
    """
    known = _names(net)
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        hint = closest(unknown[0], [name for name in known if name is not None])
        raise InputError(f"no parameter is called {unknown[0]}" + (f"; {hint}" if hint else ""))

    def shuffled(name: str | None, leaf: Any, key: Key[Array, ""]) -> Any:
        if name is None or (names is not None and name not in names):
            return leaf
        # By numpy: jax shuffles by sorting, which takes minutes for the hundred million numbers of VGG16's first layer
        # behind the convolutions.
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        return jnp.asarray(rng.permutation(np.asarray(leaf).ravel()).reshape(jnp.shape(leaf)))

    leaves, tree = jax.tree.flatten(net.params)
    params = [shuffled(*one) for one in zip(known, leaves, jax.random.split(key, len(leaves)), strict=True)]
    return dataclasses.replace(net, params=jax.tree.unflatten(tree, params))


def _names(net: Network) -> list[str | None]:
    """The path of each leaf that is floating-point; None for the others."""

    def name(path: Any, leaf: Any) -> str | None:
        is_floating = jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
        return jax.tree_util.keystr(path, simple=True, separator=".") if is_floating else None

    return [name(*one) for one in jax.tree_util.tree_leaves_with_path(net.params)]


class _Operand(NamedTuple):
    """What a value in a traced program is made of: of these parameters, and whether of the image."""

    parameters: tuple[str, ...] = ()
    sees_image: bool = False


def _follow(program: Any, given: list[_Operand], used: dict[str, None]) -> list[_Operand]:
    """What the results of a traced program are made of; adds the parameters that meet the image to `used`, in order."""
    known = dict(zip(program.invars, given, strict=True))
    made_of = lambda variable: known.get(variable, _Operand()) if is_variable(variable) else _Operand()  # noqa: E731
    for equation in program.eqns:
        operands = [made_of(variable) for variable in equation.invars]
        body, together = _body(equation), _Operand((), any(operand.sees_image for operand in operands))
        if body is not None:
            # Where a primitive takes more than its body does, an index of a branch say, that comes first.
            results = _follow(body, operands[len(operands) - len(body.invars) :], used)
        else:
            parameters = dict.fromkeys(name for operand in operands for name in operand.parameters)
            if together.sees_image:
                used.update(parameters)
            results = [together if together.sees_image else _Operand(tuple(parameters))] * len(equation.outvars)
        if equation.primitive.name in LOOPS and together.sees_image:
            results = [together] * len(results)
        known.update(zip(equation.outvars, results, strict=True))
    return [made_of(variable) for variable in program.outvars]


LOOPS = ("scan", "while")
REMATERIALISED = ("checkpoint", "remat", "remat2")
"""The names that `jax.checkpoint` goes by in programs, from version to version."""


def _body(equation: Any) -> Any:
    """The program that an equation runs, with the equation's last operands and its results; None: it has none."""
    name, given = equation.primitive.name, equation.params
    if name in CALLS or name in REMATERIALISED or name == "scan":
        body = inner(equation)
    elif name in ("while", "cond"):
        body = given["body_jaxpr"] if name == "while" else given["branches"][-1]
    else:
        return None
    return getattr(body, "jaxpr", body)


def rank_correlation(first: Float[Array, "h w"], second: Float[Array, "h w"]) -> Float[Array, ""]:
    """Spearman's correlation of two maps: 1 where they order the locations alike; NaN for a constant map."""
    return _correlation(_mid_ranks(first.reshape(-1)), _mid_ranks(second.reshape(-1)))


def complexity(map: Float[Array, "h w"], bins: int = 100) -> Float[Array, ""]:
    """The entropy of the histogram of a map's values, in nats; 0 for a constant map."""
    counts, _ = jnp.histogram(map.reshape(-1), bins)
    return jnp.sum(jax.scipy.special.entr(counts / map.size))


def complexity_rise(before: Float[Array, "h w"], randomised: Float[Array, "h w"], bins: int = 100) -> Float[Array, ""]:
    """How much more complex the map of the wholly randomised network is, as a share of the map's complexity before.

    Efficient MPRT (Hedström et al., "Sanity Checks Revisited: An Exploration to Repair the Model Parameter
    Randomisation Test", 2023): one comparison, no similarity of maps. A map that follows the network gets above 0.

    Args:
        before: of the network; at the image's size (`galore.regions.upsample`) where the cells are few.
        randomised: of the same image by `randomise(net, None, key)`.
        bins: of the histograms, each from the smallest to the largest value of its map.

    Returns:
        At least -1; NaN where the map before is constant.
    """
    simple = complexity(before, bins)
    return (complexity(randomised, bins) - simple) / jnp.where(simple == 0, jnp.nan, simple)


def moved(start: Float[Array, "*#n"], edited: Float[Array, "*#n"], goal: Float[Array, "*#n"]) -> Float[Array, "*#n"]:
    """How much of the way from one score to another an edit went: 0 nothing, 1 all of it; NaN where there is no way."""
    way = goal - start
    return (edited - start) / jnp.where(way == 0, jnp.nan, way)


def _correlation(a: Float[Array, " n"], b: Float[Array, " n"]) -> Float[Array, ""]:
    """Pearson's; NaN where one of them is constant."""
    a, b = a - jnp.mean(a), b - jnp.mean(b)
    scale = jnp.sqrt(jnp.sum(a * a) * jnp.sum(b * b))
    return jnp.sum(a * b) / jnp.where(scale == 0, jnp.nan, scale)


def _mid_ranks(values: Float[Array, " n"]) -> Float[Array, " n"]:
    ascending = jnp.sort(values)
    smaller: Int[Array, " n"] = jnp.searchsorted(ascending, values, side="left")
    return (smaller + jnp.searchsorted(ascending, values, side="right") - 1) / 2
