"""Invented scenes in ADEChallengeData2016's own format: rooms and landscapes that differ by the objects in them.

drawn = scenes.read("data/scenes")
street = drawn.draw(17)
without = drawn.draw(17, removed=("car",))           # the same street, its cars gone, all else in its place
"""

import dataclasses
import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from galore import atomic, representation
from galore.data.synthetic.canvas import Canvas
from galore.data.synthetic.folder import check_numbers, draw_all, read_header, write_header
from galore.data.synthetic.scenes_drawing import INDOOR, OBJECTS, OUTDOOR, Draw, backdrop, indoors, outdoors
from galore.errors import InputError, closest

_FORMAT = "galore synthetic scenes"
_VERSION = 1

SCENES: dict[str, dict[str, float]] = {
    "bedroom": {"bed": 0.9, "windowpane": 0.6, "curtain": 0.5, "lamp": 0.6, "cabinet": 0.3, "painting": 0.4},
    "street": {"sidewalk": 1.0, "building": 0.95, "road": 0.9, "car": 0.8, "streetlight": 0.6, "tree": 0.4},
    "beach": {"sea": 1.0, "sand": 0.95, "rock": 0.4, "boat": 0.25, "mountain": 0.2},
    "kitchen": {"stove": 0.8, "cabinet": 0.85, "sink": 0.5, "windowpane": 0.5, "table": 0.4, "chair": 0.35},
    "park": {"grass": 1.0, "tree": 0.9, "flower": 0.4, "water": 0.3, "streetlight": 0.4, "fence": 0.2},
    "living_room": {
        "sofa": 0.9, "rug": 0.6, "painting": 0.6, "lamp": 0.5, "windowpane": 0.5, "plant": 0.5, "curtain": 0.3,
    },
    "mountain": {"mountain": 1.0, "grass": 1.0, "tree": 0.5, "rock": 0.6, "fence": 0.15},
    "bathroom": {"toilet": 0.75, "bathtub": 0.65, "sink": 0.8, "mirror": 0.6, "door": 0.3, "windowpane": 0.2},
    "harbor": {"sea": 1.0, "boat": 0.95, "building": 0.5, "mountain": 0.4, "streetlight": 0.3},
    "dining_room": {
        "table": 0.95, "chair": 0.9, "painting": 0.5, "windowpane": 0.4, "cabinet": 0.35, "rug": 0.3, "plant": 0.4,
    },
    "highway": {"grass": 1.0, "road": 1.0, "car": 0.8, "tree": 0.4, "mountain": 0.35, "fence": 0.25},
    "library": {"book": 0.95, "shelf": 0.7, "table": 0.6, "chair": 0.6, "windowpane": 0.3, "lamp": 0.4, "door": 0.3},
    "garden": {"grass": 1.0, "flower": 0.9, "fence": 0.7, "tree": 0.5, "building": 0.3, "rock": 0.2},
    "corridor": {"door": 0.95, "painting": 0.6, "rug": 0.5, "plant": 0.5, "chair": 0.3, "mirror": 0.3, "lamp": 0.3},
}  # fmt: skip
"""Scene class -> how often each object occurs; walls, floors and skies always do."""

_ALWAYS = {True: ("wall", "floor"), False: ("sky",)}


@dataclass(frozen=True)
class SceneDrawing:
    """A scene.

    Attributes:
        image: uint8 [size, size, 3], before it is compressed.
        mask: uint8 [size, size]: 0 is "other", k the k-th of OBJECTS.
        objects: what was drawn, which something nearer may hide.
    """

    image: UInt8[np.ndarray, "size size 3"]
    mask: UInt8[np.ndarray, "size size"]
    objects: tuple[str, ...]

    __repr__ = representation.fields


@dataclass(frozen=True)
class SyntheticScenes:
    """All the scenes of a folder.

    Attributes:
        classes: how many of SCENES, from the first.
        per_class: images of each.
        seed: the images depend on it.
        size: side of the images in pixels.
    """

    classes: int
    per_class: int
    seed: int
    size: int = 96

    def __post_init__(self):
        limits = {"classes": (2, len(SCENES)), "per_class": (2, 9999), "seed": (0, 2**63 - 1), "size": (32, 1024)}
        check_numbers("synthetic scenes", dataclasses.asdict(self), limits)

    def __len__(self) -> int:
        return self.classes * self.per_class

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order in which they are drawn; readers sort them by name."""
        return tuple(SCENES)[: self.classes]

    def class_name(self, image_id: int) -> str:
        """The scene class of an image, counted from 1."""
        if not 1 <= image_id <= len(self):
            raise InputError(f"there is no image {image_id}, expected a number from 1 to {len(self)}")
        return self.class_names[(image_id - 1) // self.per_class]

    def draw(
        self, image_id: int, removed: Collection[str] = (), added: Collection[str] = (), size: int | None = None
    ) -> SceneDrawing:
        """Draws an image again, as it is, without some objects, or with others added.

        Args:
            image_id: counted from 1, training and validation images together.
            removed: names of objects to leave out.
            added: names of objects to draw as well, in a place of their own.
            size: in pixels; None: as on disk.

        Raises:
            InputError: no such image, or an object that this kind of scene cannot hold.
        """
        frequencies, known = SCENES[self.class_name(image_id)], self._drawn_by(image_id)
        for name in (*removed, *added):
            if name not in known:
                raise InputError(f"there is no {name!r} in such a scene; {closest(name, known) or ', '.join(known)}")
        chance = np.random.default_rng(np.random.SeedSequence((self.seed, image_id))).random(len(known))
        drawn = {name for name, u in zip(known, chance) if u < frequencies.get(name, 0.0)}
        return _draw(known, (drawn | set(added)) - set(removed), (self.seed, image_id), size or self.size)

    def possible_objects(self, image_id: int) -> tuple[str, ...]:
        """What can be removed from or added to an image, from far to near: all that is known indoors, or outdoors."""
        return tuple(self._drawn_by(image_id))

    def _drawn_by(self, image_id: int) -> dict[str, Draw]:
        return INDOOR if _is_indoors(SCENES[self.class_name(image_id)]) else OUTDOOR

    def is_training(self) -> Bool[np.ndarray, "n"]:
        """The split: three fifths of every class, drawn by the seed, are for training."""
        rng = np.random.default_rng(np.random.SeedSequence((self.seed, 0)))
        count = max(1, min(self.per_class - 1, round(0.6 * self.per_class)))
        return (rng.random((self.classes, self.per_class)).argsort(1) < count).ravel()

    def names(self) -> list[str]:
        """The name of every image: numbered within training and within validation, classes mixed as drawn."""
        training = self.is_training()
        number = np.where(training, np.cumsum(training), np.cumsum(~training))
        return [f"ADE_{'train' if own else 'val'}_{index:08d}" for own, index in zip(training, number)]


def _is_indoors(frequencies: dict[str, float]) -> bool:
    return all(name in INDOOR for name in frequencies)


def _draw(known: dict, drawn: set[str], seed: tuple[int, ...], size: int) -> SceneDrawing:
    inside = known is INDOOR

    def stream(name: str) -> np.random.Generator:
        # Each thing has its own stream, so that taking one away moves no other.
        return np.random.default_rng(np.random.SeedSequence((*seed, *name.encode())))

    canvas = Canvas(backdrop(stream("backdrop")), size)
    horizon = (indoors if inside else outdoors)(stream("planes"), canvas)
    order = [name for name in known if name in drawn]
    for name in order:
        known[name](stream(name), canvas, horizon)
    return SceneDrawing(_lit(canvas.picture(), stream("light")), canvas.labels(), (*_ALWAYS[inside], *order))


def _lit(picture: Float[np.ndarray, "h w 3"], rng: np.random.Generator) -> UInt8[np.ndarray, "h w 3"]:
    """Light from one side, a tint, and the noise of a camera."""
    size = len(picture)
    across = np.linspace(-1, 1, size, dtype=np.float32)
    slope_x, slope_y = rng.normal(0, 0.08, 2)
    gain = rng.normal(1, 0.07) + slope_x * across[None, :] + slope_y * across[:, None]
    tint = (1 + rng.normal(0, 0.04, 3)).astype(np.float32)
    image = picture * gain[..., None].astype(np.float32) * tint
    image += 4.0 * rng.standard_normal((size, size, 1), np.float32)
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)


def read(root: str | Path) -> SyntheticScenes:
    """The scenes of a folder that `write` made.

    Raises:
        InputError: the folder was not made by it, or by another version of it.
    """
    return read_header(Path(root), _FORMAT, _VERSION, SyntheticScenes, "make-scenes")


def write(
    root: str | Path, scenes: SyntheticScenes, workers: int = 1, on_images: Callable[[int], object] | None = None
) -> None:
    """Writes scenes as a folder in ADEChallengeData2016's format; it appears whole or not at all.

    Args:
        root: a folder that does not exist or is empty.
        scenes: what to draw.
        workers: how many processes draw.
        on_images: told how many images are done, now and then.

    Raises:
        InputError: the place cannot be written or is not empty.
    """
    names = scenes.names()
    with atomic.folder(root) as folder:
        for kind in ("images", "annotations"):
            for part in ("training", "validation"):
                (folder / kind / part).mkdir(parents=True)
        counts = np.stack(
            draw_all(functools.partial(_write_image, folder, scenes, names), len(scenes), workers, on_images)
        )
        lines = [f"{name} {scenes.class_name(image_id)}" for image_id, name in enumerate(names, 1)]
        lines.sort(key=lambda line: ("_val_" in line, line))
        (folder / "sceneCategories.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / "objectInfo150.txt").write_text(_object_table(counts, scenes.is_training()), encoding="utf-8")
        write_header(folder, _FORMAT, _VERSION, dataclasses.asdict(scenes))


def _write_image(folder: Path, scenes: SyntheticScenes, names: list[str], image_id: int) -> np.ndarray:
    """Writes an image and its mask; returns how many pixels each label has."""
    scene, name = scenes.draw(image_id), names[image_id - 1]
    place = "training" if "_train_" in name else "validation"
    Image.fromarray(scene.image).save(
        folder / "images" / place / f"{name}.jpg", format="JPEG", quality=95, subsampling=0, optimize=False
    )
    Image.fromarray(scene.mask).save(folder / "annotations" / place / f"{name}.png", format="PNG", compress_level=3)
    return np.bincount(scene.mask.ravel(), minlength=len(OBJECTS) + 1)


def _object_table(counts: np.ndarray, training: Bool[np.ndarray, "n"]) -> str:
    """Index, share of the pixels, training and validation images that have the object, name."""
    shares, present = counts.sum(0) / counts.sum(), counts > 0
    lines = ["Idx\tRatio\tTrain\tVal\tName"]
    for index, name in enumerate(OBJECTS, 1):
        train, val = present[training, index].sum(), present[~training, index].sum()
        lines.append(f"{index}\t{shares[index]:.4f}\t{train}\t{val}\t{name}")
    return "\n".join(lines) + "\n"
