"""What one command compiled the next one takes, whole and of this machine only, and never at any price."""

import os
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from photographs import write_photos

import galore
from galore import atomic, cache, models
from galore.cli import main

COUNTED: dict[str, int] = {"compiled": 0, "taken": 0}
EVENTS = {"/jax/compilation_cache/cache_misses": "compiled", "/jax/compilation_cache/cache_hits": "taken"}


@pytest.fixture(scope="module", autouse=True)
def counting():
    """jax tells each program that its cache lacked, and each that it had."""

    def count(event, **more):
        if event in EVENTS:
            COUNTED[EVENTS[event]] += 1

    jax.monitoring.register_event_listener(count)
    yield
    jax.monitoring.unregister_event_listener(count)


def run(factor: float = 2.0, is_wanted: bool = True) -> tuple[int, int]:
    """Computes something in a program of its own; how many programs were compiled and taken from the cache."""
    jax.clear_caches()
    COUNTED.update(compiled=0, taken=0)
    x = jnp.arange(3.0)
    with warnings.catch_warnings(), cache.compiled(is_wanted):
        warnings.simplefilter("error")
        assert jax.jit(lambda x: jnp.cumsum(x) * factor)(x).tolist() == [0, factor, 3 * factor]
    return COUNTED["compiled"], COUNTED["taken"]


def entries(store: Path) -> list[Path]:
    return sorted(store.iterdir()) if store.is_dir() else []


def test_the_second_run_compiles_nothing(store):
    compiled, taken = run()
    assert compiled > 0 and taken == 0 and len(entries(store)) == compiled
    assert run() == (0, compiled)
    assert run(3.0)[0] == 1, "another program"
    assert jax.config.jax_compilation_cache_dir is None


def test_a_switch_turns_it_off(store):
    run()
    assert run(is_wanted=False) == (0, 0) and run(5.0, is_wanted=False) == (0, 0)
    there = entries(store)
    jax.config.update("jax_enable_compilation_cache", False)
    assert run() == (0, 0) and entries(store) == there


def test_a_folder_that_was_given_to_jax_is_left_to_it(store, tmp_path):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "own"))
    try:
        run()
    finally:
        jax.config.update("jax_compilation_cache_dir", None)
        jax.experimental.compilation_cache.compilation_cache.reset_cache()
    assert entries(store) == []


@pytest.mark.robust("outputs")
@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:-1] + b"x", lambda b: b * 2]
)
def test_damaged_entries_are_replaced(store, damage):
    compiled, _ = run()
    for entry in entries(store):
        entry.write_bytes(damage(entry.read_bytes()))
    assert run() == (compiled, 0)
    assert run() == (0, compiled)


@pytest.mark.robust("outputs")
def test_entries_of_another_machine_or_version_are_not_taken(store, monkeypatch):
    compiled, _ = run()
    monkeypatch.setattr(cache, "_machine", lambda: "another")
    assert run() == (compiled, 0)
    assert len(entries(store)) == 2 * compiled


@pytest.mark.robust("outputs")
def test_entries_of_another_user_are_not_taken(store, monkeypatch):
    compiled, _ = run()
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert run()[0] == compiled


def test_an_interrupted_run_keeps_nothing(store):
    with pytest.raises(KeyboardInterrupt), cache.compiled():
        jax.jit(lambda x: x + 7)(jnp.arange(3.0))
        raise KeyboardInterrupt
    assert entries(store) == []


@pytest.mark.robust("outputs")
def test_what_a_killed_run_left_is_removed_and_that_of_a_live_one_stays(store, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    dead, live = temporary / "galore-programs-dead", temporary / "galore-programs-live"
    for one in (dead, live):
        (one / "copies").mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    with atomic.writer(live):
        run()
        assert list(temporary.iterdir()) == [live] and (live / "copies").is_dir()


@pytest.mark.robust("outputs")
def test_a_cache_that_cannot_be_written_is_no_error(store, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", Path("/proc/nowhere")):
        monkeypatch.setenv("GALORE_CACHE", str(place))
        assert run()[0] > 0
    monkeypatch.setattr(cache.tempfile, "TemporaryDirectory", lambda **more: (_ for _ in ()).throw(OSError(28, "full")))
    assert run() == (0, 0)


def test_the_oldest_go_where_there_are_too_many(store, monkeypatch):
    run()
    first = entries(store)
    for entry in first:
        os.utime(entry, (1, 1))
    monkeypatch.setattr(cache, "LARGEST", sum(entry.stat().st_size for entry in first) + 500)
    run(11.0)
    left = entries(store)
    assert len(set(left) - set(first)) == 1 and len(left) <= len(first)


def test_commands_use_it_and_say_nothing_of_it(store, tmp_path, capsys):
    """The second explanation of a photo compiles nothing, and finds the same."""
    photo = next(write_photos(tmp_path / "photos", 1).rglob("*.png"))
    models.save_safetensors(galore.load("small_cnn", weights=None, classes=4), tmp_path / "net.safetensors")

    def explain() -> tuple[bytes, int, int]:
        jax.clear_caches()
        COUNTED.update(compiled=0, taken=0)
        weights, out = str(tmp_path / "net.safetensors"), str(tmp_path / "out")
        assert main(["explain", str(photo), "--model", "small_cnn", "--weights", weights, "--out", out]) == 0
        assert len(capsys.readouterr().err.splitlines()) == 3  # the steps
        return (tmp_path / "out" / "maps.npz").read_bytes(), COUNTED["compiled"], COUNTED["taken"]

    first, compiled, taken = explain()
    assert compiled > 0 and taken == 0
    assert explain() == (first, 0, compiled)
