"""Whether two records differ: known ones, and the same program against itself."""

import dataclasses
import itertools

import numpy as np
import pytest
from invented_records import SETTING, of, rows

from galore import InputError
from galore.benchmark import compare, record

STEADY = np.full(9, 0.1)


def noisy(median, spread, seed, works=1):
    return median * np.exp(spread * np.random.default_rng(seed).normal(size=(9, works)))


def compared(first, second, reference=(STEADY, STEADY), **others):
    both = [of(rows(s, names=("forward",), reference=r)) for s, r in zip((first, second), reference, strict=True)]
    (found,) = compare.compare(both[0], dataclasses.replace(both[1], **others))
    return found


def test_a_difference_beyond_the_rounds_is_one_and_within_them_is_none():
    found = compared(noisy(1, 0.02, 0), noisy(1.3, 0.02, 1))
    assert found.differs and found.ratio == pytest.approx(1.3, rel=0.03) and 1 < found.low < 1.3 < found.high
    assert not compared(noisy(1, 0.05, 2), noisy(1.03, 0.05, 3)).differs
    faster = compared(noisy(1, 0.02, 4), noisy(0.7, 0.02, 5))
    assert faster.differs and faster.ratio < 1


def test_the_interval_is_that_of_all_pairs_of_rounds():
    first, second = noisy(1, 0.1, 6), noisy(2, 0.1, 7)
    found = compared(first, second)
    every = sorted(b / a for a in first[:, 0] for b in second[:, 0])
    assert (found.low, found.high) == pytest.approx(np.exp(np.quantile(np.log(every), [0.025, 0.975])))


def test_what_the_machine_itself_became_slower_is_no_difference():
    slower = STEADY * 1.3
    found = compared(noisy(1, 0.02, 0), noisy(1.3, 0.02, 1), (STEADY, slower))
    assert found.drift == pytest.approx(1.3) and not found.differs


def test_another_machine_is_what_is_asked_about():
    other = {"device": "Abacus 4000", "host": {"processor": "Abacus"}}
    found = compared(noisy(1, 0.02, 0), noisy(0.5, 0.02, 1), (STEADY, STEADY / 2), made=other)
    assert found.differs and found.drift == 1


def test_works_that_one_of_them_lacks_are_left_out_and_none_at_all_is_said():
    both, one = of(rows(np.ones((3, 2)))), of(rows(np.ones((3, 1)), names=("discriminant",)))
    assert [found.first.work for found in compare.compare(both, one)] == ["discriminant"]
    larger = dataclasses.replace(SETTING, batch=16)
    with pytest.raises(InputError, match="no work in common"):
        compare.compare(both, of(rows(np.ones((3, 2)), larger)))
    failed = dataclasses.replace(one.rows[0], status=record.OUT_OF_MEMORY)
    with pytest.raises(InputError, match="no work in common"):
        compare.compare(both, of([failed]))


def test_noise_alone_is_called_different_at_most_once_in_twenty_times():
    """Rounds as a shared machine gives them: noise, outliers, and another speed of the machine for each record.

    Of real rounds, docs/benchmarking.md tells; beside other tests these would fail now and then.
    """
    rng = np.random.default_rng(0)

    def one():
        machine = np.exp(0.2 * rng.normal())
        own, reference = machine * np.exp(0.1 * rng.normal(size=(2, 9))) * (1 + (rng.random((2, 9)) < 0.1))
        return of(rows(own[:, None], names=("forward",), reference=reference))

    pairs = itertools.pairwise([one() for _ in range(21)])
    assert sum(compare.compare(before, after)[0].differs for before, after in pairs) <= 1
