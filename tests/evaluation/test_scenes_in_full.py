"""The protocol of ADE20K's scenes on its own three photos that we have, against plain loops."""

import shutil
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from galore.data import ade20k
from galore.data.preprocessing import Preprocessing
from galore.evaluation import ground_truth, metrics, test_set

THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9)


@pytest.fixture
def scenes(tmp_path: Path, shared_data: Path):
    """Two of the real photos as training images of two classes, the third as a test image of the first class."""
    real = shared_data / "ADEChallengeData2016"
    names = {"ADE_train_00000001": "airport", "ADE_train_00000002": "street", "ADE_val_00000003": "airport"}
    for number, name in enumerate(names, 1):
        half = "training" if "train" in name else "validation"
        for kind, suffix in (("images", "jpg"), ("annotations", "png")):
            (tmp_path / kind / half).mkdir(parents=True, exist_ok=True)
            source = real / kind / "validation" / f"ADE_val_{number:08d}.{suffix}"
            shutil.copyfile(source, tmp_path / kind / half / f"{name}.{suffix}")
    shutil.copyfile(real / "objectInfo150.txt", tmp_path / "objectInfo150.txt")
    (tmp_path / "sceneCategories.txt").write_text("".join(f"{name} {scene}\n" for name, scene in names.items()))
    return ade20k.read(tmp_path)


def objects_of(scenes, index: int) -> set[int]:
    return set(np.unique(np.asarray(Image.open(scenes.mask_path(index)))).tolist()) - {0}


def test_objects_that_tell_two_scenes_apart_are_those_of_one_mask_and_not_of_the_other(scenes):
    training = scenes.subset(scenes.is_training)
    frequencies = ground_truth.object_frequencies(ade20k.objects_present(training), training)
    found = ground_truth.discriminant_objects(frequencies)
    airport, street = objects_of(scenes, 0), objects_of(scenes, 1)
    assert set(np.flatnonzero(found[0, 1]) + 1) == airport - street
    assert set(np.flatnonzero(found[1, 0]) + 1) == street - airport
    # The largest hundredth of all means is 1, where each class has one image: what both have.
    assert set(np.flatnonzero(ground_truth.shared_objects(frequencies)[0, 1]) + 1) == airport & street


def test_the_iou_of_regions_of_a_tenth_to_nine_tenths(scenes):
    decoded = test_set.decode(scenes.subset(~scenes.is_training), Preprocessing())
    truth = np.zeros(150, bool)
    truth[[number - 1 for number in sorted(objects_of(scenes, 2))[:3]]] = True
    annotations = test_set.Scenes(jnp.asarray(decoded["mask"][0]), (224, 224), 150)
    map_ = np.random.default_rng(0).random((224, 224)).astype(np.float32)
    found = test_set.judged(annotations.score(jnp.asarray(map_), jnp.asarray(truth)))["iou"]
    wanted = np.isin(decoded["mask"][0], np.flatnonzero(truth) + 1)
    for share in THRESHOLDS:
        region = np.zeros(map_.size, bool)
        region[np.argsort(map_, axis=None)[::-1][: round(share * map_.size)]] = True
        union, both = wanted.ravel() | region, wanted.ravel() & region
        place = min(range(len(metrics.FRACTIONS)), key=lambda k: abs(metrics.FRACTIONS[k] - share))
        assert found[place] == pytest.approx(both.sum() / union.sum(), abs=2e-4)
