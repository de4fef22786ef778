"""Figures: as many panels as there are rows to compare, one entry for each method, words that explain the axes."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from galore.evaluation.methods import ORACLE, RANDOM, Method, Rule
from galore.experiment import plots
from galore.experiment.table import Cell, Row, Table

METHODS = (Method(Rule.ATTRIBUTIVE), Method(Rule.MARGIN), RANDOM, ORACLE)
NAMES = ["a", "margin", "random map", "oracle"]
USERS = [{"network": network, "user": user} for network in "abc" for user in ("beginner", "advanced")]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def rows(measure: str, *shape: int, labels=USERS) -> tuple[Row, ...]:
    rng = np.random.default_rng(0)
    return tuple(
        Row(Cell(method, measure, None, tuple(some.items())), rng.random((2, 5, *shape)))
        for some in labels
        for method in METHODS
    )


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_dots_have_a_panel_for_every_user_and_their_methods_at_the_left_of_every_line():
    figure = plots.dots(Table(rows("auroc")), "auroc")
    assert [axis.get_title() for axis in figure.axes][:2] == ["a, beginner user", "a, advanced user"]
    assert len(figure.axes) == 6
    named = [[label.get_text() for label in axis.get_yticklabels()] for axis in figure.axes]
    assert named[0] == named[4] == NAMES and not any(named[1])
    assert figure.get_supxlabel().startswith("AUROC (0.5: chance)")


def test_curves_have_one_entry_for_each_method_whatever_the_panels():
    table = Table(rows("precision", 100) + rows("recall", 100))
    figure = plots.region_curves(table)["precision_recall"]
    assert len(figure.axes) == 6 and legend(figure) == NAMES
    colours = {line.get_color() for axis in figure.axes for line in axis.get_lines() if line.get_label() == "margin"}
    assert len(colours) == 1


def test_an_oracle_that_is_a_point_can_be_seen():
    values = np.ones((1, 3, 100))
    both = tuple(Row(Cell(ORACLE, measure), values) for measure in ("precision", "recall"))
    figure = plots.precision_recall(Table(both))
    assert figure.axes[0].get_lines()[0].get_marker() == "o"


def test_curves_over_other_sizes_say_what_they_show():
    figure = plots.curves(
        Table(rows("deletion curve", 3, labels=[{}])), "deletion curve", ("blurred", "p"), (0.0, 0.5, 1.0)
    )
    (axis,) = figure.axes
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("blurred", "p")
    np.testing.assert_array_equal(axis.get_lines()[0].get_xdata(), [0, 50, 100])


def test_lines_go_over_the_values_of_a_label():
    table = Table(rows("IoU of parts", labels=[{"shift": shift} for shift in "123"]))
    figure = plots.lines(table, "IoU of parts", "shift", ("shift, pixels", "IoU"))
    assert legend(figure) == NAMES and list(figure.axes[0].get_lines()[0].get_xdata()) == ["1", "2", "3"]


def test_numbers_that_were_read_at_a_region_are_shown_by_it_alone():
    at = Row(Cell(ORACLE, "moved", 0.05), np.ones((1, 5)))
    table = Table((at, Row(Cell(RANDOM, "moved", 0.1), np.ones((1, 5)))))
    (axis,) = plots.dots(table, "moved", chance=None, region=0.05, names=lambda row: "the one").axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["the one"]
