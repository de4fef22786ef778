"""Objects that hold arrays say what they are on one screen."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from compiling import compiled
from folders import write_birds, write_scenes
from heads import images, plain_network
from toys import toy_test_set

import galore
from galore import representation
from galore.confidence import Predictor
from galore.data import ade20k, cub
from galore.data.synthetic.birds import SyntheticBirds
from galore.data.synthetic.scenes import SyntheticScenes
from galore.evaluation import queries
from galore.evaluation.methods import GAUSSIAN
from galore.experiment.table import Cell, Row, Table
from galore.report.answer import Answer, Candidate, CounterPhoto, Finding, Insecurity, Photo, WhyNot
from galore.teach.hard_images import HardImage


def network() -> galore.Network:
    return galore.load("efficientnet_lite0", weights=None)


def answer() -> Answer:
    photo = Photo(
        "p" * 200, "0" * 64, np.zeros((40, 50, 3), np.uint8), (0.0, 0.0, 40.0, 40.0), np.zeros((8, 8, 3), np.uint8)
    )
    finding = Finding("attributive", np.ones((7, 7)), np.full((8, 1), 255, np.uint8), ((0.0, 0.0, 1.0, 1.0),) * 30, 1.0)
    classes = tuple(Candidate(index, f"a class with a long name {index}", 0.5, 0.5) for index in range(5))
    return Answer(
        photo=photo,
        candidates=classes,
        confidence=0.5,
        attributive=finding,
        insecurities=(Insecurity(classes[0], classes[1], 0.1, finding),) * 10,
        why_not=WhyNot(classes[1], False, finding, CounterPhoto(photo, finding, classes[1])),
        methods={"model": "small_cnn"},
        notes=("A long sentence. " * 20,),
        more_maps={"class_0": np.ones((7, 7))},
    )


@pytest.mark.parametrize(
    "make",
    [
        network,
        lambda: galore.load("small_cnn", weights=None, classes=3).astype(jnp.bfloat16),
        lambda: Predictor({"weight": jnp.ones((512, 1))}, lambda params, F: F.mean()),
        answer,
        lambda: answer().photo,
        lambda: answer().attributive,
        lambda: answer().insecurities[0],
        lambda: answer().why_not,
        lambda: SyntheticBirds(2, 2, 0).draw(1),
        lambda: SyntheticBirds(2, 2, 0).species[0],
        lambda: SyntheticScenes(2, 2, 0).draw(1),
        lambda: compiled(galore.explain.counterfactual, plain_network(), images(3), 1, images(3)),
        lambda: compiled(galore.explain.counterfactual, plain_network(), images(3), 1, images(3)).query,
        lambda: compiled(galore.explain.deliberative, plain_network(), images(3)),
        toy_test_set,
        lambda: queries.beginner(toy_test_set(), 0),
        lambda: Table((Row(Cell(GAUSSIAN, "auroc"), np.ones((3, 60))),) * 50),
        lambda: Table((Row(Cell(GAUSSIAN, "auroc"), np.ones((3, 60))),) * 50).summary(),
        lambda: HardImage(0, 1, {"softmax": 2}, {"softmax": np.ones((7, 7))}),
    ],
)
def test_a_long_object_is_short_to_read(make):
    lines = repr(make()).splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 120


def test_a_data_set_is_short_to_read(tmp_path):
    for dataset in (cub.read(write_birds(tmp_path / "birds")), ade20k.read(write_scenes(tmp_path / "scenes"))):
        lines = repr(dataset).splitlines()
        assert len(lines) <= 24 and max(map(len, lines)) <= 120
        assert f"    labels={dataset.labels.dtype}[{len(dataset)}]," in lines


def test_a_network_tells_its_name_its_layer_and_how_many_parameters_it_has():
    net = network()
    text, numbers = repr(net), sum(value.size for value in net.params.values())
    assert f"params={len(net.params)} arrays, {numbers:,} numbers" in text
    assert "name='efficientnet_lite0'" in text and f"layer='{net.layer}'" in text


def test_short_values_are_written_out_and_long_ones_are_counted():
    assert representation.short(np.zeros((2, 7, 7), np.float32)) == "float32[2,7,7]"
    assert representation.short(("a", "b")) == "('a', 'b')"
    assert representation.short(tuple(f"class {k}" for k in range(1000))) == "1000 of 'class 0', ..."
    assert representation.short({"a": {"b": np.zeros(3), "c": np.zeros((2, 2))}}) == "2 arrays, 7 numbers"
    assert len(representation.short(SimpleNamespace(text="x" * 999))) == representation.LONGEST
