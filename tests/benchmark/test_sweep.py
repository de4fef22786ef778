"""The largest batch that fits, and the knee, of devices that are functions."""

import pytest

from galore import InputError
from galore.benchmark import sweep


@pytest.mark.parametrize("step", [1, 4])
@pytest.mark.parametrize("most", [4, 5, 8, 100, 777, 1024])
def test_the_largest_batch_is_found_to_a_sixteenth_with_few_questions(most, step):
    asked = []

    def fits(batch):
        asked.append(batch)
        return batch <= most

    found = sweep.largest(fits, step)
    assert found % step == 0 and found <= most < found + max(found // 16, step) + step
    assert len(asked) <= 16 and len(set(asked)) == len(asked)


def test_a_device_without_end_stops_somewhere():
    assert sweep.largest(lambda batch: True) == sweep.LARGEST


def test_a_network_that_does_not_fit_at_all_is_said():
    with pytest.raises(InputError, match="not even a batch of 2 fits"):
        sweep.largest(lambda batch: False, 2)


def test_a_sweep_ends_where_more_images_gain_nothing():
    rates = {1: 10.0, 2: 19.0, 4: 30.0, 8: 31.0, 16: 29.0, 32: 99.0}
    assert list(sweep.growing(rates.get)) == [(1, 10), (2, 19), (4, 30), (8, 31), (16, 29)]
    assert sweep.knee(dict(list(rates.items())[:5])) == 4


def test_a_sweep_ends_where_memory_does():
    assert list(sweep.growing({2: 1.0, 4: 2.0}.get, step=2)) == [(2, 1.0), (4, 2.0), (8, None)]
    assert list(sweep.growing(lambda batch: None)) == [(1, None)]
