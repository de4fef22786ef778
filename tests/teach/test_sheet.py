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


def replaced(made, **changed):
    return dataclasses.replace(made, **changed)


def first(entries, **changed):
    return (dataclasses.replace(entries[0], **changed), *entries[1:])


NAN = float("nan")


def shown(made, outline, *marks):
    return replaced(made, trials=first(made.trials, shown=sheet.LitRegion(outline, marks)))


CONTRADICTIONS = {
    "another kind": lambda s: replaced(s, kind="quiz"),
    "no sizes": lambda s: replaced(s, settings={}),
    "an address that adds to the policy": lambda s: replaced(s, post_to="http://a; script-src *"),
    "an address of another kind": lambda s: replaced(s, post_to="javascript:alert(1)"),
    "an address that is none": lambda s: replaced(s, post_to="http://[::::]/"),
    "a picture's id that leads elsewhere": lambda s: replaced(s, pictures=first(s.pictures, id="../../../x")),
    "a picture's id of a folder": lambda s: replaced(s, pictures=first(s.pictures, id="a/b")),
    "an id of a megabyte": lambda s: replaced(s, trials=first(s.trials, id="a" * 10**6)),
    "a code with a line break": lambda s: replaced(s, places=first(s.places, code="a\nb")),
    "a code with an escape": lambda s: replaced(s, places=first(s.places, code="\x1b[2J")),
    "a condition that is markup": lambda s: replaced(s, conditions=("<b>", *s.conditions)),
    "a picture that is not there": lambda s: replaced(s, pictures=s.pictures[1:]),
    "no orders": lambda s: replaced(s, orders=(), places=()),
    "an empty order": lambda s: replaced(s, orders=((), *s.orders[1:])),
    "a question that is not there": lambda s: replaced(s, orders=(("none",), *s.orders[1:])),
    "an order without explanations": lambda s: replaced(s, orders=((s.trials[0].id,), *s.orders[1:])),
    "a place of another order": lambda s: replaced(s, places=first(s.places, order=99)),
    "a place of another condition": lambda s: replaced(s, places=first(s.places, condition="none")),
    "a class that is not there": lambda s: replaced(s, pictures=first(s.pictures, label=2)),
    "a window that is no number": lambda s: replaced(s, pictures=first(s.pictures, window=(0.0, 0.0, NAN, 1.0))),
    "a window without an area": lambda s: replaced(s, pictures=first(s.pictures, window=(5.0, 5.0, 5.0, 9.0))),
    "a truth that nobody can answer": lambda s: replaced(s, trials=first(s.trials, truth="C")),
    "an outline that is none": lambda s: shown(s, "M1 1L2 2Lx yZ"),
    "an outline beyond all numbers": lambda s: shown(s, "M1 1L9999999 2L3 3Z"),
    "a part nowhere": lambda s: shown(s, "", sheet.Mark("eye", NAN, 0.0)),
    "an explanation under no condition": lambda s: replaced(s, trials=first(s.trials, counter=s.trials[0].picture)),
}


@pytest.mark.robust("results of learners")
@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_a_sheet_that_contradicts_itself_is_one_sentence_whatever_its_hash(lesson_sheet, tmp_path, what):
    wrong = CONTRADICTIONS[what](lesson_sheet)
    sheet.write(wrong, tmp_path / "sheet.json")
    with pytest.raises(InputError, match=r"sheet\.json is damaged") as caught:
        sheet.read(tmp_path / "sheet.json")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1100


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("https://example.org/take?x=1&y=2", True),
        ("http://127.0.0.1:8000/", True),
        ("https://example.org", True),
        ("https://", False),
        ("https://a b/", False),
        ("https://a/;b", False),
        ("https://a/'b", False),
        ("ftp://a", False),
        ("//a", False),
    ],
)
def test_an_address_is_http_and_nothing_more(text, is_one):
    assert sheet.is_address(text) == is_one
