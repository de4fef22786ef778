"""Tables: what is written, read back, joined over seeds and compared."""

import csv
import io

import numpy as np
import pytest
import table as tables
from table import Row, Table

from galore.evaluation.statistics import Estimate


def example(seed: int = 0, shift: float = 0.0) -> Table:
    rng = np.random.default_rng(seed)
    values = rng.normal(0.5, 0.1, (1, 40))
    values[0, :4] = np.nan
    curve = rng.random((1, 40, 100))
    reasons = {"the network is wrong": 4}
    return Table(
        (
            Row({"user": "beginner", "method": "a"}, "auroc", values, reasons),
            Row({"user": "beginner", "method": "b"}, "auroc", values + 0.05 + shift, reasons),
            Row({"user": "beginner", "method": "a"}, "precision", curve, reasons),
        ),
        ("a remark",),
    )


def test_the_csv_holds_means_intervals_counts_and_reasons():
    lines = list(csv.DictReader(io.StringIO(example().csv())))
    assert [line["method"] for line in lines] == ["a", "b"]
    values = example().rows[0].values
    assert float(lines[0]["mean"]) == pytest.approx(np.nanmean(values), abs=1e-5)
    assert float(lines[0]["low"]) < float(lines[0]["mean"]) < float(lines[0]["high"])
    assert (lines[0]["counted"], lines[0]["seeds"]) == ("36", "1")
    assert lines[0]["left_out"] == "the network is wrong: 4"


def test_the_markdown_says_why_images_did_not_count():
    text = example().markdown()
    assert "| beginner | a | 0.4" in text and "[" in text
    assert "(beginner): the network is wrong: 4." in text and text.endswith("a remark\n")


def test_numbers_that_fewer_images_have_say_so():
    table = example()
    fewer = table.rows[0].values.copy()
    fewer[0, 4:10] = np.nan
    row = Row(table.rows[0].labels, "recall at 0.05", fewer, table.rows[0].left_out)
    text = Table((*table.rows, row)).markdown()
    assert "| 36, 30 |" in text and "| 36 |" in text
    assert f"the network is wrong: 4. Of the others, {tables.UNDEFINED}: recall at 0.05 6." in text


def test_nothing_is_minus_zero():
    assert tables.words(Estimate(-0.0001, -0.0002, 0.001, 9)) == "0.000 [0.000, 0.001]"


def test_what_was_saved_is_read_back(tmp_path):
    example().save(tmp_path)
    again = tables.load(tmp_path)
    assert again.csv() == example().csv() and again.rows[2].values.shape == (1, 40, 100)


def test_joined_seeds_are_averaged_and_keep_their_reasons():
    joined = tables.join([example(0), example(1), example(2)])
    row = joined.find("auroc", method="a")
    means = [example(seed).rows[0].estimate.mean for seed in range(3)]
    assert row.values.shape == (3, 40) and row.estimate.mean == pytest.approx(np.mean(means))
    assert row.left_out == {"the network is wrong": 12} and joined.remarks == ("a remark",)


def test_seeds_with_different_numbers_of_images_are_padded():
    other = Table(tuple(Row(r.labels, r.measure, r.values[:, :30], r.left_out) for r in example(1).rows))
    assert tables.join([example(0), other]).rows[0].values.shape == (2, 40)


def test_a_difference_is_paired_and_missing_rows_give_none():
    found = example().difference("auroc", {"method": "b"}, {"method": "a"})
    assert found.mean == pytest.approx(0.05) and found.low == pytest.approx(0.05) and found.counted == 36
    assert example().difference("auroc", {"method": "b"}, {"method": "c"}) is None


def test_rows_of_puts_the_auroc_first_and_reads_curves_at_sizes():
    judged = {"a": {"precision": np.tile(np.arange(100.0), (3, 1)), "auroc": np.array([0.1, 0.2, 0.3])}}
    rows = tables.rows_of(judged, np.array([1, 4, 2]), 6, user="beginner")
    assert [row.measure for row in rows] == ["auroc", "precision at 0.05", "precision"]
    np.testing.assert_array_equal(rows[0].values, [[np.nan, 0.1, 0.3, np.nan, 0.2, np.nan]])
    assert rows[1].values[0, 1] == 5 and rows[0].labels == {"user": "beginner", "method": "a"}


def test_numbers_of_questions_are_spread_over_the_images():
    np.testing.assert_array_equal(tables.spread(np.array([0.5, 0.2]), np.array([3, 1]), 4), [np.nan, 0.2, np.nan, 0.5])
