from pathlib import Path

import pytest
from folders import change, write_birds
from PIL import Image

from galore.cli import main


def test_a_good_folder_is_described_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    root = write_birds(tmp_path / "birds")
    assert main(["data", "check", str(root), "--out", str(tmp_path / "sheet.png")]) == 0
    printed = capsys.readouterr().out
    assert "12 images of 3 classes" in printed and "nothing is wrong or odd" in printed
    with Image.open(tmp_path / "sheet.png") as drawn:
        assert drawn.size[0] > 1000


def test_problems_are_printed_with_counts_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    root = write_birds(tmp_path / "birds")
    change(root / "image_class_labels.txt", "5 2", "5 9")
    assert main(["data", "check", str(root), "--out", str(tmp_path / "sheet.png")]) == 1
    printed = capsys.readouterr().out
    assert "wrong: image_class_labels.txt: labels without a class" in printed and "no sheet was drawn" in printed
    assert not (tmp_path / "sheet.png").exists()


@pytest.mark.robust("options")
@pytest.mark.parametrize(
    "arguments, words",
    [
        (["none"], "is not a folder"),
        (["birds", "--images", "0"], "--images 0"),
        (["birds", "--out", "sheet.pdf"], "ends in .png"),
        (["."], "did you mean"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
):
    write_birds(tmp_path / "birds")
    monkeypatch.chdir(tmp_path)
    assert main(["data", "check", *arguments]) == 2
    shown = capsys.readouterr().err
    assert words in shown and shown.count("\n") == 1


def test_every_turned_image_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    root = write_birds(tmp_path / "birds", height=50, width=50)
    exif = Image.Exif()
    exif[274] = 3
    names = [f"002.Blue_Bird/Blue_Bird_{k}.png" for k in (0, 2)]
    for name in names:
        Image.open(root / "images" / name).save(root / "images" / name, exif=exif)
    assert main(["data", "check", str(root)]) == 0
    printed = capsys.readouterr().out
    for name in names:
        assert f"turned: {name} (EXIF orientation 3)\n" in printed
    assert "odd: images that EXIF turns; points and boxes were taken to be as a viewer shows the images" in printed
