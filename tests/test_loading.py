"""Checkpoints of the training are loaded in tests/training/test_checkpoint.py."""

import jax.numpy as jnp
import pytest

from galore import InputError, load


def test_a_network_by_its_name():
    net = load("small_cnn", weights=None, classes=4)
    assert net.name == "small_cnn"
    assert net(jnp.zeros((96, 96, 3)))[1].shape == (4,)


def test_an_unknown_name_gets_the_closest():
    with pytest.raises(InputError, match="resnet50"):
        load("resnet5")


@pytest.mark.parametrize("arguments", [lambda folder: (folder,), lambda folder: ("small_cnn", folder)])
def test_a_folder_that_is_no_checkpoint_is_refused(arguments, tmp_path):
    with pytest.raises(InputError, match=str(tmp_path)):
        load(*arguments(tmp_path))
