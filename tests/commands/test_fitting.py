"""galore part-tables and galore counterparts: from labelled photos to the file that --rule of other commands takes."""

import dataclasses
import json
from pathlib import Path

import answers
import chex
import folders
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galore import counterparts, part_tables, provenance
from galore.cli import main
from galore.data.photo import read_image
from galore.models import factory
from galore.report import figures

MODULES = {"part-tables": part_tables, "counterparts": counterparts}
BOTH = pytest.mark.parametrize("command", MODULES)
COLOURS = {"red thing": (200, 90, 40), "Green_thing": (60, 200, 50), "blue": (40, 60, 210)}


def write(root: Path, colours=COLOURS) -> Path:
    """Two photos of each class, in a folder with its name or something like it."""
    for name, colour in colours.items():
        (root / name).mkdir(parents=True)
        for k in range(2):
            answers.write_photo(root / name / f"{k}.png", tuple(channel - 20 * k for channel in colour))
    return root


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """The commands with a tiny network and without figures, in a folder with photos."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(factory, "build_network", lambda *_: (answers.tiny_network(), ""))
    monkeypatch.setattr(figures, "save", lambda *_: ())
    write(tmp_path / "photos")
    return tmp_path


def refused(capsys, *arguments: str) -> str:
    assert main([*arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "Traceback" not in captured.err
    return captured.err.splitlines()[-1]


@BOTH
def test_the_file_is_that_of_the_photos_by_the_networks_classes(tiny, capsys, monkeypatch, command):
    module = MODULES[command]
    given, fit = [], module.fit
    monkeypatch.setattr(module, "fit", lambda *arguments: (given.extend(arguments), fit(*arguments))[1])
    assert main([command, "photos", "--out", "fitted.npz", "--batch", "4", "--seed", "3"]) == 0
    assert "6 photos of 3 classes" in capsys.readouterr().out
    F, labels, key = given
    net = answers.tiny_network()
    paths = [tiny / "photos" / name / f"{k}.png" for name in COLOURS for k in range(2)]
    expected = [net.activation(jnp.asarray(net.preprocessing.apply(read_image(path)))) for path in paths]
    np.testing.assert_allclose(F, expected, rtol=1e-5)
    assert labels.tolist() == [0, 0, 1, 1, 2, 2] and key == jax.random.key(3)
    chex.assert_trees_all_equal(module.load("fitted.npz", net), fit(F, labels, key))


@pytest.mark.parametrize(
    ("command", "said", "lit"),
    [
        (
            "part-tables",
            "was found in other photos. Whether this photo shows the difference the map does not ask",
            "whether or not this photo shows the difference",
        ),
        (
            "counterparts",
            "would fall if a place looked as blue thing does there",
            "if they looked as the other class does there",
        ),
    ],
)
def test_a_photo_and_a_stream_are_explained_by_it_and_the_records_hold_which(tiny, capsys, command, said, lit):
    assert main([command, "photos", "--out", "fitted.npz"]) == 0
    by, name = ("--rule", command, f"--{command}", "fitted.npz"), command.replace("-", "_")
    assert main(["explain", "photos/red thing/0.png", "--why-not", "blue", *by, "--out", "there"]) == 0
    digest = provenance.params_sha256(MODULES[command].load("fitted.npz", answers.tiny_network()))
    printed = " ".join(capsys.readouterr().out.split())
    assert said in printed
    written = json.loads((tiny / "there" / "explanation.json").read_text("utf-8"))
    digests = {one: written["methods"][one.replace("-", "_")] for one in MODULES}
    assert digests == dict.fromkeys(MODULES) | {command: digest}
    assert written["provenance"]["options"][name] == "fitted.npz"
    stream = ("stream", "photos", "--out", "out", "--batch", "2", "--why-not", "blue")
    assert main([*stream, *by]) == 0
    asked = json.loads((tiny / "out" / "run.json").read_text("utf-8"))["asked"]
    assert (asked["rule"], asked[name]) == (command, digest)
    assert lit in (tiny / "out" / "gallery" / "index.html").read_text()
    assert main([command, "photos", "--out", "fitted.npz", "--per-class", "1"]) == 0
    assert f"holds another run, whose {name} is" in (capsys.readouterr(), refused(capsys, *stream, *by))[1]


def test_of_a_data_set_the_training_images_are_taken(monkeypatch, tmp_path, capsys):
    root = folders.write_birds(tmp_path / "birds")
    names = tuple(path.name.split(".")[1] for path in sorted((root / "images").iterdir()))
    net = dataclasses.replace(answers.tiny_network(), class_names=("a", "b", "c", *names))
    monkeypatch.setattr(factory, "build_network", lambda *_: (net, ""))
    assert main(["part-tables", str(root), "--out", str(tmp_path / "parts.npz")]) == 0
    training = sum(line.endswith(" 1") for line in (root / "train_test_split.txt").read_text().splitlines())
    assert f"{training} photos of 3 classes" in capsys.readouterr().out


@pytest.mark.robust("options")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere is not a folder"),
        (["photos/blue"], "photos/blue has no folders with photos"),
        (["photos", "--per-class", "0"], "--per-class 0"),
        (["photos", "--batch", "0"], "--batch 0"),
        (["photos", "--seed", "-1"], "--seed -1"),
        (["photos", "--out", "parts.txt"], "expected a name that ends in .npz"),
    ],
)
def test_bad_input_is_one_line(tiny, capsys, arguments, said):
    assert said in refused(
        capsys, "part-tables", *(("--out", "parts.npz") if "--out" not in arguments else ()), *arguments
    )
    assert not list(tiny.glob("parts.*"))


@pytest.mark.robust("options")
def test_too_few_classes_are_refused_before_anything_slow(tiny, capsys, monkeypatch):
    monkeypatch.setattr(part_tables, "fit", lambda *_: pytest.fail("it began"))
    write(tiny / "two", dict(list(COLOURS.items())[:2]))
    said = refused(capsys, "part-tables", "two", "--out", "parts.npz")
    assert "two has photos of 2 of the network's classes, expected at least 3" in said


@pytest.mark.robust("options")
@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("purple thing", 'the photos of purple thing in photos: no class is called "purple thing"'),
        ("red_thing", "photos has two classes that are red thing"),
    ],
)
def test_a_folder_that_is_no_class_is_named(tiny, capsys, folder, said):
    write(tiny / "photos", {folder: (1, 2, 3)})
    assert said in refused(capsys, "part-tables", "photos", "--out", "parts.npz")


@pytest.mark.robust("pictures")
def test_a_photo_that_cannot_be_read_is_named(tiny, capsys):
    (tiny / "photos" / "blue" / "1.png").write_text("no photo")
    assert "1.png is not an image" in refused(capsys, "part-tables", "photos", "--out", "parts.npz")


@pytest.mark.robust("options")
@BOTH
def test_the_rule_and_its_file_belong_together(tiny, capsys, command):
    for options in (["--rule", command], [f"--{command}", "x.npz"], ["--rule", "margin", f"--{command}", "x.npz"]):
        for asked in (["explain", "photos/blue/0.png"], ["stream", "photos", "--out", "out"]):
            assert f"--rule {command} and --{command} FILE belong together" in refused(capsys, *asked, *options)
