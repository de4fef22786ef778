import numpy as np
import pytest

from galore.teach import outline
from galore.teach.sheet import Mark


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


def test_a_thread_is_left_out_and_a_region_that_is_nothing_else_stays():
    mask = np.zeros((224, 224), bool)
    mask[100:102, 20:200] = True
    assert outline.mask(outline.path(mask), 224).any()
    mask[80:120, 60:100] = True
    drawn = outline.mask(outline.path(mask), 224)
    assert not drawn[:, 104:].any()
    assert abs(int(drawn.sum()) - 1600) < 120


def test_numbers_stand_apart_in_both_pictures():
    def mark(x):
        return Mark("part", x, 0.5)

    pairs = [(mark(0.1), mark(0.1)), (mark(0.12), mark(0.9)), (mark(0.3), mark(0.3)), (mark(0.9), mark(0.32))]
    assert outline.spaced(pairs) == [0, 2]
    assert outline.spaced([]) == []


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
