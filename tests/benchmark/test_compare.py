"""Whether two records differ: known ones, and the same program against itself."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from invented_records import SETTING, of, rows

from galore import InputError
from galore.benchmark import compare, record, timing, workloads

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


def test_the_same_program_is_called_different_from_itself_at_most_once_in_twenty_times():
    """Twenty-one records of two works, each against the one before. Costs about five seconds."""
    x = jnp.full((256, 256), 1 / 256)
    works = [timing.compiled("forward", lambda x: x @ x, (x,), 1), timing.compiled("tanh", jnp.tanh, (x,), 1)]
    works.append(workloads.reference())

    def one():
        found = record.rows(works, timing.taken_in_turns(works, 5, 0.002), SETTING, None, reference="reference")
        return of(found, device=jax.devices()[0].device_kind)

    records = [one() for _ in range(21)]
    pairs = [compare.compare(before, after) for before, after in itertools.pairwise(records)]
    for work in range(2):
        assert sum(pair[work].differs for pair in pairs) <= 1
