"""Every network against numbers that torch gave for the same weights (scripts/make_reference_numbers.py)."""

import dataclasses
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import memory
import numpy as np
import pytest
from flax import nnx

import galore
from galore.attribution import gradient_x_activation
from galore.models import factory, weights
from scripts.make_reference_numbers import CLASS, SIZES, fixed_input, fixed_weights, samples

REFERENCE = Path(__file__).resolve().parents[1] / "reference"
NETWORKS = [name for name in galore.models.names() if name != "small_cnn"]
TOLERANCE = 1e-4


def network_and_reference(name):
    """The network with the weights of the rule, all shapes checked by `match`, and what torch gave for it."""
    network = factory.template(name, 1000, None)
    torch_name = factory.ARCHITECTURES[name].torch_name
    params = {}
    # One by one, the largest first: VGG16 takes half a gigabyte.
    for path, shape in sorted(network.params.items(), key=lambda item: -item[1].size):
        key = torch_name(weights.to_torch_name(path))
        tensor = fixed_weights(key, weights.to_torch_shape(shape.shape))
        params |= weights.match({path: shape}, {key: tensor}, "the rule", torch_name)
    return dataclasses.replace(network, params=params), np.load(REFERENCE / f"torch_{name}.npz")


def all_layers(name):
    """Jitted (params, image) -> logits, the activation and the gradient of one logit at every named layer."""
    view = nnx.view(factory.module(name, 1000), deterministic=True, use_running_average=True, raise_if_not_found=False)
    graph, shapes = nnx.split(view)
    variables = dict(nnx.to_flat_state(shapes))

    def run(params, x, nothing):
        values = {path: params.get(".".join(map(str, path))) for path in variables}
        filled = {
            path: variables[path] if value is None else variables[path].replace(value) for path, value in values.items()
        }
        module = nnx.merge(graph, nnx.from_flat_state(filled))
        activations = {}
        for layer, step in module.layers().items():
            x = step(x) + nothing.get(layer, 0.0)  # a zero whose gradient is the layer's
            activations[layer] = x
        return module.classifier(x), activations

    def numbers(params, x):
        shapes = jax.eval_shape(run, params, x, {})[1]
        nothing = {layer: jnp.zeros(shape.shape, shape.dtype) for layer, shape in shapes.items()}

        def logit(nothing):
            logits, activations = run(params, x, nothing)
            return logits[CLASS], (logits, activations)

        gradients, (logits, activations) = jax.grad(logit, has_aux=True)(nothing)
        return logits, activations, gradients

    # In double precision XLA convolves with strides in loops of its own, which pay to be compiled a little better.
    return jax.jit(numbers, compiler_options={"xla_backend_optimization_level": 1} if "resnet" in name else None)


def assert_close(found, expected, what, scale=None):
    scale = np.abs(expected).max() if scale is None else scale
    error = np.abs(np.asarray(found, np.float64) - expected).max() / scale
    assert error <= TOLERANCE, f"{what}: relative error {error:.1e}"


@pytest.fixture(scope="module")
def process():
    """Takes its memory along."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as started:
        yield started


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_and_its_map_equal_torchs(process, name):
    """In double precision: the gradient jumps where a ReLU's input is zero, and some of ten million are within 1e-6.

    At the odd size, where padding is not the same on both sides; the test below is at 224 pixels. In a process of its
    own, since VGG16 takes 2 GB of memory. About a minute for the seven networks.
    """
    process.submit(check_every_layer, name).result()


def check_every_layer(name):
    memory.release()
    network, reference = network_and_reference(name)
    run = all_layers(name)
    with jax.enable_x64(True):
        # Made double by numpy: JAX would compile a program for each shape.
        params = {path: jnp.asarray(np.asarray(value, np.float64)) for path, value in network.params.items()}
    index = SIZES.index((193, 250))
    with jax.enable_x64(True):
        logits, activations, gradients = run(params, jnp.asarray(fixed_input(index), jnp.float64))
    assert_close(logits, reference[f"{index}/logits"], "logits")
    for layer, activation in activations.items():
        key = f"{index}/{layer}"
        assert_close(samples(activation), reference[f"{key}/activation"], key, reference[f"{key}/scale"])
        map_ = (np.asarray(activation) * np.asarray(gradients[layer])).sum(-1)
        assert_close(samples(map_), reference[f"{key}/map"], f"map {key}", reference[f"{key}/map_scale"])


@pytest.fixture(scope="module", params=NETWORKS)
def explained(request):
    """For the two images of one size: logits, activation and map at the last layer, and whole explanations."""
    memory.release()  # half a gigabyte is needed for VGG16
    network, reference = network_and_reference(request.param)

    # From the activation, as reports do; in one program with all the layers, XLA takes ten times as long.
    @jax.jit
    def explain(net, activation):
        map_ = gradient_x_activation(lambda F: net.head(net.params, F)[CLASS], activation)
        given = {"images": None, "activations": activation[None]}
        discriminant = galore.explain.discriminant(net, predicted=None, counter=int(reference["counter"]), **given)
        return map_, discriminant, galore.explain.deliberative(net, **given)

    forward, results = jax.jit(lambda net, image: net(image)), []
    for index in (0, 1):
        activation, logits = forward(network, jnp.asarray(fixed_input(index)))
        results.append(jax.block_until_ready((logits, activation, *explain(network, activation))))
    layer = network.layer
    del network, explain, forward
    memory.release()
    return layer, reference, results


def test_logits_and_map_at_the_last_layer_equal_torchs(explained):
    layer, reference, found = explained
    for index, (logits, activation, map_, _, _) in enumerate(found):
        key = f"{index}/{layer}"
        assert_close(logits, reference[f"{index}/logits"], "logits")
        assert_close(samples(activation), reference[f"{key}/activation"], key, reference[f"{key}/scale"])
        assert_close(samples(map_), reference[f"{key}/map"], f"map {key}", reference[f"{key}/map_scale"])


def test_whole_explanations_equal_formulas_written_in_torch(explained):
    _, reference, found = explained
    assert np.count_nonzero(reference["discriminant"]) >= 5  # something to compare
    assert np.count_nonzero(reference["deliberative/strengths"]) == 10
    *_, discriminant, deliberative = found[0]
    assert int(discriminant.predicted[0]) == int(reference["predicted"])
    assert_close(discriminant.maps[0], reference["discriminant"], "discriminant map")
    np.testing.assert_array_equal(deliberative.pairs[0], reference["deliberative/pairs"])
    np.testing.assert_array_equal(deliberative.occurs[0], reference["deliberative/occurs"])
    assert_close(deliberative.strengths[0], reference["deliberative/strengths"], "strengths")
    assert_close(deliberative.maps[0], reference["deliberative/maps"], "insecurities")
