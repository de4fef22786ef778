"""ADEChallengeData2016 (scene parsing of ADE20K) as it is distributed, and folders in the same format.

    images/{training,validation}/ADE_{train,val}_00000001.jpg
    annotations/{training,validation}/ADE_{train,val}_00000001.png   0 is "other", k the k-th object
    objectInfo150.txt        index, ratio, train, val, name; tabs between, a header line
    sceneCategories.txt      image, scene class
    orientation.txt          optional: "raw" where masks are in the pixels as stored (see `galore.data.orientation`)

Source: Zhou, Zhao, Puig, Fidler, Barriuso, Torralba, "Scene Parsing through ADE20K Dataset", CVPR 2017.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from galore.data import orientation, photo, tables
from galore.data.dataset import SceneDataset
from galore.errors import InputError

_FOLDERS = {"ADE_train": "training", "ADE_val": "validation"}


@dataclass(frozen=True)
class SceneTables:
    """The text files of the folder, each row as it stands.

    Attributes:
        root: the folder.
        scenes: image name (without a suffix) and scene class, by line.
        object_names: in the order of their numbers.
    """

    root: Path
    scenes: list[tuple[str, str]]
    object_names: tuple[str, ...]


def read(root: str | Path, classes: tables.Classes = None) -> SceneDataset:
    """Reads which images are present, their scene classes and masks.

    A partial copy is normal: listed images that are not on disk are left out and counted in `absent`.

    Args:
        root: the folder that holds sceneCategories.txt.
        classes: which scene classes: a number from 1 in alphabetical order, a range, a name, or several of these; None
            takes every class of which an image is present.

    Returns:
        The data set; labels count from 0 in the alphabetical order of the selected classes.

    Raises:
        InputError: a file is missing or malformed (with the line), an image is listed twice or has no mask, or a
            selected class has no image.
    """
    files = read_tables(root)
    for problem in problems(files):
        raise InputError(f"{files.root}: {problem}")
    names = tuple(sorted({scene for _, scene in files.scenes}))
    chosen = {names[k] for k in tables.select(classes, names)}
    listed = [(name, scene) for name, scene in files.scenes if scene in chosen]
    on_disk = _stems(files.root / "images", ".jpg")
    present = [(name, scene) for name, scene in listed if name in on_disk]
    kept = sorted({scene for _, scene in present})
    if classes is not None and len(kept) < len(chosen):
        missing = sorted(chosen - set(kept))[0]
        raise InputError(f"no image of the class {missing} is present in {files.root / 'images'}")
    if not present:
        raise InputError(f"none of the listed images is present in {files.root / 'images'}")
    return SceneDataset(
        name=files.root.resolve().name,
        root=files.root,
        paths=tuple(_place(name, ".jpg") for name, _ in present),
        mask_paths=tuple(_place(name, ".png") for name, _ in present),
        labels=np.array([kept.index(scene) for _, scene in present], np.int32),
        is_training=np.array([name.startswith("ADE_train") for name, _ in present]),
        class_names=tuple(kept),
        object_names=files.object_names,
        absent=len(listed) - len(present),
        masks_are_raw=orientation.is_raw(files.root),
    )


def read_tables(root: str | Path) -> SceneTables:
    """Reads the text files of the folder without comparing them with one another.

    Raises:
        InputError: a file is missing or a line is malformed.
    """
    root = Path(root)
    if not os.path.isdir(root):
        raise InputError(f"{root} is not a folder, expected one that holds sceneCategories.txt of ADE20K")
    return SceneTables(root, _scenes(root / "sceneCategories.txt"), _objects(root / "objectInfo150.txt"))


def problems(files: SceneTables) -> list[tables.Problem]:
    """Where the files contradict one another, with counts; an empty list is a consistent folder."""
    names = [name for name, _ in files.scenes]
    images, masks = _stems(files.root / "images", ".jpg"), _stems(files.root / "annotations", ".png")
    without_mask = [name for name in names if name in images and name not in masks]
    candidates = [
        tables.repeated("sceneCategories.txt: images that occur twice", np.array(names)),
        tables.some("annotations: masks that are missing, of images", without_mask),
    ]
    return [problem for problem in candidates if problem is not None]


def read_mask(path: str | Path, objects: int, as_stored: bool = False) -> UInt8[np.ndarray, "height width"]:
    """Reads one mask: 0 is "other", k the k-th object.

    Args:
        path: of the mask.
        objects: how many there are.
        as_stored: whether an orientation tag of the mask itself is ignored.

    Raises:
        InputError: the file is no mask, or holds a number without an object.
    """
    try:
        mask, turned = photo.read_labels(path)
    except InputError as error:
        raise InputError(f"{path} cannot be read, expected a mask as an 8-bit PNG: {error}") from error
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise InputError(f"{path} has {mask.shape} values of {mask.dtype}, expected a mask with one byte a pixel")
    if mask.max(initial=0) > objects:
        raise InputError(f"{path} holds the number {mask.max()}, expected object numbers from 0 to {objects}")
    return orientation.turn_back(mask, turned) if as_stored else mask


def upright_mask(dataset: SceneDataset, index: int) -> UInt8[np.ndarray, "height width"]:
    """The mask of an image, which stands as the image does, whatever the file says.

    Raises:
        InputError: as `read_mask`; the mask has another size than its image (whose header alone is read).
    """
    path, raw = dataset.mask_path(index), dataset.masks_are_raw
    mask = read_mask(path, len(dataset.object_names), as_stored=raw)
    height, width, turned = photo.read_header(dataset.image_path(index))
    if raw:
        mask = orientation.turn(mask, turned)
    if mask.shape == (height, width):
        return mask
    message = f"{path} is {mask.shape[1]} x {mask.shape[0]} pixels, expected {width} x {height} like its image"
    if turned != orientation.UPRIGHT and not raw:
        message += (
            f", which EXIF orientation {turned} turns; where masks are in the pixels as stored, "
            f'say "raw" in {orientation.FILE} beside sceneCategories.txt'
        )
    raise InputError(message)


def objects_present(dataset: SceneDataset, threads: int = 2) -> Bool[np.ndarray, "n objects"]:
    """Which objects occur in each image (at least one pixel); reads every mask once.

    Raises:
        InputError: a mask cannot be read, or has another size than its image.
    """

    def occurring(index: int) -> Bool[np.ndarray, "objects"]:
        return np.bincount(upright_mask(dataset, index).ravel(), minlength=len(dataset.object_names) + 1)[1:] > 0

    with ThreadPoolExecutor(threads) as pool:
        rows = list(pool.map(occurring, range(len(dataset))))
    return np.array(rows, bool).reshape(len(dataset), len(dataset.object_names))


def _stems(folder: Path, suffix: str) -> set[str]:
    """The names of the files in training and validation, without the suffix (one listing, not 22,210 questions)."""
    return {path.stem for half in _FOLDERS.values() for path in (folder / half).glob(f"*{suffix}")}


def _place(name: str, suffix: str) -> str:
    return f"{_FOLDERS[name.rpartition('_')[0]]}/{name}{suffix}"


def _scenes(path: Path) -> list[tuple[str, str]]:
    expected = 'an image and a scene class such as "ADE_train_00000001 airport_terminal"'
    rows = []
    for number, line in tables.lines(path, expected):
        fields = line.split()
        if (
            len(fields) != 2
            or fields[0].rpartition("_")[0] not in _FOLDERS
            or not fields[0].rpartition("_")[2].isdecimal()
        ):
            raise InputError(f"{path}, line {number}: expected {expected}, found {line[:60]!r}")
        rows.append((fields[0], fields[1]))
    return rows


def _objects(path: Path) -> tuple[str, ...]:
    expected = "index, ratio, train, val and name, with tabs between"
    names = []
    for number, line in tables.lines(path, expected):
        fields = [field.strip() for field in line.split("\t")]
        if number == 1 and fields[0] == "Idx":
            continue
        if len(fields) != 5 or fields[0] != str(len(names) + 1) or not fields[4]:
            raise InputError(f"{path}, line {number}: expected {expected}, counted from 1, found {line[:60]!r}")
        names.append(fields[4])
    if not names:
        raise InputError(f"{path} names no object, expected {expected}")
    return tuple(names)
