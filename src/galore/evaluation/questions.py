"""Who asks what: the images that count for a user, and the classes that the user wonders about.

A beginner picks a counter class at random; an advanced user is wrong where the network is right, and wonders why not
the class that they would have said (SCOUT, CVPR 2020). Only images that the network gets right count.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from galore.errors import InputError
from galore.evaluation.subject import Subject


class Questions(NamedTuple):
    """Why is image `rows[i]` of class `predicted[i]` and not of class `counter[i]`? And why others are not asked about.

    Attributes:
        user: who asks.
        rows: images of the subject.
        predicted: the network's (right) prediction for each.
        counter: the class that the user wonders about.
        counter_rows: a test image of the counter class for each.
        left_out: how many images were left out, by reason.
    """

    user: str
    rows: Int[np.ndarray, "k"]
    predicted: Int[np.ndarray, "k"]
    counter: Int[np.ndarray, "k"]
    counter_rows: Int[np.ndarray, "k"]
    left_out: dict[str, int]


def beginner(subject: Subject, seed: int) -> Questions:
    """Counter classes drawn at random from the classes that have an image."""
    rng = np.random.default_rng(seed)
    present = np.unique(subject.labels)
    right = subject.predicted == subject.labels
    if len(present) < 2:
        raise InputError("the test images are of one class: there is no class to ask 'why not' about")
    counter = np.array([rng.choice(present[present != label]) for label in subject.labels], np.int32)
    return _questions("beginner", subject, right, counter, {"the network is wrong": int((~right).sum())}, rng)


def advanced(subject: Subject, seed: int) -> Questions:
    """Counter classes that a weaker network predicts, where it is wrong and the network is right.

    Raises:
        InputError: the subject has no student, or no image counts.
    """
    if subject.student is None:
        raise InputError("there is no student whose mistakes an advanced user would make; train one first")
    right, mistaken = subject.predicted == subject.labels, subject.student != subject.labels
    present = np.isin(subject.student, subject.labels)
    reasons = {
        "the network is wrong": int((~right).sum()),
        "the student is right": int((right & ~mistaken).sum()),
        "no test image of the counter class": int((right & mistaken & ~present).sum()),
    }
    rng = np.random.default_rng(seed)
    return _questions("advanced", subject, right & mistaken & present, subject.student, reasons, rng)


def users(subject: Subject, seed: int) -> list[Questions]:
    """The beginner, and the advanced user where there is a student."""
    return [beginner(subject, seed)] + ([advanced(subject, seed)] if subject.student is not None else [])


def difficult(subject: Subject, count: int, hardness: np.ndarray) -> Int[np.ndarray, "k"]:
    """The images with the largest difficulty, at most `count` of them and at most a half of all."""
    return np.argsort(-hardness, kind="stable")[: min(count, max(1, len(subject) // 2))]


def _questions(
    user: str,
    subject: Subject,
    counts: Bool[np.ndarray, "n"],
    counter: Int[np.ndarray, "n"],
    reasons: dict[str, int],
    rng: np.random.Generator,
) -> Questions:
    rows = np.flatnonzero(counts)
    if len(rows) == 0:
        why = ", ".join(f"{reason}: {count}" for reason, count in reasons.items())
        raise InputError(f"no image counts for the {user} user ({why})")
    by_class = {label: np.flatnonzero(subject.labels == label) for label in np.unique(subject.labels)}
    counter = counter[rows].astype(np.int32)
    counter_rows = np.array([rng.choice(by_class[c]) for c in counter])
    left_out = {reason: count for reason, count in reasons.items() if count}
    return Questions(user, rows, subject.predicted[rows], counter, counter_rows, left_out)
