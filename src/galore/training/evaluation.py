"""What a trained classifier and its hardness predictor are worth on images they were not trained on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """A number and the percentile interval of its bootstrap."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def in_batches(
    function: Callable[[Any], Any], inputs: Shaped[np.ndarray, "n ..."], batch_size: int = 64
) -> Shaped[np.ndarray, "n ..."]:
    """A function of a batch applied to many rows; the last batch is padded, so that one shape is compiled.

    Args:
        function: jitted by the caller.
        inputs: one row an example.
        batch_size: rows at a time.
    """
    return np.concatenate(list(_results(function, inputs, min(batch_size, len(inputs)))))


def _results(function: Callable[[Any], Any], inputs: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(inputs), batch_size):
        batch = inputs[start : start + batch_size]
        padding = [(0, batch_size - len(batch))] + [(0, 0)] * (inputs.ndim - 1)
        yield np.asarray(jax.device_get(function(np.pad(batch, padding))))[: len(batch)]


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
    """How undecided the classifier is by itself, in nats."""
    log_p = logits - logits.max(-1, keepdims=True)
    log_p = log_p - np.log(np.exp(log_p).sum(-1, keepdims=True))
    return -(np.exp(log_p) * log_p).sum(-1)


def auroc(scores: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]) -> float:
    """The chance that a positive scores above a negative, ties counting half; nan where one of them is missing."""
    count = int(positive.sum())
    if count in (0, len(positive)):
        return float("nan")
    ranks = stats.rankdata(scores)
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(positive) - count)))


def spearman(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    """The rank correlation; nan where one of them is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(stats.rankdata(a), stats.rankdata(b))[0, 1])


def bootstrap(
    statistic: Callable[..., float], *columns: Shaped[np.ndarray, " n"], seed: int = 0, draws: int = 1000
) -> Interval:
    """A statistic of the images and its 95 % percentile interval over resampled images.

    Args:
        statistic: of the columns.
        columns: one row an image.
        seed: of the resampling.
        draws: how many resamples; those where the statistic is nan are left out.
    """
    rng = np.random.default_rng(seed)
    count = len(columns[0])
    samples = (rng.integers(0, count, count) for _ in range(draws))
    values = np.array([statistic(*(column[sample] for column in columns)) for sample in samples])
    values = values[~np.isnan(values)]
    low, high = np.percentile(values, [2.5, 97.5]) if len(values) else (float("nan"), float("nan"))
    return Interval(statistic(*columns), float(low), float(high))
