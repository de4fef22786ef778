"""Edits that flip the decision, and both methods side by side in pictures: from a test set to what is written."""

from pathlib import Path

import numpy as np
import pytest
import toys
from matplotlib import pyplot as plt

from galore.data.dataset import PartDataset, SceneDataset
from galore.errors import InputError
from galore.evaluation.edits import EXHAUSTIVE, SEMANTIC
from galore.evaluation.methods import RANDOM, Method, Rule
from galore.experiment import config, inputs, pictures, runner, search_baseline
from galore.experiment.table import Cell

PARTS = ("back", "beak", "crown", "left eye", "left wing", "right eye", "right wing", "tail")


def birds(attributes: np.ndarray, names: tuple[str, ...]) -> PartDataset:
    """Of the toy test set, as far as experiments look at it."""
    count, labels = toys.IMAGES, toys.toy_test_set().labels
    return PartDataset(
        name="toy",
        root=Path(),
        image_ids=np.arange(count),
        paths=("",) * count,
        labels=labels,
        is_training=np.zeros(count, bool),
        boxes=np.zeros((count, 4)),
        part_names=PARTS,
        points=np.zeros((count, len(PARTS), 2)),
        visible=np.zeros((count, len(PARTS)), bool),
        class_names=tuple("abcde"),
        class_numbers=(1, 2, 3, 4, 5),
        attribute_names=names,
        class_attributes=attributes,
    )


NAMES = ("has_wing_color::black", "has_wing_color::dark_blue", "has_tail_shape::forked_tail", "has_tail_shape::squared")
ATTRIBUTES = np.array([[82.0, 3.0, 40.0, 60.0], [2.0, 64.0, 70.0, 30.0], *[[50.0, 50.0, 50.0, 50.0]] * 3])


@pytest.fixture
def on_toy(monkeypatch, toy):
    monkeypatch.setattr(inputs, "test_set", lambda config, **_: toy)
    monkeypatch.setattr(inputs, "dataset", lambda config, **_: birds(ATTRIBUTES, NAMES))
    monkeypatch.setattr(search_baseline, "earliest_on_the_map", lambda config, test_set: test_set.net)


def test_edits_give_every_method_and_claim_a_number(on_toy, cfg):
    experiment = runner.load("counterfactual_edits")
    table = experiment.run(config.typed(cfg))
    for user in ("beginner", "advanced"):
        labels = (("user", user),)
        methods = [row.cell.method for row in table.select("edits", dict(labels))]
        assert {EXHAUSTIVE, SEMANTIC, Method(Rule.ATTRIBUTIVE), Method(Rule.MARGIN), RANDOM} < set(methods)
        rows = {m: table.find(Cell(m, "edits", None, labels)) for m in methods}
        means = {m: np.nanmean(row.values) for m, row in rows.items()}
        assert means[EXHAUSTIVE] <= min(means[RANDOM], means[Method(Rule.ATTRIBUTIVE)])
        asked = ~np.isnan(table.find(Cell(EXHAUSTIVE, "decisions flipped", None, labels)).values[0, :, 0])
        assert 0 < asked.sum() <= cfg.explanation.edited_images
    for claim in experiment.claims(table):
        cells = (claim.quantity.first, claim.quantity.second)
        assert None not in [table.find(cell) for cell in cells], claim.text
        assert claim.is_reversed == (cells[0].measure == "edits")
    figures = experiment.draw(table)
    assert "decisions_flipped" in figures
    plt.close("all")


def test_both_methods_are_shown_side_by_side(on_toy, cfg, toy):
    experiment = runner.load("side_by_side")
    table = experiment.run(config.typed(cfg))
    assert set(table.pictures) == {"beginner", "advanced"} and not experiment.claims(table)
    for figure in table.pictures.values():
        pictured = [axis for axis in figure.axes if axis.images]
        assert len(pictured) == 4 * experiment.COUNT
        said = [text.get_text() for axis in figure.axes for text in axis.texts]
        assert sum(text.startswith("Why ") and " and not " in text for text in said) == experiment.COUNT
        assert all(axis.get_xlabel() for axis in pictured)
    row = table.find(Cell(Method(Rule.SEARCH), "piou, every image", None, (("user", "beginner"),)))
    assert (~np.isnan(row.values)).sum() <= experiment.COUNT
    plt.close("all")


def test_what_differs_between_two_birds_is_said_by_its_commonest_values(toy):
    (said,) = pictures.differences(toy, birds(ATTRIBUTES, NAMES), 0, 1)
    percent = "\N{NO-BREAK SPACE}%"
    assert said == (
        f"a against b: wing color: black (82{percent}) against dark blue (64{percent}); "
        f"tail shape: squared (60{percent}) against forked tail (70{percent})."
    )
    assert pictures.differences(toy, birds(ATTRIBUTES, NAMES), 2, 3) == ["c against d: no attribute differs."]


def test_what_differs_between_two_scenes_are_the_objects_that_one_has():
    scenes = toys.toy_test_set(scenes=True)
    names = ("wall, brick wall", "sky", *"cdefgh")
    dataset = SceneDataset("toy", Path(), (), (), scenes.labels, scenes.labels > 9, tuple("abcde"), names)
    label = int(scenes.labels[0])
    other = int(np.unique(scenes.labels)[-1] if np.unique(scenes.labels)[-1] != label else np.unique(scenes.labels)[0])
    only, theirs = pictures.differences(scenes, dataset, label, other)
    truth = scenes.discriminant[label, other]
    assert only.startswith(f"Only {'abcde'[label]} has: ") and only.count("100") == min(truth.sum(), 3)
    for place in np.flatnonzero(~truth):
        assert f" {names[place].partition(',')[0]} (" not in only
    assert "brick" not in only + theirs


def test_the_earliest_layer_on_the_map_judges_resemblance(run):
    typed = config.typed(config.compose(run))
    layer = search_baseline.earliest_on_the_map(typed, inputs.test_set(typed)).layer
    assert (typed.model.layer, layer) == ("conv4", "conv3")


def test_scenes_have_no_keypoints(cfg, monkeypatch):
    typed = config.typed(config.compose(["dataset=synthetic_scenes"]))
    with pytest.raises(InputError, match="no annotated parts"):
        runner.load("counterfactual_edits").run(typed)
