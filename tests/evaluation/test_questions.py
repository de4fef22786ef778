"""Which images count, for whom, and why the others do not."""

import dataclasses

import numpy as np
import pytest

from galore.errors import InputError
from galore.evaluation import questions
from tests.experiments.conftest import toy_subject


@pytest.fixture(scope="module")
def subject():
    return toy_subject()


def test_a_beginner_asks_about_every_right_prediction_and_another_class(subject):
    asked = questions.beginner(subject, 0)
    right = np.flatnonzero(subject.predicted == subject.labels)
    np.testing.assert_array_equal(asked.rows, right)
    assert (asked.counter != asked.predicted).all() and (asked.predicted == subject.labels[asked.rows]).all()
    assert (subject.labels[asked.counter_rows] == asked.counter).all()
    assert asked.left_out == {"the network is wrong": 5} and len(asked.rows) + 5 == len(subject)


def test_beginners_differ_by_seed_alone(subject):
    first, again, other = (questions.beginner(subject, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.counter, again.counter)
    assert len(np.unique(subject.labels)) < 3 or (first.counter != other.counter).any()


def test_an_advanced_user_is_wrong_where_the_network_is_right(subject):
    asked = questions.advanced(subject, 0)
    for row, counter in zip(asked.rows, asked.counter, strict=True):
        assert subject.predicted[row] == subject.labels[row] != subject.student[row] == counter
        assert counter in subject.labels
    assert len(asked.rows) + sum(asked.left_out.values()) == len(subject)


def test_without_a_student_there_is_no_advanced_user(subject):
    alone = dataclasses.replace(subject, student=None)
    assert [asked.user for asked in questions.users(alone, 0)] == ["beginner"]
    with pytest.raises(InputError, match="student"):
        questions.advanced(alone, 0)


def test_zero_images_that_count_are_an_error_with_reasons(subject):
    wrong = dataclasses.replace(subject, labels=(subject.predicted + 1) % 5)
    with pytest.raises(InputError, match=r"no image counts .*the network is wrong: 60"):
        questions.beginner(wrong, 0)


def test_one_class_leaves_nothing_to_ask(subject):
    one = dataclasses.replace(subject, labels=np.zeros(len(subject), np.int32))
    with pytest.raises(InputError, match="one class"):
        questions.beginner(one, 0)


def test_the_most_difficult_images_come_first():
    subject = toy_subject()
    hardness = np.arange(len(subject))
    np.testing.assert_array_equal(questions.difficult(subject, 3, hardness), [59, 58, 57])
    assert len(questions.difficult(subject, 1000, hardness)) == 30
