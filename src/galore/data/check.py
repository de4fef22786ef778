"""Looks at every file of a data set and says what is there, what is wrong and what is odd."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from galore import foreign
from galore.data import ade20k, cub, orientation, photo, tables
from galore.data.dataset import PartDataset, SceneDataset
from galore.data.tables import Problem
from galore.errors import InputError

Progress = Callable[[int, int], None]
"""Called with how many images have been examined and how many there are."""


@dataclass(frozen=True, eq=False)
class Findings:
    """What a folder holds.

    Attributes:
        dataset: what the reader made of it; None where the files contradict one another.
        facts: in words.
        problems: what makes results wrong.
        oddities: what a person should know and may be right.
        turned: every image that its EXIF orientation turns, and by which, in words.
    """

    dataset: PartDataset | SceneDataset | None
    facts: tuple[str, ...]
    problems: tuple[Problem, ...]
    oddities: tuple[Problem, ...]
    turned: tuple[str, ...] = ()


class Examined(NamedTuple):
    """An image that was decoded: what is wrong or "", its upright size, and EXIF's orientation."""

    message: str
    width: int
    height: int
    orientation: int


def check(root: str | Path, progress: Progress | None = None, threads: int = 2) -> Findings:
    """Reads the tables of a folder, compares them with one another, and decodes every image.

    Args:
        root: in the format of CUB-200-2011 or of ADE20K's scene parsing.
        progress: told about every image.
        threads: how many images are decoded at a time.

    Returns:
        What was found, problems with counts.

    Raises:
        InputError: the folder is neither, or one of its tables is missing or malformed.
    """
    root = Path(root)
    if not os.path.isdir(root):
        raise InputError(f"{root} is not a folder, expected a data set")
    if os.path.exists(root / "images.txt"):
        return _check_parts(root, progress, threads)
    if os.path.exists(root / "sceneCategories.txt"):
        return _check_scenes(root, progress, threads)
    inside = [path for path in sorted(root.iterdir()) if (path / "images.txt").exists()]
    inside += [path for path in sorted(root.iterdir()) if (path / "sceneCategories.txt").exists()]
    hint = f"; did you mean {inside[0]}?" if inside else ""
    raise InputError(f"{root} holds neither images.txt (CUB-200-2011) nor sceneCategories.txt (ADE20K){hint}")


def _check_parts(root: Path, progress: Progress | None, threads: int) -> Findings:
    files = cub.read_tables(root)
    problems = cub.problems(files)
    if problems:
        facts = (f"CUB-200-2011 format: {len(files.images)} images of {len(files.class_folders)} classes are listed",)
        return Findings(None, facts, tuple(problems), ())
    dataset = cub.read(root)

    def examine(index: int) -> Examined:
        return _examined(dataset.image_path(index))

    found = _examine_all(examine, len(dataset), progress, threads)
    messages = [one.message for one in found]
    good = np.array([not message for message in messages])
    size = np.array([(one.width, one.height) for one in found], np.float32)
    lower, upper = dataset.boxes[:, :2], dataset.boxes[:, :2] + dataset.boxes[:, 2:]
    off_image = dataset.visible & ((dataset.points < 0) | (dataset.points >= size[:, None])).any(2)
    outside_box = (dataset.points < lower[:, None] - 1) | (dataset.points > upper[:, None] + 1)
    names = np.array(dataset.paths)
    listed = {path for _, path in files.images}
    unlisted = [path for path in _files_below(root / "images") if path not in listed]
    problems = [
        _unreadable("images that cannot be decoded", messages),
        tables.some("visible parts outside their image", _places(off_image & good[:, None], dataset)),
    ]
    oddities = [
        tables.some("boxes that reach beyond their image", names[good & ((lower < 0) | (upper > size)).any(1)]),
        tables.some("visible parts outside the bounding box", _places(dataset.visible & outside_box.any(2), dataset)),
        tables.some("images without any visible part", names[~dataset.visible.any(1)]),
        tables.some("images that are not listed", unlisted),
        tables.some("classes without an image", sorted(set(map(cub.name_of, files.class_folders)) - _named(dataset))),
        *_empty_halves(dataset),
        _turned(found, "points and boxes", orientation.is_raw(root)),
    ]
    facts = (
        f"CUB-200-2011 format: {dataset.describe()}",
        f"{len(dataset.part_names)} parts, {dataset.visible.mean():.0%} of them visible: "
        + ", ".join(
            f"{foreign.name(part)} {share:.0%}" for part, share in zip(dataset.part_names, dataset.visible.mean(0))
        ),
        f"{len(dataset.attribute_names)} attributes of {len(files.class_folders)} classes",
        *_facts_about(dataset, size[good]),
    )
    return Findings(dataset, facts, _kept(problems), _kept(oddities), _each_turned(found, dataset))


def _check_scenes(root: Path, progress: Progress | None, threads: int) -> Findings:
    files = ade20k.read_tables(root)
    problems = ade20k.problems(files)
    if problems:
        facts = (f"ADE20K format: {len(files.scenes)} images are listed, {len(files.object_names)} objects",)
        return Findings(None, facts, tuple(problems), ())
    dataset = ade20k.read(root)
    occurs = np.zeros((len(dataset), len(dataset.object_names) + 1), bool)
    mask_messages = [""] * len(dataset)

    def examine(index: int) -> Examined:
        found = _examined(dataset.image_path(index))
        try:
            if found.message:
                mask = ade20k.read_mask(dataset.mask_path(index), len(dataset.object_names))
            else:
                mask = ade20k.upright_mask(dataset, index)
            occurs[index, np.unique(mask)] = True
        except InputError as error:
            mask_messages[index] = str(error)
        return found

    found = _examine_all(examine, len(dataset), progress, threads)
    messages = [one.message for one in found]
    good = np.array([not message for message in messages])
    listed = {scene for _, scene in files.scenes}
    frequencies = occurs[:, 1:].mean(0)
    most = np.argsort(-frequencies)[:5]
    problems = [
        _unreadable("images that cannot be decoded", messages),
        _unreadable("masks that cannot be used", mask_messages),
    ]
    oddities = [
        tables.some("scene classes without an image", sorted(listed - _named(dataset))),
        tables.some("masks without any object", np.array(dataset.mask_paths)[~occurs[:, 1:].any(1)]),
        *_empty_halves(dataset),
        _turned(found, "masks", dataset.masks_are_raw),
    ]
    facts = (
        f"ADE20K format: {dataset.describe()}",
        f"{int(occurs[:, 1:].any(0).sum())} of {len(dataset.object_names)} objects occur; the most frequent: "
        + ", ".join(f"{foreign.name(dataset.object_names[k])} {frequencies[k]:.0%}" for k in most),
        *_facts_about(dataset, np.array([(one.width, one.height) for one in found], np.float32)[good]),
    )
    return Findings(dataset, facts, _kept(problems), _kept(oddities), _each_turned(found, dataset))


def _examined(path: Path) -> Examined:
    try:
        picture = photo.read(path)
    except InputError as error:
        return Examined(str(error), 0, 0, orientation.UPRIGHT)
    height, width, _ = picture.pixels.shape
    return Examined("", width, height, picture.orientation)


def _examine_all(
    examine: Callable[[int], Examined], count: int, progress: Progress | None, threads: int
) -> list[Examined]:
    found = []
    with ThreadPoolExecutor(threads) as pool:
        for one in pool.map(examine, range(count)):
            found.append(one)
            if progress is not None:
                progress(len(found), count)
    return found


def _turned(found: list[Examined], annotations: str, are_raw: bool) -> Problem | None:
    assumed = (
        f"in the pixels as stored, as {orientation.FILE} says, and were turned with them"
        if are_raw
        else f'as a viewer shows the images, upright (if not, say "raw" in {orientation.FILE})'
    )
    tags = [f"orientation {one.orientation}" for one in found if one.orientation != orientation.UPRIGHT]
    return tables.some(f"images that EXIF turns; {annotations} were taken to be {assumed}", tags)


def _each_turned(found: list[Examined], dataset: PartDataset | SceneDataset) -> tuple[str, ...]:
    return tuple(
        f"{foreign.text(path)} (EXIF orientation {one.orientation})"
        for path, one in zip(dataset.paths, found)
        if one.orientation != orientation.UPRIGHT
    )


def _facts_about(dataset: PartDataset | SceneDataset, size: np.ndarray) -> tuple[str, ...]:
    counts = np.bincount(dataset.labels, minlength=len(dataset.class_names))
    facts = (f"images per class: {counts.min()} to {counts.max()}",)
    if len(size):
        (least_wide, least_high), (most_wide, most_high) = size.min(0).astype(int), size.max(0).astype(int)
        facts += (f"image sizes: {least_wide} to {most_wide} wide, {least_high} to {most_high} high (pixels)",)
    return facts


def _empty_halves(dataset: PartDataset | SceneDataset) -> list[Problem | None]:
    names = np.array(dataset.class_names)
    count = len(names)
    training = np.bincount(dataset.labels[dataset.is_training], minlength=count)
    testing = np.bincount(dataset.labels[~dataset.is_training], minlength=count)
    return [
        tables.some("classes without a training image", names[training == 0]),
        tables.some("classes without a test image", names[testing == 0]),
    ]


def _places(wrong: np.ndarray, dataset: PartDataset) -> list[str]:
    return [f"{dataset.part_names[part]} of {dataset.paths[image]}" for image, part in zip(*np.nonzero(wrong))]


def _named(dataset: PartDataset | SceneDataset) -> set[str]:
    return set(dataset.class_names)


def _files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _unreadable(what: str, messages: list[str]) -> Problem | None:
    return tables.some(what, [message for message in messages if message])


def _kept(problems: list[Problem | None]) -> tuple[Problem, ...]:
    return tuple(problem for problem in problems if problem is not None)
