"""From options to test sets: what does not fit is refused before anything is drawn, decoded or computed."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image

from galore import part_tables
from galore.errors import InputError
from galore.evaluation import test_set as test_sets
from galore.experiment import config, inputs, runner


def options(*given: str) -> config.Config:
    return config.typed(config.compose(given))


def test_parts_are_needed_before_any_work():
    with pytest.raises(InputError, match="no annotated parts"):
        inputs.test_set(options("dataset=ade20k"), needs_parts=True)


def test_a_missing_checkpoint_is_named_with_how_to_train_it():
    with pytest.raises(InputError, match=r"nowhere/at-all does not exist; train it with python experiments/train\.py"):
        inputs.test_set(options("model.checkpoint=nowhere/at-all"))


@pytest.mark.robust("checkpoints")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["dataset=synthetic_scenes", "dataset.classes=2"], "on 3 other classes than the 2 of synthetic_scenes"),
        (["dataset.seed=1"], "on 3 other classes than the 3 of synthetic_birds"),
        (["confidence=easiness"], "confidence=easiness needs a hardness predictor"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_before_anything_is_drawn_or_decoded(
    run, tmp_path, monkeypatch, given, said
):
    monkeypatch.setattr(inputs, "_test_set", lambda *_: pytest.fail("went to work"))
    with pytest.raises(InputError, match=said):
        inputs.test_set(options(*run, "seed=0", *given, f"dataset.root={tmp_path}/not-drawn"))
    assert not (tmp_path / "not-drawn").exists()


def test_a_test_set_is_built_once_for_the_same_network_and_layer(run):
    one, same = (inputs.test_set(options(*run, "seed=0", f"explanation.top={top}")) for top in (3, 4))
    assert one is same and inputs.test_set(options(*run, "seed=0"), layer="conv3") is not one
    assert one.net.layer == "conv4" and one.student is None and one.predictor is None
    assert "no student" in inputs.remarks(one)[0]


def test_the_options_choose_the_table_and_the_other_one_stands_beside(run):
    by = {
        name: inputs.test_set(options(*run, "seed=0", f"ground_truth.discriminant={name}"))
        for name in ("scout", "neurips")
    }
    np.testing.assert_array_equal(by["scout"].other.discriminant, by["neurips"].discriminant)
    np.testing.assert_array_equal(by["neurips"].other.discriminant, by["scout"].discriminant)
    tables = {name: (one.other.discriminant_table.value, one.other.shared_table.value) for name, one in by.items()}
    assert tables == {"scout": ("neurips", "scout"), "neurips": ("scout", "scout")}
    assert "SCOUT's table, shared parts those of the NeurIPS table" in inputs.remarks(by["scout"])[1]


@pytest.mark.parametrize("given", ["ground_truth.discriminant=cvpr", "ground_truth.divergence=cosine"])
def test_a_table_or_formula_that_does_not_exist_is_refused(given):
    name, value = given.split("=")
    with pytest.raises(InputError, match=rf"{name}='{value}'"):
        options(given)


def test_the_authors_path_begins_at_a_black_image(run):
    net = inputs.test_set(options(*run, "seed=0"))
    black = dict(inputs.along_images(net).options)["black"]
    np.testing.assert_allclose(black, net.as_inputs(np.zeros((1, 1, 1, 3), np.uint8))[0, 0, 0])


def test_the_last_of_several_layers_and_networks_is_checked_before_work_on_the_first(run, tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "test_set", lambda *_, **__: pytest.fail("went to work"))
    both = f"explanation.checkpoints=[{tmp_path}/run-0,{tmp_path}/run-1]"
    for given, said in ((both, "run-1 does not exist"), ("explanation.layers=[conv4,conv9]", "unknown layer 'conv9'")):
        for name in ("deliberative_layer", "recommendation"):
            with pytest.raises(InputError, match=said):
                runner.load(name).run(options(*run, "seed=0", given))


@pytest.mark.parametrize("kind", ["synthetic_birds", "synthetic_scenes"])
def test_the_classes_of_invented_data_are_known_before_they_are_drawn(tmp_path, kind):
    given = [f"dataset={kind}", "dataset.classes=4", "dataset.per_class=2", "dataset.size=32"]
    images = options(*given, f"dataset.root={tmp_path}/drawn").dataset
    assert inputs._class_names(images) == tuple(inputs.dataset(images).class_names)
    with pytest.raises(InputError, match="holds other images than dataset asks for"):
        inputs.dataset(options(*given, f"dataset.root={tmp_path}/drawn", "dataset.seed=1").dataset)


@pytest.mark.parametrize(
    ("logits", "student", "paths", "said"),
    [
        ([[9, 0], [9, 0]], [1, 1], ["a.jpg", "c.jpg"], "other test images"),
        ([[0, 9], [0, 9]], [0, 0], ["a.jpg", "b.jpg"], "gets none of the 2 test images right"),
        ([[9, 0], [9, 0]], [0, 0], ["a.jpg", "b.jpg"], "the student of .* is wrong on none that count"),
        ([[9, 0], [9, 0]], [1, 1], ["a.jpg", "b.jpg"], "no class that .*'s student says has a test image"),
    ],
)
def test_queries_that_nothing_can_answer_are_refused_before_images_are_read(tmp_path, logits, student, paths, said):
    np.savez(tmp_path / "predictions.npz", paths=paths, labels=[0, 0], logits=logits, student=student)
    test = SimpleNamespace(paths=("a.jpg", "b.jpg"), name="two birds")
    with pytest.raises(InputError, match=said):
        inputs._student(tmp_path, test)


def test_part_tables_are_fitted_to_training_images_at_the_networks_cut(run):
    asked = options(*run)
    evaluated = inputs.test_set(asked)
    tables = inputs.with_part_tables(asked, evaluated).tables
    assert evaluated.tables is None and tables.clusterings[0].table.shape[:2] == (3, 3)
    whole = inputs.dataset(asked.dataset)
    training = whole.subset(whole.is_training)
    images = test_sets.decode(training, evaluated.net.preprocessing)["image"]
    expected = part_tables.fit(evaluated.run(images, 16)[0], training.labels, jax.random.key(0))
    np.testing.assert_allclose(tables.mean, expected.mean, rtol=1e-4, atol=1e-6)


def test_the_test_images_of_invented_scenes_are_found_again(tmp_path):
    numbers = ("dataset.classes=2", "dataset.per_class=4", "dataset.size=32", f"dataset.root={tmp_path}/scenes")
    asked = options("dataset=synthetic_scenes", *numbers)
    whole = inputs.dataset(asked.dataset)
    test = whole.subset(~whole.is_training)
    scenes, found = inputs.scenes_of(asked)
    for place, number in enumerate(found):
        np.testing.assert_array_equal(Image.open(test.mask_path(place)), scenes.draw(int(number)).mask)
    assert len(found) == len(test) and inputs.scenes_of(options()) is None
