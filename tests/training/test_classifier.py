import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from galore.data.preprocessing import Preprocessing
from galore.training import architectures, classifier, hardness, inputs, losses
from galore.training.config import TrainConfig

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
BATCH = {"image": PIXELS, "label": np.arange(8) % 3, "valid": np.ones(8, bool)}
MODULE = architectures.module("small_cnn_narrow", 3)
PARAMS = architectures.random_params("small_cnn_narrow", 3, seed=0)
TO_INPUT = inputs.as_input(Preprocessing(16, 16))
BOTH = architectures.training_forward(MODULE, lambda m, x: (m.features(x), m.head(m.features(x))))


def test_the_authors_optimiser_by_hand():
    params = {"w": jnp.array([2.0]), "hardness.w": jnp.array([2.0])}
    optimiser = classifier.make_optimiser(
        TrainConfig(optimiser="authors", learning_rate=1e-3, weight_decay=1e-4), 4, per_epoch=2
    )
    state, gradient = optimiser.init(params), {"w": jnp.array([1.0]), "hardness.w": jnp.array([1.0])}
    w, momentum = 2.0, 0.0
    update = jax.jit(optimiser.update)
    for step in range(4):
        updates, state = update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        momentum = 0.9 * momentum + (1 + 1e-4 * w)
        w -= 1e-3 * 0.95 ** (step // 2) * momentum
    assert float(params["w"][0]) == pytest.approx(w, rel=1e-6)
    # Adam's steps have the size of the rate while the gradient does not change.
    assert float(params["hardness.w"][0]) == pytest.approx(2 - 4e-5, rel=1e-6)


def test_muon_moves_convolutions_by_nearly_orthogonal_steps():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 8)).astype(np.float32)
    params = {"conv.kernel": jnp.zeros((3, 3, 4, 8)), "depthwise.kernel": jnp.zeros((3, 3, 1, 8)), "bias": jnp.zeros(8)}
    optimiser = classifier.make_optimiser(TrainConfig(optimiser="muon", learning_rate=0.02), steps=10, per_epoch=5)
    gradient = jax.tree.map(
        jnp.asarray, {"conv.kernel": kernel, "depthwise.kernel": kernel[:, :, :1], "bias": kernel[0, 0, 0]}
    )
    updates, _ = jax.jit(optimiser.update)(gradient, optimiser.init(params), params)
    found = np.linalg.svd(updates["conv.kernel"].reshape(36, 8), compute_uv=False)
    # Newton-Schulz brings the singular values near one common value; those of a random matrix differ more.
    given = np.linalg.svd(kernel.reshape(36, 8), compute_uv=False)
    assert found.max() / found.min() < 1.8 < given.max() / given.min()
    # The first step of Adam has the size of its rate everywhere.
    for name in ("depthwise.kernel", "bias"):
        np.testing.assert_allclose(np.abs(updates[name]), np.abs(updates["bias"]).max(), rtol=1e-3)


def test_joint_training_moves_both_networks_by_their_own_losses():
    module = hardness.module(64, (8,))
    params = PARAMS | hardness.prefixed(architectures.draw(architectures.shapes(module), 0))
    loss = classifier.objective(BOTH, TO_INPUT, predictor=architectures.training_forward(module))
    key = jax.random.key(0)
    (value, (statistics, metrics)), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(params, BATCH, key)
    assert float(value) == pytest.approx(float(metrics["classifier_loss"] + metrics["predictor_loss"]), rel=1e-5)
    assert float(jnp.abs(gradient["conv1.kernel"]).max()) > 0
    assert float(jnp.abs(gradient["hardness.linears.0.kernel"]).max()) > 0
    assert "hardness.norms.0.mean" in statistics and "bn1.mean" in statistics


def test_a_predictor_with_its_own_trunk_reads_the_images():
    structure = hardness.with_trunk("small_cnn_narrow", (8, 4))
    own = hardness.prefixed(architectures.draw(architectures.shapes(structure), 0))
    predictor = architectures.training_forward(structure, lambda m, x: m.head(m.features(x, "conv4"), "conv4"))
    loss = classifier.objective(BOTH, TO_INPUT, predictor=predictor, own_trunk=True)
    _, (statistics, metrics) = jax.jit(loss)(PARAMS | own, BATCH, jax.random.key(0))
    x = TO_INPUT(jnp.asarray(PIXELS))
    k, moved = jax.jit(predictor)(hardness.own(own), x, jax.random.fold_in(jax.random.key(0), 1))
    _, logits = jax.jit(BOTH)(PARAMS, x, jax.random.key(0))[0]
    p = losses.true_class_probability(logits, jnp.asarray(BATCH["label"]))
    assert float(metrics["predictor_loss"]) == pytest.approx(float(losses.predictor_loss(k, p)), rel=1e-4)
    np.testing.assert_allclose(statistics["hardness.trunk.bn4.mean"], moved["trunk.bn4.mean"], rtol=1e-4, atol=1e-6)
