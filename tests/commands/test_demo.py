import answers
import numpy as np
import pytest

from galore import Network, cli, plotting
from galore.commands import demo
from galore.data import cub
from galore.data.preprocessing import Preprocessing
from galore.data.synthetic import birds
from galore.models import factory
from galore.training import architectures, checkpoint, header


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A data set of a few birds, and a checkpoint of a network for them."""
    folder = tmp_path_factory.mktemp("demo")
    birds.write(folder / "birds", birds.SyntheticBirds(classes=4, per_class=2, seed=0, size=32))
    names = cub.read(folder / "birds").class_names
    description = header.Description("small_cnn_narrow", names, Preprocessing(32, 32), "conv4")
    checkpoint.save(folder / "run", description, architectures.random_params("small_cnn_narrow", 4, seed=0))
    return folder


def test_the_demo_explains_its_photos_and_a_bird_and_says_where_the_reports_are_and_what_to_try_next(
    tmp_path, monkeypatch, capsys, trained
):
    monkeypatch.setattr(factory, "build_network", lambda *_: (answers.tiny_network(), ""))
    monkeypatch.setattr(plotting, "DPI", 30)
    monkeypatch.setattr(demo, "EXAMPLES", tuple(example._replace(why_not="3") for example in demo.EXAMPLES))
    bird = ["--trained", str(trained / "run"), "--birds", str(trained / "birds")]
    assert cli.main(["demo", "--out", str(tmp_path / "demo"), "--top", "4", *bird]) == 0
    out = capsys.readouterr().out
    for folder in (*(example.folder for example in demo.EXAMPLES), demo.BIRD):
        report = tmp_path / "demo" / folder / "explanation.html"
        assert report.is_file()
        assert str(report) in out
    assert "galore explain PHOTO.jpg" in out[out.index("explanation.html") :]


@pytest.mark.parametrize("example", demo.EXAMPLES)
def test_the_classes_that_the_demo_asks_about_exist(example):
    from galore import class_names
    from galore.models.published import imagenet_class_names

    assert class_names.find(example.why_not, imagenet_class_names()) in (285, 968)


def test_the_bird_needs_both_its_network_and_its_data(capsys, trained):
    assert cli.main(["demo", "--trained", str(trained / "run")]) == 2
    assert "--trained and --birds belong together" in capsys.readouterr().err


def test_the_bird_is_one_that_the_network_recognises_and_stands_beside_its_second_choice(trained):
    birds = cub.read(trained / "birds")

    wishes = np.array([-2.0, -3.0, 0.0, -9.0], np.float32)
    net = Network(
        {},
        features=lambda params, x: x,
        head=lambda params, F: wishes + 0 * F.sum(),
        preprocessing=Preprocessing(32, 32),
    )
    bird, other = demo._choose(net, birds)
    labels = {birds.image_path(index): birds.labels[index] for index in range(len(birds))}
    assert labels[bird] == 2 and labels[other] == 0
