import csv
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from photographs import write_photos

import galore
from galore import models
from galore.cli import main


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Photos, and the weights of a small network with random parameters."""
    root = tmp_path_factory.mktemp("stream")
    write_photos(root / "photos", 6)
    models.save_safetensors(galore.load("small_cnn", weights=None, classes=4), root / "net.safetensors")
    return root


def stream(place: Path, out: Path, *more: str) -> int:
    options = ("--model", "small_cnn", "--weights", str(place / "net.safetensors"), "--batch", "4", "--shard", "4")
    return main(["stream", str(place / "photos"), "--out", str(out), *options, *more])


def test_a_folder_is_explained_and_ranked(place, tmp_path, capsys):
    assert stream(place, tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert "6 photos are explained\n" in printed and "The network is least sure of" in printed
    with np.load(tmp_path / "out" / "shard-000001.npz") as columns:
        assert columns["maps"].shape[0] == 2 and columns["explained"].all()
    with open(tmp_path / "out" / "ranking.csv", newline="") as file:
        assert sorted(row["image"] for row in csv.DictReader(file)) == [
            f"{'ab'[k % 2]}/{k:02d}.png" for k in (0, 2, 4, 1, 3, 5)
        ]


def test_a_network_of_ones_own(place, tmp_path, capsys, monkeypatch):
    (tmp_path / "mine_to_stream.py").write_text(
        "import galore\n\n\ndef network():\n    return galore.load('small_cnn', weights=None, classes=4)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    arguments = ("--model", "mine_to_stream:network", "--batch", "4", "--explanation", "attributive")
    assert main(["stream", str(place / "photos"), "--out", "out", *arguments]) == 0
    assert "6 photos are explained\n" in capsys.readouterr().out


def test_finer_maps_are_another_run(place, tmp_path, capsys):
    assert stream(place, tmp_path / "out", "--detail", "2", "--explanation", "attributive") == 0
    with np.load(tmp_path / "out" / "shard-000000.npz") as columns:
        assert columns["maps"].shape == (4, 24, 24)
    assert stream(place, tmp_path / "out", "--explanation", "attributive") == 2
    assert "holds another run" in capsys.readouterr().err


@pytest.mark.parametrize("rule", ["margin", "standardised"])
def test_another_rule_sets_the_classes_apart(place, tmp_path, rule, capsys):
    """It was left out in silence once."""
    assert stream(place, tmp_path / "out", "--explanation", "both", "--rule", rule) == 0
    with np.load(tmp_path / "out" / "shard-000000.npz") as columns:
        assert columns["maps"].min() < 0 and {"pairs", "counter", "difficulty"} <= set(columns)
    assert stream(place, tmp_path / "out", "--explanation", "both") == 2
    assert f"whose rule is {rule} and not None" in capsys.readouterr().err


def test_parts_say_what_is_left(place, tmp_path, capsys):
    assert stream(place, tmp_path / "out", "--part", "2/2", "--explanation", "attributive") == 0
    assert "2 photos are explained, 4 are left to other parts" in capsys.readouterr().out
    assert stream(place, tmp_path / "out", "--part", "3/3", "--explanation", "attributive") == 0


def test_photos_that_cannot_be_read_are_counted(place, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "x.png").write_text("no photo")
    options = ("--model", "small_cnn", "--weights", str(place / "net.safetensors"), "--out", str(tmp_path / "out"))
    assert main(["stream", str(tmp_path / "photos"), *options]) == 1
    assert "1 could not be, such as: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--part", "3/2"], "--part 3/2"),
        (["--part", "half"], "--part half"),
        (["--why-not", "1", "--explanation", "deliberative"], "--why-not asks"),
        (["--why-not", "9"], "class 9 does not exist"),
        (
            ["--rule", "margin", "--explanation", "attributive"],
            "--rule margin asks for --explanation discriminant or both",
        ),
        (["--batch", "0"], "batch of 0"),
        (["--shard", "0"], "shards of 0"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(place, tmp_path, capsys, more, words):
    assert stream(place, tmp_path / "out", *more) == 2
    shown = capsys.readouterr().err.splitlines()
    assert words in shown[-1] and shown[-1].startswith("galore: ")


def test_a_folder_of_another_run_is_one_line_and_exit_code_2(place, tmp_path, capsys):
    assert stream(place, tmp_path / "out") == 0
    assert stream(place, tmp_path / "out", "--confidence", "certainty") == 2
    assert "whose confidence is softmax and not certainty" in capsys.readouterr().err


def test_what_is_left_out_is_said_at_the_end(place, tmp_path, capsys):
    write_photos(tmp_path / "photos", 2)
    (tmp_path / "photos" / "notes.txt").write_text("no photo")
    (tmp_path / "photos" / "again").symlink_to(tmp_path / "photos")
    options = ("--model", "small_cnn", "--weights", str(place / "net.safetensors"), "--out", str(tmp_path / "out"))
    assert main(["stream", str(tmp_path / "photos"), *options]) == 0
    assert "Left out: 1 x a link to a folder that is read already, 1 x no image." in capsys.readouterr().out


def test_the_gallery_is_written_and_can_be_left_out(place, tmp_path, capsys):
    assert stream(place, tmp_path / "out", "--explanation", "both") == 0
    page = tmp_path / "out" / "gallery" / "index.html"
    assert f"Look at {page}\n" in capsys.readouterr().out
    assert "Hesitates between" in page.read_text("utf-8") and "Why not" in page.read_text("utf-8")
    assert len(list((tmp_path / "out" / "thumbnails").rglob("*.jpg"))) == 6
    assert stream(place, tmp_path / "without", "--no-gallery") == 0
    assert not list((tmp_path / "without").glob("[gt]*")) and "Look at" not in capsys.readouterr().out


def test_no_cache_keeps_no_program(place, tmp_path, store):
    assert stream(place, tmp_path / "out", "--no-cache") == 0
    assert not store.parent.exists()
    jax.clear_caches()
    assert stream(place, tmp_path / "other") == 0
    assert list(store.iterdir())
