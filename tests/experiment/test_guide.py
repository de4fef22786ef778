"""What --help says of a program."""

import pytest

from galore.experiment import config, guide, runner


@pytest.mark.parametrize("width", [50, 80])
@pytest.mark.parametrize("name", ["deliberative_shift", "sanity"])
def test_help_says_what_an_experiment_asks_and_which_options_it_uses(name, width):
    experiment = runner.load(name)
    said = guide.text(experiment.__doc__, experiment.OPTIONS, width)
    assert " ".join(said.split()).startswith(experiment.__doc__.partition("?")[0])
    for option in experiment.OPTIONS:
        assert f"  {option}=" in said
    as_written = [line for line in experiment.__doc__.splitlines() if line.startswith(" ")]
    assert all(len(line) <= width or line in as_written or len(line.split()) == 1 for line in said.splitlines())


def test_defaults_stand_as_hydra_takes_them_with_what_they_mean():
    lines = [" ".join(line.split()) for line in guide.text("A training.", ["train.*"], 120, "training").splitlines()]
    assert "train=fast or authors, head, last_stage" in lines
    assert "train.views=1 random crops of each image, computed once, where layers are frozen" in lines
    given = [
        line.split()[0] for line in lines if line.startswith(("train.flip=", "train.patience=", "train.students="))
    ]
    assert given == ["train.flip=true", "train.patience=null", "train.students=[few_shot,"]
    config.check_names(["train.flip=true", "train.patience=null", "train.students=[few_shot,small_cnn]"], "training")
