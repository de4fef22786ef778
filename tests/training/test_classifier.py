import functools
import json
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
from galore.training import architectures, classifier, forward, hardness, inputs, losses
from galore.training.step import check_batch_size, device_mesh, initial_state, make_step

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (24, 16, 16, 3), dtype=np.uint8)
DATA = inputs.Arrays({"image": PIXELS, "label": np.arange(24) % 3})
MODULE = architectures.module("small_cnn_narrow", 3)
PARAMS = architectures.random_params("small_cnn_narrow", 3, seed=0)
TRAINED = tuple(name for name in PARAMS if not name.endswith((".mean", ".var")))
TO_INPUT = classifier.as_input(Preprocessing(16, 16))


def batches(start, stop=8):
    return inputs.training_batches(lambda epoch: DATA, 24, 8, seed=0, start=start, stop=stop)


@functools.cache
def setting():
    """Kept, so that the step is compiled once."""
    optimiser = classifier.fast_optimiser(8, 3e-3)
    loss = classifier.objective(forward.training_forward(MODULE), TO_INPUT, 0.1)
    return make_step(loss, optimiser, 0), initial_state(PARAMS, TRAINED, optimiser)


def run(**options):
    records = []
    step, state = setting()
    state, progress = classifier.fit(
        step, state, batches, device_mesh(), **({"steps": 8, "on_record": records.append} | options)
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
    step, _ = setting()
    state, _ = classifier.fit(step, saved["state"], batches, device_mesh(), steps=8)
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


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_what_was_saved():
    saves = []

    def poisoned(start):
        for number, batch in enumerate(batches(start)):
            yield batch if number != 5 else batch | {"image": np.full((8, 16, 16, 3), np.nan, np.float32)}

    step, state = setting()
    keep = lambda state, progress, links: saves.append(int(state.step))  # noqa: E731
    with pytest.raises(InputError, match=r"loss is nan .* at batch 5; the last checkpoint, after 4 batches, is kept"):
        classifier.fit(step, state, poisoned, device_mesh(), steps=8, save=keep, save_every=2)
    assert saves == [2, 4]


def test_an_update_that_is_no_number_is_not_saved_though_the_loss_was_one():
    def root(params, batch, key):
        return jnp.sqrt(params["w"]).sum(), ({}, {})

    optimiser = optax.sgd(1.0)
    state = initial_state({"w": jnp.zeros(1)}, ("w",), optimiser)
    with pytest.raises(InputError, match="loss is 0 and the update's norm inf at batch 0"):
        classifier.fit(
            make_step(root, optimiser, 0), state, lambda start: iter([{"image": np.zeros((8, 1))}]), device_mesh(),
            steps=1, save=lambda *_: pytest.fail("saved"), save_every=1,
        )  # fmt: skip


@pytest.mark.parametrize("rate", ["0.1", 0, -1.0, float("nan"), float("inf"), True, None])
def test_a_learning_rate_that_is_no_positive_number_is_refused(rate):
    with pytest.raises(InputError, match=r"learning_rate .*: expected a number above 0"):
        classifier.checked_rate(rate)


def test_the_authors_optimiser_by_hand():
    params = {"w": jnp.array([2.0]), "hardness.w": jnp.array([2.0])}
    optimiser = classifier.authors_optimiser(steps_per_epoch=2)
    state, gradient = optimiser.init(params), {"w": jnp.array([1.0]), "hardness.w": jnp.array([1.0])}
    w, momentum = 2.0, 0.0
    for step in range(4):
        updates, state = optimiser.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        momentum = 0.9 * momentum + (1 + 1e-4 * w)
        w -= 1e-3 * 0.95 ** (step // 2) * momentum
    assert float(params["w"][0]) == pytest.approx(w, rel=1e-6)
    # Adam's steps have the size of the rate while the gradient does not change.
    assert float(params["hardness.w"][0]) == pytest.approx(2 - 4e-5, rel=1e-6)


def test_muon_moves_convolutions_by_nearly_orthogonal_steps():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 8)).astype(np.float32)
    params = {"conv.kernel": jnp.zeros((3, 3, 4, 8)), "depthwise.kernel": jnp.zeros((3, 3, 1, 8)), "bias": jnp.zeros(8)}
    optimiser = classifier.muon_optimiser(steps=10, learning_rate=0.02)
    gradient = jax.tree.map(
        jnp.asarray, {"conv.kernel": kernel, "depthwise.kernel": kernel[:, :, :1], "bias": kernel[0, 0, 0]}
    )
    updates, _ = optimiser.update(gradient, optimiser.init(params), params)
    found = np.linalg.svd(updates["conv.kernel"].reshape(36, 8), compute_uv=False)
    # Newton-Schulz brings the singular values near one common value; those of a random matrix differ more.
    given = np.linalg.svd(kernel.reshape(36, 8), compute_uv=False)
    assert found.max() / found.min() < 1.8 < given.max() / given.min()
    # The first step of Adam has the size of its rate everywhere.
    for name in ("depthwise.kernel", "bias"):
        np.testing.assert_allclose(np.abs(updates[name]), np.abs(updates["bias"]).max(), rtol=1e-3)


def test_joint_training_moves_both_networks_by_their_own_losses():
    module = hardness.module(64, (8,))
    params = PARAMS | hardness.prefixed(architectures.draw(forward.shapes(module), 0))
    both = lambda m, x: (m.features(x), m.head(m.features(x)))  # noqa: E731
    run_both, predictor = forward.training_forward(MODULE, both), forward.training_forward(module)
    loss = classifier.joint_objective(run_both, predictor, TO_INPUT)
    batch = {"image": PIXELS[:8], "label": DATA.arrays["label"][:8], "valid": np.ones(8, bool)}
    key = jax.random.key(0)
    (value, (statistics, metrics)), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(params, batch, key)
    assert float(value) == pytest.approx(float(metrics["classifier_loss"] + metrics["predictor_loss"]), rel=1e-5)
    assert float(jnp.abs(gradient["conv1.kernel"]).max()) > 0
    assert float(jnp.abs(gradient["hardness.linears.0.kernel"]).max()) > 0
    assert "hardness.norms.0.mean" in statistics and "bn1.mean" in statistics


def test_a_predictor_with_its_own_trunk_reads_the_images():
    structure = hardness.with_trunk("small_cnn_narrow", (8, 4))
    own = hardness.prefixed(architectures.draw(forward.shapes(structure), 0))
    judge = lambda module, x: module.head(module.features(x, "conv4"), "conv4")  # noqa: E731
    both = lambda m, x: (m.features(x), m.head(m.features(x)))  # noqa: E731
    runs = forward.training_forward(MODULE, both), forward.training_forward(structure, judge)
    loss = classifier.joint_objective(*runs, TO_INPUT, own_trunk=True)
    batch = {"image": PIXELS[:8], "label": DATA.arrays["label"][:8], "valid": np.ones(8, bool)}
    _, (statistics, metrics) = jax.jit(loss)(PARAMS | own, batch, jax.random.key(0))
    k, moved = runs[1](hardness.own(own), TO_INPUT(jnp.asarray(PIXELS[:8])), jax.random.fold_in(jax.random.key(0), 1))
    _, logits = runs[0](PARAMS, TO_INPUT(jnp.asarray(PIXELS[:8])), jax.random.key(0))[0]
    p = losses.true_class_probability(logits, jnp.asarray(batch["label"]))
    assert float(metrics["predictor_loss"]) == pytest.approx(float(losses.predictor_loss(k, p)), rel=1e-4)
    np.testing.assert_allclose(statistics["hardness.trunk.bn4.mean"], moved["trunk.bn4.mean"], rtol=1e-4, atol=1e-6)


def test_a_batch_must_divide_over_the_devices():
    with pytest.raises(InputError, match="multiple of the"):
        check_batch_size(0, device_mesh())


@pytest.mark.slow
def test_eight_devices_give_the_loss_curve_of_one(uninterrupted):
    """About 15 s: a second process with eight virtual CPU devices; BatchNorm's statistics must be those of all."""
    program = (
        "import json, jax, numpy as np, sys; sys.path.insert(0, 'tests/training'); import test_classifier as t\n"
        "state, _, records = t.run(); assert jax.device_count() == 8\n"
        "mean = np.asarray(state.params['bn4.mean']).tolist()\n"
        "print(json.dumps({'losses': [r['loss'] for r in records], 'mean': mean}))"
    )
    env = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu", "PATH": "/usr/bin:/bin"}
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, cwd=root, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    state, _, records = uninterrupted
    np.testing.assert_allclose(found["losses"], [r["loss"] for r in records], atol=1e-4)
    np.testing.assert_allclose(found["mean"], state.params["bn4.mean"], atol=1e-4)
