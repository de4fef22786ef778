"""Looks at every file of a data set and says what is there, what is wrong and what is odd."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from galore.data import ade20k, cub, tables
from galore.data.dataset import PartDataset, SceneDataset
from galore.data.photo import read_image
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
    """

    dataset: PartDataset | SceneDataset | None
    facts: tuple[str, ...]
    problems: tuple[Problem, ...]
    oddities: tuple[Problem, ...]


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
    if not root.is_dir():
        raise InputError(f"{root} is not a folder, expected a data set")
    if (root / "images.txt").exists():
        return _check_parts(root, progress, threads)
    if (root / "sceneCategories.txt").exists():
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

    def examine(index: int) -> tuple[str, int, int]:
        return _size_of(dataset.image_path(index))

    messages, sizes = _examine_all(examine, len(dataset), progress, threads)
    good = np.array([not message for message in messages])
    size = np.array(sizes, np.float32)
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
    ]
    facts = (
        f"CUB-200-2011 format: {dataset.describe()}",
        f"{len(dataset.part_names)} parts, {dataset.visible.mean():.0%} of them visible: "
        + ", ".join(f"{name} {share:.0%}" for name, share in zip(dataset.part_names, dataset.visible.mean(0))),
        f"{len(dataset.attribute_names)} attributes of {len(files.class_folders)} classes",
        *_facts_about(dataset, size[good]),
    )
    return Findings(dataset, facts, _kept(problems), _kept(oddities))


def _check_scenes(root: Path, progress: Progress | None, threads: int) -> Findings:
    files = ade20k.read_tables(root)
    problems = ade20k.problems(files)
    if problems:
        facts = (f"ADE20K format: {len(files.scenes)} images are listed, {len(files.object_names)} objects",)
        return Findings(None, facts, tuple(problems), ())
    dataset = ade20k.read(root)
    occurs = np.zeros((len(dataset), len(dataset.object_names) + 1), bool)
    mask_messages = [""] * len(dataset)

    def examine(index: int) -> tuple[str, int, int]:
        message, width, height = _size_of(dataset.image_path(index))
        try:
            mask = ade20k.read_mask(dataset.mask_path(index), len(dataset.object_names))
            if not message:
                ade20k.check_size(dataset, index, mask)
            occurs[index, np.unique(mask)] = True
        except InputError as error:
            mask_messages[index] = str(error)
        return message, width, height

    messages, sizes = _examine_all(examine, len(dataset), progress, threads)
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
    ]
    facts = (
        f"ADE20K format: {dataset.describe()}",
        f"{int(occurs[:, 1:].any(0).sum())} of {len(dataset.object_names)} objects occur; the most frequent: "
        + ", ".join(f"{dataset.object_names[k]} {frequencies[k]:.0%}" for k in most),
        *_facts_about(dataset, np.array(sizes, np.float32)[good]),
    )
    return Findings(dataset, facts, _kept(problems), _kept(oddities))


def _size_of(path: Path) -> tuple[str, int, int]:
    """An error message or "", and the width and height of the decoded image."""
    try:
        height, width, _ = read_image(path).shape
    except InputError as error:
        return str(error), 0, 0
    return "", width, height


def _examine_all(
    examine: Callable[[int], tuple[str, int, int]], count: int, progress: Progress | None, threads: int
) -> tuple[list[str], list[tuple[int, int]]]:
    messages, sizes = [], []
    with ThreadPoolExecutor(threads) as pool:
        for message, width, height in pool.map(examine, range(count)):
            messages.append(message)
            sizes.append((width, height))
            if progress is not None:
                progress(len(messages), count)
    return messages, sizes


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
