"""Failures are results: what fails is a row, and what was measured before is there."""

import functools
import json
import time

import jax
import pytest
from photographs import tiny_network

from galore.benchmark import measure, timing, workloads
from galore.cli import main

OUT_OF_MEMORY = "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1099511627776 bytes."
SMALL = ("bench", "--networks", "tiny", "--works", "discriminant", "--rounds", "2", "--minimum", "0")


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """A network that compiles at once."""
    measure.network.cache_clear()
    monkeypatch.setattr(measure.loading, "load", lambda *args, **options: tiny_network())
    yield
    measure.network.cache_clear()


@pytest.fixture
def compiled_batches(monkeypatch):
    """Lets a test say which batches and works fail, and how; tells what was compiled."""
    compiled, asked = timing.compiled, []

    def arrange(fails):
        def compile_or_fail(name, function, arguments, images, **options):
            asked.append((name, images))
            if (error := fails(name, images)) is not None:
                raise error
            return compiled(name, function, arguments, images, **options)

        monkeypatch.setattr(workloads, "compiled", compile_or_fail)
        return asked

    return arrange


def rows_of(path):
    return json.loads(path.read_text())["rows"]


def test_out_of_memory_in_the_second_of_three_settings_leaves_the_others_complete(tmp_path, compiled_batches, capsys):
    compiled_batches(lambda name, images: jax.errors.JaxRuntimeError(OUT_OF_MEMORY) if images == 2 else None)
    assert main([*SMALL, "--batch", "1", "2", "4", "--json", str(tmp_path / "r.json")]) == 0
    by_batch = {}
    for row in rows_of(tmp_path / "r.json"):
        by_batch.setdefault(row["setting"]["batch"], []).append(row)
    assert list(by_batch) == [1, 2, 4]
    assert {row["status"] for row in by_batch[2]} == {"out of memory"}
    for batch in (1, 4):
        assert [row["work"] for row in by_batch[batch]] == ["forward", "discriminant"]
        assert all(row["status"] == "measured" and len(row["seconds"]) == 2 for row in by_batch[batch])
    assert "out of memory: JaxRuntimeError: RESOURCE_EXHAUSTED" in capsys.readouterr().out


def test_a_work_that_does_not_compile_does_not_take_the_others_along(compiled_batches):
    compiled_batches(lambda name, images: RuntimeError("no such kernel") if name == "grad-cam" else None)
    plan = measure.Plan("tiny", ("grad-cam", "attributive"), 2, rounds=2, minimum_s=0.0)
    found = {row.work: row for row in measure.rows(plan, None)}
    assert found["grad-cam"].status == "compile error" and "no such kernel" in found["grad-cam"].reason
    assert found["attributive"].is_measured and found["attributive"].ratio_to_forward


def test_a_forward_pass_that_fails_takes_the_ratios_along_alone(compiled_batches):
    compiled_batches(lambda name, images: MemoryError() if name == "forward" else None)
    found = {row.work: row for row in measure.rows(measure.Plan("tiny", ("attributive",), 2, rounds=2), None)}
    assert found["forward"].status == "out of memory"
    assert found["attributive"].is_measured and found["attributive"].ratio_to_forward is None


def test_nothing_measured_is_exit_code_2_and_the_record_says_why(tmp_path, compiled_batches, capsys):
    compiled_batches(lambda name, images: MemoryError())
    for batch in ("2", "sweep"):
        assert main([*SMALL, "--batch", batch, "--json", str(tmp_path / "r.json")]) == 2
        assert "nothing was measured; the first failure: out of memory" in capsys.readouterr().err
        assert {row["status"] for row in rows_of(tmp_path / "r.json")} == {"out of memory"}


def test_the_largest_batch_that_fits_is_timed(compiled_batches, capsys):
    asked = compiled_batches(lambda name, images: MemoryError() if images > 6 and name != "reference" else None)
    assert main([*SMALL, "--batch", "auto"]) == 0
    assert "tiny, batch 6" in capsys.readouterr().out
    assert asked[-3:] == [("forward", 6), ("discriminant", 6), ("reference", 1)]


def test_a_network_that_does_not_fit_at_batch_1_is_said(compiled_batches, capsys):
    compiled_batches(lambda name, images: MemoryError())
    assert main([*SMALL, "--batch", "auto"]) == 2
    assert "not even a batch of 1 fits" in capsys.readouterr().err


def test_a_sweep_finds_its_knee(monkeypatch, compiled_batches, capsys):
    compiled_batches(lambda name, images: MemoryError() if images > 4 else None)
    assert main([*SMALL, "--batch", "sweep"]) == 0
    printed = capsys.readouterr().out
    assert "tiny, batch 8" in printed and "tiny, float32, discriminant: batch" in printed


def test_a_mistake_in_a_later_setting_leaves_what_was_measured(tmp_path, capsys):
    more = ["--batch", "1", "0", "--json", str(tmp_path / "r.json")]
    assert main([*SMALL, *more]) == 0
    assert [row["status"] for row in rows_of(tmp_path / "r.json")] == ["measured", "measured", "failed", "failed"]
    assert "a batch of 0 cannot be shared" in capsys.readouterr().out


def test_a_program_that_plans_more_than_there_is_is_not_run(monkeypatch):
    monkeypatch.setattr(timing.devices, "memory_limit", lambda where: 100)
    found = measure.rows(measure.Plan("tiny", (), 1, rounds=1), None)
    assert found[0].status == "out of memory" and "GiB on one device" in found[0].reason


def test_a_device_that_tells_its_memory_has_it_in_the_row(monkeypatch):
    held = iter(range(2**20, 2**21))
    monkeypatch.setattr(timing.devices, "used_memory", lambda where: next(held))
    found = measure.rows(measure.Plan("tiny", (), 1, rounds=1, minimum_s=0.0), None)
    assert found[0].used_bytes == 2**20 + 1


def test_a_work_that_fails_while_it_is_timed_stops_being_called():
    calls = []

    def second_fails():
        calls.append(1)
        if len(calls) > 4:
            raise RuntimeError("the device is gone")

    works = [timing.Workload("forward", lambda: time.sleep(0.001), 1), timing.Workload("gone", second_fails, 1)]
    turns = timing.taken_in_turns(works, 4, 0.0)
    assert list(turns.failures) == [1] and len(calls) == 5
    assert not any(turns.seconds[:, 0] != turns.seconds[:, 0])


def test_a_setting_that_takes_too_long_is_ended_and_one_that_does_not_is_measured(tmp_path, monkeypatch):
    """Costs about eight seconds: each setting has a process of its own, which starts anew."""
    (tmp_path / "slow_networks.py").write_text(
        "import time\nimport photographs\n\n\ndef slow():\n    time.sleep(60)\n\n\nfast = photographs.tiny_network\n"
    )
    monkeypatch.chdir(tmp_path)
    options = {"peak": functools.partial(measure.peak_of, [1e12, 1e11]), "builders": {}, "made": {"rounds": 2}}
    slow, fast = (
        measure.Plan(f"slow_networks:{name}", ("forward",), 1, rounds=2, minimum_s=0.0) for name in ("slow", "fast")
    )
    (row,) = measure.apart(slow, 3.0, **options).rows
    assert row.status == "timed out" and row.reason == "not done after 3 s"
    found = measure.apart(fast, 200.0, **options)
    assert [row.status for row in found.rows] == ["measured"] and found.rows[0].setting.device == "cpu"
    assert found.peak.bandwidth == 1e11 and found.made["options"] == {"rounds": 2}
