import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from galore.data.preprocessing import Preprocessing
from galore.errors import InputError
from galore.training import architectures, classifier, inputs
from galore.training.config import TrainConfig
from galore.training.loop import check_batch_size, device_mesh, fit, initial_state, make_step

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (24, 16, 16, 3), dtype=np.uint8)
DATA = inputs.Arrays({"image": PIXELS, "label": np.arange(24) % 3})
MODULE = architectures.module("small_cnn_narrow", 3)
PARAMS = architectures.random_params("small_cnn_narrow", 3, seed=0)
TRAINED = tuple(name for name in PARAMS if not name.endswith((".mean", ".var")))
TO_INPUT = inputs.as_input(Preprocessing(16, 16))


def batches(start, stop=8):
    return inputs.training_batches(lambda epoch: DATA, 24, 8, seed=0, start=start, stop=stop)


@functools.cache
def start():
    """Kept, so that the step is compiled once."""
    optimiser = classifier.make_optimiser(TrainConfig(optimiser="one_cycle", learning_rate=3e-3), 8, 3)
    both = architectures.training_forward(MODULE, lambda m, x: (x, m(x)))
    loss = classifier.objective(both, TO_INPUT, 0.1)
    return make_step(loss, optimiser, 0), initial_state(PARAMS, TRAINED, optimiser)


def copied(state):
    """`fit` uses its state up."""
    return jax.tree.map(jnp.array, state)


def run(**options):
    records = []
    step, state = start()
    state, progress = fit(
        step, copied(state), batches, device_mesh(), **({"steps": 8, "on_record": records.append} | options)
    )
    return state, progress, records


@pytest.fixture(scope="module")
def uninterrupted():
    return run()


def test_the_same_seed_gives_the_same_bits(uninterrupted):
    state, _, records = run()
    assert all((uninterrupted[0].params[name] == value).all() for name, value in state.params.items())
    assert [r["loss"] for r in records] == [r["loss"] for r in uninterrupted[2]]


def test_the_loss_falls_and_statistics_move(uninterrupted):
    state, _, records = uninterrupted
    assert records[-1]["loss"] < records[0]["loss"]
    assert not np.allclose(state.params["bn1.mean"], PARAMS["bn1.mean"])


def test_a_resumed_run_ends_with_the_same_bits(uninterrupted):
    saved = {}
    keep = lambda state, progress, links: saved.update(jax.device_get({"state": state}))  # noqa: E731
    run(steps=3, save=keep)
    step, _ = start()
    state, _ = fit(step, saved["state"], batches, device_mesh(), steps=8)
    for ours, theirs in zip(jax.tree.leaves(state), jax.tree.leaves(uninterrupted[0]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_validation_decides_what_is_best_and_when_to_stop():
    values = iter([0.5, 0.7, 0.6, 0.6, 0.9])
    saves = []
    state, progress, _ = run(
        evaluate=lambda params: {"value": next(values)}, evaluate_every=1, patience=2,
        save=lambda state, progress, links: saves.append((int(state.step), links)),
    )  # fmt: skip
    assert int(state.step) == 4 and progress == {"best": 0.7, "best_step": 2, "worse": 2}
    assert saves == [(1, ("best", "last")), (2, ("best", "last")), (3, ("last",)), (4, ("last",))]


@pytest.mark.robust("shapes and numbers")
@pytest.mark.parametrize("bad", [4, 5])
def test_a_loss_that_is_no_number_stops_the_run_and_keeps_what_was_saved(bad):
    saves = []

    def poisoned(start):
        for number, batch in enumerate(batches(start)):
            yield batch if number != bad else batch | {"image": np.full((8, 16, 16, 3), np.nan, np.float32)}

    step, state = start()
    keep = lambda state, progress, links: saves.append(int(state.step))  # noqa: E731
    message = rf"training: the loss is nan .* at batch {bad}; the last checkpoint, after 4 batches, is kept"
    with pytest.raises(InputError, match=message):
        fit(step, copied(state), poisoned, device_mesh(), steps=8, save=keep, save_every=2)
    assert saves == [2, 4]


def test_a_step_is_looked_at_once_the_next_is_under_way_and_before_it_is_saved():
    told, (step, state) = [], start()

    def asked(start):
        for number, batch in enumerate(batches(start), 1):
            told.append(f"batch {number}")
            yield batch

    fit(
        step, state, asked, device_mesh(), steps=4, on_record=lambda record: told.append(f"record {record['step']}"),
        save=lambda state, *_: told.append(f"saved {state.step}"), save_every=3,
    )  # fmt: skip
    assert told == [
        "batch 1", "batch 2", "record 1", "batch 3", "record 2", "record 3", "saved 3",
        "batch 4", "record 4", "saved 4",
    ]  # fmt: skip


@pytest.mark.robust("shapes and numbers")
def test_an_update_that_is_no_number_is_not_saved_though_the_loss_was_one():
    def root(params, batch, key):
        return jnp.sqrt(params["w"]).sum(), ({}, {})

    optimiser = optax.sgd(1.0)
    state = initial_state({"w": jnp.zeros(1)}, ("w",), optimiser)
    with pytest.raises(InputError, match="loss is 0 and the update's norm inf at batch 0"):
        fit(
            make_step(root, optimiser, 0), state, lambda start: (b for b in [{"image": np.zeros((8, 1))}]),
            device_mesh(), steps=1, save=lambda *_: pytest.fail("saved"), save_every=1,
        )  # fmt: skip


def test_a_batch_must_divide_over_the_devices():
    with pytest.raises(InputError, match="multiple of the"):
        check_batch_size(0, device_mesh())


@pytest.mark.slow
def test_eight_devices_give_the_loss_curve_of_one(uninterrupted):
    """About 15 s: a second process with eight virtual CPU devices; BatchNorm's statistics must be those of all."""
    program = (
        "import json, jax, numpy as np, sys; sys.path.insert(0, 'tests/training'); import test_loop as t\n"
        "state, _, records = t.run(); assert jax.device_count() == 8\n"
        "mean = np.asarray(state.params['bn4.mean']).tolist()\n"
        "print(json.dumps({'losses': [r['loss'] for r in records], 'mean': mean}))"
    )
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, cwd=root, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    state, _, records = uninterrupted
    np.testing.assert_allclose(found["losses"], [r["loss"] for r in records], atol=1e-4)
    np.testing.assert_allclose(found["mean"], state.params["bn4.mean"], atol=1e-4)
