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


def bilinear(values, size):
    """Half-pixel centres, clamped edges: the slow obvious way."""
    rows = np.clip((np.arange(size[0]) + 0.5) * values.shape[0] / size[0] - 0.5, 0, values.shape[0] - 1)
    columns = np.clip((np.arange(size[1]) + 0.5) * values.shape[1] / size[1] - 0.5, 0, values.shape[1] - 1)
    return scipy.ndimage.map_coordinates(values, np.meshgrid(rows, columns, indexing="ij"), order=1)


@pytest.mark.parametrize("size", [(28, 28), (224, 200), (7, 7)])
def test_upsampling_is_bilinear_with_half_pixel_centres(size):
    np.testing.assert_allclose(regions.upsample(jnp.asarray(MAP), size), bilinear(MAP, size), atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(fraction=st.floats(0.005, 0.99), seed=st.integers(0, 1000))
def test_the_region_has_the_asked_size_and_the_largest_values(fraction, seed):
    values = np.random.default_rng(seed).random((7, 7)).astype(np.float32)
    mask = np.asarray(regions.largest_fraction(jnp.asarray(values), fraction, (64, 48)))
    up = np.asarray(regions.upsample(jnp.asarray(values), (64, 48)))
    # Clamped edges repeat values, so ties at the threshold may fall out together.
    assert mask.mean() <= fraction + 1 / mask.size
    assert mask.mean() >= fraction - 0.03
    if mask.any() and not mask.all():
        assert up[mask].min() > up[~mask].max()


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
