"""The same bird drawn again with one part of another species: what the network's decision really hangs on.

For an invented bird the true counterfactual can be drawn (`galore.data.synthetic.birds`): same pose, light and
background, one kind of part replaced. Where that flips the network's decision to the other species, we know which part
the decision hung on, and a region can be held against it and against the pixels themselves.
"""

import functools
from collections import OrderedDict
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

from galore.data.synthetic.birds import SyntheticBirds
from galore.data.synthetic.birds_species import PARTS, kind_of
from galore.errors import InputError
from galore.evaluation import faithfulness
from galore.evaluation.judging import DiscriminantMethods, Judged
from galore.evaluation.questions import Questions
from galore.evaluation.subject import Subject, in_batches


class Edits(NamedTuple):
    """Questions whose answer is known: replacing `parts` by those of the counter class flips the decision to it."""

    questions: Questions
    parts: Bool[np.ndarray, "k P"]
    edited: UInt8[np.ndarray, "k H W 3"]


def flipping(subject: Subject, flock: SyntheticBirds, images: int, seed: int, tries: int = 6) -> Edits:
    """Looks for replacements of one kind of part that flip the network's decision.

    Args:
        subject: a network and test images of the flock, all of its classes.
        flock: which can draw the images again.
        images: how many correctly classified images to try, drawn by the seed.
        seed: of the choice of images and of the order of replacements.
        tries: replacements per image, the species with the fewest differences first; one flip at most is kept.

    Raises:
        InputError: the subject's images are not of the flock, or no replacement flips a decision.
    """
    numbers = np.array([flock.class_number(int(image)) for image in subject.image_ids])
    if (numbers != subject.labels + 1).any():
        raise InputError("the test images are not those of the synthetic birds that are to be drawn again")
    rng = np.random.default_rng(seed)
    right = np.flatnonzero(subject.predicted == subject.labels)
    rows = np.sort(rng.permutation(right)[:images]).tolist()
    planned = [(row, kind, c) for row in rows for kind, c in _replacements(flock, int(numbers[row]), tries, rng)]
    if not planned:
        raise InputError("the network gets no test image right, so that no decision can be flipped")
    edited = np.stack([_draw(subject, flock, row, kind, c) for row, kind, c in planned])
    predicted = _predict(subject, edited)
    kept: dict[int, int] = {}
    for position, (row, _, c) in enumerate(planned):
        if predicted[position] == c - 1:
            kept.setdefault(row, position)
    if not kept:
        raise InputError("no replacement of a part flips a decision of this network")
    chosen = list(kept.values())
    kinds = [planned[position][1] for position in chosen]
    counter = np.array([planned[position][2] - 1 for position in chosen], np.int32)
    some = np.array(list(kept))
    left_out = {
        "the network is wrong": len(subject) - len(right),
        "not tried": len(right) - len(rows),
        "no replaced part flips the decision": len(rows) - len(kept),
    }
    counter_rows = np.array([np.flatnonzero(subject.labels == c)[0] for c in counter])
    questions = Questions("true counterfactual", some, subject.predicted[some], counter, counter_rows, left_out)
    parts = np.array([[kind_of(part) == kind for part in PARTS] for kind in kinds])
    return Edits(questions, parts, edited[chosen])


def judge(
    subject: Subject,
    edits: Edits,
    methods: DiscriminantMethods,
    seed: int,
    fractions: tuple[float, ...],
    batch_size: int = 16,
) -> Judged:
    """Pastes each method's region from the true counterfactual and watches the decision.

    Returns:
        Per method (the baselines included, the oracle being the changed pixels themselves) and question: "moved at t",
        how much of the way h_c - h_y went from the image's to the counterfactual's, and "flipped at t", 1 where the
        prediction became the counter class.
    """
    net = subject.net

    def batch(net: Any, predictor: Any, images: Array, notes: Any, y: Array, c: Array, truth: Array, *rest: Array):
        goal, keys = rest
        maps = methods(net, predictor, images, y, c)
        shape = next(iter(maps.values())).shape[1:]
        maps |= jax.vmap(lambda n, k, t: n.baselines(k, t, shape))(notes, keys, truth)
        maps["oracle"] = jnp.sum(jnp.abs(goal - images), axis=-1)
        one = jax.vmap(functools.partial(_moved, net, fractions))
        return OrderedDict((name, one(images, goal, m, y, c)) for name, m in maps.items())

    preprocessing = net.preprocessing
    goals = edits.edited.astype(np.float32) if preprocessing is None else preprocessing.normalise(edits.edited)
    asked = edits.questions
    keys = jax.random.split(jax.random.key(seed), len(goals))
    arguments = (asked.predicted, asked.counter, edits.parts, goals, keys)
    return in_batches(batch, subject, asked.rows, *arguments, batch_size=batch_size)


def _moved(
    net: Any, fractions: tuple[float, ...], image: Array, goal: Array, map: Array, y: Array, c: Array
) -> dict[str, Float[Array, ""]]:
    def logits(x: Array) -> Array:
        return net(x)[1]

    edited = faithfulness.replacement_curve(logits, image, goal, map, fractions)
    start, end = logits(image), logits(goal)
    way = faithfulness.moved(start[c] - start[y], edited[:, c] - edited[:, y], end[c] - end[y])
    flipped = jnp.argmax(edited, axis=-1) == c
    made = {}
    for position, fraction in enumerate(fractions):
        made[f"moved at {fraction:.3g}"] = way[position]
        made[f"flipped at {fraction:.3g}"] = flipped[position].astype(jnp.float32)
    return made


def _replacements(flock: SyntheticBirds, number: int, tries: int, rng: np.random.Generator) -> list[tuple[str, int]]:
    """(kind of part, class number) to try for a class: from the species that differ least."""
    kinds = {
        other: list(dict.fromkeys(kind_of(part) for part in flock.differing_parts(number, other)))
        for other in range(1, flock.classes + 1)
        if other != number
    }
    order = sorted(kinds, key=lambda other: (len(kinds[other]), rng.random()))
    return [(kind, other) for other in order for kind in kinds[other]][:tries]


def _draw(subject: Subject, flock: SyntheticBirds, row: int, kind: str, number: int) -> UInt8[np.ndarray, "H W 3"]:
    image = flock.draw(int(subject.image_ids[row]), {kind: number}).image
    if subject.net.preprocessing is None:
        return image
    return subject.net.preprocessing.transform(*image.shape[:2]).pixels(image)


def _predict(subject: Subject, images: UInt8[np.ndarray, "n H W 3"], batch_size: int = 64) -> np.ndarray:
    forward = jax.jit(lambda net, x: jnp.argmax(jax.vmap(net)(x)[1], axis=-1))
    padded = np.concatenate([images, np.zeros((-len(images) % batch_size, *images.shape[1:]), images.dtype)])
    preprocessing = subject.net.preprocessing
    parts = []
    for start in range(0, len(padded), batch_size):
        some = padded[start : start + batch_size]
        x = some.astype(np.float32) if preprocessing is None else preprocessing.normalise(some)
        parts.append(np.asarray(forward(subject.net, x)))
    return np.concatenate(parts)[: len(images)]
