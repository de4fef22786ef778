"""The regions that exhaustive search names, against the slow and obvious way."""

import jax.numpy as jnp
import numpy as np
import pytest
import toys

from galore.evaluation import queries, search
from galore.experiment import search_baseline
from galore.regions import upsample


@pytest.fixture(scope="module")
def asked(toy):
    return queries.beginner(toy, 0)


@pytest.fixture(scope="module")
def cells(toy, asked):
    return search_baseline.first_edits(toy, asked, 16)


def enlarged(cell: int, shape: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """The authors' region of a cell."""
    one_hot = np.zeros(shape, np.float32)
    one_hot[cell // shape[1], cell % shape[1]] = 1
    return np.asarray(upsample(jnp.asarray(one_hot), size)) > 0


def test_the_first_edits_are_those_of_one_search_after_the_other(toy, asked, cells):
    net = toy.net
    for k in (0, 7, len(cells) - 1):
        F, other = (net(jnp.asarray(toy.inputs(rows[k : k + 1])[0]))[0] for rows in (asked.rows, asked.counter_rows))
        found = search.exhaustive(net, F, other, int(asked.counter[k]), shortcuts=False)
        np.testing.assert_array_equal(cells[k], found.cells[0])


def test_the_scores_are_those_of_a_loop_over_pixels_above_zero(toy, asked, cells):
    parts, shape = toy.annotations, search_baseline.map_shape(toy)
    rng = np.random.default_rng(0)
    truths = (asked.truth, rng.random(asked.truth.shape) < 0.5)
    for truth in truths:
        scores = search_baseline.score_cells(toy, asked, cells, truth)
        for k, (row, counter_row) in enumerate(zip(asked.rows, asked.counter_rows)):
            inside = []
            for cell, image in zip(cells[k], (row, counter_row)):
                x, y = parts.points[image].astype(int).T
                inside.append(enlarged(int(cell), shape, toy.size)[y, x])
            visible, counter_visible = parts.visible[row], parts.visible[counter_row]
            hit, held, true = (
                (inside[0] & visible & truth[k]).sum(),
                (inside[0] & visible).sum(),
                (visible & truth[k]).sum(),
            )
            expected = {"recall": hit / true if true else np.nan, "precision": hit / held if held and true else np.nan}
            first, second = (some & visible & counter_visible for some in inside)
            both, union = (first & second).sum(), (first | second).sum()
            expected["piou"] = both / union if first.any() and second.any() else np.nan
            expected["piou, every image"] = both / union if union else np.nan
            for name, value in expected.items():
                np.testing.assert_allclose(scores[name][k], value, rtol=1e-6, err_msg=f"{name}, query {k}")


def test_a_region_of_one_unit_is_smaller(toy, asked, cells):
    height, width = search_baseline.map_shape(toy)
    whole = search_baseline.score_cells(toy, asked, cells, asked.truth)
    unit = search_baseline.score_cells(toy, asked, cells, asked.truth, region=1 / (height * width))
    assert np.nanmean(unit["recall"]) < 0.7 * np.nanmean(whole["recall"])
    np.testing.assert_array_equal(unit["auroc"], whole["auroc"])


def test_cells_of_scenes_are_scored_by_pixels():
    scenes = toys.toy_test_set(scenes=True)
    asked = queries.beginner(scenes, 0).sample(5, 0)
    cells = search_baseline.first_edits(scenes, asked, 5)
    scores = search_baseline.score_cells(scenes, asked, cells, asked.truth)
    for k, row in enumerate(asked.rows):
        region = enlarged(int(cells[k, 0]), search_baseline.map_shape(scenes), scenes.size)
        mask = np.append(False, asked.truth[k])[scenes.annotations.mask[row]]
        assert scores["iou"][k] == pytest.approx((region & mask).sum() / (region | mask).sum())
