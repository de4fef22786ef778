import numpy as np
import pytest
from scipy import special, stats

from galore.training import evaluation

RNG = np.random.default_rng(0)


def test_auroc_counts_pairs_and_halves_ties():
    scores = np.array([0.1, 0.4, 0.4, 0.8], np.float32)
    positive = np.array([False, True, False, True])
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[positive] for b in scores[~positive]]
    assert evaluation.auroc(scores, positive) == pytest.approx(np.mean(pairs))
    assert np.isnan(evaluation.auroc(scores, np.ones(4, bool)))


def test_class_balanced_accuracy_gives_every_class_the_same_weight():
    logits = np.eye(3, dtype=np.float32)[[0, 0, 0, 1]]
    labels = np.array([0, 0, 0, 2])
    assert evaluation.accuracy(logits, labels) == 0.75
    assert evaluation.class_balanced_accuracy(logits, labels) == 0.5


def test_the_probability_of_the_true_class():
    logits = np.log(np.array([[0.2, 0.8], [0.5, 0.5]], np.float32)) + 300
    np.testing.assert_allclose(evaluation.true_class_probability(logits, np.array([0, 1])), [0.2, 0.5], rtol=1e-4)


def test_rank_correlation_of_a_constant_is_undefined():
    assert np.isnan(evaluation.spearman(np.zeros(4, np.float32), np.arange(4, dtype=np.float32)))
    x = RNG.normal(size=9).astype(np.float32)
    assert evaluation.spearman(x, np.exp(x)) == pytest.approx(1)


@pytest.mark.robust("shapes and numbers")
def test_the_entropy_is_scipys_also_where_classes_are_ruled_out():
    logits = RNG.normal(size=(4, 6)).astype(np.float32)
    logits[1, 2], logits[2, :5] = -np.inf, -np.inf
    expected = stats.entropy(special.softmax(logits.astype(np.float64), axis=-1), axis=-1)
    np.testing.assert_allclose(evaluation.entropy(logits), expected, rtol=1e-5, atol=1e-7)
