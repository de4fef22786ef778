"""Small data sets on disk, in the formats of CUB-200-2011 and ADE20K."""

from pathlib import Path

import numpy as np
from PIL import Image

PARTS = ("back", "beak", "left eye")
ATTRIBUTES = (
    "has_bill_shape::dagger",
    "has_bill_shape::hooked",
    "has_back_color::red",
    "has_back_color::blue",
    "has_size::small",
)
CLASSES = ("001.Red_Bird", "002.Blue_Bird", "003.Grey_Bird")
PERCENTAGES = ("90 10 80 20 50", "90 10 0 100 50", "5 95 0 100 0")


def write_birds(root: Path, newline: str = "\n", per_class: int = 4, height: int = 40, width: int = 60) -> Path:
    """Writes a folder like CUB_200_2011: image k has its beak at (10 + k, 20) and hides its left eye."""
    files = {
        "classes.txt": [f"{k} {name}" for k, name in enumerate(CLASSES, 1)],
        "images.txt": [],
        "image_class_labels.txt": [],
        "train_test_split.txt": [],
        "bounding_boxes.txt": [],
        "parts/parts.txt": [f"{k} {name}" for k, name in enumerate(PARTS, 1)],
        "parts/part_locs.txt": [],
        "attributes/attributes.txt": [f"{k} {name}" for k, name in enumerate(ATTRIBUTES, 1)],
        "attributes/class_attribute_labels_continuous.txt": list(PERCENTAGES),
    }
    image_id = 0
    for number, name in enumerate(CLASSES, 1):
        (root / "images" / name).mkdir(parents=True)
        for k in range(per_class):
            image_id += 1
            path = f"{name}/{name[4:]}_{k}.png"
            pixels = np.random.default_rng(image_id).integers(0, 255, (height, width, 3), np.uint8)
            Image.fromarray(pixels).save(root / "images" / path)
            files["images.txt"].append(f"{image_id} {path}")
            files["image_class_labels.txt"].append(f"{image_id} {number}")
            files["train_test_split.txt"].append(f"{image_id} {k % 2}")
            files["bounding_boxes.txt"].append(f"{image_id} 5.0 6.0 30.0 20.0")
            places = ("8.0 9.0 1", f"{10 + image_id}.0 20.0 1", "0.0 0.0 0")
            files["parts/part_locs.txt"] += [f"{image_id} {part} {place}" for part, place in enumerate(places, 1)]
    for place, lines in files.items():
        (root / place).parent.mkdir(exist_ok=True)
        (root / place).write_bytes("".join(line + newline for line in lines).encode())
    return root


def write_scenes(root: Path, height: int = 30, width: int = 40) -> Path:
    """Writes a folder like ADEChallengeData2016: two scene classes and three objects."""
    scenes = {"ADE_train_00000001": "kitchen", "ADE_train_00000002": "beach", "ADE_val_00000001": "kitchen"}
    root.mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(scenes):
        folder = "training" if "train" in name else "validation"
        for kind in ("images", "annotations"):
            (root / kind / folder).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(k).integers(0, 255, (height, width, 3), np.uint8)
        mask = np.zeros((height, width), np.uint8)
        mask[5:15, 5:20] = k + 1
        Image.fromarray(pixels).save(root / "images" / folder / f"{name}.jpg")
        Image.fromarray(mask).save(root / "annotations" / folder / f"{name}.png")
    objects = ("wall", "building, edifice", "sky")
    rows = [f"{k}\t0.1\t10\t5\t{name}" for k, name in enumerate(objects, 1)]
    (root / "objectInfo150.txt").write_text("\n".join(["Idx\tRatio\tTrain\tVal\tName", *rows]) + "\n")
    (root / "sceneCategories.txt").write_text("".join(f"{name} {scene}\n" for name, scene in scenes.items()))
    return root


def change(path: Path, old: str, new: str) -> None:
    """Replaces text that must be there, once."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
