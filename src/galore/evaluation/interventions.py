"""What the picture itself answers: parts replaced and objects removed, and what that does to the decision.

Ground truth by attributes says where two classes differ; the network may look elsewhere. Where a picture can be drawn
again, it says what its decision hangs on:

    flipped     the parts or objects whose replacement, together, makes the network say the counter class; of all
                replacements tried, the one with the fewest
    look-alike  those that look otherwise in another drawing although the decision between the two classes stays: a map
                that lights them is wrong

Birds get parts of the counter class, several at once, and parts of third species; scenes lose objects, or lose one and
get another.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from galore import representation
from galore.data.synthetic.birds import SyntheticBirds
from galore.data.synthetic.birds_species import KIND_GROUPS, PARTS, kind_of
from galore.data.synthetic.scenes import SyntheticScenes
from galore.data.synthetic.scenes_drawing import LABEL
from galore.errors import InputError
from galore.evaluation import metrics
from galore.evaluation.evaluate import Batch, Model, Scores, maps_of, over_batches, with_baselines
from galore.evaluation.methods import BASELINES, Method
from galore.evaluation.queries import Queries
from galore.evaluation.test_set import TestSet
from galore.evaluation.true_counterfactuals import as_seen, class_numbers, differing_kinds

STAYS = 0.05
"""The decision stays where it moves by less than this share of the way on which it flips."""
VISIBLE = 1e-3
"""A replacement shows where at least this share of the pixels changes, by more than noise (8 of 255)."""


class Edit(NamedTuple):
    """A picture drawn again.

    Attributes:
        places: which parts or objects of the picture it changes.
        units: how many things that change together (a pair of wings is one).
        counters: the classes that it may speak for; none where they are taken from a class that nobody asks about.
        image: as the network sees it.
    """

    places: Bool[np.ndarray, " P"]
    units: int
    counters: frozenset[int]
    image: UInt8[np.ndarray, "H W 3"]


class Interventions(NamedTuple):
    """Queries whose answer is known from the picture: `queries.truth` are the flipped places.

    Attributes:
        queries: one per image for which a replacement flips the decision.
        look_alike: places that look otherwise in vain.
        units: how many things had to change together.
    """

    queries: Queries
    look_alike: Bool[np.ndarray, "k P"]
    units: Int[np.ndarray, " k"]

    __repr__ = representation.fields


def of_birds(test_set: TestSet, birds: SyntheticBirds, images: int, seed: int, neighbours: int = 2) -> Interventions:
    """Parts replaced by those of the nearest species, one to three kinds at once, and by those of a third species.

    Args:
        test_set: a network and test images of the birds, all of its classes.
        birds: which can draw the images again.
        images: how many correctly classified images to try, drawn by the seed.
        seed: of the choice of images and of third species.
        neighbours: how many species each image is asked about, those with the fewest differences first.

    Raises:
        InputError: the images are not of the birds, or no replacement flips a decision.
    """
    numbers = class_numbers(test_set, birds)
    rng = np.random.default_rng(seed)

    def edits(row: int) -> Iterator[Edit]:
        image_id = int(test_set.image_ids[row])
        for replaced, counters in _replacements(birds, int(numbers[row]), neighbours, rng):
            places = np.array([kind_of(part) in replaced for part in PARTS])
            image = as_seen(test_set, birds.draw(image_id, replaced).image)
            yield Edit(places, len(replaced), frozenset(number - 1 for number in counters), image)

    return _answers(test_set, edits, images, rng)


def of_scenes(
    test_set: TestSet, scenes: SyntheticScenes, scene_ids: Int[np.ndarray, " n"], images: int, seed: int
) -> Interventions:
    """Objects removed, one or two at once, and one exchanged for an object of other scenes.

    Args:
        test_set: a network and test images of the scenes.
        scenes: which can draw the images again.
        scene_ids: of the test images, as `SyntheticScenes.draw` counts.
        images: how many correctly classified images to try, drawn by the seed.
        seed: of the choice of images and of the objects that come instead.

    Raises:
        InputError: no replacement flips a decision.
    """
    rng, classes = np.random.default_rng(seed), frozenset(range(len(test_set.class_names)))

    def edits(row: int) -> Iterator[Edit]:
        scene = int(scene_ids[row])
        for removed, added in _removals(scenes, scene, rng):
            places = np.zeros(test_set.discriminant.shape[-1], bool)
            places[[LABEL[name] - 1 for name in removed]] = True
            image = as_seen(test_set, scenes.draw(scene, removed, added).image)
            yield Edit(places, len(removed), classes, image)

    return _answers(test_set, edits, images, rng)


def agreement(
    test_set: TestSet, asked: Interventions, methods: tuple[Method, ...], seed: int, batch_size: int = 16
) -> Scores:
    """Whether maps light what the decision hangs on, and leave look-alikes dark.

    Returns:
        Per method and baseline, by query: "flipped", the AUROC of the map's values at the flipped places against all
        other ones that the image shows, and "flipped against look-alike", against the look-alikes alone (NaN without).
    """

    @jax.jit
    def program(model: Model, batch: Batch, look_alike: Bool[Array, "B P"]) -> list[dict[str, Array]]:
        maps = with_baselines(maps_of(methods, model, batch), batch)
        one = lambda annotations, map_, *truth: _aurocs(annotations.read(map_[None])[0], annotations.present, *truth)  # noqa: E731
        return [jax.vmap(one)(batch.annotations, map_, batch.truth, look_alike) for map_ in maps]

    values = over_batches(program, test_set, asked.queries, seed, batch_size, asked.look_alike)
    return Scores(asked.queries, dict(zip((*methods, *BASELINES), values)))


def _aurocs(
    values: Float[Array, " P"], present: Bool[Array, " P"], flipped: Bool[Array, " P"], look_alike: Bool[Array, " P"]
) -> dict[str, Float[Array, ""]]:
    return {
        "flipped": metrics.auroc(values, flipped, present),
        "flipped against look-alike": metrics.auroc(values, flipped, present & (flipped | look_alike)),
    }


def _answers(
    test_set: TestSet, edits: Callable[[int], Iterator[Edit]], images: int, rng: np.random.Generator
) -> Interventions:
    """The decisions on all edits of some images that the network gets right, and what follows from them."""
    right = np.flatnonzero(test_set.predicted == test_set.labels)
    if len(right) == 0:
        raise InputError("the network gets no test image right, so that no decision can be flipped")
    rows = np.sort(rng.permutation(right)[:images]).tolist()
    by_row = {row: list(edits(row)) for row in rows}
    every = [edit for some in by_row.values() for edit in some]
    logits = iter(test_set.run(np.stack([edit.image for edit in every]), batch_size=64)[1])
    answers = {row: _answer(test_set, row, [(edit, next(logits)) for edit in some]) for row, some in by_row.items()}
    kept = {row: answer for row, answer in answers.items() if answer is not None}
    if not kept:
        raise InputError("no replacement flips a decision of this network")
    some = np.array(list(kept))
    counter, truth, look_alike, units = (np.stack(values) for values in zip(*kept.values()))
    left_out = {
        "the network is wrong": len(test_set) - len(right),
        "not tried": len(right) - len(rows),
        "no replacement flips the decision": len(rows) - len(kept),
    }
    counter_rows = np.array([np.append(np.flatnonzero(test_set.labels == c), 0)[0] for c in counter])
    y = test_set.predicted[some]
    asked = Queries("intervention", some, y, counter.astype(np.int32), counter_rows, truth, left_out)
    return Interventions(asked, look_alike, units)


def _answer(
    test_set: TestSet, row: int, edits: Sequence[tuple[Edit, Float[np.ndarray, " C"]]]
) -> tuple[int, Bool[np.ndarray, " P"], Bool[np.ndarray, " P"], int] | None:
    """(counter class, flipped places, look-alikes, units) of one image; None where nothing flips its decision."""
    y, before = int(test_set.predicted[row]), test_set.logits[row]
    flips = [
        (edit.units, float(after[y] - after.max()), edit, int(after.argmax()))
        for edit, after in edits
        if after.argmax() != y and int(after.argmax()) in edit.counters
    ]
    if not flips:
        return None
    _, _, flip, c = min(flips, key=lambda one: one[:2])

    def way(after: Float[np.ndarray, " C"]) -> float:
        return float(before[y] - before[c] - after[y] + after[c])

    whole = next(way(after) for edit, after in edits if edit is flip)
    moved, stayed = np.zeros((2, len(flip.places)), bool)
    for edit, after in edits:
        if edit.units == 1 and abs(way(after)) < STAYS * whole and after.argmax() == y:
            stayed |= edit.places & _shows(test_set.images[row], edit.image)
        elif edit.units == 1 and c in edit.counters:
            moved |= edit.places
    return c, flip.places, stayed & ~moved & ~flip.places, flip.units


def _replacements(
    birds: SyntheticBirds, number: int, neighbours: int, rng: np.random.Generator
) -> Iterator[tuple[dict[str, int], tuple[int, ...]]]:
    """Kinds of part with the classes that they are taken from, and of those the one that is asked about."""
    kinds = differing_kinds(birds, number)
    nearest = sorted(kinds, key=lambda other: (len(kinds[other]), rng.random()))[:neighbours]
    for other in nearest:
        for count in range(1, min(len(kinds[other]), 3) + 1):
            for some in itertools.combinations(kinds[other], count):
                yield dict.fromkeys(some, other), (other,)
    for kind in KIND_GROUPS:
        third = [other for other in kinds if kind in kinds[other] and other not in nearest]
        if third:
            yield {kind: int(rng.choice(third))}, ()


def _removals(
    scenes: SyntheticScenes, scene: int, rng: np.random.Generator
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Objects to remove from a scene, and what comes instead."""
    drawn = scenes.draw(scene)
    possible = scenes.possible_objects(scene)
    there = [name for name in possible if (drawn.mask == LABEL[name]).any()]
    absent = [name for name in possible if name not in drawn.objects]
    for name in there:
        yield (name,), ()
        if absent:
            yield (name,), (str(rng.choice(absent)),)
    for pair in itertools.combinations(there, 2):
        yield pair, ()


def _shows(image: UInt8[np.ndarray, "H W 3"], other: UInt8[np.ndarray, "H W 3"]) -> bool:
    change = np.abs(image.astype(np.int16) - other).max(axis=-1)
    return float((change > 8).mean()) >= VISIBLE
