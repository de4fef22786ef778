"""CUB-200-2011 as it is distributed, and folders in the same format.

    images.txt                       image id, path below images/
    image_class_labels.txt           image id, class number
    train_test_split.txt             image id, 1 for training
    bounding_boxes.txt               image id, x, y, width, height
    classes.txt                      class number, folder name
    parts/parts.txt                  part number, name
    parts/part_locs.txt              image id, part number, x, y, visible
    attributes/attributes.txt        attribute number, name (also found in the folder or beside it)
    attributes/class_attribute_labels_continuous.txt      a row of percentages for every class
    orientation.txt                  optional: "raw" where points and boxes are in the pixels as stored (see
                                     `galore.data.orientation`)

Source: Wah, Branson, Welinder, Perona, Belongie, "The Caltech-UCSD Birds-200-2011 Dataset", 2011.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from galore import foreign
from galore.data import orientation, photo, tables
from galore.data.dataset import PartDataset
from galore.errors import InputError


@dataclass(frozen=True, eq=False)
class BirdTables:
    """The files of the folder, each row as it stands; the first column of an array is the image id.

    Attributes:
        root: the folder.
        images: image id and path, by line.
        class_folders: of classes.txt, in the order of their numbers.
        labels: image id, class number.
        split: image id, whether for training.
        boxes: image id, x, y, width, height.
        part_names: in the order of their numbers.
        parts: image id, part number, x, y, visible.
        attribute_names: in the order of their numbers.
        class_attributes: percentages.
    """

    root: Path
    images: list[tuple[int, str]]
    class_folders: tuple[str, ...]
    labels: Float[np.ndarray, "labels 2"]
    split: Float[np.ndarray, "split 2"]
    boxes: Float[np.ndarray, "boxes 5"]
    part_names: tuple[str, ...]
    parts: Float[np.ndarray, "parts 5"]
    attribute_names: tuple[str, ...]
    class_attributes: Float[np.ndarray, "classes attributes"]


class PartPoint(NamedTuple):
    """Where a part of an object lies in its photo: in pixels, upright."""

    name: str
    x: float
    y: float


def parts_of_photo(path: str | Path) -> tuple[PartPoint, ...]:
    """The visible parts of one photo that lies in such a folder; none of any other photo.

    Args:
        path: of the photo, below the folder's images/.

    Raises:
        InputError: a file of the folder is malformed.
    """
    absolute = Path(os.path.abspath(path))
    roots = (place.parent for place in absolute.parents if place.name == "images")
    root = next((place for place in roots if (place / "images.txt").is_file()), None)
    if root is None or not (root / "parts" / "part_locs.txt").is_file():
        return ()
    images = tables.names(root / "images.txt", "an image id and a path")
    inside = absolute.relative_to(root / "images").as_posix()
    image_id = next((number for number, name in images if name == inside), None)
    if image_id is None:
        return ()
    names = _numbered(root / "parts" / "parts.txt", "a part number and a name")
    rows = tables.numbers(root / "parts" / "part_locs.txt", 5, "an image id, a part number, x, y and 0 or 1")
    seen = rows[(rows[:, 0] == image_id) & (rows[:, 4] == 1) & np.isin(rows[:, 1], np.arange(1, len(names) + 1))]
    points = seen[:, 2:4]
    if orientation.is_raw(root):
        height, width, turned = photo.read_header(absolute)
        points = orientation.turn_points(points, turned, height, width)
    labels = [foreign.name(names[int(part) - 1].replace("_", " ")) for part in seen[:, 1]]
    return tuple(PartPoint(name, float(x), float(y)) for name, (x, y) in zip(labels, points))


def read(root: str | Path, classes: tables.Classes = None) -> PartDataset:
    """Reads the annotations of the images that are present.

    A partial copy is normal: listed images that are not on disk are left out and counted in `absent`.

    Args:
        root: the folder that holds images.txt.
        classes: which classes: a number as in classes.txt, a range such as "1-25" or `range(1, 26)`, a name, or
            several of these; None takes every class of which an image is present.

    Returns:
        The data set; labels count from 0 in the order of the selected classes.

    Raises:
        InputError: a file is missing or malformed (with the line), the files contradict one another, or a selected
            class has no image.
    """
    files = read_tables(root)
    for problem in problems(files):
        raise InputError(f"{files.root}: {problem}")
    class_names = tuple(name_of(folder) for folder in files.class_folders)
    ids = np.array([image_id for image_id, _ in files.images], np.int64)
    label = _by_image(ids, files.labels)[:, 0].astype(np.int64) - 1
    chosen = tables.select(classes, class_names)
    listed = np.flatnonzero(np.isin(label, chosen))
    present = np.array([i for i in listed if os.path.isfile(files.root / "images" / files.images[i][1])], np.int64)
    chosen = _with_images(chosen, set(label[present].tolist()), classes is not None, class_names, files.root)
    points, visible = _points(ids[present], files)
    boxes = _by_image(ids[present], files.boxes).astype(np.float32)
    if orientation.is_raw(files.root):
        paths = [files.root / "images" / files.images[i][1] for i in present]
        points, boxes = _upright(points, visible, boxes, paths)
    return PartDataset(
        name=files.root.resolve().name,
        root=files.root,
        image_ids=ids[present],
        paths=tuple(files.images[i][1] for i in present),
        labels=np.searchsorted(chosen, label[present]).astype(np.int32),
        is_training=_by_image(ids[present], files.split)[:, 0] == 1,
        boxes=boxes,
        part_names=files.part_names,
        points=points,
        visible=visible,
        class_names=tuple(class_names[k] for k in chosen),
        class_numbers=tuple(k + 1 for k in chosen),
        attribute_names=files.attribute_names,
        class_attributes=files.class_attributes[chosen].astype(np.float32),
        absent=len(listed) - len(present),
        all_class_attributes=files.class_attributes.astype(np.float32),
    )


def read_tables(root: str | Path) -> BirdTables:
    """Reads the files of the folder without comparing them with one another.

    Raises:
        InputError: a file is missing or a line is malformed.
    """
    root = Path(root)
    if not os.path.isdir(root):
        raise InputError(f"{root} is not a folder, expected one that holds images.txt of CUB-200-2011")
    attribute_names = _numbered(_attributes_file(root), 'an attribute number and a name such as "has_size::small"')
    return BirdTables(
        root=root,
        images=tables.names(root / "images.txt", "an image id and a path"),
        class_folders=_numbered(root / "classes.txt", "a class number and a name"),
        labels=tables.numbers(root / "image_class_labels.txt", 2, "an image id and a class number"),
        split=tables.numbers(root / "train_test_split.txt", 2, "an image id and 0 or 1"),
        boxes=tables.numbers(root / "bounding_boxes.txt", 5, "an image id, x, y, width and height"),
        part_names=_numbered(root / "parts" / "parts.txt", "a part number and a name"),
        parts=tables.numbers(root / "parts" / "part_locs.txt", 5, "an image id, a part number, x, y and 0 or 1"),
        attribute_names=attribute_names,
        class_attributes=tables.numbers(
            root / "attributes" / "class_attribute_labels_continuous.txt",
            len(attribute_names),
            f"{len(attribute_names)} percentages, one for each line of attributes.txt",
        ),
    )


def problems(files: BirdTables) -> list[tables.Problem]:
    """Where the files contradict one another, with counts; an empty list is a consistent folder."""
    ids = np.array([image_id for image_id, _ in files.images], np.int64)
    paths = [path for _, path in files.images]
    outside = [path for path in paths if not foreign.stays_inside(path)]
    classes, parts = len(files.class_folders), len(files.part_names)
    part_keys = files.parts[:, 0] * (parts + 1) + files.parts[:, 1]
    negative = (files.parts[:, 4] == 1) & (files.parts[:, 2:4] < 0).any(1)
    attributes = files.class_attributes
    expected_keys = (ids[:, None] * (parts + 1) + np.arange(1, parts + 1)).ravel()
    without_part = np.unique(expected_keys[~np.isin(expected_keys, part_keys)] // (parts + 1))
    candidates = [
        tables.repeated("images.txt: image ids that occur twice", ids),
        tables.repeated("images.txt: paths that occur twice", np.array(paths)),
        tables.some("images.txt: paths that leave the folder images", outside),
        *(
            problem
            for name, table in (
                ("image_class_labels.txt", files.labels),
                ("train_test_split.txt", files.split),
                ("bounding_boxes.txt", files.boxes),
            )
            for problem in (
                tables.repeated(f"{name}: image ids that occur twice", table[:, 0]),
                tables.some(f"{name}: images without a line", ids[~np.isin(ids, table[:, 0])]),
            )
        ),
        tables.some(
            f"image_class_labels.txt: labels without a class (classes.txt has 1 to {classes})",
            files.labels[~np.isin(files.labels[:, 1], np.arange(1, classes + 1)), 1],
        ),
        tables.some(
            "train_test_split.txt: values that are not 0 or 1", files.split[~np.isin(files.split[:, 1], (0, 1)), 1]
        ),
        tables.some(
            "bounding_boxes.txt: boxes without an area, of images", files.boxes[(files.boxes[:, 3:] <= 0).any(1), 0]
        ),
        tables.some(
            f"parts/part_locs.txt: part numbers without a name (parts.txt has 1 to {parts})",
            files.parts[~np.isin(files.parts[:, 1], np.arange(1, parts + 1)), 1],
        ),
        tables.repeated("parts/part_locs.txt: parts given twice, of images", part_keys, files.parts[:, 0]),
        tables.some("parts/part_locs.txt: images that lack a part", without_part),
        tables.some(
            "parts/part_locs.txt: visibilities that are not 0 or 1",
            files.parts[~np.isin(files.parts[:, 4], (0, 1)), 4],
        ),
        tables.some(
            "parts/part_locs.txt: visible parts left of or above their image, of images", files.parts[negative, 0]
        ),
        tables.some(
            "attributes/class_attribute_labels_continuous.txt: values that are not percentages",
            attributes[(attributes < 0) | (attributes > 100)],
        ),
    ]
    if len(attributes) != classes:
        what = "attributes/class_attribute_labels_continuous.txt: lines more or fewer than classes.txt has"
        candidates.append(tables.Problem(what, abs(len(attributes) - classes), f"{len(attributes)} against {classes}"))
    return [problem for problem in candidates if problem is not None]


def name_of(folder: str) -> str:
    """The class name in a folder's name: "001.Black_footed_Albatross" -> "Black_footed_Albatross"."""
    return re.sub(r"^\d+\.", "", folder)


def _attributes_file(root: Path) -> Path:
    """The distribution keeps attributes.txt beside the folder; copies often keep it inside."""
    places = (root / "attributes" / "attributes.txt", root / "attributes.txt", root.resolve().parent / "attributes.txt")
    return next((place for place in places if place.is_file()), places[0])


def _numbered(path: Path, expected: str) -> tuple[str, ...]:
    rows = tables.names(path, expected)
    for position, (number, name) in enumerate(rows, start=1):
        if number != position:
            raise InputError(f"{path}: expected number {position} at its place, found {number} ({name})")
    return tuple(name for _, name in rows)


def _by_image(ids: Int[np.ndarray, "n"], table: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "n rest"]:
    """The rows of a table that belong to these images, without the id."""
    order = np.argsort(table[:, 0], kind="stable")
    return table[order[np.searchsorted(table[order, 0], ids)], 1:]


def _points(ids: Int[np.ndarray, "n"], files: BirdTables) -> tuple[Float[np.ndarray, "n p 2"], Bool[np.ndarray, "n p"]]:
    rows = files.parts[np.isin(files.parts[:, 0], ids)]
    order = np.argsort(ids, kind="stable")
    image = order[np.searchsorted(ids[order], rows[:, 0])]
    part = rows[:, 1].astype(np.int64) - 1
    points = np.zeros((len(ids), len(files.part_names), 2), np.float32)
    visible = np.zeros(points.shape[:2], bool)
    points[image, part] = rows[:, 2:4]
    visible[image, part] = rows[:, 4] == 1
    return points, visible


def _upright(
    points: Float[np.ndarray, "n p 2"],
    visible: Bool[np.ndarray, "n p"],
    boxes: Float[np.ndarray, "n 4"],
    paths: list[Path],
) -> tuple[Float[np.ndarray, "n p 2"], Float[np.ndarray, "n 4"]]:
    """Points and boxes of images as stored, in their upright pixels; an image that cannot be read says so later."""
    points, boxes = points.copy(), boxes.copy()
    for row, path in enumerate(paths):
        try:
            height, width, turned = photo.read_header(path)
        except InputError:
            continue
        seen = visible[row]
        points[row, seen] = orientation.turn_points(points[row, seen], turned, height, width)
        boxes[row] = orientation.turn_boxes(boxes[row], turned, height, width)
    return points, boxes


def _with_images(chosen: list[int], present: set[int], named: bool, names: tuple[str, ...], root: Path) -> list[int]:
    empty = [names[k] for k in chosen if k not in present]
    if named and empty:
        raise InputError(f"no image of the class {empty[0]} is present in {root / 'images'}")
    if not present:
        raise InputError(f"none of the listed images is present in {root / 'images'}")
    return [k for k in chosen if k in present]
