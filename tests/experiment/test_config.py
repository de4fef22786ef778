"""Options: typed, checked, and refused where they would change nothing."""

import numpy as np
import pytest

from galore.attribution import integrated_gradients
from galore.errors import InputError
from galore.evaluation.methods import AttributionSetting, Score
from galore.experiment import config
from galore.experiment.config import CONF, ROOT

GROUPS = [
    f"{folder.name}={file.stem}"
    for folder in sorted(CONF.iterdir())
    if folder.is_dir()
    for file in sorted(folder.glob("*.yaml"))
]


@pytest.mark.parametrize("choice", GROUPS)
def test_every_configuration_composes_and_has_the_right_types(choice):
    typed = config.typed(config.compose([choice]))
    assert typed.model.name and typed.dataset.name and callable(typed.attribution.function())


def test_options_become_values():
    given = ["attribution=integrated_gradients", "confidence=best", "dataset=cub", "dataset.classes=[1,5]"]
    typed = config.typed(config.compose([*given, "explanation.layers=[conv1]"]))
    assert typed.attribution == AttributionSetting.of(integrated_gradients, steps=50)
    assert typed.score is None and typed.score_with(None) is Score.SOFTMAX
    assert typed.dataset.classes == (1, 5) and typed.explanation.layers == ("conv1",)
    assert not typed.dataset.is_invented and typed.dataset.has_parts
    assert hash(typed) == hash(config.typed(config.compose([*given, "explanation.layers=[conv1]"])))


@pytest.mark.robust("options")
@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("explanation.difficult=0", "explanation.difficult=0: expected a whole number from 1 to 1000000"),
        ("explanation.top=1", "explanation.top=1: expected a whole number from 2 to 1000000"),
        ("explanation.batch_size=many", "explanation.batch_size='many': expected a whole number"),
        ("explanation.keep=true", "explanation.keep=True: expected a whole number"),
        ("explanation.layers=conv1", "explanation.layers='conv1': expected a list or null"),
        ("explanation.checkpoints=[1]", "explanation.checkpoints has 1: expected text"),
        ("dataset.kind=cats", "dataset.kind='cats': expected one of cub, ade20k, "),
        ("dataset.classes=two", "dataset.classes='two': expected a whole number"),
        ("dataset.per_class=0", "dataset.per_class=0: expected a whole number from 1 to 1000000"),
        ("seed=one", "seed='one': expected a whole number"),
        ("seed=-1", "seed=-1: expected a whole number from 0 to 4294967295"),
        ("confidence.score=luck", "confidence.score='luck': expected one of softmax, certainty, easiness, or null"),
        ("model.size=big", "model.size='big': expected a number of pixels from 1 to 4096 or null"),
        ("model.size=1000000", "model.size=1000000: expected a number of pixels from 1 to 4096 or null"),
        ("dataset.size=100000", "dataset.size=100000: expected a number of pixels from 1 to 4096"),
        ("seed=4294967296", "seed=4294967296: expected a whole number from 0 to 4294967295"),
        (
            "explanation.batch_size=1000000000000",
            "explanation.batch_size=1000000000000: expected a whole number from 1",
        ),
        ("model.checkpoint=3", "model.checkpoint=3: expected text"),
        ("attribution._target_=galore.attribution.magic", "attribution._target_=galore.attribution.magic: expected"),
    ],
)
def test_a_wrong_type_or_value_names_the_option_and_what_was_expected(option, said):
    with pytest.raises(InputError) as error:
        config.typed(config.compose([option]))
    assert str(error.value).startswith(said) and "\n" not in str(error.value)


@pytest.mark.robust("options")
@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("explanation.toop=3", "explanation.top"),
        ("sed=1", "seed"),
        ("model=resnet5", "resnet50"),
        ("datset=cub", "dataset"),
        ("lr=0.1", "the closest is train.learning_rate$"),
        ("train.lr=0.1", "the closest is train.learning_rate$"),
        ("epoch=3", "the closest is train.epochs$"),
    ],
)
def test_unknown_options_name_the_closest(argument, said):
    with pytest.raises(InputError, match=said):
        config.check_names([argument])


def test_options_that_the_program_uses_are_offered_first():
    with pytest.raises(InputError, match=r"the closest is explanation.batch_size$"):
        config.check_names(["batch_size=8"], used=("explanation.batch_size",))


def test_known_options_pass():
    config.check_names(["seed=0,1,2", "model=resnet50", "explanation.top=3", "-m", "hydra.sweep.dir=x"])


USED = ("confidence", "explanation.batch_size", "explanation.top")


@pytest.mark.robust("options")
@pytest.mark.parametrize(
    "argument", ["attribution=grad_cam", "attribution.steps=3", "explanation.keep=2", "train=head", "train.epochs=1"]
)
def test_an_option_that_would_change_nothing_is_refused_by_name(argument):
    name = argument.partition("=")[0]
    with pytest.raises(InputError, match=f"^sanity does not use {name}; it uses dataset, model, seed, confidence, "):
        config.check_used(["seed=0", argument], USED, "sanity")


def test_options_that_act_pass():
    common = ["dataset=cub", "dataset.classes=[1]", "model.size=448", "seed=0,1", "train.seed=3"]
    own = ["explanation=few", "explanation.top=3", "confidence.score=null", "experiment=cub_lite0", "-m"]
    config.check_used([*common, *own], USED, "sanity")


def test_only_options_that_act_are_told():
    kept = {"seed": 1, "explanation": {"top": 5}, "train": {"seed": 1}}
    nested = {"seed": 1, "explanation": {"top": 5, "keep": 3}, "train": {"seed": 1, "epochs": 2}}
    assert config.restricted(nested | {"attribution": {"steps": 3}}, USED) == kept
    assert config.flat(kept) == {"seed": 1, "explanation.top": 5, "train.seed": 1}


def test_paths_of_this_machine_are_cut_down():
    cut = config.portable({"root": str(ROOT / "data" / "x"), "other": "/somewhere/else", "n": [np.pi]})
    assert cut == {"root": "data/x", "other": "else", "n": [np.pi]}
