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
        (["--peak", "fast"], "--peak fast"),
        (["--peak", "1e12", "0"], "two numbers above 0"),
        (["--batch", "auto", "--scaling", "weak"], "--scaling: expected --batch as numbers"),
        (["--time-limit", "0"], "--time-limit 0"),
        (["--minimum", "-1"], "--minimum -1"),
        (["--coordinator", "here:1"], "hosts.count"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(more, words, capsys):
    assert main([*SMALL, *more]) == 2
    shown = capsys.readouterr().err.splitlines()
    assert words in shown[-1] and shown[-1].startswith("galore: ")


def test_two_records_are_compared(tmp_path, capsys):
    files = [str(tmp_path / name) for name in ("a.json", "b.json")]
    for file in files:
        assert main([*SMALL, "--rounds", "2", "--minimum", "0", "--dtype", "float32", "--json", file]) == 0
    assert main(["bench", "compare", *files]) == 0
    printed = capsys.readouterr().out
    assert "second / first" in printed and "of 1 works differ" in printed


def test_a_page_is_drawn_from_what_was_written(tmp_path, capsys):
    assert main([*SMALL, "--rounds", "2", "--peak", "1e12", "1e11", "--json", str(tmp_path / "a.json")]) == 0
    assert main(["bench", "page", str(tmp_path)]) == 0
    text = (tmp_path / "index.md").read_text()
    assert "No accelerator has been measured yet" in text and "given by hand" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compare", "a.json", "b.json"], "a.json does not exist"),
        (["page", "nowhere"], "expected a folder with records"),
    ],
)
def test_what_cannot_be_compared_or_drawn_is_said(arguments, words, capsys):
    assert main(["bench", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--batch", "many"], "many: expected a number, auto or sweep"),
        (["--dtype", "float16"], "float16: expected one of float32, bfloat16"),
    ],
)
def test_words_that_no_option_takes_are_refused(arguments, words, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["bench", *arguments])
    assert words in capsys.readouterr().err
