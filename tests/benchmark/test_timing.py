"""A benchmark's numbers mean what they say: checked on workloads of known duration."""

import dataclasses
import json
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from photographs import tiny_network, write_photos

from galore import InputError, Network
from galore.benchmark import report, streaming, timing, workloads
from galore.benchmark.timing import FORWARD, Workload

FIELDS = [
    "work",
    "network",
    "batch",
    "dtype",
    "device",
    "devices",
    "median_s",
    "spread",
    "images_per_s",
    "ratio_to_forward",
    "peak_bytes",
    "compile_s",
]


def sleeping(name, seconds, images=4, repeats_of=1.0):
    return Workload(name, lambda: time.sleep(seconds), images, repeats_of=repeats_of)


def test_ratios_and_rates_of_works_of_known_duration():
    sleepers = [sleeping(FORWARD, 0.02), sleeping("double", 0.04), sleeping("sampled", 0.02, repeats_of=10)]
    seconds = timing.interleaved(sleepers, rounds=3)
    rows = timing.records(sleepers, seconds, "net", 4, "float32")
    assert [row.work for row in rows] == [FORWARD, "double", "sampled"]
    assert rows[0].ratio_to_forward == 1
    assert rows[1].ratio_to_forward == pytest.approx(2, rel=0.3)
    assert rows[2].ratio_to_forward == pytest.approx(10, rel=0.3)
    assert rows[1].images_per_s == pytest.approx(100, rel=0.3)


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


def test_records_have_exactly_the_documented_fields(tmp_path):
    row = timing.Record("forward", "net", 8, "float32", "cpu", 1, 0.5, 0.1, 16.0, 1.0, None, 2.0)
    report.save_json([row, row], tmp_path / "bench.json")
    read = json.loads((tmp_path / "bench.json").read_text())
    assert [list(entry) for entry in read] == [FIELDS, FIELDS]
    assert read[0] == dataclasses.asdict(row)


def test_a_figure_is_drawn(tmp_path):
    rows = [
        timing.Record(w, "net", 8, "float32", "cpu", 1, 0.5, 0.1, 16.0, r, 1, 2.0) for w, r in (("a", 1.0), ("b", 30.0))
    ]
    report.save_figure(rows, tmp_path / "bench.png")
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
        assert workload.name == workloads.LOOP or (workload.peak_bytes or 0) > 0
        assert workloads.description(workload.name)


def test_a_folder_is_streamed_whole_and_so_are_the_forward_passes(tmp_path, monkeypatch):
    passed = []
    monkeypatch.setattr(streaming.stream, "save_ranking", lambda folder: passed.append(len(folder.column("maps")[0])))
    forward, streamed = streaming.build(tiny_network(), write_photos(tmp_path, 7), 2 * jax.device_count(), "float32")
    assert (forward.images, streamed.images) == (7, 7) and forward.compile_s and streamed.compile_s
    forward.call(), streamed.call()
    assert passed == [7]


@pytest.mark.parametrize(
    ("names", "batch", "words"), [(["discriminent"], 8, "unknown work"), ([FORWARD], 0, "cannot be shared")]
)
def test_what_cannot_be_timed_is_refused(names, batch, words):
    with pytest.raises(InputError, match=words):
        workloads.build(network(), names, batch, "float32", size=32)
