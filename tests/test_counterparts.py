"""What a cell would look like in another class, in activations of which we know how they came to be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galore import counterparts, part_tables
from galore.errors import InputError

CLASSES, EACH, SIDE, POSES, DEPTH = 4, 20, 5, 3, 12


def planted(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(F, labels, poses u, weights [C, POSES + 1, d]): a cell is [u, 1] @ weights of its class."""
    rng = np.random.default_rng(0)
    common, own = rng.normal(size=(POSES + 1, DEPTH)), rng.normal(size=(CLASSES, POSES + 1, DEPTH))
    # What classes differ in lies in directions of their own, the poses in others, as in what is fitted.
    own[:, :POSES], own[..., :6], common[:, 6:] = 0, 0, 0
    weights = common + own
    labels = np.repeat(np.arange(CLASSES), EACH)
    u = np.random.default_rng(seed).normal(size=(len(labels), SIDE, SIDE, POSES))
    F = np.concatenate([u, np.ones((*u.shape[:-1], 1))], -1) @ weights[labels][:, None]
    return F.astype(np.float32), labels, u, weights


@pytest.fixture(scope="module")
def fitted():
    F, labels, *_ = planted(0)
    return counterparts.fit(F, labels, jax.random.key(0))


def test_the_counterpart_is_the_same_pose_in_the_other_class(fitted):
    F, labels, u, weights = planted(1)
    for row in range(0, len(F), 9):
        for c in range(CLASSES):
            truth = np.concatenate([u[row], np.ones((SIDE, SIDE, 1))], -1) @ weights[c]
            found = counterparts.expected(fitted, jnp.asarray(F[row]), c)
            assert np.mean((found - truth) ** 2) < 0.15 * np.mean((F[row] - truth) ** 2) or c == labels[row]


def test_regressions_are_those_on_all_directions_with_those_of_classes_at_zero():
    F, labels, *_ = planted(0)
    cells = F.reshape(len(F), -1, DEPTH)
    mean, projection = part_tables.without_classes(cells, labels, np.random.default_rng(0))
    X = np.concatenate([(cells - mean) @ projection, np.ones((*cells.shape[:2], 1))], -1)

    def ridge(X, targets, share):
        """By least squares, the penalty as more rows."""
        X, targets = X.reshape(-1, X.shape[-1]), targets.reshape(-1, DEPTH)
        penalty = np.sqrt(share * np.square(X).sum() / X.shape[1]) * np.eye(X.shape[1])
        return np.linalg.lstsq(np.concatenate([X, penalty]), np.concatenate([targets, 0 * X.T[:, :DEPTH]]))[0]

    common = ridge(X, cells, counterparts.RIDGE)
    found = counterparts.fit(F, labels, jax.random.key(0))
    assert found.projection.shape == (DEPTH, DEPTH - CLASSES + 1)
    for c in range(CLASSES):
        weights = common + ridge(X[labels == c], (cells - X @ common)[labels == c], counterparts.CLASS_RIDGE)
        other = counterparts.expected(found, jnp.asarray(F[3]), c).reshape(-1, DEPTH)
        np.testing.assert_allclose(other, X[3] @ weights, rtol=1e-3, atol=1e-3)


def test_maps_are_the_gradient_times_what_differs_class_by_class(fitted):
    F, *_ = planted(1)
    head = np.random.default_rng(2).normal(size=(DEPTH, CLASSES)).astype(np.float32)
    logits = lambda G: jnp.tanh(G).mean((0, 1)) @ head  # noqa: E731
    found = jax.jit(lambda f: counterparts.maps(fitted, logits, f, 0, jnp.arange(1, CLASSES)))(F[3])
    assert found.shape == (CLASSES - 1, SIDE, SIDE)
    for c in range(1, CLASSES):
        gradient = jax.grad(lambda G, c=c: logits(G)[0] - logits(G)[c])(jnp.asarray(F[3]))
        other = counterparts.expected(fitted, jnp.asarray(F[3]), c)
        np.testing.assert_allclose(found[c - 1], (gradient * (F[3] - other)).sum(-1), rtol=1e-4, atol=1e-5)


def test_what_no_class_shows_otherwise_says_nothing_however_much_the_head_makes_of_it(fitted):
    """Of a head that sees only where no classes differ, gradient x activation has a map; this one has next to none."""
    F, *_ = planted(1)
    head = np.random.default_rng(2).normal(size=(DEPTH, CLASSES)).astype(np.float32)
    head[6:] = 0
    (found,) = counterparts.maps(fitted, lambda G: G.mean((0, 1)) @ head, jnp.asarray(F[3]), 0, jnp.array([1]))
    plain = F[3] @ (head[:, 0] - head[:, 1]) / SIDE**2
    assert np.square(found).mean() < 0.1 * np.square(plain).mean()


def test_some_of_a_networks_classes_are_enough_and_others_have_no_map(fitted):
    F, labels, *_ = planted(0)
    numbers = np.array([2, 3, 7, 11])
    some = counterparts.fit(F, numbers[labels], jax.random.key(0))
    assert some.classes.tolist() == numbers.tolist() and fitted.classes.tolist() == list(range(CLASSES))
    head = np.random.default_rng(2).normal(size=(DEPTH, 12)).astype(np.float32)
    logits, f = lambda G: G.mean((0, 1)) @ head, jnp.asarray(F[3])
    found = counterparts.maps(some, logits, f, 5)
    expected = counterparts.maps(fitted, lambda G: logits(G)[jnp.append(numbers, 5)], f, 4, jnp.arange(CLASSES))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    one, other = counterparts.maps(some, logits, f, 5, jnp.array([7, 8]))
    np.testing.assert_allclose(one, found[2], rtol=1e-5, atol=1e-6)
    assert np.isnan(other).all()


@pytest.mark.robust("shapes and numbers")
@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, 1], "2 labels of 3 images"),
        ([0, 0, 0], "images of 1 classes: expected at least 2"),
        ([], "0 labels of 3"),
        ([0, 1, 1], "not finite"),
    ],
)
def test_what_cannot_be_compared_is_refused(labels, said):
    with pytest.raises(InputError, match=said):
        counterparts.fit(np.full((3, 2, 2, 4), np.nan, np.float32), np.array(labels, int), jax.random.key(0))
