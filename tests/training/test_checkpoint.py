import dataclasses
import json
import os
import resource
import shutil
import socket

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from compiling import compiled

import galore
from galore import provenance
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
    activation, logits = jax.jit(net)(IMAGE)
    assert activation.shape == (4, 4, 64) and logits.shape == (3,)
    _, at_another_cut = jax.jit(checkpoint.load_network(saved, "conv1"))(IMAGE)
    np.testing.assert_allclose(at_another_cut, logits, atol=1e-5)


def test_another_number_of_classes_keeps_the_trunk_of_a_checkpoint(saved):
    with pytest.warns(UserWarning, match=r"fc\.bias and fc\.kernel of .* drawn anew"):
        net = galore.load(saved, classes=5)
    assert jax.eval_shape(net, IMAGE)[1].shape == (5,) and net.class_names == ()
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
    checkpoint.save(copy, description, PARAMS | own, step=8)  # reads back what it wrote
    opened, read_arrays = [], checkpoint.read_arrays

    def counted(path, sha256, check=None):
        opened.append(path.name)
        return read_arrays(path, sha256, check)

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


@pytest.mark.robust("checkpoints")
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


ELSE = object()
"""Stands for a field that is left out."""

WRONG_FIELDS = {
    "version": [None, "1", [1], 2**70, "9" * 5000],
    "format": [None, 5, ["galore checkpoint"], {"galore": "checkpoint"}, "\x1b[2J" * 1000],
    "step": [None, "7", -1, 1.5, [7], 2**64, True],
    "progress": [None, [], 5, "seed", {"best": "x"}, {"worse": -1}, {"best_step": None}, {"choices": []}],
    "params_sha256": [None, 5, "", "f" * 63, "G" * 64, ["f" * 64], ELSE],
    "optimiser_sha256": [None, 0, "no hash", ELSE],
    "layers": [None, "conv1", [1], {"conv1": 1}, ELSE],
    "galore": [None, 1, ["1"], ELSE],
    "git": [5, "commit", ["commit"]],
    "description": [None, [], 5, "small_cnn", {}, ELSE],
    "description.network": [5, None, [], {}, "", "no_such_network", "n" * 100_000, "\x1b]0;title\x07", ELSE],
    "description.class_names": [[], None, 5, "finch", [1, 2, 3], [["finch"]], {"finch": 0}, ["finch", None], ELSE],
    "description.layer": [["conv3"], None, 3, {}, "conv99", "", "l" * 100_000, ELSE],
    "description.preprocessing": [None, 5, [], {}, "imagenet", ELSE],
    "description.preprocessing.resize": [0, -1, "32", None, 10**9, 2**65, [32], 1.5, ELSE],
    "description.preprocessing.crop": [0, -5, 33, "32", None, [], ELSE],
    "description.preprocessing.mean": [None, 0.5, [0.5], [0.5] * 4, ["a"] * 3, [float("nan")] * 3, ELSE],
    "description.preprocessing.std": [None, [0, 0, 0], [-1, 1, 1], [float("nan")] * 3, [float("inf")] * 3, []],
    "description.predictor_layer": [5, [], {}, "conv99"],
    "description.predictor_widths": [5, "8", [0], [-8], ["8"], [10**9], [8] * 1000],
    "description.predictor_trunk": ["yes", 1, None, []],
}
CASES = [(field, value) for field, values in WRONG_FIELDS.items() for value in values]


def id_of(value):
    return "missing" if value is ELSE else str(value)[:24]


@pytest.mark.robust("checkpoints")
@pytest.mark.parametrize("field, value", CASES, ids=[f"{field}={id_of(value)}" for field, value in CASES])
def test_a_header_with_a_wrong_field_is_one_sentence(field, value, copy):
    file = copy / "step-00000007" / "header.json"
    content = json.loads(file.read_text())
    *parents, name = field.split(".")
    inner = content
    for parent in parents:
        inner = inner[parent]
    inner.pop(name)
    inner |= {} if value is ELSE else {name: value}
    file.write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        opened = checkpoint.read(copy)
        opened.network()
        opened.predictor()
    assert len(str(caught.value)) < 1100 and str(caught.value).isprintable()
    assert "header.json" in str(caught.value) or "conv99" in str(caught.value) or "unknown layer" in str(caught.value)


HEADERS = {
    "nested 100000 deep": "[" * 100_000,
    "objects nested 100000 deep": '{"a":' * 100_000,
    "a number of 5000 digits": '{"format": "galore checkpoint", "version": ' + "9" * 5000 + "}",
    "a list": "[1, 2]",
    "a text": '"galore checkpoint"',
    "null": "null",
    "half": '{"format": "galore checkpoint", "vers',
    "bytes that are no UTF-8": b"\xff\xfe{}",
    "NUL": b"\x00" * 100,
    "two": "{}{}",
    "larger than any header": b" " * (header.LARGEST + 1),
}


@pytest.mark.robust("checkpoints")
@pytest.mark.parametrize("content", HEADERS.values(), ids=HEADERS)
def test_a_header_that_is_none_is_one_sentence(content, copy):
    file = copy / "step-00000007" / "header.json"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError, match=r"header\.json"):
        checkpoint.read(copy)


SPECIAL = {
    "a named pipe": os.mkfifo,
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to a folder": lambda path: path.symlink_to("/"),
    "a socket": lambda path: socket.socket(socket.AF_UNIX).bind(os.path.relpath(path)),
}


@pytest.mark.robust("special files")
@pytest.mark.parametrize("place", ["params", "params/d", "params/ocdbt.process_0", "optimiser"])
@pytest.mark.parametrize("make", SPECIAL.values(), ids=SPECIAL)
def test_only_regular_files_are_opened_among_the_arrays(make, place, copy, monkeypatch):
    folder = copy / "step-00000007" / place
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)  # the address of a socket is short
    make(folder / "other")
    at = checkpoint.read(copy)
    with pytest.raises(InputError, match="other is no regular file"):
        at.optimiser(()) if place == "optimiser" else at.network()


@pytest.mark.robust("special files")
@pytest.mark.parametrize("file", ["manifest.ocdbt", "_METADATA"])
def test_a_named_pipe_in_place_of_an_array_file_is_not_waited_for(file, copy):
    path = copy / "step-00000007" / "params" / file
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError, match="no regular file"):
        checkpoint.load_network(copy)


@pytest.mark.robust("special files")
def test_a_named_pipe_in_place_of_the_header_is_not_waited_for(copy):
    (copy / "step-00000007" / "header.json").unlink()
    os.mkfifo(copy / "step-00000007" / "header.json")
    with pytest.raises(InputError, match="checkpoint"):
        checkpoint.read(copy)


SMALL = {"a.kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(2, np.int32)}
NAMES = [
    "run [a]", "run [!a-z]", "a*b", "what?", "back\\slash", "sp ace", " lead", "Vögel 鳥", "-dash", "{a,b}", "a%20b",
    "gs:", "file:", "~", "$HOME", "#hash", "a:b", "new\nline", "caf\udce9", "x" * 255, "'quoted'", '"', "a;b", "!",
    "..a", "\x1b[2J",
]  # fmt: skip


@pytest.mark.robust("paths")
@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:24])
def test_any_legal_path_holds_a_checkpoint(name, tmp_path):
    folder = tmp_path / name / "params"
    folder.parent.mkdir()
    checkpoint.write_arrays(folder, SMALL)
    sha256 = provenance.params_sha256(SMALL)
    assert checkpoint.read_arrays(folder, sha256).keys() == SMALL.keys()
    moved = shutil.move(folder.parent, tmp_path / "moved")
    np.testing.assert_array_equal(checkpoint.read_arrays(moved / "params", sha256)["b"], SMALL["b"])


@pytest.mark.robust("paths")
def test_a_path_of_four_thousand_bytes_holds_a_checkpoint(tmp_path):
    folder = tmp_path
    while len(str(folder)) < 3900:
        folder /= "d" * 100
    folder.mkdir(parents=True)
    checkpoint.write_arrays(folder / "params", SMALL)
    assert checkpoint.read_arrays(folder / "params", provenance.params_sha256(SMALL)).keys() == SMALL.keys()


@pytest.mark.robust("paths")
def test_a_training_in_a_folder_with_brackets_can_be_loaded(tmp_path):
    checkpoint.save(tmp_path / "run [a]" / "checkpoints", DESCRIPTION, PARAMS, step=3)
    net = galore.load(str(tmp_path / "run [a]"))
    np.testing.assert_array_equal(net.params["fc.kernel"], PARAMS["fc.kernel"])


def test_a_checkpoint_counts_only_once_it_was_read_back(copy, monkeypatch):
    write_arrays = checkpoint.write_arrays

    def loses_one(path, arrays):
        write_arrays(path, dict(list(arrays.items())[1:]))

    monkeypatch.setattr(checkpoint, "write_arrays", loses_one)
    with pytest.raises(InputError, match=r"step-00000008: what was written cannot be read back; earlier ones are kept"):
        checkpoint.save(copy, DESCRIPTION, PARAMS, step=8)
    assert sorted(path.name for path in copy.glob("*step*")) == ["step-00000007"]
    checkpoint.load_network(copy)


def test_sizes_are_compared_before_any_array_is_read(copy, monkeypatch):
    monkeypatch.setattr(checkpoint.ocp.PyTreeCheckpointer, "restore", lambda *_, **__: pytest.fail("was read"))
    change_header(copy, description=checkpoint.read_header(copy)["description"] | {"network": "small_cnn"})
    with pytest.raises(InputError, match="does not hold the network"):
        checkpoint.load_network(copy)
    with pytest.raises(InputError, match="another optimiser"):
        checkpoint.load_optimiser(copy, optax.sgd(1e-3).init(PARAMS))


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
    activation, _ = jax.jit(net)(IMAGE)
    easiness = jax.jit(predictor.head)(predictor.params, activation)
    by_hand = 1 - hardness.predict(own, np.asarray(activation.mean((0, 1)))[None], hardness.module(64, (8,)))[0]
    assert float(easiness) == pytest.approx(by_hand, abs=1e-6)
    assert all(name.startswith(hardness.PREFIX) for name in own)

    elsewhere = checkpoint.load_predictor(copy, "conv1")
    again = jax.jit(lambda params: elsewhere.head(params, elsewhere.features(params, IMAGE)))(elsewhere.params)
    assert float(again) == pytest.approx(float(easiness), abs=1e-6)
    found = compiled(galore.explain.discriminant, net, IMAGE[None], 0, 1, confidence=predictor)
    assert found.maps.shape == (1, 4, 4) and bool(jnp.isfinite(found.maps).all())
