"""Parts that nobody named, in activations of which we know what they show."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galore import part_tables
from galore.errors import InputError

CLASSES, PARTS, SIDE, EACH = 5, 4, 6, 10
LOOKS = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 1], [1, 1, 0, 0], [0, 0, 0, 1]])
"""How each class looks at each part: of two kinds; part 2 tells nobody apart."""


def activations(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(F [n, h, w, 2 * PARTS], labels [n], parts [n, h, w]): cells of a part that lies elsewhere in each image.

    Channel k says "part k", channel PARTS + k how it looks.
    """
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(CLASSES), EACH)
    parts = rng.permuted(np.tile(np.arange(SIDE * SIDE) % PARTS, (len(labels), 1)), axis=1)
    one_hot = np.eye(PARTS)[parts]
    looks = one_hot * np.take_along_axis(LOOKS[labels], parts, axis=1)[..., None]
    F = np.concatenate([3 * one_hot, looks], axis=-1) + 0.1 * rng.standard_normal((*parts.shape, 2 * PARTS))
    shape = (len(labels), SIDE, SIDE)
    return F.reshape(*shape, -1).astype(np.float32), labels, parts.reshape(shape)


@pytest.fixture(scope="module")
def tables():
    F, labels, _ = activations(0)
    return part_tables.fit(F, labels, jax.random.key(0))


@pytest.fixture(scope="module")
def asked():
    """Images that the tables never saw, their maps by the tables, and where their parts are."""
    F, labels, parts = activations(1)
    return F, labels, parts


def all_maps(tables, F, labels) -> np.ndarray:
    return np.asarray(jax.jit(jax.vmap(part_tables.maps, in_axes=(None, 0, 0)))(tables, F, labels))


def test_the_class_that_differs_at_a_part_lights_it_more_than_one_that_does_not(tables, asked):
    F, labels, parts = asked
    found = all_maps(tables, F, labels)
    for y in range(CLASSES):
        for k in range(PARTS):
            at = found.transpose(0, 2, 3, 1)[labels == y][parts[labels == y] == k].mean(0)
            others = np.arange(CLASSES) != y
            differs, alike = (at[others & (LOOKS[:, k] != LOOKS[y, k])], at[others & (LOOKS[:, k] == LOOKS[y, k])])
            if len(differs) and len(alike):
                assert differs.min() > alike.max() + 0.5, (y, k)


def test_one_part_in_a_closed_form():
    """The squared distance of shrunk means over the ridged scatter; class 1 shows the part half as much."""
    Z = np.array([[[0.0], [2.0]], [[6.0], [8.0]]])
    table = part_tables._table(np.array([[[1.0], [1.0]], [[0.5], [0.5]]]), Z, np.array([0, 1]))
    sums, counts, of_all = np.array([2.0, 7.0]), np.array([2.0, 1.0]), 9 / 3
    shrunk = (sums + part_tables.SHRINKAGE * of_all) / (counts + part_tables.SHRINKAGE)
    scatter = np.var(Z[0], ddof=1) * (1 + part_tables.RIDGE)
    np.testing.assert_allclose(table[0, 1, 0], (shrunk[1] - shrunk[0]) ** 2 / scatter, rtol=1e-4)
    np.testing.assert_allclose(table[:, :, 0], table[:, :, 0].T)
    assert table[0, 0, 0] == table[1, 1, 0] == 0


def test_clusters_see_nothing_of_what_tells_the_classes_apart_and_all_of_the_rest():
    rng = np.random.default_rng(0)
    means, spread = rng.standard_normal((3, 7)).astype(np.float32), rng.uniform(0.5, 2, 7).astype(np.float32)
    free = part_tables._without_classes(means, spread)
    np.testing.assert_allclose((means - means.mean(0)) @ free, 0, atol=1e-5)
    np.testing.assert_allclose(free @ free, free, atol=1e-5)
    assert np.linalg.matrix_rank(free, tol=1e-4) == 7 - 2


def test_maps_are_standardised_over_the_classes_and_are_as_large_as_the_activation(tables, asked):
    F, labels, _ = asked
    found = all_maps(tables, F, labels)
    assert found.shape == (len(F), CLASSES, SIDE, SIDE)
    np.testing.assert_allclose(found.mean(1), 0, atol=1e-4)
    np.testing.assert_allclose(found.std(1), 1, atol=1e-3)


def test_jit_and_vmap_change_nothing(tables, asked):
    F, labels, _ = asked
    found = all_maps(tables, F[:3], labels[:3])
    for one, f, y in zip(found, F, labels):
        np.testing.assert_allclose(one, part_tables.maps(tables, jnp.asarray(f), int(y)), atol=1e-3)


def test_units_and_rotations_of_the_activation_are_immaterial(tables, asked):
    """Neither what the channels are measured in, nor where zero is, nor their axes."""
    (F, labels, _), (bank, of_bank, _) = asked, activations(0)
    turned, _ = np.linalg.qr(np.random.default_rng(2).standard_normal((2 * PARTS, 2 * PARTS)))
    other = lambda F: (7 * (F @ turned) + np.arange(2 * PARTS)).astype(np.float32)  # noqa: E731
    again = part_tables.fit(other(bank), of_bank, jax.random.key(0))
    np.testing.assert_allclose(all_maps(again, other(F), labels), all_maps(tables, F, labels), atol=0.02)


def test_classes_are_no_more_than_names(tables, asked):
    (F, labels, _), (bank, of_bank, _) = asked, activations(0)
    renamed = np.array([3, 0, 4, 1, 2])
    again = part_tables.fit(bank, renamed[of_bank], jax.random.key(0))
    found, before = all_maps(again, F, renamed[labels]), all_maps(tables, F, labels)
    np.testing.assert_allclose(found[:, renamed], before, atol=0.02)


def test_classes_that_do_not_differ_anywhere_have_maps_of_numbers():
    F = np.ones((6, 3, 4, 6), np.float32)
    tables = part_tables.fit(F, np.array([0, 1, 2, 0, 1, 2]), jax.random.key(0))
    assert np.isfinite(all_maps(tables, F[:1], np.array([0]))).all()


@pytest.mark.robust("shapes and numbers")
@pytest.mark.parametrize(
    ("shape", "labels", "said"),
    [
        ((3, 6, 6, 2), [0, 1], "2 labels of 3 images"),
        ((2, 6, 6, 2), [0, 7], "images of 2 classes: expected at least 3"),
        ((0, 6, 6, 2), [], "images of 0 classes"),
        ((3, 2, 3, 2), [0, 1, 2], "18 cells of all images: expected at least 24"),
    ],
)
def test_what_cannot_be_compared_is_refused(shape, labels, said):
    with pytest.raises(InputError, match=said):
        part_tables.fit(np.zeros(shape, np.float32), np.array(labels, int), jax.random.key(0))


@pytest.mark.robust("shapes and numbers")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_activations_that_are_not_finite_are_refused(value):
    F, labels, _ = activations(0)
    F[3, 2, 1, 0] = value
    with pytest.raises(InputError, match="the activations are not finite"):
        part_tables.fit(F, labels, jax.random.key(0))


def test_some_of_a_networks_classes_are_enough_and_have_its_numbers(tables, asked):
    (F, labels, _), (bank, of_bank, _) = asked, activations(0)
    numbers = np.array([3, 10, 11, 50, 99])
    some = part_tables.fit(bank, numbers[of_bank], jax.random.key(0))
    assert some.classes.tolist() == numbers.tolist() and tables.classes.tolist() == list(range(CLASSES))
    np.testing.assert_array_equal(all_maps(some, F, numbers[labels]), all_maps(tables, F, labels))


def test_tables_of_another_number_of_channels_are_refused(tables):
    with pytest.raises(InputError, match="9 channels and the part tables are of 8: expected those of the same network"):
        part_tables.maps(tables, jnp.ones((4, 4, 9)), 0)
