"""The losses of the method, as functions of one batch.

Source: Wang & Vasconcelos, "Towards Realistic Predictors", ECCV 2018, in the form of the authors' code for GALORE
(TPAMI 2023). With p the probability of the true class and k the predicted hardness of each example:

    classifier loss = mean(k * cross-entropy)
    predictor loss  = mean(1 - (1 - p) k - (1 - k) p)

The second is linear in k, with slope 2p - 1: it pulls k to 1 where p < 1/2 and to 0 elsewhere, so that an unbounded
predictor ends as a classifier of errors. `hardness_cross_entropy` is the proper score whose minimum is at k = 1 - p.
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int


def cross_entropy(logits: Float[Array, "B C"], labels: Int[Array, " B"], smoothing: float = 0.0) -> Float[Array, " B"]:
    """-log p of the true class, one per example, float32, in nats.

    Args:
        logits: [B, C].
        labels: [B], 0-based.
        smoothing: the share of the target that is spread over all classes (Szegedy et al., CVPR 2016).
    """
    logits = at_least_float32(logits)
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), smoothing)
    return optax.softmax_cross_entropy(logits, targets)


def at_least_float32(values: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Half precision is not enough for exponentials and means; double precision stays."""
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))


def true_class_probability(logits: Float[Array, "B C"], labels: Int[Array, " B"]) -> Float[Array, " B"]:
    """p of the true class, [B], float32."""
    probabilities = jax.nn.softmax(at_least_float32(logits), axis=-1)
    return jnp.take_along_axis(probabilities, labels[:, None], axis=-1)[:, 0]


def classifier_loss(
    cross_entropies: Float[Array, " B"], hardness: Float[Array, " B"], valid: Bool[Array, " B"] | None = None
) -> Float[Array, ""]:
    """mean(k * cross-entropy), nats; no gradient flows into the hardness.

    Args:
        cross_entropies: [B], nats.
        hardness: k in [0, 1], [B]; ones give the usual loss.
        valid: which examples count; None: all.
    """
    return masked_mean(jax.lax.stop_gradient(hardness) * cross_entropies, valid)


def predictor_loss(
    hardness: Float[Array, " B"], probability: Float[Array, " B"], valid: Bool[Array, " B"] | None = None
) -> Float[Array, ""]:
    """mean(1 - (1 - p) k - (1 - k) p), the authors' loss, in [0, 1]; no gradient flows into the classifier.

    Args:
        hardness: k in [0, 1], [B].
        probability: p of the true class, [B].
        valid: which examples count; None: all.
    """
    p = jax.lax.stop_gradient(probability)
    return masked_mean(1 - (1 - p) * hardness - (1 - hardness) * p, valid)


def hardness_cross_entropy(
    hardness: Float[Array, " B"], probability: Float[Array, " B"], valid: Bool[Array, " B"] | None = None
) -> Float[Array, ""]:
    """mean(-(1 - p) log k - p log(1 - k)), nats: a proper score, least at k = 1 - p; the loss of the ECCV 2018 text.

    Args:
        hardness: k in (0, 1), [B].
        probability: p of the true class, [B].
        valid: which examples count; None: all.
    """
    p = jax.lax.stop_gradient(probability)
    k = jnp.clip(hardness, 1e-6, 1 - 1e-6)
    return masked_mean(-(1 - p) * jnp.log(k) - p * jnp.log1p(-k), valid)


def masked_mean(values: Float[Array, " B"], valid: Bool[Array, " B"] | None) -> Float[Array, ""]:
    """The mean over the valid examples, 0 where there are none."""
    if valid is None:
        return jnp.mean(values)
    return jnp.sum(jnp.where(valid, values, 0)) / jnp.maximum(jnp.sum(valid), 1)
