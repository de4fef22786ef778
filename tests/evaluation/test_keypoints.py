"""Near-KP and Same-KP are what one counts by hand, over all edits of all searches."""

import jax.numpy as jnp
import numpy as np
import pytest

from galore.evaluation import keypoints
from galore.evaluation.search import Edits, Outcome


def test_keypoints_fall_into_the_cells_they_lie_in():
    points = np.array([[[0.0, 0.0], [63.9, 31.9], [40.0, 10.0], [64.0, 5.0]]], np.float32)
    visible = np.array([[True, True, False, True]])
    cells = keypoints.keypoint_cells(points, visible, (2, 4), (32, 64))
    assert np.argwhere(cells[0]).tolist() == [[0, 0, 0], [1, 3, 1]]


def test_measures_of_edits_by_hand():
    ours = np.zeros((2, 1, 2, 3), bool)
    distractor = np.zeros((2, 1, 1, 2, 3), bool)
    ours[0, 0, 0, [0, 1]] = True
    distractor[0, 0, 0, 1, 1] = True
    found = Edits(
        cells=jnp.array([[[0, 1], [0, 0]], [[1, 1], [-1, -1]]]),
        count=jnp.array([2, 1]),
        log_probabilities=jnp.zeros((2, 3)),
        outcome=jnp.array([Outcome.FLIPPED, Outcome.EDIT_CAP]),
    )
    # (0, 1): both hold keypoint 1; (0, 0): the query's cell alone; the second search's edit: neither.
    measured = keypoints.edit_metrics(found, ours, distractor)
    assert (measured.near_keypoint, measured.same_keypoint) == (pytest.approx(0.5), pytest.approx(1 / 3))
    assert (measured.edits, measured.success_rate) == (2.0, 0.5)
    assert measured.outcomes == {"flipped": 1, "edit_cap": 1, "out_of_cells": 0, "wrong_start": 0}
    first = keypoints.edit_metrics(found, ours, distractor, first_only=True)
    assert (first.near_keypoint, first.same_keypoint) == (0.5, 0.5)


def test_the_share_of_all_edits_is_the_mean_of_one_value_a_search():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 9, 300)
    hits = np.where(np.arange(9) < counts[:, None], rng.random((300, 9)) < counts[:, None] / 9, np.nan)
    values = keypoints.share_of_edits(hits)
    assert np.nanmean(values) == pytest.approx(np.nanmean(hits))
    assert (np.isnan(values) == (counts == 0)).all()
    drawn = rng.integers(0, 300, (2000, 300))
    spread = np.std([np.nanmean(hits[some]) for some in drawn])
    assert np.nanstd(values) / np.sqrt((counts > 0).sum()) == pytest.approx(spread, rel=0.1)
    assert np.isnan(keypoints.share_of_edits(np.full((3, 2), np.nan))).all()


def test_left_and_right_are_one_keypoint():
    apart = np.zeros((1, 1, 2, 4), bool)
    apart[0, 0, 0, 3] = apart[0, 0, 1, 1] = True
    merged = keypoints.merged_sides(apart, ("back", "left eye", "tail", "right eye"))
    assert merged[0, 0].tolist() == [[False, True, False], [False, True, False]]
