"""Tables: what is written, read back, joined over seeds and compared."""

import csv
import dataclasses
import io
import json

import numpy as np
import pytest

from galore import statistics
from galore.attribution import integrated_gradients
from galore.errors import InputError
from galore.evaluation import queries
from galore.evaluation.evaluate import Scores
from galore.evaluation.ground_truth import AttributeTable
from galore.evaluation.methods import GRADIENT, AttributionSetting, Method, Rule, Score
from galore.evaluation.queries import HardImages
from galore.experiment import table as tables
from galore.experiment.table import Cell, Row, Table
from galore.statistics import Estimate

A, B = Method(Rule.ATTRIBUTIVE), Method(Rule.DISCRIMINANT, Score.SOFTMAX)
USER = (("user", "beginner"),)
CLASSES = np.repeat(np.arange(8), 5)


def example(seed: int = 0, shift: float = 0.0) -> Table:
    rng = np.random.default_rng(seed)
    values = rng.normal(0.5, 0.1, (1, 40))
    values[0, :4] = np.nan
    curve = rng.random((1, 40, 100))
    about = ({"the network is wrong": 4}, CLASSES, rng.integers(0, 8, (1, 40)))
    return Table(
        (
            Row(Cell(A, "auroc", None, USER), values, *about),
            Row(Cell(B, "auroc", None, USER), values + 0.05 + shift, *about),
            Row(Cell(A, "precision", None, USER), curve, *about),
        ),
        ("a remark",),
    )


def test_what_was_saved_is_found_again_with_options_that_are_lists(tmp_path):
    path = AttributionSetting("f", (("black", (0.1, 0.2)), ("steps", 50)), "path")
    row = Row(Cell(Method(Rule.MARGIN, None, path), "auroc"), np.ones((1, 3)))
    Table((row,)).save(tmp_path)
    assert tables.join([tables.load(tmp_path)]).find(row.cell) is not None


def test_the_csv_holds_means_intervals_counts_and_reasons():
    lines = list(csv.DictReader(io.StringIO(example().summary().csv())))
    assert [line["method"] for line in lines] == ["a", "a * comp(b) * s, softmax"]
    values = example().rows[0].values
    assert float(lines[0]["mean"]) == pytest.approx(np.nanmean(values), abs=1e-5)
    assert float(lines[0]["low"]) < float(lines[0]["mean"]) < float(lines[0]["high"])
    assert (lines[0]["counted"], lines[0]["seeds"]) == ("36", "1")
    assert lines[0]["left_out"] == "the network is wrong: 4"


def test_the_markdown_says_why_images_did_not_count():
    text = example().summary().markdown()
    assert text.startswith("| user | method | AUROC | counted |")
    assert "- Images that did not count (beginner): the network is wrong: 4." in text and "- a remark" in text


def test_numbers_that_fewer_images_have_say_so():
    table = example()
    fewer = table.rows[0].values.copy()
    fewer[0, 4:10] = np.nan
    row = Row(dataclasses.replace(table.rows[0].cell, measure="recall", region=0.05), fewer, table.rows[0].left_out)
    text = Table((*table.rows, row)).summary().markdown()
    assert "| 36, 30 |" in text and "| 36 |" in text
    assert f"the network is wrong: 4. Of the others, {tables.UNDEFINED}: recall at 5 % 6." in text


def test_values_that_are_missing_for_no_reason_are_undefined():
    row = example().rows[0]
    summary = dataclasses.replace(row, left_out={"the network is wrong": 1}).summary()
    assert summary.undefined == 3 and summary.reasons == {"the network is wrong": 1, tables.UNDEFINED: 3}


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0.5, np.nan, np.nan), "0.500"),
        ((123.456, np.nan, np.nan), "123.5"),
        ((np.nan, np.nan, np.nan), ""),
        ((0.0004, -0.0002, 0.001), "0.0004 [-0.0002, 0.0010]"),
        ((0.0004, 0.0, 0.001), "0.000 [0.000, 0.001]"),
        ((0.0004, 0.0002, 0.001), "0.0004 [0.0002, 0.0010]"),
        ((-0.2, -0.4, -1e-9), "-0.200000 [-0.400000, 0.000000]"),
        ((200.0, 0.03, 400.0), "200.00 [0.03, 400.00]"),
    ],
)
def test_numbers_have_as_many_digits_as_their_interval_needs(numbers, text):
    assert tables.words(Estimate(*numbers, 1)) == text


def test_what_was_saved_is_read_back(tmp_path):
    example().save(tmp_path)
    again = tables.load(tmp_path)
    assert again.summary().csv() == example().summary().csv() and again.rows[2].values.shape == (1, 40, 100)
    for row, before in zip(again.rows, example().rows):
        assert row.cell == before.cell and row.left_out == before.left_out
        np.testing.assert_array_equal(row.classes, before.classes)
        np.testing.assert_array_equal(row.counters, before.counters)
    timing = Table((Row(Cell(A, "images per second"), np.ones((1, 5))),))
    timing.save(tmp_path)
    assert (tables.load(tmp_path).rows[0].classes, tables.load(tmp_path).rows[0].counters) == (None, None)


@pytest.mark.parametrize(
    "cell",
    [
        Cell(Method(Rule.INSECURITY, Score.EASINESS, GRADIENT, None), "IoU of parts", None, (("shift", "3"),)),
        Cell(Method(Rule.MARGIN, None, AttributionSetting.of(integrated_gradients, "ig", steps=3)), "piou", 0.1),
    ],
)
def test_a_summary_is_read_back_with_its_methods(tmp_path, cell):
    written = Table((Row(cell, np.full((2, 3), np.nan)),), ("why",)).summary()
    written.save(tmp_path / "rows.json")
    again = tables.load_summary(tmp_path / "rows.json")
    assert again.rows[0].cell == cell and again.markdown() == written.markdown() and again.csv() == written.csv()


@pytest.mark.robust("tables")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 1}, "has the format 'galore table', version 1, expected 'galore table', version 3: run again"),
        ({"format": "a shopping list"}, "has the format 'a shopping list', version 3"),
        ({"format": None, "version": None}, "has the format 'None', version None, expected"),
        (None, "rows.json is damaged, expected the table of an experiment"),
    ],
)
def test_a_table_of_another_format_is_refused_in_one_sentence(tmp_path, change, said):
    example().save(tmp_path)
    file = tmp_path / "rows.json"
    file.write_text("[" if change is None else json.dumps(json.loads(file.read_text()) | change))
    for read in (lambda: tables.load(tmp_path), lambda: tables.load_summary(file)):
        with pytest.raises(InputError, match=said):
            read()


def test_joined_seeds_are_averaged_and_keep_their_reasons():
    joined = tables.join([example(0), example(1), example(2)])
    row = joined.find(Cell(A, "auroc"))
    means = [example(seed).rows[0].estimate.value for seed in range(3)]
    assert row.values.shape == (3, 40) and row.estimate.value == pytest.approx(np.mean(means))
    assert row.left_out == {"the network is wrong": 12} and joined.remarks == ("a remark",)


def other_classes(row: Row) -> Row:
    return dataclasses.replace(row, classes=CLASSES[::-1].copy())


def fewer_images(row: Row) -> Row:
    return Row(row.cell, row.values[:, :30], row.left_out, CLASSES[:30], row.counters[:, :30])


def no_classes(row: Row) -> Row:
    return dataclasses.replace(row, classes=None)


@pytest.mark.robust("tables")
@pytest.mark.parametrize("change", [other_classes, fewer_images, no_classes])
def test_tables_about_other_images_are_not_joined(change):
    other = Table(tuple(map(change, example(1).rows)))
    with pytest.raises(InputError, match=r"^auroc of a is about other images in some runs: expected runs of the same"):
        tables.join([example(0), other])


def test_joined_rows_keep_their_classes_and_whom_was_asked_about():
    runs = [example(0), example(1)]
    joined = tables.join(runs).rows[0]
    np.testing.assert_array_equal(joined.classes, CLASSES)
    np.testing.assert_array_equal(joined.counters, np.concatenate([run.rows[0].counters for run in runs]))
    found = statistics.mixed_effects(joined.values, joined.classes, joined.counters)
    assert joined.estimate == found.estimate and found[3:] == (2, 8, 36)
    nobody = Table(tuple(dataclasses.replace(row, counters=None) for row in runs[1].rows))
    assert tables.join([runs[0], nobody]).rows[0].counters is None


def test_a_row_is_found_by_method_measure_region_and_any_of_its_labels():
    at = dataclasses.replace(example().rows[0], cell=Cell(A, "auroc", 0.05, USER))
    table = example() + Table((at,))
    assert table.find(Cell(A, "auroc")) is table.rows[0] and table.find(Cell(A, "auroc", 0.05, USER)) is table.rows[3]
    assert table.find(Cell(A, "auroc", None, (("user", "advanced"),))) is None
    assert table.find(Cell(Method(Rule.MARGIN), "auroc")) is None
    assert table.labels("user") == ["beginner"] and table.labels("network") == [""]
    assert [row.cell.number for row in table.rows] == ["auroc", "auroc", "precision", "auroc at 0.05"]


def test_rows_of_puts_what_is_judged_first_and_reads_curves_at_sizes(toy):
    curve = np.tile(np.arange(100.0), (3, 1))
    measures = {"precision": curve, "auroc": np.array([0.1, 0.2, 0.3]), "specificity": np.array([0.5, 0.6, 0.7])}
    hard = HardImages(np.array([1, 4, 2]), 5, 3, {"too easy": 57})
    method = Method(Rule.ATTRIBUTIVE, None, GRADIENT)
    rows = tables.rows_of(Scores(hard, {method: measures}), toy, {"user": "beginner"})
    assert [row.cell.number for row in rows] == ["specificity", "auroc", "precision at 0.05", "precision"]
    np.testing.assert_array_equal(rows[1].values[:, :6], [[np.nan, 0.1, 0.3, np.nan, 0.2, np.nan]])
    assert rows[1].values.shape == (1, len(toy)) and np.isnan(rows[1].values).sum() == 57
    assert rows[2].values[0, 1] == 5 and rows[0].left_out == {"too easy": 57}
    # All methods of the table share the attribution, which has no name.
    assert rows[1].cell == Cell(A, "auroc", None, USER)
    # Nobody asks about a counter class, and the classes are those of the images.
    assert all(row.counters is None and row.classes is toy.labels for row in rows)


def test_rows_of_know_whom_was_asked_about_and_the_other_table_of_attributes(toy):
    asked = queries.beginner(toy, 0)
    some = {A: {"auroc": np.full(len(asked.rows), 0.6)}}
    other = {A: {"auroc": np.full(len(asked.rows), 0.4)}}
    rows = tables.rows_of(Scores(asked, some, {}, by_other_table=other, other_table=AttributeTable.NEURIPS), toy)
    assert [row.cell.number for row in rows] == ["auroc", "auroc, NeurIPS table"]
    assert [row.estimate.value for row in rows] == pytest.approx([0.6, 0.4])
    for row in rows:
        np.testing.assert_array_equal(row.counters[0, asked.rows], asked.counter)
        assert (np.delete(row.counters[0], asked.rows) == -1).all() and row.values.shape == row.counters.shape
    table = Table(rows)
    assert table.find(Cell(A, "auroc")) is rows[0]
    assert table.find(Cell(A, "auroc", None, (), AttributeTable.NEURIPS)) is rows[1]


def test_numbers_of_queries_are_spread_over_the_images():
    np.testing.assert_array_equal(tables.spread(np.array([0.5, 0.2]), np.array([3, 1]), 4), [np.nan, 0.2, np.nan, 0.5])
