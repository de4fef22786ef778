"""Which images count, for whom, and why the others do not."""

import dataclasses

import numpy as np
import pytest
import toys

from galore.errors import InputError
from galore.evaluation import queries


@pytest.fixture(scope="module")
def test_set():
    return toys.toy_test_set()


def test_a_beginner_asks_about_every_right_prediction_and_another_class(test_set):
    asked = queries.beginner(test_set, 0)
    right = np.flatnonzero(test_set.predicted == test_set.labels)
    np.testing.assert_array_equal(asked.rows, right)
    assert (asked.counter != asked.predicted).all() and (asked.predicted == test_set.labels[asked.rows]).all()
    assert (test_set.labels[asked.counter_rows] == asked.counter).all()
    assert asked.left_out == {"the network is wrong": 5} and len(asked.rows) + 5 == len(test_set)


def test_beginners_differ_by_seed_alone(test_set):
    first, again, other = (queries.beginner(test_set, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.counter, again.counter)
    assert len(np.unique(test_set.labels)) < 3 or (first.counter != other.counter).any()


def test_an_advanced_user_is_wrong_where_the_network_is_right(test_set):
    asked = queries.advanced(test_set, 0)
    for row, counter in zip(asked.rows, asked.counter, strict=True):
        assert test_set.predicted[row] == test_set.labels[row] != test_set.student[row] == counter
        assert counter in test_set.labels
    assert len(asked.rows) + sum(asked.left_out.values()) == len(test_set)


def test_without_a_student_there_is_no_advanced_user(test_set):
    alone = dataclasses.replace(test_set, student=None)
    assert [asked.user for asked in queries.users(alone, 0)] == ["beginner"]
    with pytest.raises(InputError, match="student"):
        queries.advanced(alone, 0)


def test_zero_images_that_count_are_an_error_with_reasons(test_set):
    wrong = dataclasses.replace(test_set, labels=(test_set.predicted + 1) % 5)
    with pytest.raises(InputError, match=r"no image counts .*the network is wrong: 60"):
        queries.beginner(wrong, 0)


def test_one_class_leaves_nothing_to_ask(test_set):
    one = dataclasses.replace(test_set, labels=np.zeros(len(test_set), np.int32))
    with pytest.raises(InputError, match="one class"):
        queries.beginner(one, 0)


def test_the_most_difficult_images_come_first():
    test_set = toys.toy_test_set()
    hardness = np.arange(len(test_set), dtype=float)
    np.testing.assert_array_equal(queries.hardest(test_set, 3, hardness).rows, [59, 58, 57])
    assert len(queries.hardest(test_set, 1000, hardness).rows) == 30


def test_a_sample_is_some_of_the_queries_and_says_how_many_were_not_drawn(test_set):
    asked = queries.beginner(test_set, 0)
    some = asked.sample(7, seed=1)
    assert len(some.rows) == 7 and np.isin(some.rows, asked.rows).all() and (np.diff(some.rows) > 0).all()
    assert some.left_out["not drawn"] == len(asked.rows) - 7
    np.testing.assert_array_equal(some.truth, test_set.discriminant[some.predicted, some.counter])


def test_the_first_image_of_a_class_stands_beside_every_query_if_asked(test_set):
    asked = queries.beginner(test_set, 0, queries.CounterImages.FIRST)
    first = {label: np.flatnonzero(test_set.labels == label)[0] for label in np.unique(test_set.labels)}
    assert asked.counter_rows.tolist() == [first[c] for c in asked.counter]
    np.testing.assert_array_equal(asked.counter, queries.beginner(test_set, 0).counter)


def test_the_least_probable_classes_are_asked_about_in_order(test_set):
    present = np.unique(test_set.labels)
    others = len(present) - 1
    places = [queries.least_probable(test_set, place, 0) for place in range(others)]
    for position, row in enumerate(places[0].rows):
        expected = [c for c in np.argsort(test_set.logits[row]) if c in present][:others]
        assert [one.counter[position] for one in places] == expected
    with pytest.raises(InputError, match=f"{len(present)} classes have a test image: there is no least probable one"):
        queries.least_probable(test_set, others, 0)


def test_queries_carry_the_truth_of_both_tables_and_a_sample_keeps_them_together(test_set):
    every = queries.beginner(test_set, 0)
    asked = every.take(np.arange(3, 30), "too early").sample(9, 0)
    assert asked.left_out["too early"] == len(every.rows) - 27 and asked.left_out["not drawn"] == 18
    np.testing.assert_array_equal(asked.truth, test_set.discriminant[asked.predicted, asked.counter])
    np.testing.assert_array_equal(asked.other_truth, test_set.other.discriminant[asked.predicted, asked.counter])
