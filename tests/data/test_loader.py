import threading
from pathlib import Path

import numpy as np
import pytest
from folders import write_birds, write_scenes

from galore.data import ade20k, cub, geometry, loader
from galore.data.preprocessing import Preprocessing
from galore.errors import InputError

SQUARE = Preprocessing(32, 24)


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    return write_birds(tmp_path / "birds")


def test_batches_hold_every_image_once_and_pad_the_last(birds: Path):
    dataset = cub.read(birds)
    found = list(loader.batches(loader.prepared(dataset, SQUARE), 5))
    assert [batch["valid"].sum() for batch in found] == [5, 5, 2]
    assert all(batch["image"].shape == (5, 24, 24, 3) and batch["image"].dtype == np.uint8 for batch in found)
    assert not found[2]["image"][2:].any()
    index = np.concatenate([batch["index"][batch["valid"]] for batch in found])
    labels = np.concatenate([batch["label"][batch["valid"]] for batch in found])
    assert index.tolist() == list(range(12))
    np.testing.assert_array_equal(labels, dataset.labels)


def test_the_order_follows_from_the_seed_alone(birds: Path):
    source = loader.prepared(cub.read(birds), SQUARE)

    def order(seed: int | tuple[int, int], threads: int) -> list[int]:
        found = loader.batches(source, 4, shuffle_seed=seed, threads=threads)
        return np.concatenate([batch["index"] for batch in found]).tolist()

    assert order(1, threads=1) == order(1, threads=4)
    assert sorted(order(1, threads=2)) == list(range(12))
    assert order(1, threads=2) != order(2, threads=2)
    assert order((1, 0), threads=2) != order((1, 1), threads=2)


def test_points_boxes_and_masks_move_with_the_image(birds: Path, tmp_path: Path):
    dataset = cub.read(birds)
    dataset.points[:, 2] = (30, 20)  # In the middle of the image, yet invisible.
    example = loader.prepared(dataset, SQUARE)[10]
    transform = SQUARE.transform(40, 60)
    np.testing.assert_allclose(example["points"], transform.points(dataset.points[10]))
    np.testing.assert_allclose(example["box"], transform.boxes(dataset.boxes[10]))
    # The back, at (8, 9), is cut off by the crop; the beak, at (21, 20), is not; the eye was never visible.
    assert example["visible"].tolist() == [False, True, False]
    scenes = ade20k.read(write_scenes(tmp_path / "scenes"))
    moved = loader.prepared(scenes, SQUARE)[1]
    np.testing.assert_array_equal(moved["mask"], SQUARE.transform(30, 40).mask(loader.Files(scenes)[1]["mask"]))


@pytest.mark.robust("pictures")
def test_a_broken_image_is_named_and_raised_or_left_out_and_counted(birds: Path):
    dataset = cub.read(birds)
    dataset.image_path(1).write_bytes(b"broken")
    dataset.image_path(7).write_bytes(dataset.image_path(7).read_bytes()[:1000])
    source = loader.prepared(dataset, SQUARE)
    with pytest.raises(InputError, match=r"Red_Bird_1.png"):
        list(loader.batches(source, 4))
    broken: list[str] = []
    found = list(loader.batches(source, 4, broken=broken))
    index = np.concatenate([batch["index"][batch["valid"]] for batch in found]).tolist()
    assert index == [0, 2, 3, 4, 5, 6, 8, 9, 10, 11]
    assert len(broken) == 2 and "Red_Bird_1.png" in broken[0] and "Blue_Bird_3.png" in broken[1]


def test_leaving_early_stops_the_threads(birds: Path):
    before = threading.active_count()
    generator = loader.batches(loader.prepared(cub.read(birds), SQUARE), 2, threads=3)
    next(generator)
    generator.close()
    assert threading.active_count() == before


def test_any_sequence_of_examples_is_a_source():
    class Numbers:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int, /) -> loader.Example:
            return {"image": np.full((4, 6, 3), index, np.uint8)}

    turned = loader.Transformed(
        Numbers(), lambda _, height, width: geometry.warp(height, width, height, width).flipped()
    )
    (batch,) = loader.batches(turned, 4)
    assert batch["image"][:, 0, 0, 0].tolist() == [0, 1, 2, 0]


def test_real_birds_keep_their_points_on_the_bird(shared_data: Path):
    dataset = cub.read(shared_data / "CUB_200_2011")
    source = loader.prepared(dataset.subset(np.arange(0, len(dataset), 50)), Preprocessing())
    for index in range(len(source)):
        example = source[index]
        x, y, width, height = example["box"]
        seen = example["points"][example["visible"]]
        assert (seen >= [x - 2, y - 2]).all() and (seen <= [x + width + 2, y + height + 2]).all()
        assert (seen >= 0).all() and (seen < 224).all()
