import base64
import io

import numpy as np
import pytest
from PIL import Image

from galore import overlay

PHOTO = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
REGION = np.zeros((60, 90), bool)
REGION[20:40, 30:60] = True


def luminance(colour) -> float:
    """Relative luminance of an sRGB colour, WCAG 2.2."""
    linear = np.asarray(colour) / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_the_region_keeps_its_pixels_and_the_rest_turns_dark():
    picture = overlay.lit(PHOTO, REGION)
    np.testing.assert_array_equal(picture[REGION], PHOTO[REGION])
    rest = ~REGION & (picture != overlay.LINE).any(-1)
    assert picture[rest].mean() < 0.5 * PHOTO[rest].mean()


def test_a_line_runs_around_the_region_outside_it():
    line = (overlay.lit(PHOTO, REGION) == overlay.LINE).all(-1)
    assert line[19, 30:60].all()
    assert not line[REGION].any()


@pytest.mark.parametrize("everywhere", [False, True])
def test_an_empty_or_full_region_has_no_line(everywhere):
    picture = overlay.lit(PHOTO, np.full((60, 90), everywhere))
    assert not (picture == overlay.LINE).all(-1).any()


def test_heat_is_as_coarse_as_the_map():
    grey = np.full((60, 90, 3), 100, np.uint8)
    picture = overlay.heat(grey, np.arange(6, dtype=np.float32).reshape(2, 3))
    for row in range(2):
        for column in range(3):
            cell = picture[30 * row : 30 * row + 30, 30 * column : 30 * column + 30]
            assert (cell == cell[0, 0]).all()
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 6


def test_the_legend_shows_the_colours_of_the_lowest_and_the_highest_cell():
    grey = np.full((10, 20, 3), 128, np.uint8)
    picture = overlay.heat(grey, np.array([[-3.0, 8.0]], np.float32))
    np.testing.assert_allclose(picture[0, 0], overlay.legend()[0], atol=1)
    np.testing.assert_allclose(picture[0, -1], overlay.legend()[-1], atol=1)


def test_colours_get_lighter_with_the_value_so_that_they_read_without_hue():
    lightness = [luminance(colour) for colour in overlay.legend(32)]
    assert (np.diff(lightness) > 0).all()


@pytest.mark.parametrize("value", [0.0, -2.0, 1e-7])
def test_a_constant_map_is_drawn_as_the_lowest_colour(value):
    assert not overlay.scaled(np.full((3, 4), value, np.float32)).any()


def test_the_frame_surrounds_what_the_network_saw():
    picture = overlay.framed(PHOTO, (15.0, 0.0, 75.0, 60.0))
    line = (picture == overlay.LINE).all(-1)
    assert line[:, 15].all() and line[:, 74].all()
    assert not line[:, :15].any() and not line[:, 75:].any()
    np.testing.assert_array_equal(picture[5:55, 20:70], PHOTO[5:55, 20:70])


def test_a_photo_that_was_seen_whole_has_no_frame():
    np.testing.assert_array_equal(overlay.framed(PHOTO, (0.0, 0.0, 90.0, 60.0)), PHOTO)


def test_a_data_uri_holds_the_picture():
    smooth = np.tile(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], (48, 1, 3))
    head, body = overlay.data_uri(smooth).split(",")
    assert head == "data:image/jpeg;base64"
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(body))), np.int64)
    assert np.abs(back - smooth).mean() < 3
