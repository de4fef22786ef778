import dataclasses
from pathlib import Path

import numpy as np
import pytest
from folders import change, write_birds, write_scenes
from PIL import Image

from galore.cli import main
from galore.data import ade20k, cub, sheet
from galore.data.check import check
from galore.data.dataset import PartDataset
from galore.data.synthetic import birds
from galore.errors import InputError


def test_a_good_folder_has_no_problems(tmp_path: Path):
    found = check(write_birds(tmp_path / "birds"))
    assert not found.problems and not found.oddities and found.dataset is not None
    text = " ".join(found.facts)
    assert "12 images of 3 classes" in text and "beak 100%" in text and "60 to 60 wide, 40 to 40 high" in text


def test_drawn_birds_are_as_good_as_photographed_ones(tmp_path: Path, shared_data: Path):
    birds.write(tmp_path / "birds", birds.SyntheticBirds(classes=4, per_class=3, seed=0))
    drawn, real = check(tmp_path / "birds"), cub.read(shared_data / "CUB_200_2011", classes=1)
    assert isinstance(drawn.dataset, PartDataset) and len(drawn.dataset) == 12
    assert not drawn.problems and not drawn.oddities
    assert drawn.dataset.part_names == real.part_names
    assert set(drawn.dataset.attribute_names) <= set(real.attribute_names)


def test_what_is_wrong_with_birds_is_counted(tmp_path: Path):
    root = write_birds(tmp_path / "birds")
    dataset = cub.read(root)
    dataset.image_path(2).write_text("no image")
    dataset.image_path(3).write_bytes(b"")
    change(root / "parts" / "part_locs.txt", "7 2 17.0 20.0 1", "7 2 60.0 20.0 1")
    change(root / "bounding_boxes.txt", "8 5.0 6.0 30.0", "8 5.0 6.0 70.0")
    (root / "images" / "stray.jpg").write_text("")
    found = check(root)
    problems = {problem.what: problem for problem in found.problems}
    assert problems["images that cannot be decoded"].count == 2
    outside = problems["visible parts outside their image"]
    assert outside.count == 1 and outside.example == "beak of 002.Blue_Bird/Blue_Bird_2.png"
    oddities = {problem.what: problem.count for problem in found.oddities}
    assert oddities == {
        "boxes that reach beyond their image": 1,
        "visible parts outside the bounding box": 1,
        "images that are not listed": 1,
    }


def test_contradicting_tables_are_all_listed(tmp_path: Path):
    root = write_birds(tmp_path / "birds")
    change(root / "image_class_labels.txt", "5 2", "5 9")
    change(root / "image_class_labels.txt", "6 2", "6 9")
    change(root / "train_test_split.txt", "3 0", "3 2")
    found = check(root)
    assert found.dataset is None
    assert [problem.count for problem in found.problems] == [2, 1]


def test_empty_classes_are_odd(tmp_path: Path):
    root = write_birds(tmp_path / "birds")
    for path in (root / "images" / "002.Blue_Bird").iterdir():
        path.unlink()
    assert [str(problem) for problem in check(root).oddities] == ["classes without an image (1, for example Blue_Bird)"]


def test_what_is_wrong_with_scenes_is_counted(tmp_path: Path):
    root = write_scenes(tmp_path / "scenes")
    assert not check(root).problems
    dataset = ade20k.read(root)
    Image.fromarray(np.zeros((20, 40), np.uint8)).save(dataset.mask_path(0))
    dataset.image_path(1).write_text("no image")
    dataset.mask_path(2).write_text("no mask")
    problems = {problem.what: problem for problem in check(root).problems}
    assert problems["images that cannot be decoded"].count == 1
    assert problems["masks that cannot be used"].count == 2
    assert "40 x 20 pixels, expected 40 x 30" in problems["masks that cannot be used"].example


def test_progress_is_told(tmp_path: Path):
    steps = []
    check(write_birds(tmp_path / "birds"), lambda done, total: steps.append((done, total)))
    assert steps == [(k, 12) for k in range(1, 13)]


@pytest.mark.robust("tables")
def test_other_folders_are_refused_with_a_hint(tmp_path: Path):
    write_birds(tmp_path / "birds")
    with pytest.raises(InputError, match=r"did you mean .*birds"):
        check(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        check(tmp_path / "none")


def test_the_sheet_shows_a_part_where_it_is(tmp_path: Path):
    root = write_birds(tmp_path / "birds", per_class=1, height=sheet.CELL, width=sheet.CELL)
    for path in (root / "images").rglob("*.png"):
        Image.new("RGB", (sheet.CELL, sheet.CELL), "black").save(path)
    drawn = np.asarray(sheet.draw(cub.read(root), count=3, columns=3))
    colours = sheet.colours(3)
    # The first cell starts at the margin of 8 pixels and is not scaled; its beak is at (11, 20).
    np.testing.assert_array_equal(drawn[8 + 20, 8 + 11], colours[1])
    np.testing.assert_array_equal(drawn[8 + 9, 8 + 8 - 3], colours[0])
    # The invisible eye is drawn nowhere in the first cell.
    assert not (drawn[: sheet.CELL, : sheet.CELL] == colours[2]).all(2).any()


def test_the_sheet_of_scenes_and_of_broken_images(tmp_path: Path):
    root = write_scenes(tmp_path / "scenes")
    dataset = ade20k.read(root)
    whole = sheet.draw(dataset)
    dataset.image_path(0).write_text("no image")
    assert (
        sheet.draw(dataset, columns=1).height < sheet.draw(dataset.subset([1, 2, 1]), columns=1).height + whole.height
    )


@pytest.mark.robust("pictures that turn")
@pytest.mark.parametrize("write", [write_birds, write_scenes])
@pytest.mark.parametrize("raw", [False, True])
def test_every_turned_image_is_reported_with_what_was_assumed(tmp_path: Path, write, raw: bool):
    root = write(tmp_path / "data", height=50, width=50)
    paths = sorted((root / "images").rglob("*.*g"))
    for path, tag in zip(paths, (3, 6)):
        exif = Image.Exif()
        exif[274] = tag
        Image.open(path).save(path, exif=exif)
    if raw:
        (root / "orientation.txt").write_text("raw")
    found = check(root)
    assert sorted(found.turned) == [
        f"{path.relative_to(root / 'images')} (EXIF orientation {tag})" for path, tag in zip(paths, (3, 6))
    ]
    (problem,) = (one for one in found.oddities if "EXIF" in one.what)
    assert problem.count == 2 and ("as stored" if raw else "upright") in problem.what


HOSTILE = ["\x1b]0;title\x07", "a\u202eb", "x" * 10**6, "caf\u00e9"]


@pytest.mark.robust("texts that are shown")
@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name[:9]))
@pytest.mark.parametrize(
    "place",
    ["classes.txt", "parts/parts.txt", "attributes/attributes.txt", "images.txt", "objectInfo150.txt", "a scene"],
)
def test_no_name_in_a_data_set_reaches_a_finding_or_a_terminal(tmp_path: Path, capsys, name: str, place: str):
    of_scenes = place in ("objectInfo150.txt", "a scene")
    root = write_scenes(tmp_path / "scenes") if of_scenes else write_birds(tmp_path / "birds", per_class=2)
    file, old, new = {
        "classes.txt": ("classes.txt", "1 001.Red_Bird", f"1 001.{name}"),
        "parts/parts.txt": ("parts/parts.txt", "2 beak", f"2 {name}"),
        "attributes/attributes.txt": ("attributes/attributes.txt", "1 has_bill", f"1 {name}"),
        "images.txt": ("images.txt", "1 001.Red_Bird/Red", f"1 001.Red_Bird/{name}"),
        "objectInfo150.txt": ("objectInfo150.txt", "wall", name),
        "a scene": ("sceneCategories.txt", "beach", name),
    }[place]
    change(root / file, old, new)
    # Visible parts outside their image, and images that are not listed, are told with their names.
    if not of_scenes:
        change(root / "parts" / "part_locs.txt", "4 2 14.0 20.0 1", "4 2 99.0 20.0 1")
    main(["data", "check", str(root), "--out", str(tmp_path / "sheet.png")])
    printed = capsys.readouterr()
    found = check(root)
    said = [*found.facts, *map(str, found.problems + found.oddities), *found.turned]
    lines = [*said, *(printed.out + printed.err).splitlines()]
    assert said and all(line.isprintable() and len(line) < 2100 for line in lines)


@pytest.mark.robust("paths")
@pytest.mark.parametrize("name", ["../../../x", "/etc/passwd", "a/../../x", "", "a\0b"], ids=repr)
def test_a_path_that_leaves_the_folder_is_never_opened(tmp_path: Path, name: str):
    birds, scenes = cub.read(write_birds(tmp_path / "birds")), ade20k.read(write_scenes(tmp_path / "scenes"))
    places = [
        dataclasses.replace(birds, paths=(name, *birds.paths[1:])).image_path,
        dataclasses.replace(scenes, paths=(name, *scenes.paths[1:])).image_path,
        dataclasses.replace(scenes, mask_paths=(name, *scenes.mask_paths[1:])).mask_path,
    ]
    for place in places:
        with pytest.raises(InputError, match="stays below"):
            place(0)
