"""Who asks what: the images that count for a user, and the classes that the user wonders about.

A beginner picks a counter class at random; an advanced user is wrong where the network is right, and wonders why not
the class that they would have said (SCOUT, CVPR 2020). Only images that the network gets right count.
"""

import enum
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
        other_truth: the same by the other table of attributes; None: there is none.
    """

    user: str
    rows: Int[np.ndarray, "k"]
    predicted: Int[np.ndarray, "k"]
    counter: Int[np.ndarray, "k"]
    counter_rows: Int[np.ndarray, "k"]
    truth: Bool[np.ndarray, "k P"]
    left_out: dict[str, int]
    other_truth: Bool[np.ndarray, "k P"] | None = None

    __repr__ = representation.fields

    def take(self, positions: Int[np.ndarray, " m"], reason: str) -> "Queries":
        """Some of the queries; the others are left out for a reason."""
        others = len(self.rows) - len(positions)
        arrays = {name: array[positions] for name, array in self._asdict().items() if isinstance(array, np.ndarray)}
        return self._replace(left_out=self.left_out | ({reason: others} if others else {}), **arrays)

    def sample(self, count: int, seed: int) -> "Queries":
        """At most `count` of the queries, drawn by the seed."""
        return self.take(np.sort(np.random.default_rng(seed).permutation(len(self.rows))[:count]), "not drawn")


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


class CounterImages(enum.Enum):
    """Which image of the counter class stands beside the query: one that is drawn, or always the first of its class.

    The authors' code takes the first of the list; a drawn one makes the numbers those of a class, not of an image.
    """

    DRAWN = "drawn"
    FIRST = "first"


def beginner(test_set: TestSet, seed: int, counter_images: CounterImages = CounterImages.DRAWN) -> Queries:
    """Counter classes drawn at random from the classes that have an image."""
    rng = np.random.default_rng(seed)
    present = np.unique(test_set.labels)
    right = test_set.predicted == test_set.labels
    if len(present) < 2:
        raise InputError("the test images are of one class: there is no class to ask 'why not' about")
    counter = np.array([rng.choice(present[present != label]) for label in test_set.labels], np.int32)
    reasons = {"the network is wrong": int((~right).sum())}
    return _queries("beginner", test_set, right, counter, reasons, rng, counter_images)


def advanced(test_set: TestSet, seed: int, counter_images: CounterImages = CounterImages.DRAWN) -> Queries:
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
    counts = right & mistaken & present
    return _queries("advanced", test_set, counts, test_set.student, reasons, rng, counter_images)


def users(test_set: TestSet, seed: int, counter_images: CounterImages = CounterImages.DRAWN) -> list[Queries]:
    """The beginner, and the advanced user where there is a student."""
    asked = [beginner] + ([advanced] if test_set.student is not None else [])
    return [user(test_set, seed, counter_images) for user in asked]


def least_probable(test_set: TestSet, place: int, seed: int) -> Queries:
    """Why not the class that is the least probable but `place`? What an image has that such classes lack is unique.

    SCOUT, supplement: unique explanations ask about the ten least probable classes.

    Raises:
        InputError: the network has too few classes, or gets no image right.
    """
    right, present = test_set.predicted == test_set.labels, np.unique(test_set.labels)
    if place + 1 >= len(present):
        raise InputError(f"{len(present)} classes have a test image: there is no least probable one but {place}")
    # Classes without a test image have no counter image; they come last.
    logits = np.where(np.isin(np.arange(test_set.logits.shape[1]), present), test_set.logits, np.inf)
    counter = np.argsort(logits, axis=1, kind="stable")[:, place].astype(np.int32)
    reasons = {"the network is wrong": int((~right).sum())}
    return _queries("any", test_set, right, counter, reasons, np.random.default_rng(seed), CounterImages.FIRST)


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
    counter_images: CounterImages,
) -> Queries:
    rows = np.flatnonzero(counts)
    if len(rows) == 0:
        why = ", ".join(f"{reason}: {count}" for reason, count in reasons.items())
        raise InputError(f"no image counts for the {user} user ({why})")
    by_class = {label: np.flatnonzero(test_set.labels == label) for label in np.unique(test_set.labels)}
    counter = counter[rows].astype(np.int32)
    first = counter_images is CounterImages.FIRST
    counter_rows = np.array([by_class[c][0] if first else rng.choice(by_class[c]) for c in counter])
    left_out = {reason: count for reason, count in reasons.items() if count}
    predicted = test_set.predicted[rows]
    truth = test_set.discriminant[predicted, counter]
    other = None if test_set.other is None else test_set.other.discriminant[predicted, counter]
    return Queries(user, rows, predicted, counter, counter_rows, truth, left_out, other)
