"""Who asks what: the images that count for a user, and the classes that the user wonders about.

A beginner picks a counter class at random; an advanced user is wrong where the network is right, and wonders why not
the class that they would have said (SCOUT, CVPR 2020). Only images that the network gets right count.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from galore import representation
from galore.errors import InputError
from galore.evaluation.test_set import TestSet


class Queries(NamedTuple):
    """Why is image `rows[i]` of class `predicted[i]` and not of class `counter[i]`?

    Attributes:
        user: who asks.
        rows: images of the test set.
        predicted: the network's (right) prediction for each.
        counter: the class that the user wonders about.
        counter_rows: a test image of the counter class for each.
        truth: which parts or objects an explanation should point at.
        left_out: how many images were left out, by reason.
    """

    user: str
    rows: Int[np.ndarray, "k"]
    predicted: Int[np.ndarray, "k"]
    counter: Int[np.ndarray, "k"]
    counter_rows: Int[np.ndarray, "k"]
    truth: Bool[np.ndarray, "k P"]
    left_out: dict[str, int]

    __repr__ = representation.fields

    def sample(self, count: int, seed: int) -> "Queries":
        """At most `count` of the queries, drawn by the seed."""
        drawn = np.sort(np.random.default_rng(seed).permutation(len(self.rows))[:count])
        arrays = ("rows", "predicted", "counter", "counter_rows", "truth")
        left_out = self.left_out | {"not drawn": len(self.rows) - len(drawn)}
        return self._replace(left_out=left_out, **{name: getattr(self, name)[drawn] for name in arrays})


class HardImages(NamedTuple):
    """Between which of its `top` classes does the network hesitate in image `rows[i]`, and where?

    Attributes:
        rows: images of the test set, the hardest first.
        top, keep: as in `galore.explain.deliberative`.
        left_out: how many images were left out, by reason.
    """

    rows: Int[np.ndarray, "k"]
    top: int
    keep: int
    left_out: dict[str, int]

    __repr__ = representation.fields


def beginner(test_set: TestSet, seed: int) -> Queries:
    """Counter classes drawn at random from the classes that have an image."""
    rng = np.random.default_rng(seed)
    present = np.unique(test_set.labels)
    right = test_set.predicted == test_set.labels
    if len(present) < 2:
        raise InputError("the test images are of one class: there is no class to ask 'why not' about")
    counter = np.array([rng.choice(present[present != label]) for label in test_set.labels], np.int32)
    return _queries("beginner", test_set, right, counter, {"the network is wrong": int((~right).sum())}, rng)


def advanced(test_set: TestSet, seed: int) -> Queries:
    """Counter classes that a weaker network predicts, where it is wrong and the network is right.

    Raises:
        InputError: the test set has no student, or no image counts.
    """
    if test_set.student is None:
        raise InputError("there is no student whose mistakes an advanced user would make; train one first")
    right, mistaken = test_set.predicted == test_set.labels, test_set.student != test_set.labels
    present = np.isin(test_set.student, test_set.labels)
    reasons = {
        "the network is wrong": int((~right).sum()),
        "the student is right": int((right & ~mistaken).sum()),
        "no test image of the counter class": int((right & mistaken & ~present).sum()),
    }
    rng = np.random.default_rng(seed)
    return _queries("advanced", test_set, right & mistaken & present, test_set.student, reasons, rng)


def users(test_set: TestSet, seed: int) -> list[Queries]:
    """The beginner, and the advanced user where there is a student."""
    return [beginner(test_set, seed)] + ([advanced(test_set, seed)] if test_set.student is not None else [])


def hardest(
    test_set: TestSet, count: int, difficulty: Float[np.ndarray, "n"], top: int = 5, keep: int = 3
) -> HardImages:
    """The images with the largest difficulty, at most `count` of them and at most a half of all."""
    rows = np.argsort(-difficulty, kind="stable")[: min(count, max(1, len(test_set) // 2))]
    return HardImages(rows, top, keep, {"not among the most difficult": len(test_set) - len(rows)})


def _queries(
    user: str,
    test_set: TestSet,
    counts: Bool[np.ndarray, "n"],
    counter: Int[np.ndarray, "n"],
    reasons: dict[str, int],
    rng: np.random.Generator,
) -> Queries:
    rows = np.flatnonzero(counts)
    if len(rows) == 0:
        why = ", ".join(f"{reason}: {count}" for reason, count in reasons.items())
        raise InputError(f"no image counts for the {user} user ({why})")
    by_class = {label: np.flatnonzero(test_set.labels == label) for label in np.unique(test_set.labels)}
    counter = counter[rows].astype(np.int32)
    counter_rows = np.array([rng.choice(by_class[c]) for c in counter])
    left_out = {reason: count for reason, count in reasons.items() if count}
    predicted = test_set.predicted[rows]
    truth = test_set.discriminant[predicted, counter]
    return Queries(user, rows, predicted, counter, counter_rows, truth, left_out)
