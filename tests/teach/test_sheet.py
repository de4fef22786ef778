import dataclasses
import json

import pytest

from galore.errors import InputError
from galore.teach import sheet


def test_a_sheet_comes_back_as_it_was_written(lesson_sheet, agree_sheet, tmp_path):
    for made in (lesson_sheet, agree_sheet):
        path = tmp_path / f"{made.kind}.json"
        sheet.write(made, path)
        assert sheet.read(path) == made
        assert sheet.read(path).experiment == made.experiment


def test_the_identifier_changes_with_what_is_shown_and_not_with_the_provenance(lesson_sheet):
    again = dataclasses.replace(lesson_sheet, provenance={"device": "another"})
    assert again.experiment == lesson_sheet.experiment
    other = dataclasses.replace(lesson_sheet, orders=lesson_sheet.orders[::-1])
    assert other.experiment != lesson_sheet.experiment


def test_phases_follow_the_order_of_the_questions(lesson_sheet, agree_sheet):
    for order in range(len(lesson_sheet.orders)):
        assert lesson_sheet.phases(order) == ("before",) * 4 + ("training",) * 3 + ("after",) * 4
    assert set(agree_sheet.phases(0)) == {"agree"}


@pytest.mark.robust("results of learners")
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text[:100], "is damaged, expected the sheet"),
        (lambda text: "[]", "not the sheet"),
        (lambda text: "[" * 100_000, "nested too deeply"),
        (lambda text: text.replace('"version": 2', '"version": 7'), "version 7"),
        (lambda text: text.replace('"truth": "A"', '"truth": "B"', 1), "changed after"),
        (lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "experiment"}), "changed after"),
        (
            lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "trials"}),
            "field `trials`",
        ),
        (
            lambda text: json.dumps(json.loads(text) | {"trials": [{"lit": []}]}),
            "got `array` - at",
        ),
    ],
)
def test_what_is_no_sheet_is_refused(lesson_sheet, tmp_path, damage, words):
    path = tmp_path / "sheet.json"
    sheet.write(lesson_sheet, path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(InputError, match=words):
        sheet.read(path)


@pytest.mark.robust("results of learners")
def test_a_missing_sheet_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        sheet.read(tmp_path / "nowhere")
