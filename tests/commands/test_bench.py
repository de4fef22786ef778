import json
import sys

import pytest

from galore.cli import main

SMALL = ("bench", "--networks", "small_cnn", "--classes", "3", "--batch", "1", "--works", "forward")


def test_times_are_shown_and_written(tmp_path, capsys):
    files = (
        "--json",
        str(tmp_path / "b.json"),
        "--figure",
        str(tmp_path / "b.png"),
        "--trace",
        str(tmp_path / "trace"),
    )
    assert main([*SMALL, "--rounds", "2", "--precision", "highest", "bfloat16", *files]) == 0
    printed = capsys.readouterr().out
    assert "small_cnn, batch 1, bfloat16" in printed and "images/s" in printed and "…" not in printed
    assert "float32 highest" in printed and "features" in printed
    exact, rounded = json.loads((tmp_path / "b.json").read_text())["rows"]
    assert (exact["setting"]["precision"], rounded["setting"]["dtype"]) == ("highest", "bfloat16")
    assert 0 < exact["error_against_float64"] < 1e-5 < rounded["error_against_float64"] < 0.1
    assert (tmp_path / "b.png").stat().st_size > 1000 and list((tmp_path / "trace").rglob("*.pb"))


def test_a_network_of_ones_own_is_timed(tmp_path, capsys, monkeypatch):
    (tmp_path / "mine_to_time.py").write_text("import answers\n\nnetwork = answers.tiny_network\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    assert main(["bench", "--networks", "mine_to_time:network", "--works", "forward", "--batch", "1"]) == 0
    assert "mine_to_time:network, batch 1" in capsys.readouterr().out


@pytest.mark.robust("options")
@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--rounds", "0"], "--rounds 0"),
        (["--works", "discriminent"], "unknown work"),
        (["--networks", "resnet51"], "unknown network"),
        (["--stream", "nowhere"], "is not a folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(more, words, capsys):
    assert main([*SMALL, *more]) == 2
    shown = capsys.readouterr().err.splitlines()
    assert words in shown[-1] and shown[-1].startswith("galore: ")
