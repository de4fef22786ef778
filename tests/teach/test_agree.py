"""The agreement experiment, with a small network on invented birds; about 5 seconds."""

import pytest

from galore.data import cub
from galore.errors import InputError
from galore.teach import agree, build, learners, outline, planning, report, results, sheet


@pytest.fixture(scope="module")
def made(net, birds):
    return agree.make(net, birds, agree.AgreementOptions(items=3, learners=4))


def test_difficult_images_are_dealt_to_groups(made):
    groups = [trial.group for trial in made.trials]
    assert {name: groups.count(name) for name in groups} == {
        "insecurity softmax": 3,
        "insecurity certainty": 3,
        "random": 3,
        "discriminant": 3,
    }
    asked = {trial.picture for trial in made.trials}
    assert len(asked) == 12
    by_id = {picture.id: picture for picture in made.pictures}
    for trial in made.trials:
        assert asked.isdisjoint({id for ids in trial.examples for id in ids})
        assert by_id[trial.picture].label == trial.names["AB".index(trial.truth)]
        assert [{by_id[id].label for id in ids} for ids in trial.examples] == [{name} for name in trial.names]
        assert outline.mask(trial.shown.outline, 96).mean() == pytest.approx(0.1, abs=0.02)


def test_simulated_learners_take_the_page_that_is_written(made, net, birds, tmp_path):
    build.write(made, birds.root / "images", tmp_path / "made")
    assert sheet.read(tmp_path / "made") == made
    perceived = learners.perceive(net, made, birds.root / "images")
    found, refusals = results.join(made, learners.write(made, perceived, tmp_path / "results", 6, 0))
    assert refusals == []
    assert len(found) == 12
    assert {answer for result in found for answer in result.answers} == set("AB?")
    text = planning.table(made, report.groups(found)["logistic"])
    assert text.startswith("# SIMULATION (logistic)")
    assert text.count("\n| insecurity ") == 2


def test_too_few_images_and_choices_out_of_range_are_refused(net, birds):
    with pytest.raises(InputError, match="--items"):
        agree.make(net, birds, agree.AgreementOptions(items=30))
    with pytest.raises(InputError, match="or another network or data set"):
        agree.make(net, birds.subset(list(range(8))), agree.AgreementOptions(items=1))
    with pytest.raises(InputError, match="gives 1 class, expected at least two"):
        agree.make(net, cub.read(birds.root, birds.class_names[:1]), agree.AgreementOptions())
    with pytest.raises(InputError, match="0 items"):
        agree.make(net, birds, agree.AgreementOptions(items=0))
