"""Birds drawn again with one part replaced: what flips a decision, and what moves it."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import galore
from galore.data.synthetic.birds import SyntheticBirds
from galore.data.synthetic.birds_species import PARTS, kind_of
from galore.errors import InputError
from galore.evaluation import true_counterfactuals
from galore.evaluation.methods import BASELINES, ORACLE, Method, Rule
from galore.evaluation.test_set import Parts, TestSet

BIRDS = SyntheticBirds(classes=3, per_class=12, seed=0, size=32)


def nearest_mean(images: np.ndarray, labels: np.ndarray) -> galore.Network:
    """A network that says which class's mean image an image is nearest to; its activations are the pixels."""
    means = np.stack([images[labels == k].mean(0) for k in range(BIRDS.classes)]).astype(np.float32) / 255

    def head(params, F):
        return -jnp.mean((F / 255 - params["means"]) ** 2, axis=(1, 2, 3)) * 100

    return galore.Network({"means": jnp.asarray(means)}, lambda params, x: x, head)


@pytest.fixture(scope="module")
def test_set() -> TestSet:
    ids = np.arange(1, len(BIRDS) + 1)
    drawn = [BIRDS.draw(int(image)) for image in ids]
    images, labels = np.stack([bird.image for bird in drawn]), np.array([BIRDS.class_number(int(i)) - 1 for i in ids])
    net = nearest_mean(images, labels)
    logits = np.stack([np.asarray(net(jnp.asarray(image, jnp.float32))[1]) for image in images])
    points, box = (np.array([getattr(bird, name) for bird in drawn], np.float32) for name in ("points", "box"))
    annotations = Parts(points, np.stack([bird.visible for bird in drawn]), box, (32, 32))
    truth = np.ones((3, 3, len(PARTS)), bool)
    return TestSet(net, images, annotations, labels.astype(np.int32), logits, truth, truth, ("a", "b", "c"), ids)


@pytest.fixture(scope="module")
def flips(test_set):
    return true_counterfactuals.find_flips(test_set, BIRDS, images=36, seed=0)


def test_every_edit_flips_the_decision_by_one_kind_of_part_in_which_the_classes_differ(test_set, flips):
    asked = flips.queries
    assert len(asked.rows) + sum(asked.left_out.values()) == len(test_set) and len(asked.rows) > 0
    for row, y, c, parts, edited in zip(asked.rows, asked.predicted, asked.counter, asked.truth, flips.edited):
        assert y == test_set.labels[row] != c == int(test_set.net(jnp.asarray(edited, jnp.float32))[1].argmax())
        (kind,) = {kind_of(part) for part, replaced in zip(PARTS, parts) if replaced}
        assert {part for part in PARTS if kind_of(part) == kind} <= set(BIRDS.differing_parts(int(y) + 1, int(c) + 1))
        np.testing.assert_array_equal(edited, BIRDS.draw(int(test_set.image_ids[row]), {kind: int(c) + 1}).image)


def test_the_changed_pixels_go_all_the_way_and_an_empty_region_nowhere(test_set, flips):
    methods = (Method(Rule.ATTRIBUTIVE),)
    arguments = (test_set, flips, methods, 0)
    moves = true_counterfactuals.decision_moves(*arguments, (0.0, 0.6), batch_size=len(flips.edited))
    np.testing.assert_allclose(moves.by_method[ORACLE]["moved"][:, 1], 1, atol=1e-3)
    assert (moves.by_method[ORACLE]["flipped"][:, 1] == 1).all()
    for measures in moves.by_method.values():
        np.testing.assert_allclose(measures["moved"][:, 0], 0, atol=1e-3)
    assert list(moves.by_method) == [*methods, *BASELINES] and moves.fractions == (0.0, 0.6)


def test_images_of_other_birds_and_decisions_that_nothing_flips_are_refused(test_set):
    with pytest.raises(InputError, match="not those of the synthetic birds"):
        true_counterfactuals.find_flips(dataclasses.replace(test_set, labels=test_set.labels[::-1]), BIRDS, 12, 0)
    wrong = dataclasses.replace(test_set, logits=np.eye(3)[(test_set.labels + 1) % 3])
    with pytest.raises(InputError, match="gets no test image right"):
        true_counterfactuals.find_flips(wrong, BIRDS, 12, 0)
    stubborn = dataclasses.replace(test_set.net, head=lambda params, F: jnp.array([1.0, 0.0, 0.0]))
    fixed = dataclasses.replace(test_set, net=stubborn, logits=np.tile([1.0, 0.0, 0.0], (len(test_set), 1)))
    with pytest.raises(InputError, match="no replacement of a part flips"):
        true_counterfactuals.find_flips(fixed, BIRDS, 12, 0)
