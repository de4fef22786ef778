"""Figures: panels to compare, names that do not overlap, axes that are alike, nothing where nothing is."""

import itertools

import numpy as np
import pytest
from matplotlib import colors
from matplotlib import pyplot as plt
from scipy import optimize

from galore.evaluation.methods import GAUSSIAN, ORACLE, RANDOM, Method, Rule, Score
from galore.experiment import plots
from galore.experiment.table import Cell, Row, Table

METHODS = (Method(Rule.ATTRIBUTIVE), Method(Rule.MARGIN), RANDOM, ORACLE)
NAMES = ["attributive", "margin", "random map", "oracle"]
USERS = [{"network": network, "user": user} for network in "abc" for user in ("beginner", "advanced")]
CLASSES = np.repeat(np.arange(10), 4)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def rows(measure: str, *shape: int, labels=USERS, methods=METHODS, oracle: float = 0.0) -> tuple[Row, ...]:
    rng = np.random.default_rng(0)
    return tuple(
        Row(Cell(method, measure, None, tuple(some.items())), rng.random((2, 40, *shape)) + oracle * (method == ORACLE),
            classes=CLASSES)
        for some in labels
        for method in methods
    )  # fmt: skip


def named(axis) -> list[str]:
    return [text.get_text() for text in axis.texts if not text.get_text().startswith("oracle")]


def test_dots_have_a_panel_for_every_user_and_their_methods_at_the_left_of_every_line():
    figure = plots.dots(Table(rows("auroc")), "auroc")
    assert [axis.get_title() for axis in figure.axes][:2] == ["a, beginner user", "a, advanced user"]
    assert len(figure.axes) == 6 and len({axis.get_xlim() for axis in figure.axes}) == 1
    labels = [[label.get_text() for label in axis.get_yticklabels()] for axis in figure.axes]
    assert labels[0] == labels[4] == NAMES and not any(labels[1])
    caption = " ".join(figure.get_supxlabel().split())
    assert "Shown: AUROC within the image (0.5: chance)." in caption and "Vertical line: 0.5." in caption


def test_a_caption_speaks_only_of_what_is_there():
    own = plots.dots(Table(rows("recall", methods=METHODS[:2])), "recall")
    assert not any(word in own.get_supxlabel() for word in ("grey", "oracle", "line:"))
    both = plots.dots(Table(rows("recall", methods=METHODS[:3])), "recall")
    assert "grey" in both.get_supxlabel() and "oracle" not in both.get_supxlabel()


def test_the_oracle_is_a_mark_at_the_edge_and_scales_no_axis():
    without = plots.dots(Table(rows("piou", labels=[{}], methods=METHODS[:3])), "piou").axes[0]
    far = plots.dots(Table(rows("piou", labels=[{}], oracle=9.0)), "piou").axes[0]
    assert far.get_xlim() == without.get_xlim()
    assert far.get_lines()[-1].get_xdata()[0] == far.get_xlim()[1] and far.texts[0].get_text().startswith("9.")
    both = rows("precision", 100, labels=[{}], oracle=9.0) + rows("recall", 100, labels=[{}])
    axis = plots.precision_recall(Table(both)).axes[0]
    star = next(line for line in axis.get_lines() if line.get_marker() == "*")
    assert axis.get_ylim()[1] < 2 and star.get_ydata()[0] == axis.get_ylim()[1]


def test_curves_name_their_lines_at_the_end_in_the_same_colours_on_equal_axes():
    figure = plots.precision_recall(Table(rows("precision", 100) + rows("recall", 100)))
    assert len(figure.axes) == 6 and all(sorted(named(axis)) == sorted(NAMES[:3]) for axis in figure.axes)
    assert not figure.legends
    assert len({(axis.get_xlim(), axis.get_ylim()) for axis in figure.axes}) == 1
    colours = {text.get_color() for axis in figure.axes for text in axis.texts if text.get_text() == "margin"}
    assert len(colours) == 1


def test_the_whole_table_of_maps_is_too_much_for_lines():
    methods = (*METHODS, Method(Rule.WITHOUT_CONFIDENCE), Method(Rule.MARGIN_TIMES_CONFIDENCE, Score.SOFTMAX))
    table = plots.primary(Table(rows("auroc", methods=methods, labels=[{}])))
    assert [row.cell.method for row in table.rows] == list(METHODS)


def test_curves_over_other_sizes_say_what_they_show():
    table = Table(rows("deletion curve", 3, labels=[{}]))
    (axis,) = plots.curves(table, "deletion curve", ("blurred", "p"), (0.0, 0.5, 1.0)).axes
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("blurred", "p")
    np.testing.assert_array_equal(axis.get_lines()[0].get_xdata(), [0, 50, 100])


def test_lines_go_over_the_values_of_a_label():
    table = Table(rows("IoU of parts", labels=[{"shift": shift} for shift in "123"]))
    (axis,) = plots.lines(table, "IoU of parts", "shift", ("shift, pixels", "IoU")).axes
    assert sorted(named(axis)) == sorted(NAMES[:3])
    assert [label.get_text() for label in axis.get_xticklabels()] == ["1", "2", "3"]


def test_words_of_axes_stay_in_the_figure_beside_a_long_name():
    long = Method(Rule.STANDARDISED)
    table = Table(rows("changed", labels=[{"share": share} for share in ("25%", "50%")], methods=(long, *METHODS[:2])))
    said = "share of the parameters shuffled, from the output down", "Spearman's correlation with the map before"
    figure = plots.lines(table, "changed", "share", said)
    figure.draw_without_rendering()
    (axis,) = figure.axes
    for label in (axis.xaxis.label, axis.yaxis.label):
        box = label.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
    assert plots.described(figure, "Maps").startswith(f"Maps. Shown: {said[1]} over {said[0]}.")


def test_layers_become_one_line_over_depth_for_each_network():
    labels = [{"network": network, "layer": f"{network}{depth}"} for network in "ab" for depth in range(9)]
    figure = plots.over_depth(Table(rows("auroc", labels=labels)))
    assert [axis.get_title() for axis in figure.axes] == ["a", "b"]
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == [f"b{depth}" for depth in range(9)]
    assert len(figure.axes[0].get_lines()[0].get_xdata()) == 9


@pytest.mark.parametrize(
    "measure", ["specificity", "auroc", "precision at recall 0.5", "mean iou", "piou, every image"]
)
def test_dots_show_any_measure_and_its_chance(measure):
    (axis,) = plots.dots(Table(rows(measure, labels=[{}])), measure).axes
    # axvline's data are the place twice, and the height of the panel.
    vertical = [line for line in axis.get_lines() if list(line.get_xdata()) == [0.5, 0.5]]
    assert len(vertical) == (measure in ("specificity", "auroc"))


def test_numbers_that_were_read_at_a_region_are_shown_by_it_alone():
    at = Row(Cell(GAUSSIAN, "moved", 0.05), np.ones((1, 5)))
    table = Table((at, Row(Cell(RANDOM, "moved", 0.1), np.ones((1, 5)))))
    (axis,) = plots.dots(table, "moved", chance=None, region=0.05, names=lambda row: "the one").axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["the one"]


def test_a_figure_without_numbers_has_no_axes():
    missing = Table((Row(Cell(RANDOM, "recall"), np.full((2, 5), np.nan)),))
    assert not plots.dots(missing, "recall").axes and not plots.dots(missing, "piou").axes
    assert not plots.lines(missing, "recall", "shift", ("", "")).axes and not plots.curves(missing, "iou").axes


@pytest.mark.parametrize("wanted", [[0.5, 0.5, 0.5], [0.0, 0.02, 0.9, 0.95], [0.9, 0.1, 0.12], [1.2, 1.2], [0.3], []])
def test_names_are_a_gap_apart_in_the_order_of_their_lines_and_as_near_as_can_be(wanted):
    places = plots.spread(wanted, 0.1)
    order = np.argsort(wanted, kind="stable")
    assert (np.diff(places[order]) > 0.1 - 1e-9).all() and ((places >= -1e-9) & (places <= 1 + 1e-9)).all()
    if wanted:
        apart = [{"type": "ineq", "fun": lambda x, a=a, b=b: x[b] - x[a] - 0.1} for a, b in itertools.pairwise(order)]
        start = np.linspace(0, 1, len(wanted))[np.argsort(order)]
        best = optimize.minimize(
            lambda x: np.sum((x - wanted) ** 2), start, bounds=[(0, 1)] * len(wanted), constraints=apart
        )
        np.testing.assert_allclose(places, best.x, atol=1e-3)


def test_letters_are_dark_enough_and_colours_differ_for_those_who_see_no_red_or_green():
    for colour in plots.COLOURS:
        assert plots.contrast(colors.to_rgb(plots._dark(colour)), (1.0, 1.0, 1.0)) >= 4.5
    assert plots.contrast((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)) == pytest.approx(21)
    # Machado et al., 2009, deuteranopia: to linear light and back is left out, which only makes colours more alike.
    deutan = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
    seen = [deutan @ colors.to_rgb(colour) for colour in plots.COLOURS]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 0.15


def test_a_figure_is_described_in_sentences():
    figure = plots.dots(Table(rows("auroc", labels=USERS[:2])), "auroc")
    said = plots.described(figure, "Maps")
    assert said.startswith("Maps. Panels: a, beginner user; a, advanced user. Shown: AUROC") and said.endswith(".")
    curves = plots.curves(Table(rows("iou", 100, labels=[{}])), "iou")
    assert plots.described(curves, "Maps").startswith("Maps. Shown: IoU over region, % of the image. Bands:")


@pytest.mark.parametrize("differ", [False, True], ids=["names beside a line of panels", "names beside every panel"])
def test_titles_stay_above_their_panels(differ):
    users = [
        {"network": f"a_quite_narrow_network_{n}", "user": user} for n in range(2) for user in ("beginner", "advanced")
    ]
    every = rows("auroc", labels=users[:2]) + rows("auroc", labels=users[2:], methods=METHODS[differ:])
    figure = plots.dots(Table(every), "auroc")
    figure.draw_without_rendering()
    boxes = [axis.title.get_window_extent() for axis in figure.axes]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    assert boxes[-1].x1 <= figure.bbox.x1
    assert {" ".join(axis.get_title().split()) for axis in figure.axes} == {
        ", ".join([one["network"], f"{one['user']} user"]) for one in users
    }


def test_long_names_that_differ_leave_room_for_panels_of_which_fewer_stand_side_by_side():
    """As with four networks of which some have no numbers for some maps."""
    users = [{"network": name} for name in "abcd"]
    every = [row for k, user in enumerate(users) for row in rows("auroc", labels=[user], methods=METHODS[k % 2 :])]
    names = "integrated gradients along the path of images from a black one, ".__add__
    figure = plots.dots(Table(tuple(every)), "auroc", names=lambda row: names(row.cell.method.words))
    figure.draw_without_rendering()
    extents = [axis.get_window_extent() for axis in figure.axes]
    assert [axis.get_title() for axis in figure.axes] == list("abcd")
    assert all(extent.width > 0.8 * figure.dpi and extent.x1 <= figure.bbox.x1 for extent in extents)
    assert figure.get_figwidth() <= plots.WIDEST
    assert len({round(extent.y0) for extent in extents}) > 1


def test_intervals_beyond_what_is_possible_scale_no_axis():
    few = tuple(
        Row(Cell(method, measure, None, ()), np.repeat([[0.0], [1.0], [1.0]], 40, axis=1), classes=CLASSES)
        for method in METHODS[:2]
        for measure in ("precision", "edits")
    )
    assert Table(few).select("precision")[0].estimate.high > 1.2
    low, high = plots.dots(Table(few), "precision").axes[0].get_xlim()
    assert -0.1 < low < high < 1.1
