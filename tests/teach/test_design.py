import collections

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from galore.errors import InputError
from galore.teach import design
from galore.teach.design import Sizes

NAMES = ("Crested_Auklet", "Parakeet_Auklet")
EVERY = np.ones(80, bool)


def pool(per_class: int, training_share: float = 0.5):
    labels = np.repeat([0, 1], per_class)
    is_training = np.tile(np.arange(per_class) < training_share * per_class, 2)
    return labels, is_training


@given(
    before=st.integers(1, 9),
    pairs=st.integers(1, 6),
    after=st.integers(1, 9),
    spare=st.integers(0, 5),
    seed=st.integers(0, 99),
)
def test_no_image_is_drawn_twice_and_the_classes_are_balanced(before, pairs, after, spare, seed):
    sizes = Sizes(before, pairs, after)
    labels, is_training = pool(max(sizes.per_class()) + spare)
    every = np.ones(len(labels), bool)
    drawn = design.choose(labels, is_training, every, every, NAMES, sizes, seed)
    used = [*drawn.before, *(i for pair in drawn.pairs for i in pair), *drawn.after]
    assert len(used) == len(set(used)) == before + 2 * pairs + after
    for test, size in ((drawn.before, before), (drawn.after, after)):
        assert len(test) == size
        assert abs(2 * labels[list(test)].sum() - size) <= 1
    assert all(labels[query] != labels[counter] for query, counter in drawn.pairs)


def test_only_images_that_the_network_gets_right_are_drawn_and_pairs_have_something_to_light():
    labels, is_training = pool(40)
    right, explained = np.arange(80) % 4 != 0, np.arange(80) % 3 != 0
    drawn = design.choose(labels, is_training, right, explained, NAMES, Sizes(), 0)
    paired = [i for pair in drawn.pairs for i in pair]
    assert right[[*drawn.before, *drawn.after, *paired]].all()
    assert explained[paired].all()


def test_the_tests_prefer_images_that_the_network_was_not_trained_on():
    labels, is_training = pool(40)
    drawn = design.choose(labels, is_training, EVERY, EVERY, NAMES, Sizes(), 0)
    assert not is_training[[*drawn.before, *drawn.after]].any()


def test_too_few_images_are_counted_in_the_message():
    labels, is_training = pool(40)
    right = (labels == 0) | (np.arange(80) < 62)
    with pytest.raises(
        InputError, match=r"gets 22 of 40 images of Parakeet_Auklet right; expected at least 30.*--before 20"
    ):
        design.choose(labels, is_training, right, right, NAMES, Sizes(), 0)
    with pytest.raises(InputError, match="at least 1"):
        design.choose(labels, is_training, right, right, NAMES, Sizes(0, 1, 1), 0)
    with pytest.raises(InputError, match=r"9 of 40 images of Crested_Auklet have an explanation.*at least 10.*--pairs"):
        design.choose(labels, is_training, EVERY, np.arange(80) > 30, NAMES, Sizes(), 0)


def test_the_same_seed_gives_the_same_design_and_another_seed_another():
    labels, is_training = pool(40)
    first, second, third = (
        design.choose(labels, is_training, EVERY, EVERY, NAMES, Sizes(), seed) for seed in (3, 3, 4)
    )
    assert first == second != third


def test_every_second_order_exchanges_the_two_tests():
    first, training, last = ["a", "b", "c"], ["t", "u"], ["x", "y", "z"]
    for number, order in enumerate(design.orders(first, training, last, seed=1)):
        assert set(order[3:5]) == set(training)
        assert set(order[:3]) == set(last if number % 2 else first)


@given(conditions=st.integers(1, 4), learners=st.integers(1, 60), seed=st.integers(0, 9))
def test_any_run_of_whole_blocks_of_places_is_balanced(conditions, learners, seed):
    names = design.CONDITIONS[:conditions]
    made = design.places(names, learners, seed)
    assert len(made) >= learners
    assert len({place.code for place in made}) == len(made)
    for start in range(0, len(made), conditions):
        assert {place.condition for place in made[start : start + conditions]} == set(names)
    orders = collections.Counter((place.condition, place.order) for place in made)
    assert max(orders.values()) - min(orders.values()) <= 1


@pytest.mark.robust("options")
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"fraction": 1.0}, "fraction 1"),
        ({"learners": 0}, "0 learners"),
        ({"seed": -1}, "seed -1"),
        ({"post_to": "ftp://x"}, "cannot post to 'ftp://x'"),
        ({"post_to": "https://"}, "cannot post to"),
    ],
)
def test_choices_out_of_range_are_refused(wrong, words):
    right = {"fraction": 0.1, "learners": 10, "seed": 0, "post_to": ""}
    design.check(**right)
    with pytest.raises(InputError, match=words):
        design.check(**right | wrong)
