"""What a trained classifier and its hardness predictor are worth on images they were not trained on."""

import numpy as np
from jaxtyping import Bool, Float, Int


def accuracy(logits: Float[np.ndarray, "n C"], labels: Int[np.ndarray, " n"]) -> float:
    """The share of images whose class is predicted."""
    return float(np.mean(logits.argmax(-1) == labels))


def class_balanced_accuracy(logits: Float[np.ndarray, "n C"], labels: Int[np.ndarray, " n"]) -> float:
    """The mean over the classes that occur of the share of their images that is predicted."""
    hit = logits.argmax(-1) == labels
    return float(np.mean([hit[labels == label].mean() for label in np.unique(labels)]))


def true_class_probability(logits: Float[np.ndarray, "n C"], labels: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """p of the true class."""
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return (exponentials[np.arange(len(labels)), labels] / exponentials.sum(-1)).astype(np.float32)


def entropy(logits: Float[np.ndarray, "n C"]) -> Float[np.ndarray, " n"]:
    """How undecided the classifier is by itself, in nats; a logit of -inf rules a class out (0 log 0 = 0)."""
    log_p = logits - logits.max(-1, keepdims=True)
    log_p = log_p - np.log(np.exp(log_p).sum(-1, keepdims=True))
    return -(np.exp(log_p) * np.where(np.isneginf(log_p), 0, log_p)).sum(-1)


def auroc(scores: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]) -> float:
    """The chance that a positive scores above a negative, ties counting half; nan where one of them is missing."""
    count = int(positive.sum())
    if count in (0, len(positive)):
        return float("nan")
    from scipy import stats  # takes most of a second to import, and only ranks need it

    ranks = stats.rankdata(scores)
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(positive) - count)))


def spearman(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    """The rank correlation; nan where one of them is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    from scipy import stats

    return float(np.corrcoef(stats.rankdata(a), stats.rankdata(b))[0, 1])
