import dataclasses
import json

import pytest

from galore.teach import results, seal


def knowing(phase, truth):
    return truth


def guessing(phase, truth):
    return "A" if phase == "before" else truth


def test_a_whole_result_is_read(lesson_sheet, result_file):
    (found,), refusals = results.join(lesson_sheet, [result_file(lesson_sheet, guessing)])
    assert refusals == []
    assert found.condition == lesson_sheet.places[0].condition
    assert results.accuracy(lesson_sheet, found, "before") == 0.5
    assert results.accuracy(lesson_sheet, found, "after") == 1.0
    assert results.seconds(lesson_sheet, found, "training").tolist() == [1.5] * 3


def test_do_not_know_is_not_right(lesson_sheet, result_file):
    (found,), _ = results.join(lesson_sheet, [result_file(lesson_sheet, lambda phase, truth: "?")])
    assert results.accuracy(lesson_sheet, found, "after") == 0


def edit(change):
    def damage(path):
        body = json.loads(path.read_text())
        change(body)
        path.write_text(json.dumps(body))

    return damage


def cut(path):
    path.write_text(path.read_text()[:200])


DAMAGES = {
    "not JSON": cut,
    "no result file": edit(lambda body: body.update(format="something")),
    "of another version: 1": edit(lambda body: body.update(version=1)),
    "of another experiment: 'feed'": edit(lambda body: body.update(experiment="feed")),
    "the field 'answers'": edit(lambda body: body.pop("answers")),
    "the field 'learner'": edit(lambda body: body.update(learner="../x")),
    "it is not JSON": lambda path: path.write_text("[" * 100_000),
    "the field 'simulation'": edit(lambda body: body.update(simulation="../people")),
    "the field 'place'": edit(lambda body: body.update(place="\ud800")),
    "checksum": edit(
        lambda body: body["answers"][0].update(answer="B" if body["answers"][0]["answer"] == "A" else "A")
    ),
    "'checksum'": edit(lambda body: body.pop("checksum")),
}


@pytest.mark.parametrize("reason", DAMAGES)
def test_damaged_files_are_named_and_the_rest_is_counted(lesson_sheet, result_file, reason):
    good, bad = result_file(lesson_sheet, knowing), result_file(lesson_sheet, knowing, learner="l2", seat=1)
    DAMAGES[reason](bad)
    found, (refusal,) = results.join(lesson_sheet, [bad, good])
    assert [result.file for result in found] == [str(good)]
    assert refusal.file == str(bad)
    assert reason in refusal.reason


def test_well_formed_contradictions_are_found_although_the_checksum_fits(lesson_sheet, result_file):
    other = (lesson_sheet.conditions.index(lesson_sheet.places[0].condition) + 1) % 4 + 1
    order = lesson_sheet.orders[lesson_sheet.places[0].order]
    answers = [{"trial": id, "answer": "A", "milliseconds": 900, "interrupted": 0, "studied": 0} for id in order]
    cases = {
        "another condition": {"condition": other},
        "none of the experiment's": {"place": "zzzzz"},
        "7 of 11 questions": {"answers": answers[:7]},
        "not those of the sheet": {"answers": answers[::-1]},
        "does not have": {"condition": 9, "place": ""},
        "the field 'answers'": {"answers": [answers[0] | {"milliseconds": -5}, *answers[1:]]},
    }
    for words, changed in cases.items():
        _, (refusal,) = results.join(lesson_sheet, [result_file(lesson_sheet, knowing, **changed)])
        assert words in refusal.reason


def test_a_file_handed_in_twice_counts_once(lesson_sheet, result_file):
    first = result_file(lesson_sheet, knowing, name="1.json")
    same = result_file(lesson_sheet, knowing, name="2.json")
    differs = result_file(lesson_sheet, guessing, name="3.json")
    found, refusals = results.join(lesson_sheet, [first, same, differs])
    assert [result.file for result in found] == [str(first)]
    assert ["the same as" in refusals[0].reason, "differs" in refusals[1].reason] == [True, True]


def test_interrupted_answers_have_no_time_and_explanations_are_those_of_wrong_answers(lesson_sheet, result_file):
    path = result_file(lesson_sheet, lambda phase, truth: "?" if phase == "training" else truth)
    body = json.loads(path.read_text())
    body["answers"][0] |= {"interrupted": 1}
    body["answers"][5] |= {"studied": 4000}
    path.write_text(json.dumps(body | {"checksum": seal.checksum(body)}))
    (found,), _ = results.join(lesson_sheet, [path])
    assert len(results.seconds(lesson_sheet, found, "before")) == 3
    assert results.explained(lesson_sheet, found).tolist() == [9, 4, 9]
    (right,), _ = results.join(lesson_sheet, [result_file(lesson_sheet, knowing)])
    assert results.explained(lesson_sheet, right).tolist() == []


def test_do_not_know_can_count_as_a_guess(lesson_sheet, result_file):
    (found,), _ = results.join(
        lesson_sheet, [result_file(lesson_sheet, lambda phase, truth: "?" if phase == "before" else truth)]
    )
    assert results.gains(lesson_sheet, [found]).tolist() == [1.0]
    assert results.gains(lesson_sheet, [found], unsure=0.5).tolist() == [0.5]


def test_a_code_by_which_two_learners_came_is_named(lesson_sheet, result_file):
    files = [result_file(lesson_sheet, knowing, learner=f"l{k}", seat=seat) for k, seat in enumerate((0, 0, 1))]
    found, refusals = results.join(lesson_sheet, files)
    assert refusals == []
    assert results.shared_codes(found) == [lesson_sheet.places[0].code]


def test_files_that_cannot_be_read_are_named(lesson_sheet, tmp_path):
    _, (refusal,) = results.join(lesson_sheet, [tmp_path / "nowhere.json"])
    assert "cannot be read" in refusal.reason


@pytest.mark.robust("results of learners")
def test_a_result_of_another_sheet_is_refused(lesson_sheet, result_file):
    other = dataclasses.replace(lesson_sheet, subject="fish")
    _, (refusal,) = results.join(lesson_sheet, [result_file(other, knowing)])
    assert "another experiment" in refusal.reason
