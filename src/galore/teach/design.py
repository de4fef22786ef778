"""Which images, in which order, for whom: pure functions of what there is, the sizes and the seed."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from galore.errors import InputError
from galore.teach.sheet import Place, is_address, opaque

CONDITIONS = ("counterfactual", "attributive", "random", "whole")
ORDERS = 8
MOST_LEARNERS = 5000
ALPHABET = "23456789bcdfghjkmnpqrstvwxz"
"""Of the codes: no vowels, so that no code is a word, and no signs that look alike."""


@dataclass(frozen=True)
class Sizes:
    """How many questions: before, pairs in the training, after."""

    before: int = 20
    pairs: int = 10
    after: int = 20

    def per_class(self) -> tuple[int, int]:
        """How many images of A and of B are needed; an odd question goes to A."""
        return tuple((self.before + odd) // 2 + (self.after + odd) // 2 + self.pairs for odd in (1, 0))  # type: ignore


@dataclass(frozen=True)
class Chosen:
    """Positions of images: of the two tests, and the pairs (asked about, counter image)."""

    before: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]
    after: tuple[int, ...]


def choose(
    labels: Int[np.ndarray, " n"],
    is_training: Bool[np.ndarray, " n"],
    right: Bool[np.ndarray, " n"],
    explained: Bool[np.ndarray, " n"],
    class_names: tuple[str, str],
    sizes: Sizes,
    seed: int,
) -> Chosen:
    """Draws the images of the teaching experiment, each at most once.

    The tests prefer images that the network was not trained on, the pairs take what is left. Both tests and the
    questions of the training hold as many images of A as of B.

    Args:
        labels: 0 for A, 1 for B.
        is_training: whether the network was trained on the image.
        right: whether the network gets the image right; no other is drawn.
        explained: whether there is something to light in it; no other is drawn for a pair.
        class_names: for the error message.
        sizes: how many.
        seed: of the draw.

    Raises:
        InputError: a size is not positive, or a class has too few images that the network gets right, or with an
            explanation.
    """
    if min(sizes.before, sizes.pairs, sizes.after) < 1:
        raise InputError(f"sizes {sizes.before}, {sizes.pairs}, {sizes.after}: expected at least 1 of each")
    generator = np.random.default_rng([seed, 1])
    stock: list[list[int]] = []
    paired: list[list[int]] = []
    for label, needed in enumerate(sizes.per_class()):
        there = np.flatnonzero((labels == label) & right)
        if len(there) < needed:
            present = int((labels == label).sum())
            raise InputError(
                f"the network gets {len(there)} of {present} images of {class_names[label]} right; "
                f"expected at least {needed}; ask for fewer than --before {sizes.before} --pairs {sizes.pairs} "
                f"--after {sizes.after}"
            )
        there = generator.permutation(there)
        ranked = [int(i) for i in there[np.argsort(is_training[there], kind="stable")]]
        paired.append([i for i in ranked if explained[i]][-sizes.pairs :])
        if len(paired[label]) < sizes.pairs:
            raise InputError(
                f"{len(paired[label])} of {len(ranked)} images of {class_names[label]} have an explanation that lights "
                f"something; expected at least {sizes.pairs}; ask for fewer with --pairs"
            )
        stock.append([i for i in ranked if i not in paired[label]])
    tests = [_alternate(sizes, stock, label) for label in (0, 1)]
    before, after = (tuple(sorted(tests[0][k] + tests[1][k])) for k in (0, 1))
    pairs = tuple((paired[k % 2][k], paired[1 - k % 2][k]) for k in range(sizes.pairs))
    return Chosen(before, pairs, after)


def _alternate(sizes: Sizes, stock: list[list[int]], label: int) -> tuple[list[int], list[int]]:
    """Deals the first images of a class to the two tests by turns, so that neither is easier."""
    odd = 1 - label
    before, after = (sizes.before + odd) // 2, (sizes.after + odd) // 2
    dealt: tuple[list[int], list[int]] = ([], [])
    for image in stock[label][: before + after]:
        to_before = len(dealt[0]) < before and (len(dealt[0]) <= len(dealt[1]) or len(dealt[1]) == after)
        dealt[0 if to_before else 1].append(image)
    return dealt


def orders(
    before: Sequence[str], training: Sequence[str], after: Sequence[str], seed: int
) -> tuple[tuple[str, ...], ...]:
    """Eight orders of the questions; in every second one the two tests change places, where they are as long."""
    generator = np.random.default_rng([seed, 2])

    def shuffled(ids: Sequence[str]) -> list[str]:
        return [ids[int(i)] for i in generator.permutation(len(ids))]

    result = []
    for number in range(ORDERS):
        first, last = (after, before) if number % 2 and len(before) == len(after) else (before, after)
        result.append((*shuffled(first), *shuffled(training), *shuffled(last)))
    return tuple(result)


def places(conditions: Sequence[str], learners: int, seed: int, count: int = ORDERS) -> tuple[Place, ...]:
    """A place for each learner, in blocks that hold every condition once, in random order.

    Whoever hands out the codes in their order keeps the conditions balanced and knows none of them.

    Args:
        conditions: at least one.
        learners: how many places; rounded up to whole blocks.
        seed: of the draw.
        count: how many orders there are.
    """
    generator = np.random.default_rng([seed, 3])
    codes = _codes(seed)
    result = []
    for block in range(-(-learners // len(conditions))):
        for index in generator.permutation(len(conditions)):
            result.append(Place(next(codes), conditions[int(index)], block % count))
    return tuple(result)


def numbered(conditions: Sequence[str], seed: int) -> tuple[str, ...]:
    """The conditions in the random order in which the page numbers them."""
    return tuple(conditions[int(i)] for i in np.random.default_rng([seed, 4]).permutation(len(conditions)))


def _codes(seed: int):
    given = set()
    for number in itertools.count():
        value = int(opaque(seed, "code", number), 16)
        code = "".join(ALPHABET[value // len(ALPHABET) ** k % len(ALPHABET)] for k in range(5))
        if code not in given:
            given.add(code)
            yield code


def check(fraction: float, learners: int, seed: int, post_to: str) -> None:
    """Refuses choices out of range before anything slow begins."""
    if not 0 < fraction < 1:
        raise InputError(f"fraction {fraction:g}: expected a number between 0 and 1")
    if not 1 <= learners <= MOST_LEARNERS:
        raise InputError(f"{learners} learners: expected 1 to {MOST_LEARNERS}")
    if seed < 0:
        raise InputError(f"seed {seed}: expected 0 or more")
    if post_to and not is_address(post_to):
        raise InputError(f"cannot post to {post_to!r}, expected an address such as https://example.org/results")
