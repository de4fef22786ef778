import numpy as np
import pytest

from galore.teach import outline


def test_a_rectangle_is_drawn_where_it_lies():
    mask = np.zeros((100, 100), bool)
    mask[20:60, 30:80] = True
    drawn = outline.mask(outline.path(mask), 100)
    assert np.abs(drawn.sum() / mask.sum() - 1) < 0.05
    assert (drawn != mask).mean() < 0.02


@pytest.mark.parametrize("seed", range(4))
def test_smooth_regions_with_holes_and_at_the_edges_come_back(seed):
    rows, columns = np.mgrid[:224, :224] / 224
    a, b, c, d = np.random.default_rng(seed).uniform(1, 9, 4)
    values = np.sin(a * rows + b) + np.cos(c * columns + d * rows)
    mask = values > np.quantile(values, 0.8)
    assert (outline.mask(outline.path(mask), 224) != mask).mean() < 0.02


def test_nothing_and_everything():
    assert outline.path(np.zeros((9, 9), bool)) == ""
    assert outline.mask("", 5).all()
    assert outline.mask(outline.path(np.ones((90, 90), bool)), 90).mean() > 0.97


def test_parts_match_across_sides_and_only_where_both_are_lit():
    names = ["beak", "left eye", "right eye", "tail"]
    points = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6], [0.7, 0.8]], np.float32)
    here = points, np.array([True, True, False, True])
    there = points[::-1].copy(), np.array([False, False, True, True])
    first, second = outline.matched(names, here, there)
    assert [mark.name for mark in first] == [mark.name for mark in second] == ["eye", "tail"]
    assert (first[0].x, first[0].y) == (0.3, 0.4)
    assert (second[0].x, second[0].y) == (0.3, 0.4)
