from pathlib import Path

import numpy as np
import pytest
from folders import change, write_birds
from PIL import Image, ImageOps

from galore.data import cub
from galore.data.loader import Files
from galore.data.photo import read_image
from galore.errors import InputError


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    return write_birds(tmp_path / "birds")


def test_every_table_arrives_at_its_place(birds: Path):
    dataset = cub.read(birds)
    assert len(dataset) == 12 and dataset.absent == 0 and dataset.name == "birds"
    assert dataset.class_names == ("Red_Bird", "Blue_Bird", "Grey_Bird") and dataset.class_numbers == (1, 2, 3)
    assert dataset.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert dataset.is_training.tolist() == [False, True] * 6
    assert dataset.part_names == ("back", "beak", "left eye")
    np.testing.assert_array_equal(dataset.points[:, 1], [[11 + k, 20] for k in range(12)])
    assert dataset.visible.tolist() == [[True, True, False]] * 12
    np.testing.assert_array_equal(dataset.boxes, [[5, 6, 30, 20]] * 12)
    np.testing.assert_array_equal(dataset.class_attributes[1], [90, 10, 0, 100, 50])
    assert dataset.attribute_names[2] == "has_back_color::red"
    assert dataset.image_path(4) == birds / "images" / "002.Blue_Bird" / "Blue_Bird_0.png"
    assert dataset.image_path(4).is_file()


def test_the_parts_of_one_photo_are_those_of_the_data_set(birds: Path):
    dataset = cub.read(birds)
    for index in range(len(dataset)):
        found = cub.parts_of_photo(dataset.image_path(index))
        names = [name for name, seen in zip(dataset.part_names, dataset.visible[index]) if seen]
        assert [part.name for part in found] == names
        np.testing.assert_array_equal([part[1:] for part in found], dataset.points[index][dataset.visible[index]])


def test_other_photos_have_no_parts(birds: Path, tmp_path: Path):
    (birds / "images" / "new.png").write_bytes(b"")
    assert cub.parts_of_photo(birds / "images" / "new.png") == ()
    assert cub.parts_of_photo(tmp_path / "images" / "photo.png") == () == cub.parts_of_photo("photo.png")
    (birds / "parts" / "part_locs.txt").unlink()
    assert cub.parts_of_photo(birds / "images" / "001.Red_Bird" / "Red_Bird_0.png") == ()


def test_parts_of_a_turned_photo_are_upright(birds: Path):
    path = birds / "images" / "001.Red_Bird" / "Red_Bird_0.png"
    exif = Image.Exif()
    exif[274] = 6
    with Image.open(path) as image:
        image.load()
        image.save(path, exif=exif)
    (birds / "orientation.txt").write_text("raw")
    dataset = cub.read(birds)
    found = cub.parts_of_photo(path)
    np.testing.assert_array_equal([part[1:] for part in found], dataset.points[0][dataset.visible[0]])


def test_windows_line_ends_make_no_difference(tmp_path: Path):
    unix, windows = cub.read(write_birds(tmp_path / "a")), cub.read(write_birds(tmp_path / "b", newline="\r\n"))
    assert unix.paths == windows.paths and unix.attribute_names == windows.attribute_names
    assert unix.class_names == windows.class_names and unix.part_names == windows.part_names
    np.testing.assert_array_equal(unix.points, windows.points)


@pytest.mark.parametrize("place", ["attributes.txt", "../attributes.txt"])
def test_attribute_names_may_lie_beside(birds: Path, place: str):
    (birds / "attributes" / "attributes.txt").rename(birds / place)
    assert len(cub.read(birds).attribute_names) == 5


def test_the_order_of_lines_does_not_matter(birds: Path):
    expected = cub.read(birds)
    for name in ("image_class_labels.txt", "train_test_split.txt", "bounding_boxes.txt", "parts/part_locs.txt"):
        lines = (birds / name).read_text().splitlines()
        np.random.default_rng(0).shuffle(lines)
        (birds / name).write_text("\n".join(lines))
    found = cub.read(birds)
    for field in ("labels", "is_training", "points", "visible", "boxes"):
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))


def test_a_partial_copy_holds_what_is_there(birds: Path):
    for path in (birds / "images" / "001.Red_Bird").iterdir():
        path.unlink()
    (birds / "images" / "002.Blue_Bird" / "Blue_Bird_2.png").unlink()
    dataset = cub.read(birds)
    assert dataset.class_names == ("Blue_Bird", "Grey_Bird") and dataset.class_numbers == (2, 3)
    assert dataset.image_ids.tolist() == [5, 6, 8, 9, 10, 11, 12]
    assert dataset.labels.tolist() == [0] * 3 + [1] * 4
    np.testing.assert_array_equal(dataset.class_attributes[0], [90, 10, 0, 100, 50])
    assert dataset.all_class_attributes is not None and dataset.all_class_attributes.shape == (3, 5)
    assert "5 listed images are absent" in dataset.describe() and "\n" not in dataset.describe()


@pytest.mark.parametrize(
    "classes, numbers",
    [
        (2, (2,)),
        ("2-3", (2, 3)),
        (range(1, 3), (1, 2)),
        ("Grey_Bird, 1", (1, 3)),
        ("003.Grey_Bird", (3,)),
        (["blue bird", 3], (2, 3)),
    ],
)
def test_classes_are_selected_by_number_range_or_name(birds: Path, classes: object, numbers: tuple[int, ...]):
    dataset = cub.read(birds, classes)
    assert dataset.class_numbers == numbers
    assert sorted(set(dataset.labels.tolist())) == list(range(len(numbers)))


@pytest.mark.robust("tables")
@pytest.mark.parametrize("classes, words", [(4, "from 1 to 3"), ("3-2", "smaller first"), ("blu", "Blue_Bird")])
def test_unknown_classes_are_refused(birds: Path, classes: object, words: str):
    with pytest.raises(InputError, match=words):
        cub.read(birds, classes)


@pytest.mark.robust("tables")
def test_a_selected_class_without_images_is_refused(birds: Path):
    for path in (birds / "images" / "002.Blue_Bird").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="no image of the class Blue_Bird"):
        cub.read(birds, classes="1-2")


TABLES = (
    "images.txt",
    "classes.txt",
    "image_class_labels.txt",
    "train_test_split.txt",
    "bounding_boxes.txt",
    "parts/parts.txt",
    "parts/part_locs.txt",
    "attributes/attributes.txt",
    "attributes/class_attribute_labels_continuous.txt",
)


@pytest.mark.robust("tables")
@pytest.mark.parametrize("name", TABLES)
def test_a_missing_table_is_named(birds: Path, name: str):
    (birds / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing, expected"):
        cub.read(birds)


@pytest.mark.robust("tables")
@pytest.mark.parametrize("name", TABLES)
def test_a_malformed_line_is_named(birds: Path, name: str):
    lines = (birds / name).read_text().splitlines()
    lines[1] = "2 nonsense 7 é x" if name.endswith(("locs.txt", "boxes.txt", "continuous.txt")) else "nonsense"
    (birds / name).write_text("\n".join(lines))
    with pytest.raises(InputError, match=f"{name}, line 2: expected"):
        cub.read(birds)


@pytest.mark.robust("tables")
def test_a_binary_table_is_named(birds: Path):
    (birds / "images.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match=r"images.txt is not a text file"):
        cub.read(birds)


CONTRADICTIONS = {
    "duplicate ids": ("images.txt", "2 001", "1 001", r"ids that occur twice \(1, for example 1\)"),
    "a label without a class": ("image_class_labels.txt", "5 2", "5 9", r"labels without a class .*example 9"),
    "an image without a label": ("image_class_labels.txt", "5 2\n", "", r"images without a line \(1, for example 5\)"),
    "a path that leaves": ("images.txt", "001.Red_Bird/", "../../001.Red_Bird/", "leave the folder"),
    "a split of two": ("train_test_split.txt", "3 0", "3 2", "not 0 or 1"),
    "a flat box": ("bounding_boxes.txt", "4 5.0 6.0 30.0 20.0", "4 5.0 6.0 0.0 20.0", "without an area.*example 4"),
    "an unknown part": ("parts/part_locs.txt", "3 2 13.0", "3 7 13.0", "part numbers without a name"),
    "a part given twice": ("parts/part_locs.txt", "3 2 13.0", "3 1 13.0", "parts given twice.*example 3"),
    "a part left out": ("parts/part_locs.txt", "3 2 13.0 20.0 1\n", "", "lack a part.*example 3"),
    "a negative part": ("parts/part_locs.txt", "3 2 13.0", "3 2 -13.0", "left of or above.*example 3"),
    "a visibility of two": ("parts/part_locs.txt", "3 2 13.0 20.0 1", "3 2 13.0 20.0 2", "visibilities"),
    "no percentage": ("attributes/class_attribute_labels_continuous.txt", "95 0", "950 0", "not percentages"),
    "too few attributes": ("attributes/class_attribute_labels_continuous.txt", "5 95 0 100 0\n", "", "2 against 3"),
}


@pytest.mark.robust("tables")
@pytest.mark.parametrize("name, old, new, words", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_contradictions_are_counted_and_refused(birds: Path, name: str, old: str, new: str, words: str):
    change(birds / name, old, new)
    with pytest.raises(InputError, match=words):
        cub.read(birds)
    assert cub.problems(cub.read_tables(birds))


@pytest.mark.robust("tables")
def test_a_folder_that_is_none(tmp_path: Path):
    with pytest.raises(InputError, match="is not a folder"):
        cub.read(tmp_path / "none")


def test_a_subset_keeps_everything_together(birds: Path):
    dataset = cub.read(birds)
    part = dataset.subset(dataset.labels == 1)
    assert part.paths == dataset.paths[4:8] and part.image_ids.tolist() == [5, 6, 7, 8]
    np.testing.assert_array_equal(part.points, dataset.points[4:8])
    assert len(dataset.subset([])) == 0
    assert dataset.subset([3, 0]).image_ids.tolist() == [4, 1]


@pytest.mark.slow
def test_the_real_birds(shared_data: Path):
    """About 5 s: decodes all 1,402 images of 25 classes."""
    dataset = cub.read(shared_data / "CUB_200_2011")
    assert len(dataset) == 1402 and dataset.class_numbers == tuple(range(1, 26)) and dataset.absent == 11788 - 1402
    assert len(dataset.part_names) == 15 and len(dataset.attribute_names) == 312
    assert dataset.all_class_attributes is not None and dataset.all_class_attributes.shape == (200, 312)
    for index in range(len(dataset)):
        height, width, channels = read_image(dataset.image_path(index)).shape
        seen = dataset.points[index][dataset.visible[index]]
        assert channels == 3 and (seen >= 0).all() and (seen < [width, height]).all(), dataset.paths[index]


@pytest.mark.robust("pictures that turn")
@pytest.mark.parametrize("said", ["", "upright", "raw"])
@pytest.mark.parametrize("tag", range(1, 9))
def test_parts_and_boxes_turn_with_their_photos(tmp_path: Path, tag: int, said: str):
    """A white pixel under every visible part, and a white frame where the box ends, turned by Pillow."""
    root = write_birds(tmp_path / "birds", per_class=1)
    exif = Image.Exif()
    exif[274] = tag
    stored = Image.new("RGB", (60, 40))
    stored.paste("white", (5, 6, 35, 26))
    for path in (root / "images").rglob("*.png"):
        stored.save(path, exif=exif)
    # Pixel (8, 9) is that of the back; the box covers x from 5 to 35 and y from 6 to 26.
    dot = Image.new("L", (60, 40))
    dot.putpixel((8, 9), 255)
    dot.getexif()[274] = tag
    upright = np.asarray(ImageOps.exif_transpose(dot))
    (y,), (x,) = np.nonzero(upright)
    change_all(root / "parts" / "part_locs.txt", "8.0 9.0 1", "8.5 9.5 1" if said == "raw" else f"{x}.5 {y}.5 1")
    if said:
        (root / "orientation.txt").write_text(said)
    white = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("L")) > 0
    left, top = np.nonzero(white.any(0))[0][0], np.nonzero(white.any(1))[0][0]
    width, height = white.any(0).sum(), white.any(1).sum()
    if said != "raw":
        change_all(root / "bounding_boxes.txt", "5.0 6.0 30.0 20.0", f"{left}.0 {top}.0 {width}.0 {height}.0")
    dataset = cub.read(root)
    example = Files(dataset)[0]
    assert example["image"].shape[:2] == upright.shape
    np.testing.assert_allclose(example["points"][0], [x + 0.5, y + 0.5])
    np.testing.assert_allclose(example["box"], [left, top, width, height])
    np.testing.assert_array_equal(dataset.points[~dataset.visible], 0)


def change_all(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
