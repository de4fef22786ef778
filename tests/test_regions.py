import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from galore import InputError, regions

MAP = np.random.default_rng(0).random((7, 7)).astype(np.float32)
upsample, smoothed = (jax.jit(function, static_argnums=1) for function in (regions.upsample, regions.smoothed))
largest = jax.jit(regions.largest)


def bilinear(values, size):
    """Half-pixel centres, clamped edges: the slow obvious way."""
    rows = np.clip((np.arange(size[0]) + 0.5) * values.shape[0] / size[0] - 0.5, 0, values.shape[0] - 1)
    columns = np.clip((np.arange(size[1]) + 0.5) * values.shape[1] / size[1] - 0.5, 0, values.shape[1] - 1)
    return scipy.ndimage.map_coordinates(values, np.meshgrid(rows, columns, indexing="ij"), order=1)


@pytest.mark.parametrize("size", [(28, 28), (224, 200), (7, 7)])
def test_upsampling_is_bilinear_with_half_pixel_centres(size):
    np.testing.assert_allclose(upsample(jnp.asarray(MAP), size), bilinear(MAP, size), atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(fraction=st.floats(0.005, 0.99), seed=st.integers(0, 1000))
def test_the_region_has_the_asked_size_and_the_largest_values(fraction, seed):
    values = np.random.default_rng(seed).random((7, 7)).astype(np.float32)
    mask = np.asarray(regions.largest_fraction(jnp.asarray(values), fraction, (64, 48)))
    up = np.asarray(upsample(jnp.asarray(values), (64, 48)))
    # Clamped edges repeat values, so ties at the threshold may fall out together.
    assert mask.mean() <= fraction + 1 / mask.size
    assert mask.mean() >= fraction - 0.03
    if mask.any() and not mask.all():
        assert up[mask].min() > up[~mask].max()


def mean_by_gaussian(values, size):
    """Each pixel by itself: the mean of the cells, weighted by a Gaussian of the distance of their centres."""
    rows, columns = (np.arange(cells) + 0.5 for cells in values.shape)
    smooth = np.empty(size)
    for y, x in np.ndindex(size):
        down = (y + 0.5) * len(rows) / size[0] - rows
        across = (x + 0.5) * len(columns) / size[1] - columns
        weights = np.exp(-(down[:, None] ** 2 + across**2) / (2 * regions.SOFTNESS**2))
        smooth[y, x] = np.average(values, weights=weights)
    return smooth


@pytest.mark.parametrize("values", [MAP, MAP[:3] - 0.5])
def test_smoothing_is_the_mean_by_a_gaussian(values):
    smooth = smoothed(jnp.stack([values, 2 * values]), (20, 30))
    np.testing.assert_allclose(smooth[0], mean_by_gaussian(values, (20, 30)), atol=1e-5)
    np.testing.assert_allclose(smooth[1], 2 * smooth[0], atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7e-5])
def test_a_constant_map_stays_constant_and_points_nowhere(value):
    smooth = smoothed(jnp.full((7, 7), value), (448, 448))
    assert not np.ptp(smooth)
    assert not np.any(largest(smooth, 0.1))


def test_a_smooth_region_of_one_cell_is_a_disc_without_drips():
    values = np.zeros((7, 7), np.float32)
    values[3, 2] = 1
    mask = np.asarray(largest(smoothed(jnp.asarray(values), (448, 448)), 0.1))
    (part,) = regions.connected(mask)
    x0, y0, x1, y1 = part.box
    assert part.area / ((x1 - x0) * (y1 - y0)) == pytest.approx(np.pi / 4, abs=0.01)
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx((64 * 2.5, 64 * 3.5), abs=1)


@settings(deadline=None, max_examples=60)
@given(
    values=st.lists(
        # XLA takes subnormal numbers for zero when it compares.
        st.sampled_from([0.0, -0.0, 1.0, -1.0, 3e38, -3e38, np.inf, -np.inf])
        | st.floats(width=32, allow_subnormal=False),
        min_size=12,
        max_size=12,
    ),
    fraction=st.floats(0, 1, width=32),
)
def test_what_is_kept_lies_above_the_value_that_sorting_finds(values, fraction):
    array = np.array(values, np.float32).reshape(3, 4)
    place = int(np.floor(np.float32(1 - np.float32(fraction)) * np.float32(11)))
    kept = np.zeros((3, 4), bool) if np.isnan(array).any() else array > np.sort(array, axis=None)[place]
    np.testing.assert_array_equal(largest(jnp.asarray(array), fraction), kept)


def test_regions_grow_with_the_fraction():
    masks = [np.asarray(regions.largest_fraction(jnp.asarray(MAP), f, (56, 56))) for f in (0.05, 0.2, 0.5, 0.9)]
    for smaller, larger in itertools.pairwise(masks):
        assert np.all(larger[smaller])


def test_a_constant_map_points_nowhere():
    assert not np.any(regions.largest_fraction(jnp.ones((7, 7)), 0.3, (28, 28)))


def test_batches_and_jit():
    maps = jnp.stack([jnp.asarray(MAP), jnp.asarray(MAP.T)])
    masks = jax.jit(lambda m, f: regions.largest_fraction(m, f, (28, 28)))(maps, 0.1)
    np.testing.assert_array_equal(masks[1], regions.largest_fraction(maps[1], 0.1, (28, 28)))


@pytest.mark.parametrize("fraction", [-0.1, 1.5])
def test_a_fraction_outside_zero_to_one_is_refused(fraction):
    with pytest.raises(InputError, match="from 0 to 1"):
        regions.largest_fraction(jnp.asarray(MAP), fraction, (28, 28))


def test_connected_regions_with_their_boxes():
    mask = np.zeros((10, 12), bool)
    mask[1:3, 2:7] = True  # ten pixels
    mask[5, 5] = mask[6, 6] = True  # two, touching at a corner
    mask[9, 11] = True
    found = regions.connected(mask)
    assert [(r.box, r.area) for r in found] == [((2, 1, 7, 3), 10), ((5, 5, 7, 7), 2), ((11, 9, 12, 10), 1)]
    np.testing.assert_array_equal(np.any([r.mask for r in found], axis=0), mask)
    assert len(regions.connected(mask, smallest=2)) == 2
    assert regions.connected(np.zeros((3, 3), bool)) == []


def test_outside_of_jit_only_the_first_call_compiles():
    first, second, compiled = jnp.eye(5), jnp.eye(5)[::-1] + 1, []
    listener = lambda event, seconds, **more: compiled.append(event)  # noqa: E731
    regions.largest_fraction(first, 0.3, (40, 40))
    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        regions.largest_fraction(second, 0.3, (40, 40))
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)
    assert not [event for event in compiled if "backend_compile" in event]
