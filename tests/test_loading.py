"""Checkpoints of the training are loaded in tests/training/test_checkpoint.py."""

import subprocess
import sys
import textwrap

import jax.numpy as jnp
import pytest

import galore
from galore import InputError, load, models


def test_a_network_by_its_name():
    net = load("small_cnn", weights=None, classes=4)
    assert net.name == "small_cnn"
    assert net(jnp.zeros((96, 96, 3)))[1].shape == (4,)


def test_an_unknown_name_gets_the_closest():
    with pytest.raises(InputError, match="resnet50"):
        load("resnet5")


@pytest.mark.robust("checkpoints")
@pytest.mark.parametrize("arguments", [lambda folder: (folder,), lambda folder: ("small_cnn", folder)])
def test_a_folder_that_is_no_checkpoint_is_refused(arguments, tmp_path):
    with pytest.raises(InputError, match=str(tmp_path)):
        load(*arguments(tmp_path))


def test_the_warning_of_a_new_classifier_points_at_the_caller(tmp_path):
    """In a process of its own: the checks of types in the test run put themselves between."""
    models.save_safetensors(load("small_cnn", weights=None, classes=4), tmp_path / "four.safetensors")
    program = tmp_path / "program.py"
    program.write_text(
        f"import galore\n\ngalore.load('small_cnn', {str(tmp_path / 'four.safetensors')!r}, classes=3)\n"
    )
    done = subprocess.run([sys.executable, program], capture_output=True, text=True)
    assert f"{program}:3: UserWarning: fc.bias and fc.weight of four.safetensors have another number" in done.stderr


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes a module into the current folder; what it changes about imports is undone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(source: str, name: str = "my_models") -> None:
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setitem(sys.modules, name, None), monkeypatch.delitem(sys.modules, name)  # forgotten at the end
        path = tmp_path / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(source))

    return write


NETWORK = """
    import answers

    def network():
        return answers.tiny_network()
    """


def test_a_network_that_a_function_makes(own):
    own(NETWORK)
    assert load("my_models:network").name == "tiny"
    assert load("my_models:network", weights=None).name == "tiny"


def test_the_function_may_be_in_a_package_and_take_what_lies_beside_it(own):
    own("from my_nets import helper\n\ndef network():\n    return helper.network()", "my_nets.mine")
    own(NETWORK, "my_nets.helper")
    assert load("my_nets.mine:network").name == "tiny"


def test_a_module_of_the_current_folder_comes_before_an_installed_one(own):
    own(NETWORK, "this")  # a joke of Python's
    assert load("this:network").name == "tiny"


def test_a_folder_with_a_colon_in_its_name_is_a_folder(own, tmp_path):
    (tmp_path / "run:1").mkdir()
    with pytest.raises(InputError, match="checkpoint"):
        load("run:1")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("my_modles:network", {}, "no module my_modles, in .* or installed"),
        ("my_models.nets:network", {}, r"no module my_models\.nets, in "),
        ("my_models:netwrok", {}, r"my_models\.py has no function netwrok \(the closest are network"),
        ("my_models:SIZE", {}, r"SIZE in .*my_models\.py is a int, expected a function"),
        ("my_models:number", {}, "returned a int, expected a galore.Network"),
        ("my_models:bare", {}, "without preprocessing.*give galore.cut preprocessing="),
        ("my_models:wrong", {}, r"my_models:wrong raised KeyError \(my_models\.py, line 17\): 'conv'"),
        ("my_models:stops", {}, r"raised SystemExit \(my_models\.py, line 20\): 3"),
        ("my_models:asks", {}, r"raised TypeError: asks\(\) missing 1 required positional argument"),
        ("my_models:network", {"weights": "mine.pth"}, "weights given with the model my_models:network"),
        ("my_models:network", {"layer": "conv", "classes": 3}, "layer and classes given with the model"),
        ("my_models.py:network", {}, "expected package.module:function"),
        ("folder/my_models:network", {}, "expected package.module:function"),
        (":network", {}, "expected package.module:function"),
        ("my_models:", {}, "expected package.module:function"),
    ],
)
def test_a_function_that_gives_no_network_is_refused(own, name, options, message):
    source = """
    import dataclasses
    SIZE = 3

    def number():
        return 3

    def bare():
        return dataclasses.replace(network(), preprocessing=None)

    def wrong():
        return {}["conv"]

    def stops():
        raise SystemExit(3)

    def asks(size):
        return network()
    """
    own(NETWORK + source)
    with pytest.raises(InputError, match=message):
        load(name, **options)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import a_package_that_is_missing", r"ModuleNotFoundError \(broken\.py, line 1\): No module named 'a_package"),
        ("\n1 / 0", r"ZeroDivisionError \(broken\.py, line 2\)"),
        ("def network(:", r"SyntaxError: invalid syntax \(broken\.py, line 1\)"),
    ],
)
def test_a_module_that_cannot_be_imported_is_refused(own, source, message):
    own(source, "broken")
    with pytest.raises(InputError, match=f"broken:network raised {message}"):
        load("broken:network")


def test_models_load_is_this_one():
    with pytest.warns(DeprecationWarning, match=r"galore\.models\.load is now galore\.load"):
        assert models.load is galore.load
