"""Weights as people have them: wrapped, nested, in half precision; and what the message says about those that do not
fit."""

import json
import time

import hostile_weights as files
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

import galore
from galore import InputError
from galore.models import factory, weights

NUMBERS = np.arange(6, dtype=np.float32)


def dictionary(**items):
    return b"}(" + b"".join(files.text(name) + value for name, value in items.items()) + b"u"


def torch(path, pickled):
    path.write_bytes(files.archive(b"\x80\x02" + pickled + b".", {"data/0": NUMBERS.tobytes()}))
    return weights.read(path)


def safe(path, *names):
    safetensors.numpy.save_file(dict.fromkeys(names, NUMBERS), path)
    return weights.read(path)


READERS = {
    ".pth": lambda path, *names: torch(path, dictionary(**{name: files.tensor() for name in names})),
    ".safetensors": safe,
}
PREFIXES = {
    "module.": "module.",
    "_orig_mod.": "_orig_mod.",
    "module._orig_mod.": "module. and _orig_mod.",
    "_orig_mod.module.": "module. and _orig_mod.",
    "module.module.": "module.",
    "model.": "model.",
    "net.": "net.",
    "model._orig_mod.": "model. and _orig_mod.",
    "model.module.": "model. and module.",
}


@pytest.mark.robust("weights as people have them")
@pytest.mark.parametrize("prefix, said", PREFIXES.items(), ids=PREFIXES)
@pytest.mark.parametrize("suffix", READERS)
def test_prefixes_of_wrappers_are_taken_off_and_named(suffix, prefix, said, tmp_path):
    found = READERS[suffix](tmp_path / f"w{suffix}", f"{prefix}conv1.weight", f"{prefix}fc.bias")
    assert sorted(found.tensors) == ["conv1.weight", "fc.bias"]
    assert found.note == f"w{suffix}: {said} was taken off their names."


@pytest.mark.parametrize("suffix", READERS)
def test_a_part_that_was_compiled_alone_gets_its_name_back(suffix, tmp_path):
    found = READERS[suffix](tmp_path / f"w{suffix}", "layer1._orig_mod.0.conv1.weight", "conv1.weight")
    assert sorted(found.tensors) == ["conv1.weight", "layer1.0.conv1.weight"] and "_orig_mod." in found.note


@pytest.mark.parametrize("suffix", READERS)
def test_plain_names_stay_and_nothing_is_said(suffix, tmp_path):
    found = READERS[suffix](tmp_path / f"w{suffix}", "model.a", "module_b", "fc.module.c")
    assert sorted(found.tensors) == ["fc.module.c", "model.a", "module_b"] and found.note == ""


@pytest.mark.parametrize("names", [("a", "module.a"), ("_orig_mod.a", "module.a"), ("model.a", "model._orig_mod.a")])
@pytest.mark.parametrize("suffix", READERS)
def test_a_name_that_fits_twice_is_refused(suffix, names, tmp_path):
    with pytest.raises(InputError, match=r"holds a twice, as .*a and .*a; expected each tensor once"):
        READERS[suffix](tmp_path / f"w{suffix}", *names)


OTHERS = {"epoch": b"K\x03", "best": files.tensor(), "optimizer": dictionary(state=b"}", param_groups=b"]")}
INNER = dictionary(a=files.tensor())
NESTED = {
    **{key: ({key: INNER}, key) for key in ("state_dict", "model", "ema", "teacher", "student", "model_state_dict")},
    "lightning": ({"state_dict": dictionary(**{"model.a": files.tensor()}), "callbacks": b"}"}, "state_dict"),
    "ema of a module": ({"ema": dictionary(module=INNER, updates=b"K\x05")}, "ema -> module"),
    "a data-parallel module": ({"state_dict": dictionary(**{"module.a": files.tensor()})}, "state_dict"),
}


@pytest.mark.robust("weights as people have them")
@pytest.mark.parametrize("content, under", NESTED.values(), ids=NESTED)
@pytest.mark.parametrize("suffix", [".pth", ".pth.tar", ".ckpt", ".pt", ".bin", ".PTH"])
def test_nested_dictionaries_are_opened_and_named(suffix, content, under, tmp_path):
    found = torch(tmp_path / f"w{suffix}", dictionary(**content, **OTHERS))
    assert list(found.tensors) == ["a"] and f"the weights lay under {under}" in found.note
    assert "\n" not in found.note


@pytest.mark.parametrize("keys", [("model", "ema"), ("student", "teacher"), ("state_dict", "state_dict_ema")])
def test_two_networks_in_one_file_are_refused_with_both_names(keys, tmp_path):
    with pytest.raises(InputError, match=f"more than one network, under {keys[0]} and {keys[1]}|{keys[1]} and"):
        torch(tmp_path / "w.pth", dictionary(**dict.fromkeys(keys, INNER)))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    galore.models.save_safetensors(galore.load("small_cnn", weights=None, classes=4), path)
    return safetensors.numpy.load_file(path)


def load(tensors, path, **metadata):
    safetensors.numpy.save_file(dict(tensors), path, metadata=metadata or None)
    return galore.load("small_cnn", path)


@pytest.mark.robust("weights as people have them")
def test_a_wrapped_network_is_loaded_with_one_line(small, tmp_path):
    with pytest.warns(UserWarning, match=r"^w\.safetensors: module\. was taken off their names\.$"):
        net = load({f"module.{name}": tensor for name, tensor in small.items()}, tmp_path / "w.safetensors")
    np.testing.assert_array_equal(net.params["fc.bias"], small["fc.bias"])


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_every_precision_becomes_float32(dtype, small, tmp_path):
    net = load({name: tensor.astype(dtype) for name, tensor in small.items()}, tmp_path / "w.safetensors")
    assert {str(value.dtype) for value in net.params.values()} == {"float32"}


@pytest.mark.parametrize("value", [1e300, -1e300, 3.5e38, np.inf, np.nan])
def test_a_number_that_float32_lacks_is_refused(value, small, tmp_path):
    wide = small["fc.bias"].astype(np.float64)
    wide[1] = value
    with pytest.raises(InputError, match=r"fc\.bias holds NaN or infinite values once float64 has become float32"):
        load(small | {"fc.bias": wide}, tmp_path / "w.safetensors")


@pytest.mark.robust("names and indices")
@pytest.mark.parametrize("count", [1, 2, 3, 5, 100])
def test_class_names_must_be_as_many_as_the_logits(count, small, tmp_path):
    with pytest.raises(InputError, match=f"has {count} class names and 4 logits"):
        load(small, tmp_path / "w.safetensors", class_names=json.dumps([f"class {i}" for i in range(count)]))


@pytest.mark.parametrize(
    "metadata", [{}, {"class_names": "[]"}, {"class_names": '["a", "b", "c", "d"]'}, {"other": "x"}]
)
def test_class_names_that_are_right_or_absent_are_taken(metadata, small, tmp_path):
    net = load(small, tmp_path / "w.safetensors", **metadata)
    assert net.class_names == (("a", "b", "c", "d") if "a" in metadata.get("class_names", "") else ())


def test_a_hundred_thousand_names_too_many_are_said_shortly_and_soon(small):
    shapes = factory.template("small_cnn", 4, None).params
    extra = {f"layer{index}.weight": NUMBERS for index in range(100_000)}
    started = time.process_time()
    with pytest.raises(InputError, match=r"\(100000 problems\): extra layer0\.weight; .*; and 99980 more") as caught:
        weights.match(shapes, small | extra, "w.pth")
    assert time.process_time() - started < 5 and len(str(caught.value)) < 1100


@pytest.mark.parametrize("name", ["\x1b]0;title\x07", "x" * 10**6, "a\nb", "\u202ereversed", "\x00"])
def test_names_of_tensors_are_harmless_in_a_message(name, small):
    shapes = factory.template("small_cnn", 4, None).params
    with pytest.raises(InputError, match="extra ") as caught:
        weights.match(shapes, small | {name: NUMBERS}, "w.pth")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1100
