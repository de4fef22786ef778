"""What a folder of annotated images holds, as plain arrays."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from galore import foreign, representation


@dataclass(frozen=True, eq=False)
class PartDataset:
    """Images of classes with part points and class attributes (CUB-200-2011 and its synthetic twin).

    Coordinates are continuous pixels of the original image, upright: pixel i covers [i, i + 1).

    Attributes:
        name: the name of the folder.
        root: the folder.
        image_ids: the identifiers of images.txt.
        paths: relative to root / "images".
        labels: 0-based positions in class_names.
        is_training: the split.
        boxes: the object's bounding box: x, y, width, height.
        part_names: "back", "beak", ...
        points: x, y of every part; only meaningful where `visible`.
        visible: whether the part can be seen.
        class_names: "Black_footed_Albatross", ...
        class_numbers: 1-based, as in classes.txt.
        attribute_names: "has_bill_shape::dagger", ...
        class_attributes: percentages in [0, 100] of the classes in class_names.
        absent: how many images are listed but not present.
        all_class_attributes: percentages of every class of the data set, from which the thresholds of the ground
            truth are taken also when only some classes are selected or present; None: those of class_names.
    """

    name: str
    root: Path
    image_ids: Int[np.ndarray, "n"]
    paths: tuple[str, ...]
    labels: Int[np.ndarray, "n"]
    is_training: Bool[np.ndarray, "n"]
    boxes: Float[np.ndarray, "n 4"]
    part_names: tuple[str, ...]
    points: Float[np.ndarray, "n p 2"]
    visible: Bool[np.ndarray, "n p"]
    class_names: tuple[str, ...]
    class_numbers: tuple[int, ...]
    attribute_names: tuple[str, ...]
    class_attributes: Float[np.ndarray, "c a"]
    absent: int = 0
    all_class_attributes: Float[np.ndarray, "all a"] | None = None

    __repr__ = representation.fields

    def __len__(self) -> int:
        return len(self.paths)

    def image_path(self, index: int) -> Path:
        """Where the image lies on disk; an `InputError` where its path leaves the folder."""
        return foreign.inside(self.root / "images", self.paths[index], f"the list of images of {self.name}")

    def subset(self, indices: Shaped[np.ndarray, "k"] | list[int]) -> "PartDataset":
        """The same data set with only some images (positions, or one bool an image); the classes stay."""
        chosen = _positions(indices, len(self))
        per_image = ("image_ids", "labels", "is_training", "boxes", "points", "visible")
        arrays = {name: getattr(self, name)[chosen] for name in per_image}
        return dataclasses.replace(self, paths=tuple(self.paths[i] for i in chosen), **arrays)

    def describe(self) -> str:
        """What was found, in one line."""
        return _describe(self)


@dataclass(frozen=True, eq=False)
class SceneDataset:
    """Images of scene classes with object masks (ADEChallengeData2016 and its synthetic twin).

    Attributes:
        name: the name of the folder.
        root: the folder.
        paths: of the images, relative to root / "images".
        mask_paths: of the masks, relative to root / "annotations"; 0 is "other", object k of object_names is k + 1.
        labels: 0-based positions in class_names.
        is_training: the split.
        class_names: "airport_terminal", ...
        object_names: "wall", ...
        absent: how many images are listed but not present.
        masks_are_raw: whether masks are in the pixels of their images as stored, and not upright.
    """

    name: str
    root: Path
    paths: tuple[str, ...]
    mask_paths: tuple[str, ...]
    labels: Int[np.ndarray, "n"]
    is_training: Bool[np.ndarray, "n"]
    class_names: tuple[str, ...]
    object_names: tuple[str, ...]
    absent: int = 0
    masks_are_raw: bool = False

    __repr__ = representation.fields

    def __len__(self) -> int:
        return len(self.paths)

    def image_path(self, index: int) -> Path:
        """Where the image lies on disk; an `InputError` where its path leaves the folder."""
        return foreign.inside(self.root / "images", self.paths[index], f"the list of images of {self.name}")

    def mask_path(self, index: int) -> Path:
        """Where the mask of the image lies on disk; an `InputError` where its path leaves the folder."""
        return foreign.inside(self.root / "annotations", self.mask_paths[index], f"the list of masks of {self.name}")

    def subset(self, indices: Shaped[np.ndarray, "k"] | list[int]) -> "SceneDataset":
        """The same data set with only some images (positions, or one bool an image); the classes stay."""
        chosen = _positions(indices, len(self))
        return dataclasses.replace(
            self,
            paths=tuple(self.paths[i] for i in chosen),
            mask_paths=tuple(self.mask_paths[i] for i in chosen),
            labels=self.labels[chosen],
            is_training=self.is_training[chosen],
        )

    def describe(self) -> str:
        """What was found, in one line."""
        return _describe(self)


def _positions(indices: Shaped[np.ndarray, "k"] | list[int], count: int) -> Int[np.ndarray, "m"]:
    return np.arange(count)[np.asarray(indices, dtype=None if len(indices) else int)]


def _describe(dataset: PartDataset | SceneDataset) -> str:
    training = int(dataset.is_training.sum())
    text = (
        f"{foreign.name(dataset.name)}: {len(dataset)} images of {len(dataset.class_names)} classes "
        f"({training} for training, {len(dataset) - training} for testing)"
    )
    return text + (f"; {dataset.absent} listed images are absent" if dataset.absent else "")
