"""How much each location of an activation contributes to a score: `(score, F[h, w, d]) -> map[h, w]`.

Every method takes a score, a function of `F` that returns one number, or a vector of K numbers. A vector gives K maps
[K, h, w] at hardly more than the price of one, since one linearisation of the score serves them all. Maps are raw:
signed, unnormalised and in float32 whatever the dtype of `F`, or in float64 where it is that. Nothing here is jitted;
wrap the caller in `jax.jit`.

`positive_gradient` clips the gradient at zero before it meets the activation, the sign rule that the papers' code
applies to confidence and difficulty scores, Grad-CAM's excepted. It is one boolean, or one per score. What else a
function needs it declares with `requests`.

Where the head begins with the sum over all locations (global average pooling), the gradient is the same at each of
them: K scores then need K vectors, never K arrays of the size of `F` (`galore.head_structure`).

Source of the definitions: Wang & Vasconcelos, "A Generalized Explanation Framework for Visualization of Deep Learning
Model Predictions", TPAMI 2023; `f_ij` is the d-vector of `F` at location (i, j), `g_ij` the gradient of the score.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from galore.curvature import location_curvature
from galore.errors import InputError
from galore.head_structure import SumFirst, structure, sums_over_locations
from galore.precision import at_least_float32

Score = Callable[[Float[Array, "h w d"]], Float[Array, ""] | Float[Array, " K"]]
Maps = Float[Array, "h w"] | Float[Array, "K h w"]
Clip = bool | Bool[Array, ""] | Bool[Array, " K"] | Bool[np.ndarray, " K"]

Attribution = Callable[..., Array]
"""`(score, F) -> map`, one of this module or your own; called once per score, with nothing else.

One that is decorated with `requests` is given more: with `all_scores=True` all scores at once, as one vector; with
`positive_gradient=True` that and `positive_gradient=` per score; with `image_path=True` the keywords `image=` and
`features=` (image -> F). Functions and `functools.partial`s of them are alike.
"""


class Requests(NamedTuple):
    """What an attribution function is given besides the score and the activation; see `Attribution`."""

    positive_gradient: bool = False
    image_path: bool = False
    all_scores: bool = False


_Function = TypeVar("_Function", bound=Callable[..., Any])


def requests(
    *, positive_gradient: bool = False, image_path: bool = False, all_scores: bool = False
) -> Callable[[_Function], _Function]:
    """Declares what an attribution function is to be given; see `Attribution`."""
    requested = Requests(positive_gradient, image_path, all_scores or positive_gradient)

    def declared(function: _Function) -> _Function:
        function.requests = requested  # pyright: ignore[reportFunctionMemberAccess]
        return function

    return declared


@jax.named_scope("attribution")
def attribute(
    attribution: Attribution,
    scores: Callable[[Float[Array, "h w d"]], Float[Array, " K"]],
    F: Float[Array, "h w d"],
    clipped: Sequence[bool],
    image: Float[Array, "H W c"] | None,
    features: Callable[[Float[Array, "H W c"]], Float[Array, "h w d"]],
) -> Float[Array, "K h w"]:
    """The maps of K scores by any attribution function, with what it requests.

    Args:
        attribution: (score, F) -> map.
        scores: F -> [K].
        F: the activation, [h, w, d].
        clipped: for each score, whether its gradient is clipped at zero, as of confidences; of a function that does
            not take `positive_gradient` the map is clipped instead.
        image: the network's input; None: it is not known.
        features: image -> F.

    Raises:
        InputError: the function follows a path of images and there is none, or it names what it does not request.
    """
    requested = _requests_of(attribution)
    extra: dict[str, Any] = {}
    if requested.image_path:
        if image is None:
            raise InputError(f"{_name(attribution)} follows a path of images: give images, not activations alone")
        extra = {"image": image, "features": features}
    if requested.positive_gradient:
        clip = np.array(clipped) if any(clipped) else False
        return attribution(scores, F, positive_gradient=clip, **extra)
    if requested.all_scores:
        maps = attribution(scores, F, **extra)
    else:
        maps = jnp.stack([attribution(lambda G, k=k: scores(G)[k], F, **extra) for k in range(len(clipped))])
    return jnp.where(jnp.array(clipped)[:, None, None], jax.nn.relu(maps), maps)


def _requests_of(attribution: Attribution) -> Requests:
    function = attribution
    while isinstance(function, functools.partial):
        function = function.func
    declared = getattr(function, "requests", None)
    if declared is not None:
        return declared
    undeclared = {"positive_gradient", "image", "features"} & set(inspect.signature(attribution).parameters)
    if undeclared:
        raise InputError(
            f"{_name(attribution)} takes {min(undeclared)} and does not say whether it is to be given: declare it with "
            "@galore.attribution.requests(positive_gradient=..., image_path=...)"
        )
    return Requests()


def _name(attribution: Attribution) -> str:
    return getattr(attribution, "__name__", None) or _name(getattr(attribution, "func", type(attribution)))


@requests(positive_gradient=True)
def gradient_x_activation(score: Score, F: Float[Array, "h w d"], *, positive_gradient: Clip = False) -> Maps:
    """a_ij = <g_ij, f_ij>, the papers' default.

    Unclipped it is what HiResCAM shows the positive part of (Draelos & Carin, "Use HiResCAM instead of Grad-CAM for
    Faithful Explanations of Convolutional Neural Networks", 2020); with `positive_gradient`, what LayerCAM does (Jiang
    et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", TIP 2021).

    Args:
        score: one number, or K numbers, as a function of the activation.
        F: the activation, [h, w, d].
        positive_gradient: whether the gradient is clipped at zero first, one choice or one per score.

    Returns:
        The map [h, w], or the maps [K, h, w], float32.
    """
    is_known = positive_gradient is False or isinstance(positive_gradient, np.ndarray)
    has_many_scores = is_known and jax.eval_shape(score, F).size > F.shape[0] * F.shape[1]
    if has_many_scores and (of_sums := _of_sums(score, F)) is not None:
        return _by_directions(of_sums, F, np.flatnonzero(positive_gradient))
    return _product(_clip(shared_or_whole_gradient(score, F), positive_gradient), F)


@requests(positive_gradient=True)
def integrated_gradients(
    score: Score,
    F: Float[Array, "h w d"],
    baseline: Float[Array, "h w d"] | None = None,
    steps: int = 50,
    *,
    positive_gradient: Clip = False,
    chunk: int = 64,
) -> Maps:
    """The mean gradient on the straight path from the baseline to F, times (f - f_baseline).

    Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML 2017, in activation space. With the midpoint
    rule used here the map sums to score(F) - score(baseline) up to O(1 / steps^2).

    Args:
        score: one number, or K numbers, as a function of the activation.
        F: the activation, [h, w, d].
        baseline: where the path starts, [h, w, d]; None: zero.
        steps: points on the path.
        positive_gradient: whether each gradient on the path is clipped at zero first, one choice or one per score.
        chunk: points whose gradients are taken at once; bounds the memory.

    Returns:
        The map [h, w], or the maps [K, h, w], float32.
    """
    start = jnp.zeros_like(F) if baseline is None else baseline
    positions = (jnp.arange(steps, dtype=at_least_float32(F)) + 0.5) / steps
    if (of_sums := _of_sums(score, F)) is not None:
        ends = sums_over_locations(start), sums_over_locations(F)
        mean = _mean_gradient(of_sums, *ends, positions, positive_gradient, chunk)
    else:
        mean = _mean_gradient(score, start, F, positions, positive_gradient, chunk)
    return _product(mean, F - start)


@requests(positive_gradient=True, image_path=True)
def image_path_integrated_gradients(
    score: Score,
    F: Float[Array, "h w d"],
    *,
    features: Callable[[Float[Array, "H W c"]], Float[Array, "h w d"]],
    image: Float[Array, "H W c"],
    black: float | Sequence[float] | Float[Array, "..."] = 0.0,
    steps: int = 50,
    positive_gradient: Clip = False,
    chunk: int = 8,
) -> Maps:
    """Integrated gradients as the papers' code takes them: the path runs through *images*, from black to this one.

    The mean of the gradients of the score at F(x_t), x_t = black + t (x - black), t = 0, 1/steps, ..., 1, times
    F(x) - F(black). Costs `steps` + 2 forward passes; not complete, unlike the path in activation space. Where it is
    clipped, it is as in the code of SCOUT and of the NeurIPS paper: the mean gradient at zero, and then its products
    with the change of the activation, before their sum over the channels.

    Args:
        score: one number, or K numbers, as a function of the activation.
        F: the activation of `image`, [h, w, d].
        features: image -> activation, the parameters filled in.
        image: the network's input, [H, W, c].
        black: what a black image becomes as the network's input: one number, one per channel, or an image.
        steps: of the path, which has one more point, the black image.
        positive_gradient: whether mean gradient and products are clipped at zero, one choice or one per score.
        chunk: points at once; bounds the memory.

    Returns:
        The map [h, w], or the maps [K, h, w], float32.
    """
    start = jnp.broadcast_to(jnp.asarray(black, image.dtype), image.shape)
    positions = jnp.arange(steps + 1, dtype=at_least_float32(image)) / steps

    def gradient_at(position: Float[Array, ""]) -> Array:
        return shared_or_whole_gradient(score, features((start + position * (image - start)).astype(image.dtype)))

    mean, change = _mean_of(gradient_at, positions, chunk), F - features(start)
    maps = _product(mean, change)
    if positive_gradient is False:
        return maps
    # Where both are clipped, a product is above zero only where the gradient and the change are.
    return jnp.where(_per_score(positive_gradient, maps), _product(jax.nn.relu(mean), jax.nn.relu(change)), maps)


@requests(all_scores=True)
def grad_cam(score: Score, F: Float[Array, "h w d"], *, positive_gradient: Clip = False) -> Maps:
    """relu(sum_d w_d F_d) with w the mean of the gradient over the locations.

    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017.
    Explanations leave the gradient of a confidence as it is here, as the papers' code does.

    Args:
        score: one number, or K numbers, as a function of the activation.
        F: the activation, [h, w, d].
        positive_gradient: whether the gradient is clipped at zero first, one choice or one per score; another map.

    Returns:
        The map [h, w], or the maps [K, h, w], float32, nowhere negative.
    """
    gradients = _clip(shared_or_whole_gradient(score, F), positive_gradient)
    weights = jnp.mean(gradients, axis=(-3, -2)) if gradients.ndim >= 3 else gradients
    return jax.nn.relu(_product(weights, F))


@requests(positive_gradient=True)
def second_order(
    score: Score,
    F: Float[Array, "h w d"],
    *,
    positive_gradient: Clip = False,
    absolute_curvature: bool = False,
    chunk: int = 256,
) -> Maps:
    """a_ij = <g_ij, f_ij> + 1/2 f_ij' H_ij f_ij, with H_ij the d x d Hessian block of location (i, j); exact.

    The quadratic form is the second derivative of the score along F masked to the location, so no Hessian exists at
    any time: h * w second-order directional derivatives in forward mode, through the head alone (`galore.curvature`).
    It is exactly zero where the score is piecewise linear, as the logits of most heads are; probabilities and
    confidences are not.

    Args:
        score: one number, or K numbers, as a function of the activation.
        F: the activation, [h, w, d].
        positive_gradient: whether the gradient in the first term is clipped at zero, one choice or one per score.
        absolute_curvature: take the magnitude of the second term, as the papers' code does.
        chunk: locations at once; bounds the memory.

    Returns:
        The map [h, w], or the maps [K, h, w], float32.
    """
    curvature = location_curvature(score, F, chunk)
    curvature = jnp.abs(curvature) if absolute_curvature else curvature
    return gradient_x_activation(score, F, positive_gradient=positive_gradient) + 0.5 * curvature


def smooth(
    attribution: Attribution, key: Key[Array, ""], *, samples: int = 25, sigma: float = 0.15, chunk: int = 8
) -> Attribution:
    """An attribution function: the mean of the maps of another one at noisy activations.

    The averaging of Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017, which puts its noise on the
    image and averages gradients. Here the noise is on the activation and maps are averaged: the mean of a(F + e), with
    e normal of standard deviation sigma (max F - min F), independent at each location and channel. All scores of an
    image, and all images of a batch, meet the same noise.

    Args:
        attribution: (score, F) -> map, of this module or your own; what it requests it is given. One that follows a
            path of images gets the image as it is.
        key: of the noise.
        samples: how many noisy activations.
        sigma: the standard deviation of the noise, as a share of the range of the activation.
        chunk: samples at once; bounds the memory.

    Returns:
        (score, F) -> map, which requests what `attribution` does.

    Raises:
        InputError: no function, no sample, or a negative sigma.
    """
    if not callable(attribution):
        raise InputError(f"attribution of type {type(attribution).__name__}: expected a function (score, F) -> map")
    if samples < 1 or not sigma >= 0:
        raise InputError(f"samples={samples}, sigma={sigma}: expected at least one sample and no negative sigma")

    @requests(**_requests_of(attribution)._asdict())
    def smoothed(score: Score, F: Float[Array, "h w d"], **requested: Any) -> Maps:
        exact = F.astype(at_least_float32(F))
        deviation = sigma * (jnp.max(exact) - jnp.min(exact))

        def map_at(sample: Int[Array, ""]) -> Maps:
            noise = deviation * jax.random.normal(jax.random.fold_in(key, sample), F.shape, exact.dtype)
            return attribution(score, (exact + noise).astype(F.dtype), **requested)

        return _mean_of(map_at, jnp.arange(samples), chunk)

    smoothed.__name__ = f"smooth({_name(attribution)})"
    return smoothed


def gradient(score: Score, F: Float[Array, "h w d"]) -> Float[Array, "h w d"] | Float[Array, "K h w d"]:
    """The gradient of one score, or of each of K scores, with respect to F: one vjp, K cotangents.

    Args:
        score: one number, or K numbers, as a function of the activation.
        F: the activation, [h, w, d].

    Returns:
        [h, w, d] or [K, h, w, d], in the dtype of F.
    """
    return _gradient(score, F)


def shared_or_whole_gradient(
    score: Score, F: Float[Array, "h w d"]
) -> Float[Array, " d"] | Float[Array, "K d"] | Float[Array, "h w d"] | Float[Array, "K h w d"]:
    """`gradient`, without its axes h and w where the head begins with the sum over all locations.

    Args:
        score: one number, or K numbers, as a function of the activation.
        F: the activation, [h, w, d].

    Returns:
        [d] or [K, d] where it is the same at every location, else [h, w, d] or [K, h, w, d].
    """
    of_sums = _of_sums(score, F)
    return gradient(score, F) if of_sums is None else _gradient(of_sums, sums_over_locations(F))


def _mean_gradient(
    score: Callable[[Array], Array], start: Array, end: Array, positions: Float[Array, " n"], positive: Clip, chunk: int
) -> Array:
    """Of a score on the straight way from start to end, at the given positions between 0 and 1."""

    def gradient_at(position: Float[Array, ""]) -> Array:
        return _clip(_gradient(score, (start + position * (end - start)).astype(end.dtype)), positive)

    return _mean_of(gradient_at, positions, chunk)


def _gradient(score: Callable[[Array], Array], x: Array) -> Array:
    values, pullback = jax.vjp(score, x)
    if values.ndim == 0:
        return pullback(jnp.ones_like(values))[0]
    return jax.vmap(pullback)(jnp.eye(len(values), dtype=values.dtype))[0]


def _of_sums(score: Score, F: Float[Array, "h w d"]) -> Callable[[Float[Array, " d"]], Array] | None:
    """The score as a function of the sums over all locations; None where it depends on more."""
    head = structure(score, F)
    return (lambda sums: head.after(head.project(sums))) if isinstance(head, SumFirst) else None


def _by_directions(
    of_sums: Callable[[Array], Array], F: Float[Array, "h w d"], clipped: Int[np.ndarray, " n"]
) -> Float[Array, "K h w"]:
    """<g_ij, f_ij> as the change of the scores in the direction f_ij: cheaper than K gradients where K > h w.

    The scores at the places `clipped` need their gradients.
    """
    sums = sums_over_locations(F)
    _, change = jax.linearize(of_sums, sums)
    maps = jnp.moveaxis(jax.vmap(jax.vmap(change))(F.astype(sums.dtype)), -1, 0).astype(sums.dtype)
    if not clipped.size:
        return maps
    gradients = _gradient(lambda total: of_sums(total)[clipped], sums)
    return maps.at[clipped].set(_product(jax.nn.relu(gradients), F))


def _product(gradients: Array, F: Float[Array, "h w d"]) -> Maps:
    """<g_ij, f_ij>, of gradients of either shape."""
    axes = "...hwd" if gradients.ndim >= 3 else "...d"
    dtype = at_least_float32(jnp.result_type(gradients, F))
    return jnp.einsum(f"{axes},hwd->...hw", gradients, F, precision="highest", preferred_element_type=dtype)


def _clip(gradients: Array, positive: Clip) -> Array:
    if positive is False:
        return gradients
    return jnp.where(_per_score(positive, gradients), jax.nn.relu(gradients), gradients)


def _per_score(positive: Clip, values: Array) -> Bool[Array, "..."]:
    """One choice, or one per score, against values [K, ...]."""
    chosen = jnp.asarray(positive)
    return chosen.reshape(chosen.shape + (1,) * (values.ndim - chosen.ndim))


def _mean_of(function: Callable[[Array], Array], points: Float[Array, " n"] | Int[Array, " n"], chunk: int) -> Array:
    """The mean of a function over points, at most `chunk` of them in memory at once."""
    count, shape = len(points), jax.eval_shape(function, points[0])
    dtype = at_least_float32(shape)
    if count <= chunk:
        return jnp.mean(jax.vmap(function)(points), axis=0, dtype=dtype)
    whole = count - count % chunk

    def add(total: Array, some: Array) -> tuple[Array, None]:
        return total + jnp.sum(jax.vmap(function)(some), axis=0, dtype=dtype), None

    total, _ = jax.lax.scan(add, jnp.zeros(shape.shape, dtype), points[:whole].reshape(-1, chunk))
    if whole < count:
        total, _ = add(total, points[whole:])
    return total / count
