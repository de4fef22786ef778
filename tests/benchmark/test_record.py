"""What a record says of known measurements, and that it comes back as it was written."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from invented_records import PEAK, SETTING, of, rows

from galore import InputError
from galore.benchmark import record
from galore.benchmark.timing import Turns, Workload

SECONDS = np.array([[1.0, 2.0], [2.0, 3.0], [4.0, 4.0]])


def test_a_row_summarises_its_rounds_by_closed_forms():
    first, second = rows(SECONDS, reference=[0.1, 0.2, 0.3], joules=np.array([[8.0, 16, 1], [8, 24, 1], [8, 32, 1]]))
    assert second.seconds == [2, 3, 4] and second.calls == 3 and second.reference_seconds == [0.1, 0.2, 0.3]
    assert second.ratios == [2, 1.5, 1] and second.ratio_to_forward == 1.5
    assert (second.median_s, second.spread) == (3, pytest.approx(1 / 3))
    assert (second.p5_s, second.p95_s) == (pytest.approx(2.1), pytest.approx(3.9))
    assert second.images_per_s == pytest.approx(8 / 3)
    assert first.flops_per_s == 1e9 and first.utilisation == pytest.approx(1e9 / 2e12)
    assert first.bytes_per_s == 2e8 and first.bandwidth_utilisation == pytest.approx(2e8 / 1e11)
    assert second.joules_per_image == 3 and first.first_result_s == 2.75
    assert (first.counted_flops, first.compiled_flops, first.planned_bytes, first.used_bytes) == (
        2e9,
        3e9,
        2**20,
        2**21,
    )


def test_utilisation_is_of_all_devices_and_of_the_numbers_used():
    setting = dataclasses.replace(SETTING, devices=4, dtype="bfloat16")
    assert rows(SECONDS, setting)[0].utilisation == pytest.approx(1e9 / (4 * 4e12))
    assert rows(SECONDS, peak=None)[0].utilisation is None


def test_a_work_that_failed_in_the_third_round_is_no_measurement_and_the_others_are():
    works = [Workload(name, lambda: None, 8) for name in ("forward", "broken", "fine")]
    seconds = np.array([[1.0, 1, 1], [1, 1, 1], [1, np.nan, 1]])
    error = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")
    found = record.rows(works, Turns(seconds, seconds * np.nan, [1] * 3, {1: error}), SETTING, PEAK)
    assert [row.status for row in found] == ["measured", "out of memory", "measured"]
    assert "9 bytes" in found[1].reason and found[1].seconds == [] and found[1].median_s is None


def test_without_a_forward_pass_there_are_times_and_no_ratios():
    (row,) = rows(SECONDS[:, :1], names=("discriminant",))
    assert row.median_s == 2 and row.ratios == [] and row.ratio_to_forward is None


def test_a_record_comes_back(tmp_path):
    written = of(rows(SECONDS, reference=[1, 2, 3]))
    record.save(written, tmp_path / "r.json")
    assert record.read(tmp_path / "r.json") == written
    record.save(of([], peak=None), tmp_path / "r.json")
    assert record.read(tmp_path / "r.json").peak is None


def test_what_made_it_is_told(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_example=1")
    made = record.made({"rounds": 3})
    assert made["options"] == {"rounds": 3} and made["flags"]["XLA_FLAGS"] == "--xla_example=1"
    assert made["versions"]["jax"] == jax.__version__ and made["timer_resolution_s"] < 1e-3
    assert {"date", "git", "device", "clock_hz", "host", "galore"} <= made.keys()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[{}]", "names no schema, expected a benchmark record"),
        ('{"schema": "galore-benchmark/1"}', r"has the schema 'galore-benchmark/1', expected .* measure again"),
        ('{"schema": "galore-benchmark/2"}', "is not a benchmark record"),
        ('{"schema": "galore-benchmark/2", "made": {}, "peak": {"a": 1}, "rows": []}', "is not a benchmark record"),
        (
            '{"schema": "galore-benchmark/2", "made": {}, "peak": null, "rows": [{"work": 3}]}',
            "is not a benchmark record",
        ),
        ("{", "is damaged"),
    ],
)
def test_what_is_no_record_of_this_schema_is_refused(tmp_path, text, words):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(InputError, match=words):
        record.read(tmp_path / "r.json")


def test_the_schema_is_what_the_documentation_lists(tmp_path):
    record.save(of(rows(SECONDS)), tmp_path / "r.json")
    stored = json.loads((tmp_path / "r.json").read_text())
    assert list(stored) == ["schema", "made", "peak", "rows"] and stored["schema"] == "galore-benchmark/2"
    assert {"precision", "image_size", "processes"} <= stored["rows"][0]["setting"].keys()
    assert "error_against_float64" in stored["rows"][0]
