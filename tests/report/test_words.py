import dataclasses
from html import escape

import answers
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from galore.report import notebook, page, words


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (0.004, "under 1 %"),
        (0.01, "1 %"),
        (0.376, "38 %"),
        (0.994, "99 %"),
        (0.999, "over 99 %"),
        (1.0, "100 %"),
    ],
)
def test_percentages(share, text):
    assert words.percent(share) == text.replace(" %", "\u202f%")


@given(st.floats(0, 1))
def test_only_exact_certainty_is_called_so(share):
    assert (words.percent(share) == "100\u202f%") == (share == 1)
    assert (words.percent(share) == "0\u202f%") == (share == 0)


@pytest.mark.parametrize(
    ("rows", "columns", "text"),
    [
        (slice(0, 3), slice(0, 3), "upper left"),
        (slice(4, 6), slice(4, 6), "centre"),
        (slice(4, 6), slice(7, 10), "right"),
        (slice(7, 10), slice(4, 6), "lower middle"),
        (slice(7, 10), slice(0, 2), "lower left"),
        (slice(0, 10), slice(0, 10), "centre"),
        (slice(0, 0), slice(0, 0), "nowhere"),
    ],
)
def test_places(rows, columns, text):
    region = np.zeros((10, 10), bool)
    region[rows, columns] = True
    assert words.place(region) == text


def test_parts_name_the_place_of_the_largest(tmp_path):
    finding = answers.answer(tmp_path).attributive
    region = np.zeros((90, 90), bool)
    region[0:10, 0:10] = region[60:85, 60:85] = True
    assert (
        words.parts(dataclasses.replace(finding, packed=np.packbits(region, axis=-1)))
        == "2 parts, the largest lower right"
    )
    assert words.parts(dataclasses.replace(finding, packed=np.zeros((90, 12), np.uint8))) == "no region"


def test_the_objects_own_parts_are_named_where_they_are_known(tmp_path):
    finding = answers.answer(tmp_path).attributive
    assert words.parts(dataclasses.replace(finding, parts=("beak", "crown"))) == "beak, crown"
    assert words.parts(dataclasses.replace(finding, parts=tuple("abcdef"))) == "a, b, c, d and 2 more"


def test_a_sure_network_hesitates_in_one_sentence(tmp_path):
    answer = answers.answer(tmp_path)
    assert not words.is_sure(answer) and "hesitates most between" in words.deliberative(answer)
    sure = dataclasses.replace(answer, confidence=0.95)
    assert words.deliberative(sure).startswith("Of this photo the network is sure (its difficulty is 0.05, from 0")


@pytest.mark.parametrize(
    ("probabilities", "start"),
    [
        ((0.96, 0.02), "The network is sure: red thing (96"),
        ((0.7, 0.1), "The network says red thing (70"),
        ((0.4, 0.1), "The network leans towards red thing (40"),
        ((0.44, 0.41), "The network can hardly decide between red thing (44"),
    ],
)
def test_the_headline_says_how_sure_the_network_is(tmp_path, probabilities, start):
    answer = answers.answer(tmp_path)
    candidates = tuple(
        dataclasses.replace(candidate, probability=p)
        for candidate, p in zip(answer.candidates[:2], probabilities, strict=True)
    )
    assert words.headline(dataclasses.replace(answer, candidates=candidates)).startswith(start)


def test_the_resolution_is_that_of_the_map(tmp_path):
    assert words.resolution(answers.answer(tmp_path)).startswith("Each map has 4 × 4 cells; a cell is 6\u202f% of")


def test_how_the_map_of_the_difference_was_made_is_said(tmp_path):
    answer = answers.answer(tmp_path)
    assert words.rule(answer).startswith("The map is the discriminant one: what speaks for red thing, times")
    by_margin = dataclasses.replace(answer, methods=answer.methods | {"rule": "margin"})
    assert words.rule(by_margin).endswith("the score of red thing minus the score of blue thing.")


@pytest.mark.parametrize(
    ("rule", "region", "made"),
    [
        (
            "standardised",
            "speaks less for blue thing than for other classes (",
            "what speaks against blue thing, compared",
        ),
        ("part-tables", "shows parts by which red thing and blue thing differ (", "placed on this photo's parts"),
        (
            "counterparts",
            "speaks for red thing, measured against what blue thing would show there (",
            "would fall if a place looked as blue thing does there",
        ),
    ],
)
def test_what_another_rule_shows_is_said_and_what_it_does_not(tmp_path, rule, region, made):
    answer = answers.answer(tmp_path, rule=rule)
    assert words.counterfactual(answer).startswith(f"The lit region {region}")
    assert made in words.rule(answer)
    html = page.page(answer)
    assert html.count("what speaks for red thing and not for blue thing") == 0
    assert escape(words.rule(answer)) in html and escape(words.meaning(rule, "red thing", "blue thing")) in html
    assert ("where two classes differ" in html) == (rule == "part-tables")
    assert words.says(rule, "red thing", "blue thing")[1:] in notebook.html(answer)
