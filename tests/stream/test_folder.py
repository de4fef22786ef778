"""The folder of a run: whole shards, readable while it grows, and never two runs in one."""

import csv
import errno
import json
import os

import numpy as np
import pytest

from galore import InputError, npz, stream
from galore.stream import folder as folders
from galore.stream import photos, pipeline

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


@pytest.mark.robust("resuming")
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


@pytest.mark.robust("resuming")
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


@pytest.mark.robust("outputs")
def test_a_shard_that_cannot_be_written_does_not_appear(tmp_path, monkeypatch):
    run = begin(tmp_path)

    def fill_the_disk(file, **columns):
        file.write(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fill_the_disk)
    with pytest.raises(InputError, match="no space is left on the disk"):
        run.write(0, shard([0.1, 0.2, 0.3]))
    assert run.finished() == [] and not list(tmp_path.glob(".shard*"))


@pytest.mark.robust("resuming")
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


@pytest.fixture
def finished(tmp_path):
    """A run of seven files, all of its shards written, and the folder of the files."""
    data = tmp_path / "data"
    data.mkdir()
    for name in IMAGES:
        (data / name).write_bytes(name.encode())
    run = begin(tmp_path / "out")
    for number in range(run.shards):
        hashes = [photos.contents(data / IMAGES[row]) for row in run.rows(number)]
        run.write(number, shard([0.5] * len(hashes)) | {"sha256": np.stack(hashes)})
    return run, data


def resume(run, data) -> list[str]:
    said: list[str] = []
    pipeline.check_finished(run, data, IMAGES, run.finished(), said.append)
    return said


def test_a_run_is_resumed_on_the_same_photos(finished):
    assert resume(*finished) == [] and finished[0].finished() == [0, 1, 2]


@pytest.mark.parametrize(
    "change",
    [lambda file: file.write_bytes(b"another"), lambda file: file.unlink(), lambda file: file.write_bytes(b"")],
    ids=["another photo", "none", "an empty file"],
)  # fmt: skip
@pytest.mark.parametrize("name", [IMAGES[0], IMAGES[4], IMAGES[6]])
def test_a_run_is_not_resumed_on_other_photos_of_the_same_names(finished, change, name):
    change(finished[1] / name)
    with pytest.raises(InputError, match=f"another run, whose {name} had other contents"):
        resume(*finished)


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flipped(data: bytes) -> bytes:
    middle = data.index(b"difficulty.npy") + 150
    return data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]


@pytest.mark.parametrize(
    "damage", [cut, flipped, lambda data: b"", lambda data: b"\0" * 1000, lambda data: b"\x80\x04N."],
    ids=["cut", "a bit", "empty", "zeros", "a pickle"],
)  # fmt: skip
def test_a_damaged_shard_is_named_and_made_again(finished, damage):
    run, data = finished
    run.path(1).write_bytes(damage(run.path(1).read_bytes()))
    assert len(said := resume(run, data)) == 1
    assert "shard-000001.npz is damaged" in said[0] and said[0].endswith("it is made again")
    assert run.finished() == [0, 2]


@pytest.mark.robust("resuming")
@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_a_shard_that_cannot_be_read_now_is_kept(finished, monkeypatch, number):
    run, data = finished

    def fails(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(npz, "opened", fails)
    with pytest.raises(InputError, match=r"cannot read .*shard-000000.npz"):
        resume(run, data)
    assert run.finished() == [0, 1, 2]


@pytest.mark.robust("resuming")
@pytest.mark.parametrize("rows", [0, 2, 4])
def test_a_shard_of_another_length_is_damaged(finished, rows):
    run, data = finished
    run.write(1, shard([0.5] * rows))
    assert "do not fit its 3 images" in resume(run, data)[0]


@pytest.mark.robust("resuming")
def test_a_damaged_list_of_images_is_written_again(tmp_path):
    begin(tmp_path)
    (tmp_path / "images.txt").write_text("0.png\n")
    with pytest.raises(InputError, match="lists 1 images, expected 7"):
        stream.read(tmp_path).image_paths()
    assert begin(tmp_path).image_paths() == IMAGES


@pytest.mark.robust("resuming")
@pytest.mark.parametrize(
    "text", ["{", "[]", "null", '{"images": "7"}', '{"images": 7, "shard_size": 0, "asked": {}}', "[" * 10**5]
)
def test_a_damaged_description_is_named(tmp_path, text):
    begin(tmp_path)
    (tmp_path / "run.json").write_text(text)
    for open_ in (stream.read, begin):
        with pytest.raises(InputError, match=r"no streamed explanations: .*run\.json"):
            open_(tmp_path)


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [((0, 1), (0, 1), False), ((0, 1), (0, 2), False), ((1, 2), (0, 1), False), ((0, 2), (0, 2), False),
     ((0, 2), (1, 2), True)],
)  # fmt: skip
def test_a_part_has_one_writer(tmp_path, first, second, together):
    with pipeline.one_writer(tmp_path, *first):
        if together:
            with pipeline.one_writer(tmp_path, *second):
                pass
        else:
            with pytest.raises(InputError, match="is being written"), pipeline.one_writer(tmp_path, *second):
                pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.robust("texts that are shown")
def test_no_image_is_a_formula_in_the_ranking(tmp_path):
    run = begin(tmp_path, images=["=cmd|x.png", "\x1b[2Jb.png", "caf\udce9.png", *IMAGES[3:]])
    run.write(0, shard([0.3, 0.2, 0.1]))
    stream.save_ranking(run)
    with open(tmp_path / "ranking.csv", newline="", encoding="utf-8") as file:
        assert [row["image"] for row in csv.DictReader(file)] == ["'=cmd|x.png", r"\x1b[2Jb.png", r"caf\udce9.png"]
