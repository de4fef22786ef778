"""How much each location of an activation contributes to a score: `(score, F[h, w, d]) -> map[h, w]`.

Every method takes a score, a function of `F` that returns one number, or a vector of K numbers. A vector gives K maps
[K, h, w] at hardly more than the price of one, since one linearisation of the score serves them all. Maps are raw:
signed, unnormalised and in float32, whatever the dtype of `F`. Nothing here is jitted; wrap the caller in `jax.jit`.

`positive_gradient` clips the gradient at zero before it meets the activation, the sign rule that the papers' code
applies to confidence and difficulty scores. It is one boolean, or one per score. What else a function needs it declares
with `requests`.

Source of the definitions: Wang & Vasconcelos, "A Generalized Explanation Framework for Visualization of Deep Learning
Model Predictions", TPAMI 2023; `f_ij` is the d-vector of `F` at location (i, j), `g_ij` the gradient of the score.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from galore.curvature import location_curvature
from galore.errors import InputError
from galore.head_structure import SumFirst, structure

Score = Callable[[Float[Array, "h w d"]], Float[Array, ""] | Float[Array, " K"]]
Maps = Float[Array, "h w"] | Float[Array, "K h w"]
Clip = bool | Bool[Array, ""] | Bool[Array, " K"]

Attribution = Callable[..., Array]
"""`(score, F) -> map`, one of this module or your own; called once per score, with nothing else.

One that is decorated with `requests` is given more: with `positive_gradient=True` all scores at once, as one vector,
and `positive_gradient=` per score; with `image_path=True` the keywords `image=` and `features=` (image -> F). Functions
and `functools.partial`s of them are alike.
"""


class Requests(NamedTuple):
    """What an attribution function is given besides the score and the activation; see `Attribution`."""

    positive_gradient: bool = False
    image_path: bool = False


_Function = TypeVar("_Function", bound=Callable[..., Any])


def requests(*, positive_gradient: bool = False, image_path: bool = False) -> Callable[[_Function], _Function]:
    """Declares what an attribution function is to be given; see `Attribution`."""

    def declared(function: _Function) -> _Function:
        function.requests = Requests(positive_gradient, image_path)  # pyright: ignore[reportFunctionMemberAccess]
        return function

    return declared


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
        clip = jnp.array(clipped) if any(clipped) else False
        return attribution(scores, F, positive_gradient=clip, **extra)
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

    Args:
        score: one number, or K numbers, as a function of the activation.
        F: the activation, [h, w, d].
        positive_gradient: whether the gradient is clipped at zero first, one choice or one per score.

    Returns:
        The map [h, w], or the maps [K, h, w], float32.
    """
    return _product(_clip(gradient(score, F), positive_gradient), F)


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
    positions = (jnp.arange(steps, dtype=F.dtype) + 0.5) / steps
    head = structure(score, F)
    if isinstance(head, SumFirst):
        # The gradient is that of the sum over the locations, the same at each of them.
        def of_sums(sums: Float[Array, " d"]) -> Array:
            return head.after(head.project(sums))

        mean = _mean_gradient(of_sums, start.sum((0, 1)), F.sum((0, 1)), positions, positive_gradient, chunk)
        return _product(jnp.broadcast_to(mean[..., None, None, :], (*mean.shape[:-1], *F.shape)), F - start)
    return _product(_mean_gradient(score, start, F, positions, positive_gradient, chunk), F - start)


@requests(positive_gradient=True, image_path=True)
def image_path_integrated_gradients(
    score: Score,
    F: Float[Array, "h w d"],
    *,
    features: Callable[[Float[Array, "H W c"]], Float[Array, "h w d"]],
    image: Float[Array, "H W c"],
    black: float | Float[Array, "..."] = 0.0,
    steps: int = 50,
    positive_gradient: Clip = False,
    chunk: int = 8,
) -> Maps:
    """Integrated gradients as the papers' code takes them: the path runs through *images*, from black to this one.

    The gradient of the score is taken at F(x_t), x_t = black + t (x - black), t = 1/steps, ..., 1, averaged, and
    multiplied by F(x) - F(black). Costs `steps` forward passes; not complete, unlike the path in activation space.

    Args:
        score: one number, or K numbers, as a function of the activation.
        F: the activation of `image`, [h, w, d].
        features: image -> activation, the parameters filled in.
        image: the network's input, [H, W, c].
        black: the input that a black image becomes, broadcast to the image (0 where the input is not centred).
        steps: points on the path.
        positive_gradient: whether each gradient on the path is clipped at zero first, one choice or one per score.
        chunk: points at once; bounds the memory.

    Returns:
        The map [h, w], or the maps [K, h, w], float32.
    """
    start = jnp.broadcast_to(jnp.asarray(black, image.dtype), image.shape)
    positions = (jnp.arange(steps, dtype=image.dtype) + 1) / steps

    def gradient_at(position: Float[Array, ""]) -> Array:
        return _clip(gradient(score, features(start + position * (image - start))), positive_gradient)

    return _product(_mean_of(gradient_at, positions, chunk), F - features(start))


@requests(positive_gradient=True)
def grad_cam(score: Score, F: Float[Array, "h w d"], *, positive_gradient: Clip = False) -> Maps:
    """relu(sum_d w_d F_d) with w the mean of the gradient over the locations.

    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017.

    Args:
        score: one number, or K numbers, as a function of the activation.
        F: the activation, [h, w, d].
        positive_gradient: whether the gradient is clipped at zero first, one choice or one per score.

    Returns:
        The map [h, w], or the maps [K, h, w], float32, nowhere negative.
    """
    weights = jnp.mean(_clip(gradient(score, F), positive_gradient), axis=(-3, -2))
    return jax.nn.relu(jnp.einsum("...d,hwd->...hw", weights, F, preferred_element_type=jnp.float32))


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


def gradient(score: Score, F: Float[Array, "h w d"]) -> Float[Array, "h w d"] | Float[Array, "K h w d"]:
    """The gradient of one score, or of each of K scores, with respect to F: one vjp, K cotangents.

    Args:
        score: one number, or K numbers, as a function of the activation.
        F: the activation, [h, w, d].

    Returns:
        [h, w, d] or [K, h, w, d], in the dtype of F.
    """
    return _gradient(score, F)


def _mean_gradient(
    score: Callable[[Array], Array], start: Array, end: Array, positions: Float[Array, " n"], positive: Clip, chunk: int
) -> Array:
    """Of a score on the straight way from start to end, at the given positions between 0 and 1."""

    def gradient_at(position: Float[Array, ""]) -> Array:
        return _clip(_gradient(score, start + position * (end - start)), positive)

    return _mean_of(gradient_at, positions, chunk)


def _gradient(score: Callable[[Array], Array], x: Array) -> Array:
    values, pullback = jax.vjp(score, x)
    if values.ndim == 0:
        return pullback(jnp.ones_like(values))[0]
    return jax.vmap(pullback)(jnp.eye(len(values), dtype=values.dtype))[0]


def _product(gradients: Array, F: Array) -> Array:
    return jnp.einsum("...hwd,hwd->...hw", gradients, F, preferred_element_type=jnp.float32)


def _clip(gradients: Array, positive: Clip) -> Array:
    if positive is False:
        return gradients
    chosen = jnp.asarray(positive)
    chosen = chosen.reshape(chosen.shape + (1,) * (gradients.ndim - chosen.ndim))
    return jnp.where(chosen, jax.nn.relu(gradients), gradients)


def _mean_of(function: Callable[[Array], Array], points: Float[Array, " n"], chunk: int) -> Array:
    """The mean of a function over points, at most `chunk` of them in memory at once."""
    count = len(points)
    if count <= chunk:
        return jnp.mean(jax.vmap(function)(points), axis=0)
    whole = count - count % chunk

    def add(total: Array, some: Array) -> tuple[Array, None]:
        return total + jnp.sum(jax.vmap(function)(some), axis=0), None

    shape = jax.eval_shape(function, points[0])
    total, _ = jax.lax.scan(add, jnp.zeros(shape.shape, shape.dtype), points[:whole].reshape(-1, chunk))
    if whole < count:
        total, _ = add(total, points[whole:])
    return total / count
