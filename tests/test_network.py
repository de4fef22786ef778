import dataclasses

import answers
import chex
import heads
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import compiled
from flax import linen, nnx

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


def run(net, image):
    """The activation and the logits."""
    return compiled(lambda net, image: net(image), net, image)


def run_all(net, images):
    return compiled(lambda net, images: jax.vmap(net)(images), net, images)


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
        F, logits = run(net, IMAGES[0])
        chex.assert_shape(F, (8, 8, heads.DEPTH))
        chex.assert_shape(logits, (heads.CLASSES,))

    def test_vmap_makes_a_batch(self, net):
        F, logits = run_all(net, IMAGES)
        chex.assert_shape(F, (3, 8, 8, heads.DEPTH))
        chex.assert_trees_all_close(logits[1], run(net, IMAGES[1])[1], rtol=1e-4, atol=1e-6)

    def test_can_be_an_argument_of_jit_and_grad(self, net):
        slopes = jax.jit(jax.grad(lambda network, x: network(x)[1][0]))(net, IMAGES[0])
        assert isinstance(slopes, Network)
        chex.assert_trees_all_equal_shapes(slopes.params, net.params)

    def test_is_explained(self, net):
        explanation = jax.jit(explain.deliberative)(net, IMAGES)
        assert np.all(np.isfinite(explanation.maps)) and np.any(explanation.maps)

    def test_explaining_changes_no_parameter_and_no_statistic(self, net):
        before = jax.tree.map(lambda leaf: np.array(leaf), net.params)
        compiled(explain.discriminant, net, IMAGES, 0, 1)
        chex.assert_trees_all_equal(net.params, before)

    def test_its_parameters_can_be_replaced_and_cast(self, net):
        zero = dataclasses.replace(net, params=jax.tree.map(jnp.zeros_like, net.params))
        assert not np.any(run(zero, IMAGES[0])[0])
        assert all(leaf.dtype == jnp.bfloat16 for leaf in jax.tree.leaves(net.astype(jnp.bfloat16).params))

    def test_in_mixed_precision_maps_are_near_and_everything_outside_keeps_its_precision(self, net):
        mixed = net.with_precision("mixed")
        assert mixed.params is net.params and mixed.dtype == jnp.float32
        exact, rough = (compiled(explain.discriminant, one, IMAGES, 0, 1).maps for one in (net, mixed))
        assert rough.dtype == exact.dtype == jnp.float32
        assert 0 < float(jnp.abs(rough - exact).max()) < 2e-2 * float(jnp.abs(exact).max())
        assert mixed.head == net.with_precision("mixed").head != net.head

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
        _, logits = run_all(net, IMAGES)
        compiled(explain.attributive, net, IMAGES)
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
        chex.assert_trees_all_close(run(cut, IMAGES[0])[1], run(whole, IMAGES[0])[1], rtol=1e-5)

    def test_a_module_that_insists_on_batches(self):
        def flattening_head(module, F):
            return module.linear(F.reshape(F.shape[0], -1, heads.DEPTH).mean(1))

        net = from_nnx(Small(nnx.Rngs(0)), head=flattening_head, batched=True)
        expected = run(from_nnx(Small(nnx.Rngs(0))), IMAGES[0])[1]
        chex.assert_trees_all_close(run(net, IMAGES[0])[1], expected, rtol=1e-5)

    def test_a_module_without_a_cut_is_refused(self):
        with pytest.raises(InputError, match=r"Linear has no method \.features"):
            from_nnx(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))


def test_a_linen_module_equals_its_own_call():
    module = SmallLinen()
    variables = jax.jit(module.init)(jax.random.key(0), IMAGES)
    found = run_all(from_linen(module, variables), IMAGES)[1]
    chex.assert_trees_all_close(found, jax.jit(module.apply)(variables, IMAGES), rtol=1e-5, atol=1e-6)


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


def test_finer_maps_are_those_of_shifted_crops_side_by_side():
    """A cell is 8 pixels: the crops of detail 2 lie 4 apart, and the image in their middle."""
    net, image = answers.tiny_network(), jnp.asarray(heads.normal(1, 32, 32, 3))
    F, logits = jax.device_get(run(net.finer(2), image))
    assert F.shape == (8, 8, 3)
    one = jax.jit(lambda net, image: net(image))
    wider, of_crops = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="edge"), []
    for y in (0, 1):
        for x in (0, 1):
            crop = jnp.asarray(wider[4 * y : 4 * y + 32, 4 * x : 4 * x + 32])
            cells, some = jax.device_get(one(net, crop))
            of_crops.append(some)
            for i in range(4):
                for j in range(4):
                    np.testing.assert_allclose(F[2 * i + y, 2 * j + x], cells[i, j], rtol=1e-5)
    np.testing.assert_allclose(logits, np.mean(of_crops, axis=0), rtol=1e-5)
    assert net.finer(1) is net


def test_a_finer_cell_lies_where_the_map_shows_it():
    """The cells of detail 2 are 4 pixels apart, each sees 8, and the region about a bright spot is about the spot."""
    net, spot = answers.tiny_network(), (13, 22)
    image = np.zeros((32, 32, 3), np.float32)
    image[spot] = 100
    for detail in (1, 2, 4):
        F = np.asarray(run(net.finer(detail), image)[0])[..., 0]
        lit = np.argwhere(~np.isclose(F, F.min()))
        assert len(lit) == detail**2
        centre = (lit.mean(axis=0) + 0.5) * 8 / detail
        assert np.abs(centre - np.array(spot) - 0.5).max() <= 4 / detail


def test_values_without_a_location_stay_behind_the_others_in_finer_maps():
    def features(params, image):
        cells = answers.features(params, image)
        return jnp.concatenate([cells, jnp.full((1, *cells.shape[1:]), 7.0)])

    def head(params, F):
        return (F[:-1].mean((0, 1)) + F[-1].mean(0)) @ params["kernel"]

    net = dataclasses.replace(answers.tiny_network(), features=features, head=head, extra_rows=1)
    image = jnp.asarray(heads.normal(1, 32, 32, 3))
    finer = net.finer(2)
    F, logits = jax.device_get(run(finer, image))
    assert (F[8:] == 7).all() and not (F[:8] == 7).any()
    assert logits.shape == (len(net.class_names),)
    assert finer.locations(jnp.asarray(F))[0].shape == (8, 8, 3)
    assert compiled(explain.attributive, finer, image[None]).maps.shape == (1, 8, 8)


def test_a_finer_network_made_again_is_compiled_no_second_time():
    net = from_nnx(Small(nnx.Rngs(0)))
    chex.clear_trace_counter()
    run = jax.jit(chex.assert_max_traces(lambda net, image: net(image), n=1))
    for _ in range(2):
        run(net.finer(2), IMAGES[0])


def test_cells_that_cannot_be_divided_into_whole_pixels():
    with pytest.raises(InputError, match="detail=3: 4 cells on 32 pixels cannot be divided by 3 into whole pixels"):
        answers.tiny_network().finer(3)(jnp.zeros((32, 32, 3)))


@pytest.mark.parametrize("detail", [0, -1, 5])
def test_details_that_there_are_not(detail):
    with pytest.raises(InputError, match="expected a whole number from 1 to 4"):
        answers.tiny_network().finer(detail)
