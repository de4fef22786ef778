"""Measures the memory that the whole of ADE20K takes: 22,210 scenes of 1,055 classes, without having their photos.

    python scripts/measure_scenes.py ../shared/data/ADEChallengeData2016 data/scenes-in-full results/scenes_memory.json

The real table says which image is of which class; behind every name lies one of a few drawn scenes (hard links). Then
it does what a training and an evaluation do with images before a network sees them: reads the tables, counts the
objects of 20,210 masks, decides which objects tell 1,055 classes apart, looks at every image once, and decodes the
2,000 that are tested; and says how much memory the process had held after each.
"""

from galore import program

program.guard(__name__)

import argparse
import json
import os
import resource
import shutil
import sys
import time
from pathlib import Path

from galore import atomic
from galore.data import ade20k
from galore.data.synthetic import scenes
from galore.evaluation import ground_truth, test_set
from galore.training import task
from galore.training.config import ModelConfig, TrainConfig

DRAWN = scenes.SyntheticScenes(classes=12, per_class=5, seed=0, size=256)


def write(tables: Path, root: Path) -> None:
    """Writes a folder with the real tables, whose images and masks are drawn."""
    with atomic.folder(root) as folder:
        scenes.write(folder / "drawn", DRAWN)
        for name in ("objectInfo150.txt", "sceneCategories.txt"):
            shutil.copyfile(tables / name, folder / name)
        drawn = sorted(path.stem for path in (folder / "drawn" / "images").rglob("*.jpg"))
        places = {path.stem: path for path in (folder / "drawn" / "images").rglob("*.jpg")}
        for number, (name, _) in enumerate(ade20k.read_tables(tables).scenes):
            half = "training" if name.startswith("ADE_train") else "validation"
            image = places[drawn[number % len(drawn)]]
            mask = folder / "drawn" / "annotations" / image.parent.name / f"{image.stem}.png"
            for kind, source, suffix in (("images", image, "jpg"), ("annotations", mask, "png")):
                (folder / kind / half).mkdir(parents=True, exist_ok=True)
                os.link(source, folder / kind / half / f"{name}.{suffix}")
        shutil.rmtree(folder / "drawn")


def measure(root: Path) -> dict:
    """Peak memory in MB and seconds after each step."""
    began, told = time.perf_counter(), {}

    def tell(step: str) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        told[step] = {"peak_mb": round(peak), "seconds": round(time.perf_counter() - began)}
        print(step, told[step], flush=True)

    dataset = ade20k.read(root)
    tell("tables")
    training = dataset.subset(dataset.is_training)
    frequencies = ground_truth.object_frequencies(ade20k.objects_present(training), training)
    discriminant = ground_truth.discriminant_objects(frequencies)
    shared = ground_truth.shared_objects(frequencies)
    tell("ground truth")
    options = TrainConfig(crops_from="files", students=(), hardness="none", validation=0.0)
    prepared = task.prepare(dataset, options, ModelConfig("resnet34"), lambda *_: None)
    tell("every image once")
    decoded = test_set.decode(dataset.subset(~dataset.is_training), prepared.description.preprocessing)
    tell("test images")
    about = {
        "images": len(dataset),
        "classes": len(dataset.class_names),
        "test_images": len(decoded["image"]),
        "discriminant": int(discriminant.sum()),
        "shared": int(shared.sum()),
    }
    return about | {"steps": told}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("tables", type=Path, help="a folder with objectInfo150.txt and sceneCategories.txt")
    parser.add_argument("root", type=Path, help="a new folder for the scenes, or that of an earlier run")
    parser.add_argument("out", type=Path, help="a file for the numbers")
    args = parser.parse_args()
    if not args.root.exists():
        write(args.tables, args.root)
    result = measure(args.root)
    with atomic.file(args.out) as file:
        file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(program.ended("measure_scenes", main))
