"""What a program prints at its end."""

import numpy as np
import pytest

from galore.evaluation.ground_truth import AttributeTable
from galore.evaluation.methods import GAUSSIAN, Method, Rule, Score
from galore.experiment import claims, screen
from galore.experiment.claims import Source
from galore.experiment.table import Cell, Row, Table

METHODS = (Method(Rule.DISCRIMINANT, Score.SOFTMAX), Method(Rule.ATTRIBUTIVE), GAUSSIAN)
MEASURES = ("specificity", "auroc", "precision at recall 0.5", "area under precision-recall", "recall")


def example(seeds: int = 1) -> Table:
    rng = np.random.default_rng(0)
    rows = [
        Row(
            Cell(method, measure, None, (("user", user),), table),
            rng.random((seeds, 60)) + place,
            {},
            np.arange(60) % 6,
        )
        for user in ("beginner", "advanced")
        for place, method in enumerate(METHODS)
        for measure in MEASURES
        for table in (None, AttributeTable.NEURIPS)
    ]
    return Table(tuple(rows), ("A remark that is longer than the line of any terminal on which it will be read.",))


@pytest.mark.parametrize("width", [50, 80, 200])
def test_a_table_is_as_wide_as_the_terminal_and_has_every_number_of_the_experiment(width):
    summary = example().summary()
    text = screen.table(summary, width)
    assert max(map(len, text.splitlines())) <= width
    for row in summary.rows:
        value, low, high, _ = row.estimate
        assert (f"{value:.3f} ±{(high - low) / 2:.3f}" in text) == (row.cell.table is None)
    blocks = {50: 5, 80: 2, 200: 1}
    assert text.count(METHODS[0].label) == 2 * blocks[width]
    assert text.index("user: beginner") < text.index("user: advanced") < text.index("A remark")


def test_headings_stand_above_their_numbers_whatever_wraps():
    lines = screen.table(example().summary(), 80).splitlines()
    place = lines[3].index("AUROC")
    assert lines[4].startswith(METHODS[0].label) and lines[4][place - 2 : place + 1].strip()[0].isdigit()
    assert lines[2][lines[3].index("recall 0.5") :].startswith("precision at")


def test_an_interval_that_is_not_symmetric_is_shown_whole():
    assert screen._short(screen.Estimate(2.0, 1.5, 4.0, 9)) == "2.000 [1.500, 4.000]"
    assert screen._short(screen.Estimate(0.5, 0.4, 0.6, 9)) == "0.500 ±0.100"
    assert screen._short(screen.Estimate(np.nan, np.nan, np.nan, 0)) == ""


@pytest.mark.parametrize(
    ("seeds", "last"),
    [
        (1, "Of 2 claims: 2 cannot be told (1 training, a verdict needs 3)."),
        (3, "Of 2 claims: 1 hold, 1 do not hold."),
    ],
)
def test_the_verdicts_come_last_and_the_last_line_counts_them(seeds, last):
    named = {"labels": {"user": "beginner"}}
    larger = claims.better("A Gaussian is larger.", Source.OURS, GAUSSIAN, METHODS[0], "auroc", **named)
    smaller = claims.better("It is smaller.", Source.OURS, METHODS[0], GAUSSIAN, "auroc", **named)
    results = [claims.measure(claim, example(seeds)) for claim in (larger, smaller)]
    text = screen.verdicts(results, claims.judge(results), 80)
    assert text.splitlines()[-1] == last and max(map(len, text.splitlines())) <= 80
    assert "A Gaussian is larger. (ours)" in text
