"""Verdicts follow from intervals alone, and intervals from the rows that a claim names."""

import dataclasses

import numpy as np
import pytest

from galore import statistics
from galore.evaluation.methods import RANDOM, Method, Rule, Score
from galore.experiment import claims
from galore.experiment.claims import Claim, Difference, Multiple, Result, Source, Verdict, better
from galore.experiment.table import Cell, Row, Table
from galore.statistics import Estimate

NAN = float("nan")
A, B = Method(Rule.ATTRIBUTIVE), Method(Rule.DISCRIMINANT, Score.SOFTMAX)
VALUES = np.random.default_rng(0).normal(0.5, 0.1, (1, 40)).astype(np.float32)
HOLES = np.where(np.arange(40) < 4, np.nan, VALUES + 0.05)
TABLE = Table((Row(Cell(A, "auroc"), VALUES), Row(Cell(B, "auroc"), HOLES), Row(Cell(RANDOM, "auroc"), VALUES[:, :9])))


@pytest.mark.parametrize(
    ("estimate", "verdict"),
    [
        (Estimate(0.1, 0.05, 0.2, 9), Verdict.HOLDS),
        (Estimate(-0.1, -0.2, -0.05, 9), Verdict.FAILS),
        (Estimate(0.1, -0.05, 0.2, 9), Verdict.UNKNOWN),
        (Estimate(0.0, 0.0, 0.0, 9), Verdict.UNKNOWN),
        (Estimate(0.1, NAN, NAN, 1), Verdict.UNKNOWN),
        (None, Verdict.UNKNOWN),
    ],
)
def test_verdict(estimate, verdict):
    assert Result("Red is better.", Source.OURS, "AUROC", estimate).verdict is verdict


def test_a_difference_is_paired_and_over_the_images_that_count_for_both():
    result = claims.measure(better("B beats A.", Source.OURS, B, A, otherwise="no map"), TABLE)
    assert result.estimate.value == pytest.approx(0.05) and result.estimate.low == pytest.approx(0.05)
    assert result.estimate.counted == 36 and result.verdict is Verdict.HOLDS
    assert result.number == "AUROC, a * comp(b) * s, softmax minus a"


@pytest.mark.parametrize(
    ("quantity", "mean"),
    [
        (Cell(A, "auroc"), VALUES.mean()),
        (Difference(0.5, Cell(A, "auroc")), 0.5 - VALUES.mean()),
        (Difference(Cell(A, "auroc"), Multiple(3, Cell(A, "auroc"))), -2 * VALUES.mean()),
        (Difference(Difference(Cell(B, "auroc"), Cell(A, "auroc")), 0.05), 0.0),
    ],
)
def test_a_quantity_is_made_of_rows_image_by_image(quantity, mean):
    result = claims.measure(Claim("It is so.", Source.OURS, "n", quantity), TABLE)
    assert result.estimate.value == pytest.approx(mean, abs=1e-6)


def test_a_reversed_claim_holds_where_the_number_is_smaller():
    claim = Claim("A is smaller.", Source.OURS, "n", Difference(Cell(A, "auroc"), Cell(B, "auroc")), is_reversed=True)
    reversed_, plain = (claims.measure(dataclasses.replace(claim, is_reversed=r), TABLE) for r in (True, False))
    assert reversed_.verdict is Verdict.HOLDS and plain.verdict is Verdict.FAILS
    value, low, high, _ = plain.estimate
    assert reversed_.estimate[:3] == (-value, -high, -low)


@pytest.mark.parametrize("other", [Cell(Method(Rule.MARGIN), "auroc"), Cell(A, "recall"), Cell(RANDOM, "auroc")])
def test_rows_that_are_missing_or_do_not_fit_give_no_number_but_a_reason(other):
    claim = Claim("It is so.", Source.GALORE, "n", Difference(Cell(A, "auroc"), other), "there is no student")
    result = claims.measure(claim, TABLE)
    assert result.estimate is None and result.why == "there is no student" and result.verdict is Verdict.UNKNOWN


def test_a_paired_difference_sees_what_two_intervals_do_not():
    rng = np.random.default_rng(0)
    second = rng.normal(0, 1, (1, 100))
    first = second + 0.1 + rng.normal(0, 0.1, (1, 100))
    table = Table((Row(Cell(A, "auroc"), first), Row(Cell(B, "auroc"), second)))
    assert claims.measure(better("A beats B.", Source.OURS, A, B), table).estimate.low > 0.05
    assert statistics.bootstrap(second).high > statistics.bootstrap(first).low


def test_results_are_read_back_as_written(tmp_path):
    results = [
        Result("One.", Source.OURS_ADEBAYO, "n", Estimate(0.1, NAN, NAN, 1)),
        Result("Two.", Source.SCOUT_TABLE_1, "n", None, "no student"),
    ]
    claims.save(results, tmp_path / "claims.json")
    assert [str(result) for result in claims.load(tmp_path / "claims.json")] == [str(result) for result in results]
    assert [source for source in Source if source.is_ours] == [s for s in Source if s.value.startswith("ours")]
