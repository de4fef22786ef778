import dataclasses

import answers
import chex
import heads
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import galore
from galore import InputError, Network, explain, from_linen, from_nnx, provenance
from galore.network import pure


class Small(nnx.Module):
    """BatchNorm and dropout, whose training and evaluation behaviour differ."""

    def __init__(self, rngs: nnx.Rngs):
        self.convolution = nnx.Conv(3, heads.DEPTH, (3, 3), strides=(2, 2), rngs=rngs)
        self.norm = nnx.BatchNorm(heads.DEPTH, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.linear = nnx.Linear(heads.DEPTH, heads.CLASSES, rngs=rngs)

    def features(self, x):
        return nnx.relu(self.norm(self.convolution(x)))

    def head(self, F):
        return self.linear(self.dropout(jnp.mean(F, axis=(-3, -2))))


class SmallLinen(linen.Module):
    def setup(self):
        self.convolution = linen.Conv(heads.DEPTH, (3, 3), strides=(2, 2))
        self.norm = linen.BatchNorm()
        self.linear = linen.Dense(heads.CLASSES)

    def features(self, x, train=False):
        return linen.relu(self.norm(self.convolution(x), use_running_average=not train))

    def head(self, F):
        return self.linear(jnp.mean(F, axis=(-3, -2)))

    def __call__(self, x, train=False):
        return self.head(self.features(x, train))


IMAGES = heads.images(3)


def linen_network() -> Network:
    module = SmallLinen()
    variables = jax.jit(module.init)(jax.random.key(0), IMAGES)
    return from_linen(module, variables)


NETWORKS = {
    "plain functions": heads.plain_network,
    "nnx": lambda: from_nnx(Small(nnx.Rngs(0))),
    "linen": linen_network,
}


@pytest.fixture(scope="module", params=NETWORKS)
def net(request) -> Network:
    return NETWORKS[request.param]()


class TestEveryKindOfNetwork:
    def test_one_example_gives_activation_and_logits(self, net):
        F, logits = net(IMAGES[0])
        chex.assert_shape(F, (8, 8, heads.DEPTH))
        chex.assert_shape(logits, (heads.CLASSES,))

    def test_vmap_makes_a_batch(self, net):
        F, logits = jax.vmap(net)(IMAGES)
        chex.assert_shape(F, (3, 8, 8, heads.DEPTH))
        chex.assert_trees_all_close(logits[1], net(IMAGES[1])[1], rtol=1e-4, atol=1e-6)

    def test_can_be_an_argument_of_jit_and_grad(self, net):
        slopes = jax.jit(jax.grad(lambda network, x: network(x)[1][0]))(net, IMAGES[0])
        assert isinstance(slopes, Network)
        chex.assert_trees_all_equal_shapes(slopes.params, net.params)

    def test_is_explained(self, net):
        explanation = jax.jit(explain.deliberative)(net, IMAGES)
        assert np.all(np.isfinite(explanation.maps)) and np.any(explanation.maps)

    def test_explaining_changes_no_parameter_and_no_statistic(self, net):
        before = jax.tree.map(lambda leaf: np.array(leaf), net.params)
        explain.discriminant(net, IMAGES, 0, 1)
        chex.assert_trees_all_equal(net.params, before)

    def test_its_parameters_can_be_replaced_and_cast(self, net):
        zero = dataclasses.replace(net, params=jax.tree.map(jnp.zeros_like, net.params))
        assert not np.any(zero(IMAGES[0])[0])
        assert all(leaf.dtype == jnp.bfloat16 for leaf in jax.tree.leaves(net.astype(jnp.bfloat16).params))

    @pytest.mark.robust("shapes and numbers")
    def test_leaves_that_are_no_floats_are_left_alone(self):
        others = {"key": jax.random.key(0), "old_key": jax.random.PRNGKey(1), "count": jnp.arange(3), "on": True}
        net = Network({**others, "weights": jnp.ones(2), "scale": 2.0}, None, heads.pooled_linear_head)
        cast = net.astype(jnp.bfloat16)
        assert cast.params["weights"].dtype == cast.params["scale"].dtype == net.astype("bfloat16").dtype
        assert all(cast.params[name] is value for name, value in others.items())
        assert len(provenance.params_sha256(cast.params)) == 64


class TestFromNnx:
    def test_equals_the_module_in_evaluation_mode_and_leaves_the_module_alone(self):
        module = Small(nnx.Rngs(0))
        module.norm.mean[...] = jnp.full(heads.DEPTH, 0.1)
        net = from_nnx(module)
        before = jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(module, nnx.Not(nnx.RngState))))
        _, logits = jax.vmap(net)(IMAGES)
        explain.attributive(net, IMAGES)
        after = nnx.to_pure_dict(nnx.state(module, nnx.Not(nnx.RngState)))
        chex.assert_trees_all_equal(before, after)
        assert not module.norm.use_running_average and not module.dropout.deterministic

        module.eval()
        chex.assert_trees_all_close(logits, module.head(module.features(IMAGES)), rtol=1e-4, atol=1e-6)

    def test_two_functions_cut_it_elsewhere(self):
        cut = from_nnx(
            Small(nnx.Rngs(0)),
            features=lambda m, x: m.convolution(x),
            head=lambda m, G: m.head(nnx.relu(m.norm(G))),
        )
        whole = from_nnx(Small(nnx.Rngs(0)))
        chex.assert_trees_all_close(cut(IMAGES[0])[1], whole(IMAGES[0])[1], rtol=1e-5)

    def test_a_module_that_insists_on_batches(self):
        def flattening_head(module, F):
            return module.linear(F.reshape(F.shape[0], -1, heads.DEPTH).mean(1))

        net = from_nnx(Small(nnx.Rngs(0)), head=flattening_head, batched=True)
        expected = from_nnx(Small(nnx.Rngs(0)))(IMAGES[0])[1]
        chex.assert_trees_all_close(net(IMAGES[0])[1], expected, rtol=1e-5)

    def test_a_module_without_a_cut_is_refused(self):
        with pytest.raises(InputError, match=r"Linear has no method \.features"):
            from_nnx(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))


def test_a_linen_module_equals_its_own_call():
    module = SmallLinen()
    variables = module.init(jax.random.key(0), IMAGES)
    chex.assert_trees_all_close(
        jax.vmap(from_linen(module, variables))(IMAGES)[1], module.apply(variables, IMAGES), rtol=1e-5, atol=1e-6
    )


def their_features(module, x):
    return module.features(x)


def their_head(module, F):
    return module.head(F)


class Scaled(linen.Module):
    """A field that no hash can be made of."""

    scale: np.ndarray

    def features(self, x):
        return x * self.scale

    def head(self, F):
        return F.mean((0, 1))


class TestMadeTwice:
    """A second network of the same module is found among what was compiled for the first."""

    @staticmethod
    def traces(*networks: Network) -> int:
        traced = []

        @jax.jit
        def logits(net, image):
            traced.append(1)
            return net(image)[1]

        for net in networks:
            logits(net, IMAGES[0])
        return len(traced)

    @pytest.mark.parametrize(
        "options",
        [{}, {"batched": True}, {"features": their_features, "head": their_head}],
        ids=["whole", "batched", "functions"],
    )
    def test_from_nnx_traces_once_also_for_other_values_of_the_parameters(self, options):
        first, second = Small(nnx.Rngs(0)), Small(nnx.Rngs(0))
        second.convolution.kernel[...] = 2 * second.convolution.kernel[...]
        made = [from_nnx(module, **options) for module in (first, first, second)]
        assert self.traces(*made) == 1
        assert made[0].features == made[2].features and hash(made[0].head) == hash(made[2].head)

    @pytest.mark.parametrize("options", [{}, {"batched": True}], ids=["whole", "batched"])
    def test_from_linen_traces_once(self, options):
        module = SmallLinen()
        variables = jax.jit(module.init)(jax.random.key(0), IMAGES)
        made = [from_linen(module, variables, **options), from_linen(SmallLinen(), variables, **options)]
        assert self.traces(*made) == 1

    def test_what_differs_is_traced_again(self):
        module = Small(nnx.Rngs(0))
        double = lambda module, F: 2 * module.head(F)  # noqa: E731
        others = [from_nnx(module, head=double), from_nnx(module, batched=True), from_nnx(Small(nnx.Rngs(1)))]
        assert self.traces(from_nnx(module), *others) == 4
        assert pure(module, their_head) != pure(module, their_features) != their_features
        module.norm.epsilon = 1.0
        assert pure(module, their_head) != pure(Small(nnx.Rngs(0)), their_head)

    def test_a_module_of_which_no_hash_can_be_made_equals_itself_alone(self):
        module = Scaled(np.ones(3, np.float32))
        first, second = from_linen(module, {}), from_linen(module, {})
        assert first.features == first.features and first.features != second.features
        assert self.traces(first, first) == 1


def test_a_network_without_features_takes_no_image():
    net = Network({}, None, lambda params, F: F.sum((0, 1)), name="heads")
    with pytest.raises(InputError, match="the network heads has no features"):
        net(jnp.zeros((8, 8, 3)))


F = jnp.ones((4, 3, 6))
KERNEL = jnp.asarray(heads.normal(3, 6, heads.CLASSES))


def pooled(params, F):
    return F.mean((0, 1)) @ KERNEL


@pytest.mark.robust("shapes and numbers")
@pytest.mark.parametrize(
    ("head", "found"),
    [
        (lambda p, F: pooled(p, F)[None], r"float32\[1, 5\]"),
        (lambda p, F: pooled(p, F)[:1], r"float32\[1\]"),
        (lambda p, F: pooled(p, F)[0], r"float32\[\]"),
        (lambda p, F: pooled(p, F)[:0], r"float32\[0\]"),
        (lambda p, F: F @ KERNEL, r"float32\[4, 3, 5\]"),
        (lambda p, F: (pooled(p, F), F), "a tuple"),
        (lambda p, F: [pooled(p, F)], "a list"),
        (lambda p, F: {"logits": pooled(p, F)}, "a dict"),
        (lambda p, F: None, "a NoneType"),
        (lambda p, F: pooled(p, F).astype(jnp.int32), r"int32\[5\]"),
        (lambda p, F: pooled(p, F) > 0, r"bool\[5\]"),
        (lambda p, F: pooled(p, F).astype(jnp.complex64), r"complex64\[5\]"),
    ],
)
@pytest.mark.parametrize("question", [explain.attributive, explain.deliberative, explain.discriminant])
def test_a_head_that_gives_no_vector_of_logits_is_one_sentence(head, found, question, without_shape_types):
    arguments = {"predicted": None} if question is explain.discriminant else {}
    with pytest.raises(InputError, match=rf"^the head of the network odd gives {found}, expected floats \[C\]"):
        question(Network({}, None, head, name="odd"), None, activations=F[None], **arguments)


@pytest.mark.robust("shapes and numbers")
@pytest.mark.parametrize(
    ("features", "found"),
    [
        (lambda p, x: x.reshape(-1, 3), r"float32\[256, 3\]"),
        (lambda p, x: x[None], r"float32\[1, 16, 16, 3\]"),
        (lambda p, x: x.mean((0, 1)), r"float32\[3\]"),
        (lambda p, x: (x, x), "a tuple"),
        (lambda p, x: {"features": x}, "a dict"),
        (lambda p, x: x.astype(jnp.int8), r"int8\[16, 16, 3\]"),
        (lambda p, x: x[:0], r"float32\[0, 16, 3\]"),
    ],
)
def test_features_that_are_no_map_are_one_sentence(features, found, without_shape_types):
    net = Network({}, features, lambda p, F: F.mean((0, 1)))
    with pytest.raises(InputError, match=rf"^the features of the network given give {found}, expected floats \[h, w"):
        explain.attributive(net, IMAGES)


@pytest.mark.robust("names and indices")
@pytest.mark.parametrize("count", [1, 4, 6])
def test_names_that_are_more_or_fewer_than_the_logits_are_refused(count):
    net = Network({}, None, pooled, class_names=tuple("abcdef"[:count]))
    with pytest.raises(InputError, match=f"has {count} class names and 5 logits"):
        jax.jit(lambda F: explain.attributive(net, None, activations=F))(F[None])


def test_finer_maps_of_the_same_square_of_a_photo():
    net = answers.tiny_network()
    finer = net.finer(2)
    assert (finer.preprocessing.crop, finer.preprocessing.resize) == (64, 72)
    assert finer.preprocessing.transform(480, 640).box == net.preprocessing.transform(480, 640).box
    assert net(jnp.ones((32, 32, 3)))[0].shape[:2] == (4, 4)
    assert finer(jnp.ones((64, 64, 3)))[0].shape[:2] == (8, 8)
    assert net.finer(1) is net


def test_cells_stay_where_they_are_in_the_photo():
    """What is bright in a photo lights the cells at its place, be they few or many."""
    net, photo = answers.tiny_network(), np.zeros((36, 36, 3), np.uint8)
    photo[10:18, 18:26] = 255  # one cell of the central 32 x 32 pixels
    regions = []
    for one in (net, net.finer(2)):
        maps = galore.explain.attributive(one, jnp.asarray(one.preprocessing.apply(photo))[None]).maps[0]
        regions.append(np.asarray(galore.regions.largest_fraction(maps, 0.05, (64, 64))))
    centres = [np.argwhere(region).mean(axis=0) for region in regions]
    np.testing.assert_allclose(*centres, atol=0.5)


def test_a_network_of_one_input_size_has_no_finer_maps():
    def head(params, F):
        return F.reshape(-1) @ params["of every cell"]

    plain = answers.tiny_network()
    params = {"of every cell": jnp.ones((4 * 4 * 3, len(plain.class_names)))}
    rigid = dataclasses.replace(plain, params=params, head=head, name="rigid")
    assert rigid(jnp.ones((32, 32, 3)))[1].shape == (len(plain.class_names),)
    with pytest.raises(InputError, match="detail=2: the network rigid takes no images of 64 pixels a side, only of 32"):
        rigid.finer(2)
    with pytest.raises(InputError, match="no preprocessing"):
        heads.plain_network().finer(2)


@pytest.mark.parametrize("detail", [0, -1, 5])
def test_details_that_there_are_not(detail):
    with pytest.raises(InputError, match="expected a whole number from 1 to 4"):
        answers.tiny_network().finer(detail)
