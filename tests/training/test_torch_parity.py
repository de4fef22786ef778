"""The authors' training against a torch run of the same formulas (scripts/make_training_reference.py)."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from galore.models import weights
from galore.models.small_cnn import SmallCNN
from galore.training import architectures, classifier, hardness
from galore.training.config import TrainConfig
from galore.training.loop import initial_state, make_step
from scripts import make_training_reference as reference

TORCH = dict(np.load(reference.FILE))
TOLERANCE = 1e-5
CONFIG = TrainConfig(
    optimiser="authors", learning_rate=1e-3, weight_decay=1e-4, hardness="joint", label_smoothing=0.0, epochs=60
)
KEPT = optax.GradientTransformation(lambda params: params, lambda updates, state, params=None: (updates, updates))
"""Does nothing, and has the last gradients as its state."""
NETWORK = functools.partial(SmallCNN, width=reference.WIDTH)


def without_dropout(build):
    module = build()
    for _, part in nnx.iter_graph(module):
        if isinstance(part, nnx.Dropout):
            part.rate = 0.0
    return module


def fixed(shapes):
    """The parameters by the rule, through the one loader of torch's tensors."""
    names = {weights.to_torch_name(path): shape for path, shape in shapes.items()}
    tensors = {
        name: reference.fixed_weights(name, weights.to_torch_shape(shape.shape)) for name, shape in names.items()
    }
    params = weights.match(shapes, tensors, "the rule")
    return {path: value.astype(jnp.float64) for path, value in params.items()}


def assert_equal(values, key):
    """Each tensor to 1e-5 of its largest value; a bias before BatchNorm has the gradient zero."""
    tensors = {
        weights.to_torch_name(path): np.transpose(value, weights._TO_TORCH[value.ndim])
        for path, value in values.items()
    }
    sizes = [min(tensors[name].size, reference.SAMPLES) for name in sorted(tensors)]
    errors = np.abs(reference.side_by_side(tensors) - TORCH[key])
    scale = np.repeat(np.maximum(TORCH[f"{key}/scale"], 1e-6), sizes)
    assert (errors / scale).max() < TOLERANCE, key


@functools.cache
def stage(name):
    """The start and the loss of a stage."""
    module = without_dropout(lambda: NETWORK(reference.CLASSES, rngs=nnx.Rngs(0)))
    shapes = architectures.shapes(module)
    forward = architectures.training_forward(module, activation_and_logits, compute="float64")
    if name == "alone":
        return fixed(shapes), classifier.objective(forward, jnp.asarray)
    structure = without_dropout(lambda: hardness.HardnessNetwork(NETWORK, reference.WIDTHS, rngs=nnx.Rngs(0)))
    shapes |= hardness.prefixed(architectures.shapes(structure))
    predictor = architectures.training_forward(structure, lambda m, x: m(x, None, "conv4"), compute="float64")
    return fixed(shapes), classifier.objective(forward, jnp.asarray, predictor=predictor, own_trunk=True)


def activation_and_logits(module, x):
    activation = module.features(x)
    return activation, module.head(activation)


@pytest.mark.parametrize("name", ["alone", "joint"])
def test_losses_gradients_steps_and_statistics_are_torchs(name):
    """In double precision: the gradient jumps where a ReLU's input is zero."""
    with jax.enable_x64(True):
        params, loss = stage(name)
        images, labels = reference.fixed_batch()
        batch = {"image": images, "label": labels, "valid": np.ones(len(labels), bool)}
        optimiser = optax.chain(KEPT, classifier.make_optimiser(CONFIG, steps=600, per_epoch=10))
        trained = tuple(path for path in params if not path.endswith((".mean", ".var")))
        state, step = initial_state(params, trained, optimiser), jax.jit(make_step(loss, optimiser, 0))
        for number in range(reference.STEPS):
            key, before = f"{name}/{number}", state
            state, metrics = step(state, batch)
            assert_equal(state.optimiser[0], f"{key}/gradients")
            rates = {path: 1e-5 if path.startswith("hardness.") else 1e-3 for path in trained}
            moved = {path: (state.trained[path] - before.trained[path]) / rates[path] for path in trained}
            assert_equal(moved, f"{key}/updates")
            assert_equal(state.others, f"{key}/statistics")
            named = ["loss"] if name == "alone" else ["classifier_loss", "predictor_loss"]
            found = [float(metrics[one]) for one in named]
            np.testing.assert_allclose(found, TORCH[f"{key}/losses"], rtol=TOLERANCE)


@pytest.mark.parametrize(("name", "decay", "every"), [("alone", 0.1, 40), ("joint", 0.95, 1)])
def test_the_learning_rate_of_every_epoch_is_torchs(name, decay, every):
    config = dataclasses.replace(CONFIG, decay=decay, decay_every=every)
    rate = classifier.falling_rate(config, per_epoch=47)
    for within in (0, 46):
        found = rate(47 * np.arange(60) + within)
        np.testing.assert_allclose(found, TORCH[f"rates/{name}"], rtol=TOLERANCE)
