"""How sure the network is of its prediction: scores s in [0, 1]; their complement is the difficulty.

The two self-referential scores are functions of the logits. The third, easiness, comes from a separate network,
a `Predictor`, with activations of its own (Wang & Vasconcelos, "Towards Realistic Predictors", ECCV 2018).
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from galore import representation
from galore.precision import at_least_float32

Confidence = Callable[[Float[Array, " C"]], Float[Array, ""]]


def softmax_score(logits: Float[Array, "*batch C"]) -> Float[Array, "*batch"]:
    """max_y p_y; its complement is the hesitancy score.

    Args:
        logits: [..., C]; -inf rules a class out.

    Returns:
        Values in (0, 1], float32. The gradients keep float32's relative precision however sure the network is.
    """
    _, others = _below_the_largest(logits)
    return jnp.exp(-jnp.log1p(jnp.sum(others, axis=-1)))


def certainty(logits: Float[Array, "*batch C"]) -> Float[Array, "*batch"]:
    """1 + (1 / log C) sum_y p_y log p_y; its complement is the normalised entropy.

    Args:
        logits: [..., C], at least two classes; -inf rules a class out.

    Returns:
        Values in [0, 1], float32. The gradients keep float32's relative precision however sure the network is.
    """
    margins, others = _below_the_largest(logits)
    log_sum = jnp.log1p(jnp.sum(others, axis=-1))
    entropy = log_sum - jnp.exp(-log_sum) * jnp.sum(others * margins, axis=-1)
    return 1 - entropy / jnp.log(logits.shape[-1])


def _below_the_largest(logits: Float[Array, "*batch C"]) -> tuple[Float[Array, "*batch C"], Float[Array, "*batch C"]]:
    """How far each logit lies below the largest one, and exp of that, 0 for the largest itself.

    Where the network is sure, 1 - max_y p_y is a small number; through a softmax, whose largest entry rounds to 1, its
    gradient would be noise from a margin of about 15 on, and zero from 20 on.
    """
    logits = logits.astype(at_least_float32(logits))
    is_largest = jnp.arange(logits.shape[-1]) == jnp.argmax(logits, axis=-1, keepdims=True)
    largest = jnp.sum(jnp.where(is_largest, logits, 0), axis=-1, keepdims=True)
    # A class that is ruled out, with a logit of -inf, has the probability 0, and 0 log 0 is 0.
    is_out = (logits == -jnp.inf) & (largest > -jnp.inf)
    margins = jnp.where(is_out, 0, logits - largest)
    return margins, jnp.where(is_largest | is_out, 0, jnp.exp(margins))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Predictor:
    """An external judge of the confidence, such as the easiness 1 - hardness(x); a pytree like `Network`.

    Its maps are attributed on its own activations and resized to the classifier's where the two differ.

    Attributes:
        params: any pytree of floating-point arrays.
        head: `(params, F_s[h, w, d]) -> s`, one number in [0, 1].
        features: `(params, image[H, W, c]) -> F_s`; None: the predictor reads the classifier's activations.
    """

    params: PyTree
    head: Callable[[PyTree, Array], Array] = dataclasses.field(metadata={"static": True})
    features: Callable[[PyTree, Array], Array] | None = dataclasses.field(default=None, metadata={"static": True})

    __repr__ = representation.fields
