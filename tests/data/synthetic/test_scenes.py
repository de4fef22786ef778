"""Invented scenes: ADE20K's format, masks that fit, same seed same bytes, and objects that can be taken away."""

import numpy as np
import pytest
from PIL import Image

from galore.cli import main
from galore.data import ade20k
from galore.data.synthetic import scenes
from galore.data.synthetic.scenes import SCENES, SyntheticScenes
from galore.data.synthetic.scenes_drawing import INDOOR, LABEL, OBJECTS, OUTDOOR
from galore.errors import InputError

DRAWN = SyntheticScenes(classes=14, per_class=8, seed=2, size=64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("scenes") / "made"
    scenes.write(path, DRAWN)
    return path


def test_the_reader_of_the_photographs_reads_it(folder):
    dataset = ade20k.read(folder)
    assert len(dataset) == 112 and dataset.absent == 0
    assert dataset.class_names == tuple(sorted(SCENES))
    assert dataset.object_names == OBJECTS
    assert (np.bincount(dataset.labels[dataset.is_training]) == 5).all()


def test_objects_are_those_of_the_photographs(shared_data):
    names = {
        name.split(",")[0].strip() for name in ade20k.read_tables(shared_data / "ADEChallengeData2016").object_names
    }
    assert set(LABEL) <= names


def test_only_objects_of_its_class_occur_in_a_scene(folder):
    """So that an object that a class never has is a reason against it."""
    dataset = ade20k.read(folder)
    present = ade20k.objects_present(dataset)
    always = {"wall", "floor", "sky"}
    for label, row in zip(dataset.labels, present):
        found = {OBJECTS[index].split(",")[0] for index in np.flatnonzero(row)}
        assert found <= set(SCENES[dataset.class_names[label]]) | always


def test_objects_occur_as_often_as_the_table_says():
    again = SyntheticScenes(2, 150, 0, 32)
    drawn = [again.draw(image_id).objects for image_id in range(1, 151)]
    for name, frequency in SCENES["bedroom"].items():
        assert abs(np.mean([name in objects for objects in drawn]) - frequency) < 0.15


def test_the_object_table_counts_the_masks(folder):
    dataset = ade20k.read(folder)
    present = ade20k.objects_present(dataset)
    lines = (folder / "objectInfo150.txt").read_text().splitlines()[1:]
    for index, line in enumerate(lines):
        _, _, train, val, _ = line.split("\t")
        assert int(train) == present[dataset.is_training, index].sum()
        assert int(val) == present[~dataset.is_training, index].sum()


def test_every_object_can_be_drawn_and_is_marked():
    assert set(INDOOR) | set(OUTDOOR) <= set(LABEL)
    assert {name for scene in SCENES.values() for name in scene} <= set(INDOOR) | set(OUTDOOR)
    bedroom, street = DRAWN.draw(1, added=tuple(INDOOR)), DRAWN.draw(9, added=tuple(OUTDOOR))
    seen = set(np.unique(bedroom.mask)) | set(np.unique(street.mask))
    assert len(seen & {LABEL[name] for name in (*INDOOR, *OUTDOOR)}) > 20


def test_an_object_taken_away_leaves_the_rest_in_place():
    for image_id in range(1, 113, 3):
        before = DRAWN.draw(image_id)
        name = before.objects[-1]
        if name in ("wall", "floor", "sky"):
            continue
        after = DRAWN.draw(image_id, removed=(name,))
        changed = (before.image != after.image).any(-1)
        assert not (after.mask == LABEL[name]).any()
        np.testing.assert_array_equal(before.mask[~changed & (before.mask != LABEL[name])],
                                      after.mask[~changed & (before.mask != LABEL[name])])  # fmt: skip
        assert changed.mean() < 0.8


def test_a_scene_drawn_again_has_its_mask(folder):
    again, names = scenes.read(folder), DRAWN.names()
    assert again == DRAWN
    for image_id in (1, 50, 112):
        name, part = names[image_id - 1], "training" if DRAWN.is_training()[image_id - 1] else "validation"
        mask = np.asarray(Image.open(folder / "annotations" / part / f"{name}.png"))
        image = np.asarray(Image.open(folder / "images" / part / f"{name}.jpg"), int)
        drawing = again.draw(image_id)
        np.testing.assert_array_equal(mask, drawing.mask)
        assert np.abs(image - drawing.image).mean() < 4


def test_same_seed_same_bytes(tmp_path):
    again = SyntheticScenes(3, 4, 5, 32)
    for name in ("a", "b"):
        scenes.write(tmp_path / name, again)
    files = [path.relative_to(tmp_path / "a") for path in sorted((tmp_path / "a").rglob("*")) if path.is_file()]
    assert len(files) == 2 * 12 + 3
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)


@pytest.mark.robust("options")
def test_what_cannot_be_is_named():
    with pytest.raises(InputError, match="classes is 99"):
        SyntheticScenes(99, 5, 0, 64)
    with pytest.raises(InputError, match="size is 3"):
        SyntheticScenes(2, 5, 0, 3)
    with pytest.raises(InputError, match="'boat'"):
        DRAWN.draw(1, added=("boat",))
    with pytest.raises(InputError, match="image 0"):
        DRAWN.draw(0)


def test_the_command(tmp_path, capsys):
    arguments = ["make-scenes", str(tmp_path / "s"), "--classes", "2", "--per-class", "3", "--size", "32"]
    assert main(arguments) == 0
    assert "6 scenes of 2 classes" in capsys.readouterr().out
    assert main(arguments) == 2
    assert "is not empty" in capsys.readouterr().err
