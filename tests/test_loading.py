"""Checkpoints of the training are loaded in tests/training/test_checkpoint.py."""

import subprocess
import sys

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


def test_models_load_is_this_one():
    with pytest.warns(DeprecationWarning, match=r"galore\.models\.load is now galore\.load"):
        assert models.load is galore.load
