import dataclasses

import numpy as np
from folders import write_scenes

from galore.data import ade20k, loader
from galore.data.preprocessing import Preprocessing
from galore.training import task
from galore.training.config import ModelConfig, TrainConfig

HELD = TrainConfig(hardness="none", threads=1)


def test_photos_that_are_read_when_asked_for_are_those_that_are_held(tmp_path):
    dataset, model, told = ade20k.read(write_scenes(tmp_path / "scenes")), ModelConfig("small_cnn_narrow"), []
    held = task.prepare(dataset, HELD, model, lambda *some: None)
    read = task.prepare(dataset, dataclasses.replace(HELD, crops_from="files"), model, lambda *some: told.append(some))
    assert isinstance(held.images, np.ndarray) and not isinstance(read.images, np.ndarray)
    assert held.pixels_sha256 == read.pixels_sha256
    assert told == [("images", len(dataset), len(dataset), "")]
    rows = np.array([2, 0, 2])
    np.testing.assert_array_equal(read.images[rows], held.images[rows])
    np.testing.assert_array_equal(read.outputs(read.params, rows)[1], held.outputs(held.params, rows)[1])


def test_images_alone_are_those_that_come_with_annotations(tmp_path):
    dataset, square = ade20k.read(write_scenes(tmp_path / "scenes")), Preprocessing(32, 24)
    bare = loader.prepared(dataset, square, is_annotated=False)[1]
    assert set(bare) == {"image", "index", "label"}
    np.testing.assert_array_equal(bare["image"], loader.prepared(dataset, square)[1]["image"])
