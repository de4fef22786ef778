import dataclasses
import json
import resource
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import galore
from galore.data.preprocessing import Preprocessing
from galore.errors import InputError
from galore.training import architectures, checkpoint, hardness, header

CLASSES = ("finch", "gull", "wren")
DESCRIPTION = header.Description("small_cnn_narrow", CLASSES, Preprocessing(32, 32), "conv3")
PARAMS = architectures.random_params("small_cnn_narrow", 3, seed=0)
IMAGE = jax.random.normal(jax.random.key(0), (32, 32, 3))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    checkpoint.save(folder, DESCRIPTION, PARAMS, step=7, optimiser=optax.adam(1e-3).init(PARAMS), progress={"seed": 3})
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy", symlinks=True)


def test_galore_load_gives_back_the_network(saved):
    net = galore.load(str(saved.parent))
    assert (net.name, net.layer, net.class_names) == ("small_cnn_narrow", "conv3", CLASSES)
    assert net.preprocessing == Preprocessing(32, 32)
    assert all((net.params[name] == value).all() for name, value in PARAMS.items())
    activation, logits = net(IMAGE)
    assert activation.shape == (4, 4, 64) and logits.shape == (3,)
    _, at_another_cut = checkpoint.load_network(saved, "conv1")(IMAGE)
    np.testing.assert_allclose(at_another_cut, logits, atol=1e-5)


def test_another_number_of_classes_keeps_the_trunk_of_a_checkpoint(saved):
    with pytest.warns(UserWarning, match=r"fc\.bias and fc\.kernel of .* drawn anew"):
        net = galore.load(saved, classes=5)
    assert net(IMAGE)[1].shape == (5,) and net.class_names == ()
    assert all((net.params[name] == value).all() for name, value in PARAMS.items() if not name.startswith("fc."))


def test_the_optimiser_comes_back_with_its_structure(saved):
    like = optax.adam(1e-3).init(PARAMS)
    found = checkpoint.load_optimiser(saved / "last", like)
    assert jax.tree.structure(found) == jax.tree.structure(like)
    with pytest.raises(InputError, match="another optimiser"):
        checkpoint.load_optimiser(saved / "last", optax.sgd(1e-3, momentum=0.9).init(PARAMS))


def test_a_checkpoint_opens_its_arrays_once_and_only_when_they_are_needed(copy, monkeypatch):
    own = hardness.prefixed(architectures.draw(architectures.shapes(hardness.module(64, (8,))), 0))
    description = dataclasses.replace(DESCRIPTION, predictor_layer="conv3", predictor_widths=(8,))
    checkpoint.save(copy, description, PARAMS | own, step=8)
    opened, read_arrays = [], checkpoint.read_arrays

    def counted(path, sha256):
        opened.append(path.name)
        return read_arrays(path, sha256)

    monkeypatch.setattr(checkpoint, "read_arrays", counted)
    at = checkpoint.read(copy)
    assert (at.folder.name, at.description, at.header["step"]) == ("step-00000008", description, 8) and not opened
    net, predictor = at.network(), at.predictor("conv1")
    assert opened == ["params"]
    assert net.layer == "conv3" and predictor.features is not None and set(at.params) == set(PARAMS | own)
    (copy / "best" / "header.json").unlink()
    np.testing.assert_array_equal(at.network("conv1").params["fc.kernel"], PARAMS["fc.kernel"])


def test_the_header_says_what_made_it(saved):
    found = checkpoint.read_header(saved)
    assert found["step"] == 7 and found["progress"] == {"seed": 3}
    assert found["layers"] == ["conv1", "conv2", "conv3", "conv4"]
    assert {"git", "galore", "params_sha256", "version"} <= set(found)


def test_only_the_best_and_the_last_are_kept(copy):
    for step, links in ((8, ("last",)), (9, ("last",))):
        checkpoint.save(copy, DESCRIPTION, PARAMS, step=step, links=links)
    assert sorted(path.name for path in copy.glob("*step*")) == ["step-00000007", "step-00000009"]
    assert checkpoint.find(copy).name == "step-00000007"
    assert checkpoint.find(copy / "last").name == "step-00000009"


def test_equal_parameters_give_equal_hashes_and_files_of_equal_meaning(saved, tmp_path):
    checkpoint.save(tmp_path, DESCRIPTION, PARAMS, step=7)
    assert checkpoint.read_header(tmp_path)["params_sha256"] == checkpoint.read_header(saved)["params_sha256"]


@pytest.mark.robust("checkpoints")
def test_a_truncated_checkpoint_is_refused(copy):
    for file in (copy / "step-00000007" / "params").rglob("*"):
        if file.is_file() and file.stat().st_size > 10_000:
            file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(InputError, match="damaged"):
        checkpoint.load_network(copy)


@pytest.mark.robust("checkpoints")
def test_arrays_that_changed_are_refused(copy):
    other = {name: value + 1 for name, value in PARAMS.items()}
    shutil.rmtree(copy / "step-00000007" / "params")
    checkpoint.write_arrays(copy / "step-00000007" / "params", other)
    with pytest.raises(InputError, match="hash"):
        checkpoint.load_network(copy)


def change_header(folder, **changes):
    file = folder / "step-00000007" / "header.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.robust("checkpoints")
def test_another_version_is_refused(copy):
    change_header(copy, version=99)
    with pytest.raises(InputError, match="version 99, expected 1"):
        checkpoint.load_network(copy)


def test_a_header_without_newer_fields_is_read(copy):
    known = checkpoint.read_header(copy)["description"]
    known.pop("predictor_trunk")
    change_header(copy, description=known)
    assert header.read_description(copy) == DESCRIPTION


@pytest.mark.robust("checkpoints")
def test_another_network_is_refused(copy):
    found = checkpoint.read_header(copy)
    change_header(copy, description=found["description"] | {"network": "small_cnn"})
    with pytest.raises(InputError, match=r"does not hold the network 'small_cnn': .* expected \("):
        checkpoint.load_network(copy)


@pytest.mark.robust("checkpoints")
@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "x", "version": 1}', '{"version": 1}'])
def test_a_damaged_header_is_refused(copy, text):
    (copy / "step-00000007" / "header.json").write_text(text)
    with pytest.raises(InputError, match=r"header\.json"):
        checkpoint.load_network(copy)


@pytest.mark.robust("checkpoints")
def test_a_half_written_checkpoint_is_refused_and_says_so(copy, tmp_path):
    (copy / "step-00000007" / "header.json").unlink()
    with pytest.raises(InputError, match="not finished"):
        checkpoint.load_network(copy / "step-00000007")
    with pytest.raises(InputError, match="no checkpoint"):
        checkpoint.load_network(tmp_path / "nowhere")


@pytest.mark.robust("outputs")
def test_a_disk_that_takes_no_more_leaves_the_earlier_checkpoint_alone(copy):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(InputError, match=r"cannot write the checkpoint .*step-00000008: .*; earlier ones are kept"):
            checkpoint.save(copy, DESCRIPTION, PARAMS, step=8)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert checkpoint.find(copy / "last").name == "step-00000007"
    assert [path.name for path in copy.glob("*step*")] == ["step-00000007"]
    checkpoint.load_network(copy)


@pytest.mark.robust("outputs")
def test_a_full_disk_is_said_in_few_words(copy, monkeypatch):
    def full(path, arrays):
        raise ValueError(
            f'RESOURCE_EXHAUSTED: Failed writing: "{path}/d/e50555": No space left on device [os_error="28"]'
        )

    monkeypatch.setattr(checkpoint, "write_arrays", full)
    with pytest.raises(InputError, match=r"step-00000008: no space is left on the disk; earlier ones are kept$"):
        checkpoint.save(copy, DESCRIPTION, PARAMS, step=8)
    checkpoint.load_network(copy)


def test_the_predictor_travels_with_the_network(copy):
    features = np.random.default_rng(0).normal(size=(40, 64)).astype(np.float32)
    own = hardness.train(features, np.full(40, 0.3, np.float32), widths=(8,), seed=0, steps=5)
    with_predictor = dataclasses.replace(DESCRIPTION, predictor_layer="conv3", predictor_widths=(8,))
    with pytest.raises(InputError, match="without a hardness predictor"):
        checkpoint.load_predictor(copy)
    checkpoint.add_predictor(copy, with_predictor, PARAMS | own)
    net, predictor = checkpoint.load_network(copy), checkpoint.load_predictor(copy)
    activation, _ = net(IMAGE)
    easiness = predictor.head(predictor.params, activation)
    by_hand = 1 - hardness.predict(own, np.asarray(activation.mean((0, 1)))[None], hardness.module(64, (8,)))[0]
    assert float(easiness) == pytest.approx(by_hand, abs=1e-6)
    assert all(name.startswith(hardness.PREFIX) for name in own)

    elsewhere = checkpoint.load_predictor(copy, "conv1")
    assert float(elsewhere.head(elsewhere.params, elsewhere.features(elsewhere.params, IMAGE))) == pytest.approx(
        float(easiness), abs=1e-6
    )
    found = galore.explain.discriminant(net, IMAGE[None], 0, 1, confidence=predictor)
    assert found.maps.shape == (1, 4, 4) and bool(jnp.isfinite(found.maps).all())
