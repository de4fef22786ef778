from pathlib import Path

import numpy as np
import pytest
from folders import change, write_scenes
from PIL import Image, ImageOps

from galore.data import ade20k
from galore.data.loader import Files
from galore.errors import InputError


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    return write_scenes(tmp_path / "scenes")


def test_every_table_arrives_at_its_place(scenes: Path):
    dataset = ade20k.read(scenes)
    assert dataset.class_names == ("beach", "kitchen") and dataset.labels.tolist() == [1, 0, 1]
    assert dataset.object_names == ("wall", "building, edifice", "sky")
    assert dataset.is_training.tolist() == [True, True, False]
    assert dataset.paths[2] == "validation/ADE_val_00000001.jpg"
    assert dataset.image_path(2).is_file() and dataset.mask_path(2).is_file()


def test_objects_present_are_those_in_the_masks(scenes: Path):
    np.testing.assert_array_equal(ade20k.objects_present(ade20k.read(scenes)), np.eye(3, dtype=bool))


def test_a_partial_copy_and_a_selection(scenes: Path):
    (scenes / "images" / "training" / "ADE_train_00000002.jpg").unlink()
    dataset = ade20k.read(scenes)
    assert dataset.class_names == ("kitchen",) and dataset.absent == 1
    assert ade20k.read(scenes, "kitchen").labels.tolist() == [0, 0]
    with pytest.raises(InputError, match="no image of the class beach"):
        ade20k.read(scenes, ["beach"])


@pytest.mark.robust("tables")
def test_bad_tables_name_file_and_line(scenes: Path):
    change(scenes / "objectInfo150.txt", "2\t0.1", "7\t0.1")
    with pytest.raises(InputError, match=r"objectInfo150.txt, line 3: expected"):
        ade20k.read(scenes)


@pytest.mark.robust("tables")
@pytest.mark.parametrize("line", ["ADE_train_00000002", "holiday_1 beach", "ADE_train_../../x1 beach"])
def test_bad_scenes_name_file_and_line(scenes: Path, line: str):
    change(scenes / "sceneCategories.txt", "ADE_train_00000002 beach", line)
    with pytest.raises(InputError, match=r"sceneCategories.txt, line 2: expected"):
        ade20k.read(scenes)


@pytest.mark.robust("tables")
def test_images_listed_twice_and_missing_masks_are_refused(scenes: Path):
    (scenes / "annotations" / "training" / "ADE_train_00000002.png").unlink()
    with pytest.raises(InputError, match=r"masks that are missing.*ADE_train_00000002"):
        ade20k.read(scenes)
    change(scenes / "sceneCategories.txt", "ADE_train_00000002 beach", "ADE_train_00000001 beach")
    with pytest.raises(InputError, match=r"images that occur twice"):
        ade20k.read(scenes)


@pytest.mark.robust("pictures")
def test_wrong_masks_are_refused(scenes: Path):
    dataset = ade20k.read(scenes)
    Image.fromarray(np.zeros((20, 40), np.uint8)).save(dataset.mask_path(0))
    Image.fromarray(np.full((30, 40), 9, np.uint8)).save(dataset.mask_path(1))
    dataset.mask_path(2).write_text("no mask")
    for index, words in enumerate(("40 x 20 pixels, expected 40 x 30", "holds the number 9", "cannot be read")):
        with pytest.raises(InputError, match=words):
            Files(dataset)[index]
        with pytest.raises(InputError, match=words):
            ade20k.objects_present(dataset.subset([index]))


def test_the_real_scenes(shared_data: Path):
    dataset = ade20k.read(shared_data / "ADEChallengeData2016")
    assert len(dataset.object_names) == 150 and dataset.object_names[1] == "building, edifice"
    assert len(dataset) == 3 and not dataset.is_training.any()
    for index in range(3):
        example = Files(dataset)[index]
        assert example["mask"].shape == example["image"].shape[:2]
    assert ade20k.objects_present(dataset)[:, 0].all()  # There is a wall in every one of the three.


def test_the_real_tables_have_the_authors_split(shared_data: Path):
    """Source: ADEChallengeData2016's own numbers; 15 scenes occur in validation alone."""
    scenes = ade20k.read_tables(shared_data / "ADEChallengeData2016").scenes
    training, validation = (
        {name: scene for name, scene in scenes if name.startswith(half)} for half in ("ADE_train", "ADE_val")
    )
    assert (len(training), len(validation)) == (20210, 2000)
    assert len({*training.values(), *validation.values()}) == 1055
    assert len({*validation.values()} - {*training.values()}) == 15


OBJECT = (np.array([200, 40, 40]), np.array([20, 20, 20]))
"""The colour of the object in a photo, and of what is around it."""


def store(scenes: Path, tag: int, masks: str) -> ade20k.SceneDataset:
    """Every photo with an object in one corner, with an orientation, and its mask as a viewer shows it or as stored."""
    dataset = ade20k.read(scenes)
    mask = np.zeros((30, 40), np.uint8)
    mask[3:12, 5:20] = 1
    pixels = np.where(mask[..., None] == 1, *OBJECT).astype(np.uint8)
    exif = Image.Exif()
    exif[274] = tag
    for index in range(len(dataset)):
        Image.fromarray(pixels).save(dataset.image_path(index), quality=100, subsampling=0, exif=exif)
        shown = Image.fromarray(mask, "L")
        if masks == "upright":
            shown.getexif()[274] = tag
            shown = ImageOps.exif_transpose(shown)
        shown.save(dataset.mask_path(index))
    return dataset


@pytest.mark.robust("pictures that turn")
@pytest.mark.parametrize("said", ["", "upright", "raw"])
@pytest.mark.parametrize("tag", range(1, 9))
def test_masks_turn_with_their_photos(scenes: Path, tag: int, said: str):
    store(scenes, tag, said or "upright")
    if said:
        (scenes / "orientation.txt").write_text(f"{said}\n")
    dataset = ade20k.read(scenes)
    for index in range(len(dataset)):
        example = Files(dataset)[index]
        is_object = np.abs(example["image"].astype(int) - OBJECT[0]).max(axis=2) < 60
        # JPEG blurs the edge of the object, and nothing else.
        assert (is_object == (example["mask"] == 1)).mean() > 0.95
        assert example["mask"].sum() == 9 * 15
    assert ade20k.objects_present(dataset)[:, 0].all()


@pytest.mark.robust("pictures that turn")
@pytest.mark.parametrize("tag", range(5, 9))
def test_masks_as_stored_are_refused_with_advice_where_their_size_tells(scenes: Path, tag: int):
    dataset = store(scenes, tag, "raw")
    with pytest.raises(InputError, match=r'expected 30 x 40 like its image.*say "raw" in orientation.txt'):
        Files(dataset)[0]


@pytest.mark.robust("pictures that turn")
def test_other_words_about_orientation_are_refused(scenes: Path):
    (scenes / "orientation.txt").write_text("sideways")
    with pytest.raises(InputError, match=r"orientation.txt: expected \"raw\" or \"upright\", found 'sideways'"):
        ade20k.read(scenes)
