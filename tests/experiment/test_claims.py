"""Verdicts follow from inferences alone, and inferences from the rows that a claim names."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.stats

from galore import statistics
from galore.evaluation.ground_truth import AttributeTable
from galore.evaluation.methods import RANDOM, WHOLE_OBJECT, Method, Rule, Score
from galore.experiment import claims
from galore.experiment.claims import Claim, Difference, Faster, Multiple, Paper, Result, Source, Verdict, better
from galore.experiment.table import Cell, Row, Table
from galore.statistics import Estimate, Inference

NAN = math.nan
A, B = Method(Rule.ATTRIBUTIVE), Method(Rule.DISCRIMINANT, Score.SOFTMAX)
SHAPE, CLASSES = (3, 40), np.repeat(np.arange(8), 5)
COUNTERS = np.random.default_rng(1).integers(0, 8, SHAPE)
VALUES = np.random.default_rng(0).normal(0.5, 0.1, SHAPE)
HOLES = np.where(np.arange(40) < 4, NAN, VALUES + 0.05)


def row(method: Method, values: np.ndarray, measure: str = "auroc", table=None, counters=COUNTERS, **labels) -> Row:
    cell = Cell(method, measure, None, tuple(labels.items()), table)
    return Row(cell, values, {}, CLASSES[: values.shape[1]], counters[:, : values.shape[1]])


TABLE = Table((row(A, VALUES), row(B, HOLES), row(RANDOM, VALUES[:, :9])))


def inference(z: float, error: float = 0.01, degrees: float = 20.0, **counts: int) -> Inference:
    """A mean that lies z standard errors from zero."""
    value, half = z * error, float(scipy.stats.t.ppf(0.975, degrees)) * error
    counted = {"trainings": 5, "classes": 25, "images": 600} | counts
    return Inference(Estimate(value, value - half, value + half, 3000), error, degrees, **counted)


def result(*args, source: Source = Source.OURS, **kwargs) -> Result:
    return Result("Red is better.", source, "AUROC", *args, **kwargs)


def verdict(*args, **kwargs) -> Verdict:
    return claims.judge([result(*args, **kwargs)])[0]


@pytest.mark.parametrize(
    ("found", "other", "margin", "expected"),
    [
        (inference(5.0), None, 0.02, Verdict.HOLDS),
        (inference(-5.0), None, 0.02, Verdict.FAILS),
        (inference(1.0), None, 0.02, Verdict.UNKNOWN),
        (inference(1.0, error=0.001), None, 0.02, Verdict.NO_DIFFERENCE),
        (inference(1.0, error=0.001), None, NAN, Verdict.UNKNOWN),
        (inference(0.0)._replace(error=0.0), None, 0.02, Verdict.NO_DIFFERENCE),
        (inference(5.0), inference(3.0), 0.02, Verdict.HOLDS),
        (inference(5.0), inference(-0.1), 0.02, Verdict.DEPENDS),
        (inference(0.1), inference(-5.0), 0.02, Verdict.DEPENDS),
        (inference(5.0, error=0.001), None, 0.02, Verdict.NO_DIFFERENCE),
        (inference(5.0, error=0.001), inference(-5.0, error=0.001), 0.02, Verdict.NO_DIFFERENCE),
        (inference(0.5), inference(-0.5), 0.02, Verdict.UNKNOWN),
        (inference(0.5), inference(5.0), 0.02, Verdict.UNKNOWN),
        (None, None, 0.02, Verdict.UNKNOWN),
    ],
)
def test_verdict(found, other, margin, expected):
    assert verdict(found, other, margin) is expected


@pytest.mark.parametrize(
    ("found", "shortage"),
    [
        (inference(9.0, trainings=1), "1 training, a verdict needs 3"),
        (inference(9.0, trainings=2), "2 trainings, a verdict needs 3"),
        (inference(9.0, classes=1), "1 class, a verdict needs 5"),
        (inference(9.0, classes=4), "4 classes, a verdict needs 5"),
        (inference(9.0, images=29), "29 images, a verdict needs 30"),
        (statistics.NO_INFERENCE, "no image counts"),
        (None, "there is no student"),
    ],
)
def test_too_little_gives_no_verdict_but_says_what_is_missing(found, shortage):
    short = result(found, why="there is no student")
    assert short.shortage == shortage and math.isnan(short.p) and claims.judge([short]) == [Verdict.UNKNOWN]
    assert shortage in short.sentence(Verdict.UNKNOWN)


def test_the_claims_of_a_paper_are_judged_together():
    """p = 0.03 twice: Holm makes 0.06 of the first, so that neither holds; in papers of their own both do."""
    z = scipy.stats.t.isf(0.015, 20)
    two = [result(inference(z), source=Source.SCOUT_FIGURE_3), result(inference(z), source=Source.SCOUT_TABLE_1)]
    assert claims.judge(two) == [Verdict.UNKNOWN] * 2
    # One that cannot be judged takes nothing from the others.
    unknown = result(inference(z, trainings=1), source=Source.SCOUT_FIGURE_4)
    assert claims.judge([two[0], unknown]) == [Verdict.HOLDS, Verdict.UNKNOWN]
    elsewhere = dataclasses.replace(two[1], source=Source.REALISTIC)
    assert claims.judge([two[0], elsewhere]) == [Verdict.HOLDS] * 2
    assert claims.judge([]) == []
    # Of ours, those of one experiment.
    ours = [dataclasses.replace(one, source=Source.OURS) for one in two]
    assert claims.judge(ours, ["answering", "answering"]) == claims.judge(ours) == [Verdict.UNKNOWN] * 2
    assert claims.judge(ours, ["answering", "sanity"]) == [Verdict.HOLDS] * 2
    assert claims.judge(two, ["answering", "sanity"]) == [Verdict.UNKNOWN] * 2
    # By the other table of attributes, too.
    depends = [dataclasses.replace(one, inference=inference(0.5), other=inference(-z)) for one in two]
    assert claims.judge(depends[:1]) == [Verdict.DEPENDS] and claims.judge(depends) == [Verdict.UNKNOWN] * 2


def test_a_difference_is_paired_and_over_the_images_that_count_for_both():
    measured = claims.measure(better("B beats A.", Source.OURS, B, A, "auroc", otherwise="no map"), TABLE)
    assert measured.estimate[:3] == pytest.approx((0.05, 0.05, 0.05)) and measured.estimate.counted == 3 * 36
    assert measured.inference[3:] == (3, 8, 36) and measured.margin == claims.MARGINS["auroc"]
    assert claims.judge([measured]) == [Verdict.HOLDS]
    assert measured.number == "AUROC, discriminant, softmax minus attributive"


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
    measured = claims.measure(Claim("It is so.", Source.OURS, "n", quantity), TABLE)
    assert measured.estimate.value == pytest.approx(mean, abs=1e-6)


def test_a_reversed_claim_holds_where_the_number_is_smaller():
    claim = Claim("A is smaller.", Source.OURS, "n", Difference(Cell(A, "auroc"), Cell(B, "auroc")), is_reversed=True)
    turned, plain = (claims.measure(dataclasses.replace(claim, is_reversed=r), TABLE) for r in (True, False))
    assert claims.judge([turned]) == [Verdict.HOLDS] and claims.judge([plain]) == [Verdict.FAILS]
    value, low, high, _ = plain.estimate
    assert turned.estimate[:3] == (-value, -high, -low)


@pytest.mark.parametrize("other", [Cell(Method(Rule.MARGIN), "auroc"), Cell(A, "recall"), Cell(RANDOM, "auroc")])
@pytest.mark.parametrize("is_paired", [True, False])
def test_rows_that_are_missing_or_do_not_fit_give_no_number_but_a_reason(other, is_paired):
    quantity = Difference(Cell(A, "auroc"), other, is_paired)
    measured = claims.measure(Claim("It is so.", Source.GALORE, "n", quantity, "there is no student"), TABLE)
    assert measured.estimate is None and measured.shortage == "there is no student"


def test_rows_of_other_classes_and_curves_do_not_fit():
    other = dataclasses.replace(TABLE.rows[1], classes=CLASSES[::-1])
    curve = Row(Cell(A, "precision"), np.zeros((*SHAPE, 100)), {}, CLASSES, COUNTERS)
    table = Table((TABLE.rows[0], other, curve))
    for quantity in (Difference(Cell(A, "auroc"), Cell(B, "auroc")), Cell(A, "precision")):
        assert claims.measure(Claim("It is so.", Source.OURS, "n", quantity), table).inference is None


def test_a_paired_difference_sees_what_two_intervals_do_not():
    rng = np.random.default_rng(0)
    second = rng.normal(0, 1, (3, 40))
    first = second + 0.1 + rng.normal(0, 0.1, (3, 40))
    table = Table((row(A, first), row(B, second)))
    assert claims.measure(better("A beats B.", Source.OURS, A, B, "auroc"), table).estimate.low > 0.05
    assert table.rows[1].estimate.high > table.rows[0].estimate.low


def test_an_unpaired_difference_is_of_means_over_other_images():
    first, second = VALUES.copy(), VALUES - 0.2
    first[:, ::2], second[:, 1::2] = NAN, NAN
    table = Table((row(A, first), row(B, second)))
    claim = Claim("It is so.", Source.OURS, "n", Difference(Cell(A, "auroc"), Cell(B, "auroc"), is_paired=False))
    measured = claims.measure(claim, table)
    assert measured.estimate.value == pytest.approx(np.nanmean(first) - np.nanmean(second))
    paired = dataclasses.replace(claim, quantity=Difference(Cell(A, "auroc"), Cell(B, "auroc")))
    assert claims.measure(paired, table).shortage == "no image counts"


def test_each_side_of_a_difference_has_its_own_counter_classes():
    """Two users ask about the same images: paired by image, each with the counter classes of its own."""
    others = COUNTERS[:, ::-1]
    table = Table((row(B, HOLES, user="advanced"), row(B, 2 * VALUES, user="beginner", counters=others)))
    cells = [Cell(B, "auroc", None, (("user", user),)) for user in ("advanced", "beginner")]
    found = claims.measure(Claim("It is so.", Source.OURS, "n", Difference(*cells)), table).inference
    both = np.where(np.isnan(HOLES), NAN, 2 * VALUES)
    assert found == statistics.mixed_effects_of_difference(HOLES, both, CLASSES, COUNTERS, others)
    assert found.estimate.value == pytest.approx(np.nanmean(HOLES - 2 * VALUES)) and found.images == 36


def test_the_same_by_the_other_table_of_attributes_stands_beside_it():
    other = AttributeTable.NEURIPS
    table = TABLE + Table((row(A, VALUES, table=other), row(B, VALUES - 0.02 + 0.001 * VALUES, table=other)))
    measured = claims.measure(better("B beats A.", Source.OURS, B, A, "auroc"), table)
    assert measured.other.estimate.value == pytest.approx(-0.0195, abs=1e-4)
    assert claims.judge([measured]) == [Verdict.DEPENDS]
    turned = claims.measure(dataclasses.replace(better("", Source.OURS, B, A, "auroc"), is_reversed=True), table)
    assert turned.other == measured.other.negative()


def test_baselines_stand_beside_a_claim():
    baselines = (row(RANDOM, VALUES - 0.1), row(WHOLE_OBJECT, VALUES + np.random.default_rng(2).normal(0.05, 1, SHAPE)))
    measured = claims.measure(better("B beats A.", Source.OURS, B, A, "auroc"), Table((*TABLE.rows[:2], *baselines)))
    assert measured.baselines == (("above", "random map"), ("like", "whole object"))
    below = claims.measure(Claim("", Source.OURS, "n", Cell(A, "auroc")), Table((row(A, VALUES), row(RANDOM, HOLES))))
    assert below.baselines == (("below", "random map"),)


def timed(*ratios: float) -> Table:
    seconds = np.ones((2, len(ratios)))
    return Table((Row(Cell(A, "images per second"), seconds * ratios), Row(Cell(B, "images per second"), seconds)))


@pytest.mark.parametrize(
    ("ratios", "factor", "expected"),
    [
        ((9.0, 11.0, 12.0, 13.0, 99.0), 1.0, Verdict.HOLDS),
        ((9.0, 11.0, 12.0, 13.0, 99.0), 100.0, Verdict.FAILS),
        ((9.0, 11.0, 12.0, 13.0, 99.0), 12.0, Verdict.UNKNOWN),
        ((9.0, 11.0), 1.0, Verdict.UNKNOWN),
    ],
)
def test_a_speed_claim_compares_the_median_of_rounds_with_its_factor(ratios, factor, expected):
    speeds = Faster(Cell(A, "images per second"), Cell(B, "images per second"), factor)
    measured = claims.measure(Claim("A is faster.", Source.SCOUT_TABLE_1, "ratio", speeds), timed(*ratios))
    assert measured.estimate.value == pytest.approx(np.median(ratios)) and measured.is_timing
    assert claims.judge([measured]) == [expected]
    assert measured.shortage == ("" if len(ratios) == 5 else "4 rounds, a verdict needs 6")
    assert claims.measure(Claim("", Source.OURS, "", speeds, "no search"), TABLE).shortage == "no search"


def test_a_sentence_has_digits_enough_for_its_verdict():
    small = result(inference(5.0, error=0.00002))
    assert small.sentence(Verdict.HOLDS).endswith("AUROC: 0.0001 [0.0001, 0.0001]")


def test_results_are_read_back_as_written(tmp_path):
    results = [
        result(statistics.mixed_effects(np.ones((3, 4)), np.arange(4), None)),
        result(inference(1.0), inference(2.0), 0.02, headline=True, published="0.84", baselines=(("above", "oracle"),)),
        result(inference(1.0)._replace(error=NAN), is_timing=True, timing_p=0.25, threshold=50.0),
        result(None, why="no student", source=Source.SCOUT_TABLE_1),
    ]
    claims.save(results, tmp_path / "claims.json")
    again = claims.load(tmp_path / "claims.json")
    assert list(map(str, again)) == list(map(str, results)) and claims.judge(again) == claims.judge(results)
    assert "NaN" not in (tmp_path / "claims.json").read_text()


def test_every_source_belongs_to_a_paper():
    assert {source.paper for source in Source} == set(Paper)
    assert [source for source in Source if source.is_ours] == [s for s in Source if s.value.startswith("ours")]
