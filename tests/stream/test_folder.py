"""The folder of a run: whole shards, readable while it grows, and never two runs in one."""

import csv
import json

import numpy as np
import pytest

from galore import InputError, stream
from galore.stream import folder as folders

SETTINGS = {"network": "tiny", "explanation": "discriminant"}
IMAGES = [f"{k}.png" for k in range(7)]


def shard(difficulty):
    values = np.array(difficulty, np.float32)
    explained = ~np.isnan(values)
    problems = np.array(["unreadable"] * int((~explained).sum()), str)
    predicted = np.arange(len(values))
    columns = {"difficulty": values, "predicted": predicted, "explained": explained, "problems": problems}
    return columns | {"sha256": np.zeros((len(values), 32), np.uint8)}


def begin(root, **change):
    return folders.begin(root, **({"images": IMAGES, "settings": SETTINGS, "shard_size": 3} | change))


def test_a_run_can_be_read_while_it_grows(tmp_path):
    written = begin(tmp_path / "out")
    with pytest.raises(InputError, match="no finished shard"):
        stream.read(tmp_path / "out").column("difficulty")
    written.write(2, shard([0.5]))
    written.write(0, shard([0.1, np.nan, 0.3]))
    found = stream.read(tmp_path / "out")
    assert (found.images, found.shards, found.finished(), found.settings) == (7, 3, [0, 2], SETTINGS)
    rows, values = found.column("difficulty")
    assert rows.tolist() == [0, 2, 6] and values.tolist() == pytest.approx([0.1, 0.3, 0.5])
    assert found.problems() == {1: "unreadable"}
    with pytest.raises(InputError, match="has no shard 1 yet"):
        found.shard(1)
    with pytest.raises(InputError, match=r"no column 'maps', expected one of difficulty, predicted"):
        found.column("maps")


def test_the_same_run_is_found_again(tmp_path):
    begin(tmp_path / "out").write(0, shard([0.1, 0.2, 0.3]))
    assert begin(tmp_path / "out").finished() == [0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"settings": SETTINGS | {"explanation": "deliberative"}},
            "explanation is discriminant and not deliberative",
        ),
        ({"settings": SETTINGS | {"counter": 3}}, "whose counter is None and not 3"),
        ({"settings": {"network": "tiny"}}, "whose explanation is discriminant and not None"),
        ({"images": IMAGES[:-1]}, "whose images is 7 and not 6"),
        ({"images": [*IMAGES[:-1], "x.png"]}, "whose images_sha256 is"),
        ({"shard_size": 4}, "whose shard_size is 3 and not 4"),
    ],
)
def test_a_folder_with_another_run_is_refused(tmp_path, change, words):
    begin(tmp_path / "out")
    with pytest.raises(InputError, match=words):
        begin(tmp_path / "out", **change)


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="holds other files"):
        begin(tmp_path)
    with pytest.raises(InputError, match="is a file"):
        begin(tmp_path / "thesis.tex")
    with pytest.raises(InputError, match="no streamed explanations"):
        stream.read(tmp_path)


def test_a_run_that_was_stopped_before_it_had_begun_can_begin(tmp_path):
    (tmp_path / "images.txt").write_text("old")
    (tmp_path / ".run.json.xyz.json").write_text("{")
    assert begin(tmp_path).image_paths() == IMAGES


def test_a_shard_that_cannot_be_written_does_not_appear(tmp_path, monkeypatch):
    run = begin(tmp_path)

    def fill_the_disk(file, **columns):
        file.write(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fill_the_disk)
    with pytest.raises(InputError, match="no space is left on the disk"):
        run.write(0, shard([0.1, 0.2, 0.3]))
    assert run.finished() == [] and not list(tmp_path.glob(".shard*"))


def test_a_damaged_shard_or_description_is_named(tmp_path):
    run = begin(tmp_path)
    run.path(0).write_bytes(b"PK half a file")
    with pytest.raises(InputError, match=r"shard-000000.npz is damaged"):
        run.column("difficulty")
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match="no streamed explanations"):
        begin(tmp_path)


def test_names_that_are_no_text_survive(tmp_path):
    names = [*IMAGES[:-1], "caf\udce9.png"]
    assert begin(tmp_path, images=names).image_paths() == names


def test_images_are_ranked_by_difficulty(tmp_path):
    run = begin(tmp_path)
    run.write(0, shard([0.1, np.nan, 0.3]))
    run.write(2, shard([0.2]))
    assert [one.row for one in stream.hardest(run)] == [2, 6, 0]
    assert stream.hardest(run, 1) == [stream.Ranked(2, "2.png", 2, pytest.approx(0.3))]
    stream.save_ranking(run)
    with open(tmp_path / "ranking.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["2.png", "6.png", "0.png"] and rows[0]["rank"] == "1"


def test_the_description_is_plain_json(tmp_path):
    folders.begin(tmp_path, IMAGES, SETTINGS, 3, {"device": "cpu"})
    found = json.loads((tmp_path / "run.json").read_text())
    assert found["provenance"] == {"device": "cpu"} and found["asked"] == SETTINGS
