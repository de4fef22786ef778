import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from galore import from_nnx
from galore.models.layers import LayeredNetwork
from galore.training.architectures import shapes, training_forward, used_names


class Tiny(LayeredNetwork):
    def __init__(self, *, rngs: nnx.Rngs):
        self.conv = nnx.Conv(3, 4, (1, 1), rngs=rngs)
        self.bn = nnx.BatchNorm(4, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.fc = nnx.Linear(4, 2, rngs=rngs)

    def layers(self):
        return {"conv": lambda x: self.conv(x), "bn": lambda x: self.bn(x)}

    def classifier(self, activation):
        return self.fc(self.dropout(activation.mean((-3, -2))))


MODULE = Tiny(rngs=nnx.Rngs(0))
PARAMS = from_nnx(MODULE).params
X = jax.random.normal(jax.random.key(1), (5, 6, 6, 3))
KEY = jax.random.key(2)


def test_batch_norm_uses_and_updates_the_statistics_of_the_batch():
    call = lambda module, x: module.features(x, "bn")  # noqa: E731
    activation, statistics = training_forward(MODULE, call)(PARAMS, X, KEY)
    before = np.asarray(X @ PARAMS["conv.kernel"][0, 0] + PARAMS["conv.bias"])
    mean, var = before.mean((0, 1, 2)), before.var((0, 1, 2))
    np.testing.assert_allclose(activation, (before - mean) / np.sqrt(var + 1e-5), atol=1e-5)
    np.testing.assert_allclose(statistics["bn.mean"], 0.1 * mean, atol=1e-6)
    np.testing.assert_allclose(statistics["bn.var"], 0.9 + 0.1 * var, atol=1e-6)


def test_frozen_statistics_stay():
    forward = training_forward(MODULE, lambda module, x: module.features(x), frozen_statistics=True)
    activation, statistics = forward(PARAMS, X, KEY)
    np.testing.assert_allclose(activation, jax.vmap(from_nnx(MODULE).features, (None, 0))(PARAMS, X), atol=1e-5)
    np.testing.assert_array_equal(statistics["bn.mean"], PARAMS["bn.mean"])


def test_dropout_depends_on_the_key_alone():
    forward = jax.jit(training_forward(MODULE))
    first, again, other = (forward(PARAMS, X, key)[0] for key in (KEY, KEY, jax.random.key(3)))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_only_the_structure_of_the_module_matters():
    abstract = nnx.eval_shape(lambda: Tiny(rngs=nnx.Rngs(0)))
    np.testing.assert_array_equal(
        training_forward(abstract)(PARAMS, X, KEY)[0], training_forward(MODULE)(PARAMS, X, KEY)[0]
    )
    assert {name: shape.shape for name, shape in shapes(abstract).items()} == {n: p.shape for n, p in PARAMS.items()}


def test_a_head_reads_only_what_lies_behind_the_cut():
    forward = training_forward(MODULE, lambda module, x: module.head(x, "conv"), frozen_statistics=True)
    activation = jnp.zeros((1, 6, 6, 4))
    assert used_names(forward, PARAMS, activation) == (
        "bn.bias",
        "bn.mean",
        "bn.scale",
        "bn.var",
        "fc.bias",
        "fc.kernel",
    )
    forward = training_forward(MODULE, lambda module, x: module.head(x))
    assert used_names(forward, PARAMS, activation) == ("fc.bias", "fc.kernel")


def normalised(module, x):
    return module.features(x, "bn")


def test_groups_of_a_batch_are_normalised_each_by_its_own_statistics_and_those_of_the_first_are_kept():
    outputs, statistics = training_forward(MODULE, normalised, groups=2)(PARAMS, X, KEY)
    alone = training_forward(MODULE, normalised)
    first, second = alone(PARAMS, X[:3], KEY), alone(PARAMS, X[3:], KEY)  # as torch.chunk cuts five images
    np.testing.assert_allclose(outputs, np.concatenate([first[0], second[0]]), atol=1e-6)
    np.testing.assert_allclose(statistics["bn.mean"], first[1]["bn.mean"], atol=1e-7)


def test_in_bfloat16_parameters_and_statistics_stay_float32_and_results_are_near():
    exact, exact_statistics = training_forward(MODULE, normalised)(PARAMS, X, KEY)
    rough, statistics = training_forward(MODULE, normalised, compute="bfloat16")(PARAMS, X, KEY)
    assert rough.dtype == statistics["bn.mean"].dtype == jnp.float32
    assert 0 < float(jnp.abs(rough - exact).max()) < 2e-2 * float(jnp.abs(exact).max())
    np.testing.assert_allclose(statistics["bn.var"], exact_statistics["bn.var"], rtol=1e-2)
    inside = jax.make_jaxpr(training_forward(MODULE, compute="bfloat16"))(PARAMS, X, KEY)
    products = [
        equation for equation in inside.eqns if equation.primitive.name in ("dot_general", "conv_general_dilated")
    ]
    assert products and all(one.outvars[0].aval.dtype == jnp.bfloat16 for one in products)


def test_a_network_that_was_trained_in_bfloat16_can_be_explained_in_the_same_precision():
    """Frozen statistics compute as a network that is asked does; only these are rounded there too."""
    call = lambda module, x: module.features(x)  # noqa: E731
    trained, exact = (
        training_forward(MODULE, call, frozen_statistics=True, compute=compute)(PARAMS, X, KEY)[0]
        for compute in ("bfloat16", "float32")
    )
    explained = jax.vmap(from_nnx(MODULE).with_precision("bfloat16").activation)(X)
    assert explained.dtype == jnp.bfloat16
    error = jnp.abs(trained - exact).max()
    assert jnp.abs(explained.astype(jnp.float32) - trained).max() < error < 2e-2 * jnp.abs(exact).max()
