import base64
import io

import numpy as np
import pytest
from PIL import Image

from galore import InputError, overlay

PHOTO = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
REGION = np.zeros((60, 90), bool)
REGION[20:40, 30:60] = True


def luminance(colour) -> float:
    """Relative luminance of an sRGB colour, WCAG 2.2."""
    linear = np.asarray(colour) / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_the_light_fades_over_one_cell_from_the_photo_as_it_is_to_a_darker_one():
    """Cells of 15 x 15 pixels."""
    left = np.zeros((60, 90), bool)
    left[:, :45] = True
    row = overlay.lit(np.full((60, 90, 3), 200, np.uint8), left, (4, 6))[30, :, 0].astype(int)
    assert (row[: 45 - 8] == 200).all() and (row[45 + 8 :] == 100).all()
    assert row[44] == pytest.approx(150, abs=5)
    assert (np.diff(row[45 - 8 : 45]) < 0).all() and (np.diff(row[47 : 45 + 7]) < 0).all()


def test_the_photo_keeps_its_hue_outside_the_region():
    red = np.zeros((60, 90, 3), np.uint8)
    red[..., 0] = 250
    outside = overlay.lit(red, REGION, (10, 15))[0, 0].astype(int)
    assert outside[0] > 4 * outside[1] == 4 * outside[2]


def test_a_line_runs_around_the_region_outside_it():
    line = (overlay.lit(PHOTO, REGION, (10, 15)) == overlay.LINE).all(-1)
    assert line[19, 30:60].all()
    assert not line[REGION].any()


@pytest.mark.parametrize("everywhere", [False, True])
def test_an_empty_or_full_region_leaves_the_photo_as_it_is(everywhere):
    np.testing.assert_array_equal(overlay.lit(PHOTO, np.full((60, 90), everywhere), (10, 15)), PHOTO)


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


def test_maps_on_one_scale_have_the_same_colour_for_the_same_value():
    grey, scale = np.full((10, 20, 3), 128, np.uint8), (0.0, 4.0)
    one, other = (overlay.heat(grey, np.array([[low, 2.0]], np.float32), scale) for low in (0.0, 4.0))
    np.testing.assert_array_equal(one[0, -1], other[0, -1])
    np.testing.assert_array_equal(one[0, -1], overlay.heat(grey, np.array([[0, 2, 4]], np.float32))[0, 10])


def test_the_photo_stays_in_colour_under_the_lowest_value():
    picture = overlay.heat(PHOTO, np.array([[0.0, 1.0]], np.float32))
    kept = np.corrcoef(picture[:, :45].reshape(-1), PHOTO[:, :45].reshape(-1))[0, 1]
    assert kept > 0.95


def test_inputs_of_networks_are_stretched_and_pixels_are_not():
    np.testing.assert_array_equal(overlay.viewable(PHOTO), PHOTO)
    stretched = overlay.viewable(np.array([[[-2.0], [2.0], [0.0]]], np.float32))
    assert stretched.shape == (1, 3, 3) and stretched[0, :, 1].tolist() == [0, 255, 128]


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4)), np.zeros((4, 4, 2)), np.full((4, 4, 3), np.nan), np.array([["a"]])]
)
def test_what_cannot_be_looked_at_is_refused(image):
    with pytest.raises(InputError, match="image"):
        overlay.viewable(image)


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
