import numpy as np
import pytest

from galore.data.preprocessing import Preprocessing
from galore.errors import InputError

LITE = Preprocessing(256, 224, (127 / 255,) * 3, (128 / 255,) * 3)


def test_normalise_is_the_written_formula():
    pixels = np.array([[[0, 127, 255]]], np.uint8)
    np.testing.assert_allclose(LITE.normalise(pixels), (pixels.astype(float) - 127) / 128, atol=1e-6)
    imagenet = Preprocessing()
    expected = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(imagenet.normalise(pixels), expected, atol=1e-6)
    assert imagenet.normalise(pixels).dtype == np.float32


def test_apply_gives_the_square_that_the_network_takes():
    image = np.full((50, 80, 3), 127, np.uint8)
    found = Preprocessing(32, 24, LITE.mean, LITE.std).apply(image)
    assert found.shape == (24, 24, 3) and found.dtype == np.float32
    np.testing.assert_allclose(found, 0, atol=1e-6)


def test_another_input_size_cuts_the_same_share_of_the_image():
    assert LITE.at(448) == Preprocessing(512, 448, LITE.mean, LITE.std) and LITE.at(224) == LITE
    with pytest.raises(InputError, match="0 pixels"):
        LITE.at(0)


def test_it_is_hashable():
    assert hash(Preprocessing()) == hash(Preprocessing()) and Preprocessing() == Preprocessing(256, 224)


def test_impossible_numbers_are_refused():
    with pytest.raises(InputError, match="crop"):
        Preprocessing(resize=100, crop=224)
    with pytest.raises(InputError, match="standard deviation"):
        Preprocessing(std=(1.0, 0.0, 1.0))
