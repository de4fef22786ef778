"""Search for replacements that mean the same, and the measures of how well it does."""

import jax.numpy as jnp
import numpy as np
import pytest

from galore import InputError, Network
from galore.evaluation import search
from galore.evaluation.search import Edits, Outcome


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def pooled(params, F):
    return F.mean((0, 1)) @ params


def dense(params, F):
    return jnp.tanh(F.reshape(-1) @ jnp.tile(params, (12, 1)))


F, DISTRACTORS = normal(1, 3, 4, 5), normal(2, 2, 3, 4, 5)
FEATURES, DISTRACTOR_FEATURES = normal(3, 3, 4, 6), normal(4, 2, 3, 4, 6)
COUNTER = 2


def network(head=pooled):
    return Network(params=normal(0, 5, 4), features=lambda params, x: x, head=head)


def find(head=pooled, **options):
    return search.semantic(network(head), F, DISTRACTORS, COUNTER, FEATURES, DISTRACTOR_FEATURES, **options)


def test_without_resemblance_it_is_the_exhaustive_search():
    found = search.semantic(
        network(), F, DISTRACTORS[:1], COUNTER, FEATURES, DISTRACTOR_FEATURES[:1], weight=0.0, candidates=1.0, edits=3
    )
    plain = search.exhaustive(network(), F, DISTRACTORS[0], COUNTER, edits=3)
    np.testing.assert_array_equal(found.cells, plain.cells)


@pytest.mark.parametrize("candidates", [1.0, 0.2])
@pytest.mark.parametrize("head", [pooled, dense])
@pytest.mark.parametrize("shortcuts", [True, False])
def test_the_first_edit_has_the_largest_score_among_the_candidates(head, candidates, shortcuts):
    net = network(head)
    u, v = np.asarray(FEATURES).reshape(12, 6), np.asarray(DISTRACTOR_FEATURES).reshape(24, 6)
    cosine = np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in v] for a in u])
    exponential = np.exp(cosine / 0.1)
    consistency = np.log(exponential / exponential.sum(1, keepdims=True))
    allowed = cosine >= np.sort(cosine.reshape(-1))[::-1][int(candidates * cosine.size) - 1]
    total = np.full((12, 24), -np.inf)
    for i, j in zip(*np.nonzero(allowed)):
        edited = np.array(F)
        edited[i // 4, i % 4] = np.asarray(DISTRACTORS).reshape(24, 5)[j]
        logits = np.asarray(head(net.params, edited))
        total[i, j] = logits[COUNTER] - np.log(np.exp(logits).sum()) + 0.4 * consistency[i, j]
    found = find(head, candidates=candidates, shortcuts=shortcuts)
    assert tuple(found.cells[0]) == np.unravel_index(total.argmax(), total.shape)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"candidates": 0.0}, "candidates"), ({"chunk": 0}, "chunk"), ({"predicted": 2}, "own class")],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        find(**options)


def test_features_on_another_map_are_refused():
    with pytest.raises(InputError, match="same map"):
        search.semantic(network(), F, DISTRACTORS, COUNTER, FEATURES[:2], DISTRACTOR_FEATURES)


def test_keypoints_fall_into_the_cells_they_lie_in():
    points = np.array([[[0.0, 0.0], [63.9, 31.9], [40.0, 10.0], [64.0, 5.0]]], np.float32)
    visible = np.array([[True, True, False, True]])
    cells = search.keypoint_cells(points, visible, (2, 4), (32, 64))
    assert np.argwhere(cells[0]).tolist() == [[0, 0, 0], [1, 3, 1]]


def test_measures_of_edits_by_hand():
    keypoints = np.zeros((2, 1, 2, 3), bool)
    distractor = np.zeros((2, 1, 1, 2, 3), bool)
    keypoints[0, 0, 0, [0, 1]] = True
    distractor[0, 0, 0, 1, 1] = True
    found = Edits(
        cells=jnp.array([[[0, 1], [0, 0]], [[1, 1], [-1, -1]]]),
        count=jnp.array([2, 1]),
        log_probabilities=jnp.zeros((2, 3)),
        outcome=jnp.array([Outcome.FLIPPED, Outcome.EDIT_CAP]),
    )
    # (0, 1): both hold keypoint 1; (0, 0): the query's cell alone; the second search's edit: neither.
    measured = search.edit_metrics(found, keypoints, distractor)
    assert (measured.near_keypoint, measured.same_keypoint) == (pytest.approx(0.5), pytest.approx(1 / 3))
    assert (measured.edits, measured.success_rate) == (2.0, 0.5)
    assert measured.outcomes == {"flipped": 1, "edit_cap": 1, "out_of_cells": 0, "wrong_start": 0}
    first = search.edit_metrics(found, keypoints, distractor, first_only=True)
    assert (first.near_keypoint, first.same_keypoint) == (0.5, 0.5)
