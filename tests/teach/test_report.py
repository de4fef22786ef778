import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest

from galore.teach import agree_report, report, results
from galore.teach.sheet import TEACH


def learner(before: float, after: float, seed: int):
    """Answers right with the given chances."""
    generator = np.random.default_rng(seed)

    def answer(phase, truth):
        chance = {"before": before, "training": 0.5, "after": after}[phase]
        return truth if generator.random() < chance else "B" if truth == "A" else "A"

    return answer


@pytest.fixture
def some_people(lesson_sheet, result_file):
    """Six learners of each condition, of whom only those with counterfactual explanations learn."""
    files = []
    for seat, place in enumerate(lesson_sheet.places[:24]):
        after = 1.0 if place.condition == "counterfactual" else 0.5
        files.append(result_file(lesson_sheet, learner(0.5, after, seat), learner=f"p{seat}", seat=seat))
    return files


def test_the_table_counts_what_the_files_say(lesson_sheet, some_people):
    found, _ = results.join(lesson_sheet, some_people)
    made = report.make(lesson_sheet, found)
    assert [row.condition for row in made.rows] == ["counterfactual", "attributive", "random", "whole"]
    assert {row.learners for row in made.rows} == {6}
    best = made.rows[0]
    assert best.after.value == 1.0
    assert best.after.low < 1
    by_hand = [results.accuracy(lesson_sheet, r, "before") for r in found if r.condition == "counterfactual"]
    assert best.before.value == pytest.approx(np.mean(by_hand))
    assert best.gain.value == pytest.approx(1 - np.mean(by_hand))
    assert [row.published for row in made.rows] == [0.95, None, 0.60, 0.77]
    assert best.seconds_after == 1.5
    assert best.seconds_explained == 9
    assert 0 < best.explained < 3
    assert best.gain_guessed == best.gain
    assert made.shared_codes == ()
    assert len(made.comparisons) == 6
    assert all(c.p_holm >= c.p for c in made.comparisons)


def test_simulations_are_labelled_everywhere_and_never_stand_beside_people(
    lesson_sheet, some_people, result_file, tmp_path
):
    simulated = [
        result_file(lesson_sheet, learner(0.5, 0.9, seat), learner=f"s{seat}", seat=seat, simulation="logistic")
        for seat in range(8)
    ]
    found, refusals = results.join(lesson_sheet, [*some_people, *simulated])
    groups = report.groups(found)
    assert {kind: len(group) for kind, group in groups.items()} == {"": 24, "logistic": 8}
    with pytest.raises(ValueError, match="too many values"):
        report.make(lesson_sheet, found)
    text = report.write(lesson_sheet, groups["logistic"], refusals, tmp_path / "simulated")
    assert all(file.name.startswith("simulation-") for file in (tmp_path / "simulated").iterdir())
    assert text.count("SIMULATION (logistic)") == 3
    assert "published" not in text.lower()
    body = json.loads((tmp_path / "simulated" / "simulation-results.json").read_text())
    assert body["simulation"] == "logistic"
    assert body["title"].startswith("SIMULATION")
    people = report.write(lesson_sheet, groups[""], refusals, tmp_path / "people")
    assert "SIMULATION" not in people
    assert "95 %" in people
    assert {file.name for file in (tmp_path / "people").iterdir()} == {"table.md", "results.json", "figure.png"}


def test_a_single_learner_has_no_interval_of_the_gain_and_no_test(lesson_sheet, result_file, tmp_path):
    found, refusals = results.join(lesson_sheet, [result_file(lesson_sheet, learner(0, 1, 0))])
    text = report.write(lesson_sheet, found, refusals, tmp_path / "one")
    body = json.loads((tmp_path / "one" / "results.json").read_text())
    assert not any(row["unsure_before"] for row in body["rows"])
    assert body["rows"][0]["gain"] == {"value": 1.0, "low": None, "high": None}
    assert "| +100 % |" in text


def test_agreement_counts_who_cannot_tell_where(agree_sheet, result_file, tmp_path):
    groups = {trial.id: trial.group for trial in agree_sheet.trials}

    def asked(seat):
        order = iter(agree_sheet.orders[agree_sheet.places[seat].order])
        return lambda phase, truth: "?" if groups[next(order)].startswith("insecurity") else truth

    files = [result_file(agree_sheet, asked(seat), learner=f"p{seat}", seat=seat) for seat in range(4)]
    found, refusals = results.join(agree_sheet, files)
    assert refusals == []
    made = agree_report.make(agree_sheet, found)
    rows = {row.group: row for row in made.rows}
    assert rows["insecurity softmax"].cannot_tell.value == 1
    assert rows["random"].cannot_tell.value == rows["discriminant"].cannot_tell.value == 0
    assert rows["random"].right.value == 1
    assert (rows["random"].pieces, rows["random"].answers) == (2, 8)
    assert [c.elsewhere for c in made.contrasts] == ["random", "discriminant", "random and discriminant"]
    assert all(c.difference.value == c.over_pieces.value == 1 for c in made.contrasts)
    agree_report.write(agree_sheet, found, refusals, tmp_path / "people")
    assert (tmp_path / "people" / "figure.png").stat().st_size > 5000
    assert agree_sheet.kind != TEACH


@pytest.mark.robust("texts that are shown")
@pytest.mark.parametrize(
    "name",
    ["\x1b]0;title\x07", "a\u202eb", "x" * 10**6, "half \ud800", "$\\frac$", "two\nlines"],
    ids=lambda n: ascii(n[:9]),
)
def test_names_in_a_report_are_short_and_obeyed_by_nothing(lesson_sheet, agree_sheet, result_file, tmp_path, name):
    def answer(phase, truth):
        return truth

    for sheet, write in ((lesson_sheet, report.write), (agree_sheet, agree_report.write)):
        made = dataclasses.replace(sheet, classes=(name, "Plain"), data=name)
        files = [result_file(made, answer, learner=f"l{seat}", seat=seat) for seat in range(4)]
        found, _ = results.join(made, files)
        refused = results.check_content(made, json.dumps({"format": results.FORMAT, "version": name}).encode(), "a")
        text = write(made, found, [refused], tmp_path / made.kind)
        for shown in (text, (tmp_path / made.kind / "table.md").read_text("utf-8")):
            assert all(len(line) < 1000 and line.isprintable() for line in shown.splitlines())
        assert json.loads((tmp_path / made.kind / "results.json").read_text("utf-8"))["title"].isprintable()


@pytest.mark.robust("paths")
@pytest.mark.parametrize("name", [b"caf\xe9.json", b"\x1b[2J.json", b"two\nlines.json"], ids=repr)
def test_a_file_that_does_not_count_is_named_legibly(lesson_sheet, some_people, tmp_path, name):
    odd = Path(tmp_path, os.fsdecode(name))
    odd.write_text("{}")
    found, refusals = results.join(lesson_sheet, [*some_people, odd])
    report.write(lesson_sheet, found, refusals, tmp_path / "out")
    (refused,) = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))["not_counted"]
    assert str(refusals[0]).isprintable() and refused["file"].isprintable()
