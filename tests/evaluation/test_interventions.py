"""What a picture's decision hangs on, by drawing it again: known where the network is one that we wrote."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import galore
from galore.data.synthetic.birds import SyntheticBirds
from galore.data.synthetic.birds_species import KIND_GROUPS, PARTS, kind_of
from galore.data.synthetic.scenes import SCENES, SyntheticScenes
from galore.data.synthetic.scenes_drawing import LABEL, OBJECTS
from galore.errors import InputError
from galore.evaluation import interventions
from galore.evaluation.methods import ORACLE, Method, Rule
from galore.evaluation.test_set import Parts, Scenes, TestSet

BIRDS = SyntheticBirds(classes=4, per_class=8, seed=0, size=32)
SCENERY = SyntheticScenes(classes=3, per_class=8, seed=0, size=32)


def nearest(references: np.ndarray) -> galore.Network:
    """A network that says which class has the picture, of [C, m, H, W, 3], that an image is nearest to; F is pixels."""

    def head(params, F):
        return -jnp.min(jnp.mean((F / 255 - params["references"]) ** 2, axis=(2, 3, 4)), axis=1) * 100

    return galore.Network({"references": jnp.asarray(references, jnp.float32) / 255}, lambda params, x: x, head)


def built(net: galore.Network, images, labels, annotations, places: int, ids) -> TestSet:
    logits = np.stack([np.asarray(net(jnp.asarray(image, jnp.float32))[1]) for image in images])
    classes = int(labels.max()) + 1
    truth = np.ones((classes, classes, places), bool)
    names = tuple("abcd"[:classes])
    return TestSet(net, images, annotations, labels.astype(np.int32), logits, truth, truth, names, ids)


@pytest.fixture(scope="module")
def birds() -> TestSet:
    ids = np.arange(1, len(BIRDS) + 1)
    drawn = [BIRDS.draw(int(image)) for image in ids]
    images, labels = np.stack([bird.image for bird in drawn]), np.array([BIRDS.class_number(int(i)) - 1 for i in ids])
    points, box = (np.array([getattr(bird, name) for bird in drawn], np.float32) for name in ("points", "box"))
    annotations = Parts(points, np.stack([bird.visible for bird in drawn]), box, (32, 32))
    # Every bird as each species would look in its place, so that the decision hangs on the parts alone.
    as_others = [
        [BIRDS.draw(int(image), dict.fromkeys(KIND_GROUPS, number)).image for image in ids]
        for number in range(1, BIRDS.classes + 1)
    ]
    return built(nearest(np.array(as_others)), images, labels, annotations, len(PARTS), ids)


@pytest.fixture(scope="module")
def asked(birds) -> interventions.Interventions:
    return interventions.of_birds(birds, BIRDS, images=12, seed=0)


@pytest.fixture(scope="module")
def scenes() -> TestSet:
    ids = np.arange(1, len(SCENERY) + 1)
    drawn = [SCENERY.draw(int(image)) for image in ids]
    labels = np.array([(int(image) - 1) // SCENERY.per_class for image in ids])
    annotations = Scenes(np.stack([scene.mask for scene in drawn]), (32, 32), len(OBJECTS))
    images = np.stack([scene.image for scene in drawn])
    means = np.stack([images[labels == k].mean(0, keepdims=True) for k in range(SCENERY.classes)])
    return built(nearest(means), images, labels, annotations, len(OBJECTS), ids)


def logits_of(test_set: TestSet, image: np.ndarray) -> np.ndarray:
    return np.asarray(test_set.net(jnp.asarray(image, jnp.float32))[1])


def way(test_set: TestSet, row: int, image: np.ndarray, y: int, c: int) -> float:
    """How far the margin h_y - h_c falls from an image of the test set to another one."""
    before, after = test_set.logits[row], logits_of(test_set, image)
    return float(before[y] - before[c] - after[y] + after[c])


def test_flipped_parts_flip_the_decision_together_and_no_fewer_do(birds, asked):
    queries = asked.queries
    assert len(queries.rows) > 3 and len(queries.rows) + sum(queries.left_out.values()) == len(birds)
    for row, y, c, parts, units in zip(queries.rows, queries.predicted, queries.counter, queries.truth, asked.units):
        kinds = {kind_of(part) for part, flipped in zip(PARTS, parts) if flipped}
        assert y == birds.labels[row] and len(kinds) == units
        image = int(birds.image_ids[row])
        assert logits_of(birds, BIRDS.draw(image, dict.fromkeys(kinds, int(c) + 1)).image).argmax() == c
        differing = {kind_of(part) for part in BIRDS.differing_parts(int(y) + 1, int(c) + 1)}
        assert kinds <= differing
        if units > 1:
            alone = [logits_of(birds, BIRDS.draw(image, {kind: int(c) + 1}).image).argmax() for kind in differing]
            assert c not in alone


def test_look_alikes_leave_the_decision_between_the_two_classes_where_it_is(birds, asked):
    assert asked.look_alike.any() and not (asked.look_alike & asked.queries.truth).any()
    for row, y, c, flipped, alike in zip(*asked.queries[1:4], asked.queries.truth, asked.look_alike):
        image = int(birds.image_ids[row])
        kinds = {kind_of(part) for part, lit in zip(PARTS, flipped) if lit}
        whole = way(birds, row, BIRDS.draw(image, dict.fromkeys(kinds, int(c) + 1)).image, y, c)
        for kind in {kind_of(part) for part, dark in zip(PARTS, alike) if dark}:
            moved = way(birds, row, BIRDS.draw(image, {kind: int(c) + 1}).image, y, c)
            assert abs(moved) < interventions.STAYS * whole


def test_the_oracle_lights_what_flips_and_no_look_alike(birds, asked):
    scores = interventions.agreement(birds, asked, (Method(Rule.MARGIN),), seed=0).by_method
    oracle = scores[ORACLE]
    assert np.nanmean(oracle["flipped"]) > 0.97 and np.nanmean(oracle["flipped against look-alike"]) > 0.97
    # The activations of this network are pixels, so that its margin is the difference in brightness that counts.
    assert np.nanmean(scores[Method(Rule.MARGIN)]["flipped"]) > 0.6


def test_objects_whose_removal_flips_the_decision_are_named(scenes):
    asked = interventions.of_scenes(scenes, SCENERY, scenes.image_ids, images=24, seed=0)
    queries = asked.queries
    assert len(queries.rows) > 0 and set(asked.units.tolist()) <= {1, 2}
    names = {number: name for name, number in LABEL.items()}
    for row, c, objects, units in zip(queries.rows, queries.counter, queries.truth, asked.units):
        removed = tuple(names[number + 1] for number in np.flatnonzero(objects))
        scene = int(scenes.image_ids[row])
        assert len(removed) == units and set(removed) <= set(SCENES[SCENERY.class_name(scene)])
        others = [(), *((name,) for name in SCENERY.possible_objects(scene) if name not in removed)]
        assert c in {int(logits_of(scenes, SCENERY.draw(scene, removed, added).image).argmax()) for added in others}
    scores = interventions.agreement(scenes, asked, (Method(Rule.MARGIN),), seed=0).by_method
    assert np.nanmean(scores[ORACLE]["flipped"]) > 0.97


def test_images_of_other_birds_and_decisions_that_nothing_flips_are_refused(birds):
    other = SyntheticBirds(classes=8, per_class=4, seed=0, size=32)
    with pytest.raises(InputError, match="not those of the synthetic birds"):
        interventions.of_birds(birds, other, images=4, seed=0)
    wrong = dataclasses.replace(birds, logits=-birds.logits)
    with pytest.raises(InputError, match="gets no test image right"):
        interventions.of_birds(wrong, BIRDS, images=4, seed=0)
    sure = dataclasses.replace(birds.net, head=lambda params, F: jnp.array([1.0, 0.0, 0.0, 0.0]))
    fixed = dataclasses.replace(birds, net=sure, logits=np.tile(np.float32([1, 0, 0, 0]), (len(birds), 1)))
    with pytest.raises(InputError, match="no replacement flips a decision"):
        interventions.of_birds(fixed, BIRDS, images=4, seed=0)
