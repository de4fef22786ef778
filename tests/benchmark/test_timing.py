"""A benchmark's numbers mean what they say: checked on workloads of known duration."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from invented_records import SETTING, rows
from photographs import tiny_network, write_photos

from galore import InputError, Network
from galore.benchmark import record, report, streaming, timing, workloads
from galore.benchmark.timing import FORWARD, Workload


def sleeping(name, seconds, images=4, repeats_of=1.0):
    return Workload(name, lambda: time.sleep(seconds), images, repeats_of=repeats_of)


def test_ratios_and_rates_of_works_of_known_duration():
    sleepers = [sleeping(FORWARD, 0.02), sleeping("double", 0.04), sleeping("sampled", 0.02, repeats_of=10)]
    found = record.rows(sleepers, timing.taken_in_turns(sleepers, rounds=3, minimum_s=0.0), SETTING, None)
    assert [row.work for row in found] == [FORWARD, "double", "sampled"]
    assert found[0].ratio_to_forward == 1
    assert found[1].ratio_to_forward == pytest.approx(2, rel=0.3)
    assert found[2].ratio_to_forward == pytest.approx(10, rel=0.3)
    assert found[1].images_per_s == pytest.approx(100, rel=0.3)


def test_a_short_work_repeats_until_it_has_lasted_long_enough():
    calls = []
    short = Workload("short", lambda: (time.sleep(0.002), calls.append(1)), 1)
    turns = timing.taken_in_turns([short, sleeping("long", 0.05)], rounds=2, minimum_s=0.04)
    assert 10 <= turns.calls[0] <= 20 and turns.calls[1] == 1
    assert turns.seconds[:, 0] == pytest.approx(0.002, rel=0.6)
    assert len(calls) == pytest.approx(2 * turns.calls[0], abs=12)


def test_a_machine_that_slows_down_within_a_round_slows_every_work_alike(monkeypatch):
    monkeypatch.setattr(timing, "SLICE_S", 0.01)
    calls = []
    slower_and_slower = lambda: (calls.append(1), time.sleep(0.001 * (1 + len(calls) / 30)))  # noqa: E731
    turns = timing.taken_in_turns([Workload(name, slower_and_slower, 1) for name in "ab"], rounds=1, minimum_s=0.1)
    assert len(calls) > 60
    assert timing.ratios(turns.seconds)[0, 1] == pytest.approx(1, rel=0.2)


def test_a_work_is_warm_when_two_calls_take_equally_long():
    durations = iter([0.2, 0.05, 0.03, *[0.02] * 20])
    calls = []
    settling = Workload("settling", lambda: (calls.append(1), time.sleep(next(durations))), 1)
    turns = timing.taken_in_turns([settling], rounds=1, minimum_s=0.0)
    assert turns.seconds[0, 0] == pytest.approx(0.02, rel=0.4) and len(calls) >= 6


def test_energy_is_that_of_one_call_and_none_where_the_meter_began_anew(monkeypatch):
    meter = iter([10.0, 16.0, 99.0, 3.0])
    monkeypatch.setattr(timing.devices, "energy_joules", lambda where: next(meter))
    turns = timing.taken_in_turns([sleeping(FORWARD, 0.01)], rounds=2, minimum_s=0.02)
    assert turns.joules[0, 0] == pytest.approx(6 / turns.calls[0]) and np.isnan(turns.joules[1, 0])


def test_energy_counts_although_a_coarse_meter_stands_still_for_a_slice(monkeypatch):
    meter = iter([10.0, 10.0, 10.0, 16.0, 20.0, 20.0, 20.0, 20.0])
    monkeypatch.setattr(timing, "SLICE_S", 0.02)
    monkeypatch.setattr(timing.devices, "energy_joules", lambda where: next(meter))
    turns = timing.taken_in_turns([sleeping(FORWARD, 0.015)], rounds=2, minimum_s=0.04)
    assert turns.joules[0, 0] == pytest.approx(6 / turns.calls[0]) and np.isnan(turns.joules[1, 0])


def test_several_processes_begin_together_and_the_slowest_counts(monkeypatch):
    """As jax.distributed has it, played by one."""
    barriers = []
    monkeypatch.setattr(timing.jax, "process_count", lambda: 2)
    monkeypatch.setattr(timing.multihost_utils, "sync_global_devices", barriers.append)
    monkeypatch.setattr(timing.multihost_utils, "process_allgather", lambda seconds: np.array([seconds, 0.5]))
    turns = timing.taken_in_turns([sleeping(FORWARD, 0.001)], rounds=2, minimum_s=0.0)
    assert (turns.seconds == 0.5).all() and len(barriers) >= 4


def test_works_take_turns_and_the_order_turns():
    calls = []
    three = [Workload(name, lambda name=name: calls.append(name), 1) for name in "abc"]
    timing.interleaved(three, rounds=3)
    assert "".join(calls) == "abc" + "abc" + "bca" + "cab"


def test_only_the_last_of_several_calls_in_a_round_counts():
    calls = []
    slow_at_first = timing.Workload("slow", lambda: (time.sleep(0.02 * (len(calls) % 2 == 0)), calls.append(1)), 1)
    seconds = timing.interleaved([slow_at_first], rounds=4, warm_up=0, repeats=2)
    assert len(calls) == 8 and seconds.shape == (4, 1) and np.median(seconds) < 0.01


def test_a_slow_round_slows_every_workload_and_no_ratio():
    seconds = np.array([[1.0, 2.0], [10.0, 20.0], [1.0, 2.0]])
    assert (timing.ratios(seconds)[:, 1] == 2).all()


def test_a_figure_is_drawn(tmp_path):
    report.save_figure(rows([[1.0, 30.0]]), tmp_path / "bench.png")
    assert (tmp_path / "bench.png").stat().st_size > 5000


def network():
    head = lambda params, F: F.mean((0, 1)) @ params  # noqa: E731
    return Network(params=jnp.ones((3, 4)) + jnp.eye(3, 4), features=lambda params, x: x[::8, ::8], head=head)


def test_every_work_compiles_runs_and_knows_its_memory(without_shape_types):
    """Costs about fifteen seconds on two cores, nearly all of it compilation. jax puts descriptions of arguments where
    arrays belong, to compile ahead of time, which the checks of shapes would refuse."""
    built = workloads.build(network(), list(workloads.names()), batch=2 * jax.device_count(), dtype="float32", size=32)
    assert {workload.name for workload in built} == set(workloads.names())
    assert built[0].name == FORWARD
    for workload in built:
        workload.call()
        assert workload.name == workloads.LOOP or (workload.made.planned_bytes or 0) > 0
        assert workloads.description(workload.name)


def test_a_folder_is_streamed_whole_and_so_are_the_forward_passes(tmp_path, monkeypatch):
    passed = []
    monkeypatch.setattr(streaming.stream, "save_ranking", lambda folder: passed.append(len(folder.column("maps")[0])))
    forward, streamed = streaming.build(tiny_network(), write_photos(tmp_path, 7), 2 * jax.device_count(), "float32")
    assert (forward.images, streamed.images) == (7, 7) and forward.made.compile_s and streamed.made.compile_s
    forward.call(), streamed.call()
    assert passed == [7]


@pytest.mark.parametrize(
    ("names", "batch", "words"), [(["discriminent"], 8, "unknown work"), ([FORWARD], 0, "cannot be shared")]
)
def test_what_cannot_be_timed_is_refused(names, batch, words):
    with pytest.raises(InputError, match=words):
        workloads.build(network(), names, batch, "float32", size=32)
