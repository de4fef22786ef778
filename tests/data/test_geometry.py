import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from galore.data import geometry
from galore.data.geometry import Transform
from galore.errors import InputError


@st.composite
def transforms(draw: st.DrawFn) -> Transform:
    """Any transform that the constructors make."""
    height, width = draw(st.integers(8, 600)), draw(st.integers(8, 600))
    kind = draw(st.sampled_from(["warp", "crop", "random"]))
    if kind == "warp":
        made = geometry.warp(height, width, draw(st.integers(8, 300)), draw(st.integers(8, 300)))
    elif kind == "crop":
        crop = draw(st.integers(8, 256))
        made = geometry.resize_and_center_crop(height, width, crop + draw(st.integers(0, 64)), crop)
    else:
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        made = geometry.random_resized_crop(rng, height, width, draw(st.integers(8, 256)))
    return made.flipped() if draw(st.booleans()) else made


def test_a_window_that_rounds_beyond_the_image_ends_at_its_edge():
    for size in range(8, 300):
        box = geometry.resize_and_center_crop(92, 166, size, size).box
        assert box[3] <= 92 and all(type(edge) is float for edge in box)


def inverse(transform: Transform) -> Transform:
    """The transform that brings the result back to where it came from."""
    corners = np.array([[0.0, 0.0], [transform.source_width, transform.source_height]])
    (xa, ya), (xb, yb) = transform.points(corners).tolist()
    box = (min(xa, xb), ya, max(xa, xb), yb)
    return Transform(
        transform.height, transform.width, box, transform.source_height, transform.source_width, transform.flip
    )


@settings(max_examples=50, deadline=None)
@given(transforms(), st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1))
def test_points_come_back(transform: Transform, shares: list[tuple[float, float]]):
    points = np.array(shares) * [transform.source_width, transform.source_height]
    np.testing.assert_allclose(inverse(transform).points(transform.points(points)), points, atol=1e-6)
    np.testing.assert_allclose(
        inverse(transform).points(transform.points(points.astype(np.float32))), points, atol=0.05
    )


@settings(max_examples=50, deadline=None)
@given(transforms())
def test_the_inverse_of_the_inverse_is_the_transform(transform: Transform):
    again = inverse(inverse(transform))
    np.testing.assert_allclose(again.box, transform.box, atol=1e-6)
    assert (again.height, again.width, again.flip) == (transform.height, transform.width, transform.flip)


@settings(max_examples=50, deadline=None)
@given(transforms())
def test_boxes_come_back_and_keep_their_corners(transform: Transform):
    boxes = np.array([[1.0, 2.0, 5.0, 3.0], [0.0, 0.0, transform.source_width, transform.source_height]])
    moved = transform.boxes(boxes)
    np.testing.assert_allclose(inverse(transform).boxes(moved), boxes, atol=1e-6)
    assert (moved[:, 2:] > 0).all()
    centres = transform.points(boxes[:, :2] + boxes[:, 2:] / 2)
    np.testing.assert_allclose(moved[:, :2] + moved[:, 2:] / 2, centres, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(transforms(), st.floats(0.2, 0.8), st.floats(0.2, 0.8))
def test_a_drawn_dot_moves_with_its_point(transform: Transform, across: float, down: float):
    # A bright disc is drawn in the source where it will stay well inside the result; its centre of mass must follow.
    x0, y0, x1, y1 = transform.box
    centre = np.array([x0 + across * (x1 - x0), y0 + down * (y1 - y0)])
    radius = 0.15 * min(x1 - x0, y1 - y0)
    columns, rows = np.arange(transform.source_width) + 0.5, np.arange(transform.source_height) + 0.5
    distance = np.hypot(columns[None, :] - centre[0], rows[:, None] - centre[1])
    disc = np.clip(radius - distance + 0.5, 0, 1)
    if disc.sum() < 12:
        return  # The disc is a few pixels: its own centre is uncertain.
    drawn = np.array([(disc * columns).sum(), (disc * rows[:, None]).sum()]) / disc.sum()
    image = np.stack([np.round(disc * 255).astype(np.uint8)] * 3, axis=-1)
    moved = transform.pixels(image)[:, :, 0].astype(float)
    found = np.array(
        [(moved * (np.arange(transform.width) + 0.5)).sum(), (moved.T * (np.arange(transform.height) + 0.5)).sum()]
    )
    assert moved.shape == (transform.height, transform.width)
    np.testing.assert_allclose(found / moved.sum(), transform.points(drawn), atol=0.5)


@settings(max_examples=50, deadline=None)
@given(transforms(), st.integers(0, 2**32))
def test_masks_are_sampled_where_the_inverse_points(transform: Transform, seed: int):
    rng = np.random.default_rng(seed)
    mask = rng.integers(0, 200, (transform.source_height, transform.source_width)).astype(np.uint8)
    moved = transform.mask(mask)
    assert moved.shape == (transform.height, transform.width)
    # A slow second implementation: the source pixel under the centre of a few output pixels.
    for row, column in zip(rng.integers(0, transform.height, 20), rng.integers(0, transform.width, 20)):
        x, y = inverse(transform).points(np.array([column + 0.5, row + 0.5]))
        if min(abs(x - round(x)), abs(y - round(y))) > 1e-6:
            assert moved[row, column] == mask[int(y), int(x)]


def test_the_inverse_leaves_what_was_cut_off_black():
    transform = geometry.resize_and_center_crop(40, 80, 40, 40)
    ones = np.ones((40, 40), np.uint8)
    back = inverse(transform).mask(ones)
    assert back.shape == (40, 80) and back[:, 20:60].all() and not back[:, :20].any() and not back[:, 60:].any()
    pixels = inverse(transform).pixels(np.full((40, 40, 3), 200, np.uint8))
    assert (pixels[:, 20:60] == 200).all() and not pixels[:, :19].any() and not pixels[:, 61:].any()


@pytest.mark.parametrize("height, width", [(375, 500), (500, 333), (256, 256), (121, 487)])
def test_resize_and_crop_equals_the_two_steps(height: int, width: int):
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    short = min(height, width)
    size = (int(256 * width / short), int(256 * height / short))
    left, top = round((size[0] - 224) / 2), round((size[1] - 224) / 2)
    resized = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
    expected = np.asarray(resized.crop((left, top, left + 224, top + 224))).astype(int)
    found = geometry.resize_and_center_crop(height, width, 256, 224).pixels(image)
    assert np.abs(found - expected).max() <= 1


def test_identity_and_flip_are_exact():
    image = np.random.default_rng(0).integers(0, 255, (9, 11, 3), np.uint8)
    np.testing.assert_array_equal(geometry.warp(9, 11, 9, 11).pixels(image), image)
    np.testing.assert_array_equal(geometry.warp(9, 11, 9, 11).flipped().pixels(image), image[:, ::-1])
    np.testing.assert_array_equal(geometry.warp(9, 11, 9, 11).flipped().points(np.array([0.5, 2.0])), [10.5, 2.0])


def test_points_outside_the_crop_are_not_inside():
    transform = geometry.resize_and_center_crop(100, 200, 100, 100)
    points = np.array([[100.0, 50.0], [50.0, 0.0], [149.9, 99.9], [49.9, 50.0], [150.0, 50.0], [np.nan, 50.0]])
    assert transform.inside(points).tolist() == [True, True, True, False, False, False]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(8, 900), st.integers(8, 900))
def test_random_crops_stay_in_the_image_and_keep_the_promised_share(seed: int, height: int, width: int):
    made = geometry.random_resized_crop(np.random.default_rng(seed), height, width, 64, scale=(0.25, 0.5))
    x0, y0, x1, y1 = made.box
    assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
    if 3 / 4 <= width / height <= 4 / 3:
        assert 0.24 < (x1 - x0) * (y1 - y0) / (height * width) < 0.51
    assert made == geometry.random_resized_crop(np.random.default_rng(seed), height, width, 64, scale=(0.25, 0.5))


def test_wrong_sizes_are_refused():
    with pytest.raises(InputError, match="5 x 4 pixels was given to a transform for 7 x 6"):
        geometry.warp(6, 7, 3, 3).pixels(np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(InputError, match="crop"):
        geometry.resize_and_center_crop(100, 100, 64, 65)
