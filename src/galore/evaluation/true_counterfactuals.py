"""The same bird drawn again with one part of another species: what the network's decision really hangs on.

For an invented bird the true counterfactual can be drawn (`galore.data.synthetic_birds`): same pose, light and
background, one kind of part replaced. Where that flips the network's decision to the other species, we know which part
the decision hung on, and a region can be held against it and against the pixels themselves.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from galore.data.synthetic.birds import SyntheticBirds
from galore.data.synthetic.birds_species import PARTS, kind_of
from galore.errors import InputError
from galore.evaluation import faithfulness
from galore.evaluation.evaluate import Batch, Model, Scores, maps_of, over_batches, with_baselines
from galore.evaluation.methods import BASELINES, ORACLE, Method
from galore.evaluation.queries import Queries
from galore.evaluation.test_set import TestSet


class Flips(NamedTuple):
    """Queries whose answer is known: in `edited`, the part of `queries.truth` is that of the counter class, and the
    decision is the counter class, too."""

    queries: Queries
    edited: UInt8[np.ndarray, "k H W 3"]


def find_flips(test_set: TestSet, birds: SyntheticBirds, images: int, seed: int, tries: int = 6) -> Flips:
    """Looks for replacements of one kind of part that flip the network's decision.

    Args:
        test_set: a network and test images of the birds, all of its classes.
        birds: which can draw the images again.
        images: how many correctly classified images to try, drawn by the seed.
        seed: of the choice of images and of the order of replacements.
        tries: replacements per image, the species with the fewest differences first; one flip at most is kept.

    Raises:
        InputError: the images are not of the birds, or no replacement flips a decision.
    """
    numbers = class_numbers(test_set, birds)
    rng = np.random.default_rng(seed)
    right = np.flatnonzero(test_set.predicted == test_set.labels)
    rows = np.sort(rng.permutation(right)[:images]).tolist()
    planned = [(row, kind, c) for row in rows for kind, c in _replacements(birds, int(numbers[row]), tries, rng)]
    if not planned:
        raise InputError("the network gets no test image right, so that no decision can be flipped")
    edited = np.stack([_draw(test_set, birds, row, kind, c) for row, kind, c in planned])
    predicted = test_set.run(edited, batch_size=64)[1].argmax(-1)
    kept: dict[int, int] = {}
    for position, (row, _, c) in enumerate(planned):
        if predicted[position] == c - 1:
            kept.setdefault(row, position)
    if not kept:
        raise InputError("no replacement of a part flips a decision of this network")
    positions, some = list(kept.values()), np.array(list(kept))
    counter = np.array([planned[position][2] - 1 for position in positions], np.int32)
    left_out = {
        "the network is wrong": len(test_set) - len(right),
        "not tried": len(right) - len(rows),
        "no replaced part flips the decision": len(rows) - len(kept),
    }
    counter_rows = np.array([np.flatnonzero(test_set.labels == c)[0] for c in counter])
    parts = np.array([[kind_of(part) == planned[position][1] for part in PARTS] for position in positions])
    y = test_set.predicted[some]
    return Flips(Queries("true counterfactual", some, y, counter, counter_rows, parts, left_out), edited[positions])


def decision_moves(
    test_set: TestSet,
    flips: Flips,
    methods: tuple[Method, ...],
    seed: int,
    fractions: tuple[float, ...],
    batch_size: int = 16,
) -> Scores:
    """Pastes each method's region from the true counterfactual and watches the decision.

    Returns:
        Per method (the baselines included, the oracle being the changed pixels themselves), query and region size:
        "moved", how much of the way h_c - h_y went from the image's to the counterfactual's, and "flipped", 1 where
        the prediction became the counter class.
    """

    @jax.jit
    def program(model: Model, batch: Batch, goals: Array) -> list[dict[str, Array]]:
        maps = with_baselines(maps_of(methods, model, batch), batch)
        maps[len(methods) + BASELINES.index(ORACLE)] = jnp.sum(jnp.abs(goals - batch.images), axis=-1)
        one = jax.vmap(functools.partial(_moves, model.net, fractions))
        return [one(batch.images, goals, map_, batch.predicted, batch.counter) for map_ in maps]

    goals = test_set.as_inputs(flips.edited)
    values = over_batches(program, test_set, flips.queries, seed, batch_size, goals)
    return Scores(flips.queries, dict(zip((*methods, *BASELINES), values)), fractions=fractions)


def class_numbers(test_set: TestSet, birds: SyntheticBirds) -> Int[np.ndarray, " n"]:
    """The classes of the test images as the birds count them, from 1.

    Raises:
        InputError: the images are not of the birds.
    """
    numbers = np.array([birds.class_number(int(image)) for image in test_set.image_ids])
    if (numbers != test_set.labels + 1).any():
        raise InputError("the test images are not those of the synthetic birds that are to be drawn again")
    return numbers


def differing_kinds(birds: SyntheticBirds, number: int) -> dict[int, list[str]]:
    """The kinds of part in which every other class differs from one."""
    return {
        other: list(dict.fromkeys(kind_of(part) for part in birds.differing_parts(number, other)))
        for other in range(1, birds.classes + 1)
        if other != number
    }


def as_seen(test_set: TestSet, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """A drawn image as the test images are: what the network sees, before it is normalised."""
    if test_set.net.preprocessing is None:
        return image
    return test_set.net.preprocessing.transform(*image.shape[:2]).pixels(image)


def _moves(
    net: Any, fractions: tuple[float, ...], image: Array, goal: Array, map: Array, y: Array, c: Array
) -> dict[str, Float[Array, " T"]]:
    def logits(x: Array) -> Array:
        return net(x)[1]

    edited = faithfulness.replacement_curve(logits, image, goal, map, fractions)
    start, end = logits(image), logits(goal)
    way = faithfulness.moved(start[c] - start[y], edited[:, c] - edited[:, y], end[c] - end[y])
    return {"moved": way, "flipped": (jnp.argmax(edited, axis=-1) == c).astype(jnp.float32)}


def _replacements(birds: SyntheticBirds, number: int, tries: int, rng: np.random.Generator) -> list[tuple[str, int]]:
    """(kind of part, class number) to try for a class: from the species that differ least."""
    kinds = differing_kinds(birds, number)
    order = sorted(kinds, key=lambda other: (len(kinds[other]), rng.random()))
    return [(kind, other) for other in order for kind in kinds[other]][:tries]


def _draw(test_set: TestSet, birds: SyntheticBirds, row: int, kind: str, number: int) -> UInt8[np.ndarray, "H W 3"]:
    return as_seen(test_set, birds.draw(int(test_set.image_ids[row]), {kind: number}).image)
