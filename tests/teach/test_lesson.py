"""From a network and a data set to a page, with a small network on invented birds; about 10 seconds."""

import dataclasses
import json

import numpy as np
import pytest

from galore.commands import agree as agree_command
from galore.commands import teach, teach_results
from galore.errors import InputError
from galore.teach import design, learners, lesson, network_maps, outline, planning, report, results

SIZES = design.Sizes(4, 3, 4)
OPTIONS = lesson.LessonOptions(sizes=SIZES, learners=8, subject="birds")


@pytest.fixture(scope="module")
def made(net, birds):
    return lesson.make(net, birds, (0, 1), OPTIONS)


def test_every_picture_is_one_that_the_network_gets_right_and_appears_once(made, net, birds):
    assert len({picture.path for picture in made.pictures}) == 4 + 2 * 3 + 4
    asked = [trial.picture for trial in made.trials] + [trial.counter for trial in made.trials if trial.counter]
    assert sorted(asked) == sorted(picture.id for picture in made.pictures)
    logits = network_maps.predictions(net, [birds.root / "images" / picture.path for picture in made.pictures])
    assert (logits.argmax(-1) == [picture.label for picture in made.pictures]).all()
    assert all(trial.truth == "AB"[label(made, trial.picture)] for trial in made.trials)


def label(made, id):
    return next(picture.label for picture in made.pictures if picture.id == id)


def test_each_condition_lights_as_much_but_another_place(made):
    for trial in made.trials:
        if not trial.counter:
            continue
        areas = {name: [outline.mask(r.outline, 96).mean() for r in lit] for name, lit in trial.lit.items()}
        assert areas["whole"] == [1, 1]
        for name in ("counterfactual", "attributive", "random"):
            assert areas[name] == pytest.approx([0.1, 0.1], abs=0.02)
        assert trial.lit["counterfactual"] != trial.lit["random"] != trial.lit["attributive"]
        assert label(made, trial.counter) != label(made, trial.picture)


def test_the_sheet_is_a_function_of_what_went_in(made, net, birds):
    assert lesson.make(net, birds, (0, 1), OPTIONS) == made
    other = lesson.make(net, birds, (0, 1), OPTIONS._replace(seed=1))
    assert other.experiment != made.experiment


def test_marks_are_parts_that_lie_in_both_regions(net, birds):
    options = OPTIONS._replace(fraction=0.6, conditions=("counterfactual",))
    lit = [t.lit["counterfactual"] for t in lesson.make(net, birds, (0, 1), options).trials if t.counter]
    assert any(query.marks for query, _ in lit)
    for query, counter in lit:
        assert [mark.name for mark in query.marks] == [mark.name for mark in counter.marks]
        for region in (query, counter):
            mask = outline.mask(region.outline, 480)
            near = [
                mask[max(int(480 * m.y) - 6, 0) : int(480 * m.y) + 7, max(int(480 * m.x) - 6, 0) : int(480 * m.x) + 7]
                for m in region.marks
            ]
            assert all(patch.any() for patch in near)


def test_what_cannot_be_taught_is_refused(net, birds):
    with pytest.raises(InputError, match="same class"):
        network_maps.two_classes(birds, ["1", "1"])
    with pytest.raises(InputError, match=f"closest.*{birds.class_names[0]}"):
        network_maps.two_classes(birds, [birds.class_names[0] + "x", birds.class_names[1]])
    with pytest.raises(InputError, match="does not know the class"):
        lesson.make(dataclasses.replace(net, class_names=("a", "b", "c")), birds, (0, 1), OPTIONS)
    with pytest.raises(InputError, match="which classes it knows"):
        lesson.make(dataclasses.replace(net, class_names=()), birds, (0, 1), OPTIONS)
    with pytest.raises(InputError, match=r"of 24 images of .* right; expected at least 50"):
        lesson.make(net, birds, (0, 1), OPTIONS._replace(sizes=design.Sizes(40, 10, 40)))
    with pytest.raises(InputError, match="closest is counterfactual"):
        lesson.check(OPTIONS._replace(conditions=("counterfactuals",)))
    with pytest.raises(InputError, match="each once"):
        lesson.check(OPTIONS._replace(conditions=("whole", "whole")))


def test_simulated_learners_take_the_same_page_and_say_so(made, net, birds, tmp_path):
    perceived = learners.perceive(net, made, birds.root / "images")
    files = learners.write(made, perceived, tmp_path / "results", 4, 0)
    assert len(files) == 4 * 2 * 4
    assert all(file.name.startswith("simulation-") for file in files)
    found, refusals = results.join(made, files)
    assert refusals == []
    assert {result.simulation for result in found} == set(learners.KINDS)
    text = planning.table(made, report.groups(found)["logistic"])
    assert text.startswith("# SIMULATION (logistic)")
    assert text.count("\n| counterfactual |") == 3
    again = learners.write(made, perceived, tmp_path / "again", 4, 0)
    assert [file.read_bytes() for file in files] == [file.read_bytes() for file in again]


def test_images_in_which_nothing_is_lit_are_no_pairs(net, birds, monkeypatch):
    flat = set(range(0, len(birds), 3))
    pool = np.flatnonzero(np.isin(birds.labels, (0, 1)))

    def maps(*given):
        logits, maps = true(*given)
        return logits, {
            name: np.stack([m * (i not in flat) for i, m in zip(pool, of_images)]) for name, of_images in maps.items()
        }

    true = network_maps.predictions_and_maps
    monkeypatch.setattr(network_maps, "predictions_and_maps", maps)
    made = lesson.make(net, birds, (0, 1), OPTIONS)
    paired = {id for trial in made.trials if trial.counter for id in (trial.picture, trial.counter)}
    where = {picture.id: birds.paths.index(picture.path) for picture in made.pictures}
    assert paired
    assert flat.isdisjoint(where[id] for id in paired)
    assert not flat.isdisjoint(where.values())
    assert all(region.outline for trial in made.trials for region in trial.lit.get("counterfactual", ()))
    assert sum(images["explained"] for images in made.settings["images"].values()) == 32


def test_a_simulated_learner_without_noise_learns_what_is_plain_to_see():
    """Two kinds that differ in one of nine cells: whoever sees that cell lit learns, whoever sees another does not."""
    generator = np.random.default_rng(0)

    def cells(kind):
        made = np.zeros((9, 8))
        made[:, 0] = 1
        made[4] = [0, 1, 1 - kind, kind, 0, 0, 0, 0]
        return made + 0.01 * generator.standard_normal(made.shape)

    for kind in learners.KINDS.values():
        shares = []
        for lit in (4, 0):
            learner = kind(learners.Traits(0.0, 0.1, 0.0, 12.0))
            for example in range(20):
                learner.learn(cells(example % 2), np.eye(9)[lit], example % 2)
            margins = [(learner.margin(cells(k % 2)) > 0) == (k % 2) for k in range(60)]
            shares.append(np.mean(margins))
        assert shares[0] == 1
        assert shares[1] < 0.8


def test_the_commands_make_a_page_and_read_its_results(net, birds, tmp_path, monkeypatch, capsys):
    import argparse

    def parsed(command, *words):
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        return parser.parse_args([str(word) for word in words])

    monkeypatch.setattr(teach, "network", lambda model: net)
    out, names = tmp_path / "made", birds.class_names
    small = ("--before", 4, "--pairs", 3, "--after", 4, "--learners", 8)
    teach.run(parsed(teach, birds.root, "--model", "m", "--classes", *names[:2], "--out", out, *small, "--simulate", 3))
    assert "Experiment" in capsys.readouterr().out
    teach.run(parsed(teach, birds.root, "--from-sheet", out / "sheet.json", "--out", tmp_path / "again"))
    page = sorted((out / "page").rglob("*.*"))
    assert page
    for file in (*page, out / "sheet.json", out / "links.txt"):
        assert file.read_bytes() == (tmp_path / "again" / file.relative_to(out)).read_bytes()

    (tmp_path / "bad.json").write_text("{")
    files = [out / "simulation" / "results", tmp_path / "bad.json"]
    analysed = tmp_path / "analysed"
    code = teach_results.run(parsed(teach_results, *files, "--sheet", out / "sheet.json", "--out", analysed))
    text = capsys.readouterr().out
    assert code == 1
    assert "bad.json: truncated" in text
    assert "24 of 25 files counted" in text
    assert {folder.name for folder in analysed.iterdir()} == {"simulation-logistic", "simulation-nearest-prototype"}
    with pytest.raises(InputError, match="none of the 1 files"):
        teach_results.run(parsed(teach_results, tmp_path / "bad.json", "--sheet", out, "--out", tmp_path / "x"))
    with pytest.raises(InputError, match=r"nowhere\.txt does not exist, expected the consent"):
        teach.text(tmp_path / "nowhere.txt")
    with pytest.raises(InputError, match="--model"):
        teach.run(parsed(teach, birds.root, "--out", tmp_path / "y"))

    agree_command.run(
        parsed(agree_command, birds.root, "--model", "m", "--out", tmp_path / "agree", "--items", 2, "--simulate", 2)
    )
    content = json.loads((tmp_path / "agree" / "sheet.json").read_text())
    assert content["kind"] == "agree"
    assert len(content["trials"]) == 8
    simulated = tmp_path / "agree" / "simulation"
    assert {folder.name for folder in simulated.iterdir()} == {"results", "logistic", "nearest-prototype"}
    assert all(file.name.startswith("simulation-") for file in (simulated / "logistic").iterdir())
