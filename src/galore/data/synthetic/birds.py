"""Invented birds in CUB-200-2011's own format, and every one of them drawn again with a part of another species.

A photograph never says what the same bird would look like with another beak. Here it can be drawn: same pose, light,
background and twig in front. That is the true counterfactual, against which explanations can be held.

    drawn = birds.read("data/birds")
    bird = drawn.draw(17)                               # the image with id 17, exactly as it lies on disk
    other = drawn.draw(17, {"beak": 4})                 # with the beak that it would have in class number 4
    changed = (bird.image != other.image).any(-1)
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from PIL import Image

from galore import atomic
from galore.data.synthetic.birds_drawing import BirdDrawing, draw
from galore.data.synthetic.birds_species import (
    GROUPS,
    KIND_GROUPS,
    PARTS,
    Species,
    differing_kinds,
    kind_of,
    make_species,
)
from galore.data.synthetic.folder import check_numbers, draw_all, read_header, write_header
from galore.errors import InputError, closest

_FORMAT = "galore synthetic birds"
_VERSION = 3
"""Raised whenever the same numbers would draw other birds."""


@dataclass(frozen=True)
class SyntheticBirds:
    """All the birds of a folder; four numbers say everything about them.

    Attributes:
        classes: how many species.
        per_class: birds of each.
        seed: species and birds depend on it.
        size: side of the images in pixels.
    """

    classes: int
    per_class: int
    seed: int
    size: int = 96

    def __post_init__(self):
        limits = {"classes": (2, 999), "per_class": (2, 9999), "seed": (0, 2**63 - 1), "size": (32, 1024)}
        check_numbers("synthetic birds", dataclasses.asdict(self), limits)

    def __len__(self) -> int:
        return self.classes * self.per_class

    @functools.cached_property
    def species(self) -> tuple[Species, ...]:
        """The species in the order of classes.txt: class number k is species[k - 1]."""
        return make_species(self.classes, self.seed)

    def class_number(self, image_id: int) -> int:
        """The class of an image, both counted from 1 as in the files."""
        if not 1 <= image_id <= len(self):
            raise InputError(f"there is no image {image_id}, expected an id from 1 to {len(self)}")
        return (image_id - 1) // self.per_class + 1

    def differing_parts(self, a: int, b: int) -> tuple[str, ...]:
        """The parts in which two classes differ, in CUB's names, left and right both."""
        kinds = differing_kinds(self._species(a), self._species(b))
        return tuple(part for part in PARTS if kind_of(part) in kinds)

    def draw(self, image_id: int, replaced: Mapping[str, int] | None = None, size: int | None = None) -> BirdDrawing:
        """Draws an image again, as it is or with parts of other species.

        Args:
            image_id: as in images.txt.
            replaced: for a part ("beak", "left wing" or "wing": a pair changes together), the class number of the
                species that it is taken from. The part that comes is the one this very bird would have: an individual
                with a rare colour gets the other species' rare colour.
            size: in pixels; None: as on disk. The bird stays the same at every size.

        Returns:
            The drawing. Without `replaced`, and at the size on disk, its image equals the file's pixels.

        Raises:
            InputError: no such image, part or class.
        """
        own = self.species[self.class_number(image_id) - 1]
        others = {_kind(part): self._species(number) for part, number in (replaced or {}).items()}
        individual = (self.seed, 2, image_id)
        return draw(own, individual, self.size if size is None else size, others)

    def is_training(self) -> Bool[np.ndarray, "n"]:
        """The split: three fifths of every class, drawn by the seed, are for training."""
        rng = np.random.default_rng(np.random.SeedSequence((self.seed, 3)))
        count = max(1, min(self.per_class - 1, round(0.6 * self.per_class)))
        ranks = rng.random((self.classes, self.per_class)).argsort(1)
        return (ranks < count).ravel()

    def path(self, image_id: int) -> str:
        """Where an image lies below images/."""
        number = self.class_number(image_id)
        name = self.species[number - 1].name
        return f"{number:03d}.{name}/{name}_{(image_id - 1) % self.per_class + 1:04d}.png"

    def _species(self, number: int) -> Species:
        if not 1 <= number <= self.classes:
            raise InputError(f"there is no class {number}, expected a number from 1 to {self.classes}")
        return self.species[number - 1]


def _kind(part: str) -> str:
    kind = kind_of(part)
    if kind not in KIND_GROUPS:
        raise InputError(f"there is no part {part!r}; {closest(part, PARTS) or 'parts are ' + ', '.join(PARTS)}")
    return kind


def read(root: str | Path) -> SyntheticBirds:
    """The birds of a folder that `write` made.

    Raises:
        InputError: the folder was not made by it, or by another version of it.
    """
    return read_header(Path(root), _FORMAT, _VERSION, SyntheticBirds, "make-birds")


def write(
    root: str | Path, birds: SyntheticBirds, workers: int = 1, on_images: Callable[[int], object] | None = None
) -> None:
    """Writes birds as a folder in CUB-200-2011's format; it appears whole or not at all.

    The files depend on the birds alone, not on `workers`.

    Args:
        root: a folder that does not exist or is empty.
        birds: what to draw.
        workers: how many processes draw.
        on_images: told how many images are done, now and then.

    Raises:
        InputError: the place cannot be written or is not empty.
    """
    with atomic.folder(root) as folder:
        for number, species in enumerate(birds.species, start=1):
            (folder / "images" / f"{number:03d}.{species.name}").mkdir(parents=True)
        annotations = draw_all(functools.partial(_write_image, folder, birds), len(birds), workers, on_images)
        _write_tables(folder, birds, annotations)
        write_header(folder, _FORMAT, _VERSION, dataclasses.asdict(birds))


@dataclass(frozen=True)
class _Annotation:
    parts: list[tuple[float, float, bool]]
    box: tuple[float, float, float, float]


def _write_image(folder: Path, birds: SyntheticBirds, image_id: int) -> _Annotation:
    bird = birds.draw(image_id)
    # Lossless, so that a bird drawn again can be compared with its file pixel by pixel.
    Image.fromarray(bird.image).save(folder / "images" / birds.path(image_id), format="PNG", compress_level=3)
    parts = [(float(x), float(y), bool(visible)) for (x, y), visible in zip(bird.points, bird.visible)]
    return _Annotation(parts, bird.box)


def _write_tables(folder: Path, birds: SyntheticBirds, annotations: list[_Annotation]) -> None:
    ids = range(1, len(birds) + 1)
    (folder / "parts").mkdir()
    (folder / "attributes").mkdir()
    attributes = [f"{group}::{value}" for group, values in GROUPS.items() for value in values]
    tables = {
        "images.txt": [f"{i} {birds.path(i)}" for i in ids],
        "image_class_labels.txt": [f"{i} {birds.class_number(i)}" for i in ids],
        "train_test_split.txt": [f"{i} {int(training)}" for i, training in zip(ids, birds.is_training())],
        "classes.txt": [f"{number} {number:03d}.{species.name}" for number, species in enumerate(birds.species, 1)],
        "bounding_boxes.txt": [f"{i} " + " ".join(map(str, a.box)) for i, a in enumerate(annotations, 1)],
        "parts/parts.txt": [f"{number} {part}" for number, part in enumerate(PARTS, 1)],
        "parts/part_locs.txt": [
            f"{i} {number} {x} {y} 1" if visible else f"{i} {number} 0.0 0.0 0"
            for i, annotation in enumerate(annotations, 1)
            for number, (x, y, visible) in enumerate(annotation.parts, 1)
        ],
        "attributes/attributes.txt": [f"{number} {name}" for number, name in enumerate(attributes, 1)],
        "attributes/class_attribute_labels_continuous.txt": [
            " ".join(f"{100 * share:.10g}" for group in GROUPS for share in species.probabilities[group])
            for species in birds.species
        ],
    }
    for name, lines in tables.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
