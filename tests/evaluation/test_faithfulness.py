"""Editing pixels in a map's order, and randomising the network, where the right answer is known."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from galore import InputError, Network, from_linen
from galore.evaluation import faithfulness
from galore.evaluation.imputation import noisy_linear
from galore.regions import largest_fraction
from tests.heads import normal, plain_network


def corner_score(image):
    """Looks at the top left quarter alone."""
    return jnp.mean(image[:8, :8])


CORNER = jnp.zeros((4, 4)).at[:2, :2].set(1.0) + jnp.arange(16).reshape(4, 4) * 1e-3
FRACTIONS = (0.0, 0.1, 0.25, 0.35, 0.5, 1.0)


def test_deleting_what_the_score_looks_at_removes_it_and_deleting_the_rest_does_not():
    image, blank = jnp.ones((16, 16, 3)), jnp.zeros((16, 16, 3))
    guided = faithfulness.replacement_curve(corner_score, image, blank, CORNER, FRACTIONS)
    opposite = faithfulness.replacement_curve(corner_score, image, blank, -CORNER, FRACTIONS)
    assert guided[0] == opposite[0] == 1
    assert guided[3] == pytest.approx(0, abs=0.06) and opposite[3] == 1
    assert faithfulness.area(guided, FRACTIONS) < faithfulness.area(opposite, FRACTIONS) - 0.5


def test_insertion_is_deletion_with_the_pictures_exchanged():
    image, blank = jnp.ones((16, 16, 3)), jnp.zeros((16, 16, 3))
    deletion = faithfulness.replacement_curve(corner_score, image, blank, CORNER, FRACTIONS)
    insertion = faithfulness.replacement_curve(corner_score, blank, image, CORNER, FRACTIONS)
    np.testing.assert_allclose(deletion + insertion, 1, rtol=1e-6)


def test_area_is_the_mean_height():
    assert faithfulness.area(jnp.array([1.0, 1.0, 0.0]), (0.0, 0.5, 1.0)) == pytest.approx(0.75)
    assert faithfulness.area(jnp.array([2.0, 2.0]), (0.2, 0.4)) == pytest.approx(2)


def test_moved_is_a_share_of_the_way():
    found = faithfulness.moved(jnp.array([1.0, 1.0, 1.0]), jnp.array([1.0, 2.0, -1.0]), jnp.array([3.0, 3.0, 1.0]))
    assert list(found[:2]) == [0, 0.5] and np.isnan(found[2])


def test_blurred_keeps_the_coarse_and_drops_the_fine():
    rng = np.random.default_rng(0)
    noise = jnp.asarray(rng.normal(size=(32, 32, 3)), jnp.float32)
    assert jnp.std(faithfulness.blurred(noise)) < 0.5
    np.testing.assert_allclose(faithfulness.blurred(jnp.full((32, 32, 3), 2.0)), 2.0, rtol=1e-5)


@given(st.integers(0, 2**31), st.booleans())
@settings(max_examples=20, deadline=None)
def test_rank_correlation_is_scipys(seed, ties):
    rng = np.random.default_rng(seed)
    draw = (lambda: rng.integers(0, 4, (3, 5))) if ties else (lambda: rng.normal(size=(3, 5)))
    first, second = (jnp.asarray(draw(), jnp.float32) for _ in range(2))
    expected = spearmanr(first.reshape(-1), second.reshape(-1)).statistic
    np.testing.assert_allclose(faithfulness.rank_correlation(first, second), expected, atol=1e-5)


def test_a_constant_map_has_no_rank_correlation():
    assert np.isnan(faithfulness.rank_correlation(jnp.ones((3, 3)), jnp.arange(9.0).reshape(3, 3)))


class TestMuFidelity:
    """The score falls by the weights of the pixels that are taken: a closed form for a linear score."""

    image, blank = jnp.asarray(normal(1, 8, 12, 3)), jnp.asarray(normal(2, 8, 12, 3))
    weights = normal(3, 8, 12, 3)

    def score(self, image):
        return jnp.sum(self.weights * image)

    def cells(self):
        """What each of 4 x 3 cells of 2 x 4 pixels adds to the score."""
        part = self.weights * np.asarray(self.image - self.blank)
        return np.array([[part[2 * i : 2 * i + 2, 4 * j : 4 * j + 4].sum() for j in range(3)] for i in range(4)])

    def ask(self, map_, size=4, score=None, **options):
        key = jax.random.key(0)
        return faithfulness.mu_fidelity(
            score or self.score, self.image, self.blank, jnp.asarray(map_, jnp.float32), key, size, **options
        )

    @pytest.mark.parametrize("size", [1, 5, 11])
    def test_the_exact_attribution_correlates_perfectly(self, size):
        assert self.ask(self.cells(), size) == pytest.approx(1, abs=1e-4)
        assert self.ask(-3 * self.cells(), size) == pytest.approx(-1, abs=1e-4)

    def test_is_pearsons_correlation_over_the_sets(self):
        """A second implementation in loops, with the same sets."""
        map_ = normal(4, 4, 3)
        score = lambda image: jnp.tanh(self.score(image) / 20)  # noqa: E731
        sums, falls = [], []
        for key in jax.random.split(jax.random.key(0), 20):
            edited, total = np.array(self.image), 0.0
            for place in np.flatnonzero(np.asarray(jax.random.permutation(key, 12)) < 4):
                i, j = divmod(int(place), 3)
                edited[2 * i : 2 * i + 2, 4 * j : 4 * j + 4] = self.blank[2 * i : 2 * i + 2, 4 * j : 4 * j + 4]
                total += map_[i, j]
            sums.append(total), falls.append(float(score(self.image) - score(jnp.asarray(edited))))
        expected = np.corrcoef(sums, falls)[0, 1]
        assert self.ask(map_, score=score, samples=20, chunk=3) == pytest.approx(expected, abs=1e-4)

    def test_a_constant_map_correlates_with_nothing(self):
        assert np.isnan(self.ask(np.ones((4, 3))))

    @pytest.mark.robust("options")
    @pytest.mark.parametrize("options", [{"size": 0}, {"size": 12}, {"size": 3, "samples": 1}], ids=str)
    def test_sets_that_cannot_vary_are_refused(self, options):
        with pytest.raises(InputError, match="expected 1 to 11 cells, and at least 2 sets"):
            self.ask(np.ones((4, 3)), **options)


def test_deletion_by_imputation_fills_the_largest_pixels_from_the_others():
    image, key = jnp.asarray(normal(1, 16, 16, 3)), jax.random.key(1)
    curve = faithfulness.imputation_curve(corner_score, image, CORNER, key, FRACTIONS)
    for fraction, found in zip(FRACTIONS, curve):
        filled = noisy_linear(image, largest_fraction(CORNER, fraction, (16, 16)), key)
        assert found == pytest.approx(float(corner_score(filled)), abs=1e-5)
    assert curve[0] == pytest.approx(float(corner_score(image)))


class TestComplexity:
    def by_hand(self, values, bins):
        """Shannon's entropy of a histogram, bin by bin."""
        low, high, total = values.min(), values.max(), 0.0
        places = np.minimum(((values - low) / (high - low) * bins).astype(int), bins - 1)
        for place in range(bins):
            share = np.mean(places == place)
            total -= share * np.log(share) if share else 0
        return total

    @pytest.mark.parametrize("bins", [10, 100])
    def test_is_the_entropy_of_the_histogram_and_rises_with_noise(self, bins):
        rng = np.random.default_rng(0)
        simple, noisy = rng.exponential(size=(20, 20)) ** 3, rng.uniform(size=(20, 20))
        for values in (simple, noisy):
            found = faithfulness.complexity(jnp.asarray(values, jnp.float32), bins)
            assert found == pytest.approx(self.by_hand(values, bins), abs=1e-3)
        rise = faithfulness.complexity_rise(jnp.asarray(simple, jnp.float32), jnp.asarray(noisy, jnp.float32), bins)
        before, after = (self.by_hand(values, bins) for values in (simple, noisy))
        assert rise == pytest.approx((after - before) / before, abs=1e-3) and rise > 0

    def test_a_constant_map_has_none(self):
        flat, other = jnp.full((4, 4), 3.0), jnp.arange(16.0).reshape(4, 4)
        assert faithfulness.complexity(flat) == 0
        assert faithfulness.complexity_rise(other, flat) == -1
        assert np.isnan(faithfulness.complexity_rise(flat, other))


class Blocks(linen.Module):
    """Nested parameters, used in another order than that of their names."""

    @linen.compact
    def __call__(self, x):
        for name in ("stem", "late", "early"):
            x = linen.relu(linen.Conv(4, (3, 3), name=name)(x))
        return linen.Dense(5, name="a_classifier")(x.mean((0, 1)))


class Whole(linen.Module):
    def setup(self):
        self.blocks = Blocks()

    def features(self, x):
        return x

    def head(self, F):
        return self.blocks(F)


def nested_network() -> Network:
    module = Whole()
    variables = jax.jit(functools.partial(module.init, method="head"))(jax.random.key(0), jnp.zeros((8, 8, 3)))
    return from_linen(module, variables)


IMAGE = jnp.zeros((8, 8, 3))


class TestOrderOfUse:
    def test_of_a_dict(self):
        assert faithfulness.order_of_use(plain_network(), jnp.zeros((16, 16, 3))) == ["convolution", "kernel", "bias"]

    def test_of_nested_variables_of_linen_by_their_paths(self):
        expected = [
            f"params.blocks.{layer}.{name}"
            for layer in ("stem", "late", "early", "a_classifier")
            for name in ("kernel", "bias")
        ]
        assert faithfulness.order_of_use(nested_network(), IMAGE) == expected

    @pytest.mark.parametrize("wrap", [jax.jit, jax.checkpoint, lambda f: f], ids=["jit", "remat", "plain"])
    def test_of_any_tree_also_in_inner_programs_and_of_what_is_cast_or_normalised_first(self, wrap):
        """A list of layers: what happens to parameters alone is no use yet."""

        def features(layers, x):
            cast = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16).astype(jnp.float32), layers[::-1])[::-1]
            return wrap(lambda layers, x: x @ (layers[2]["w"] / jnp.linalg.norm(layers[2]["w"])))(cast, x)

        def head(layers, F):
            return wrap(lambda layers, F: jnp.tanh(F.sum((0, 1)) @ layers[0]["w"]) @ layers[1]["w"])(layers, F)

        layers = [{"w": jnp.ones(shape)} for shape in ((4, 6), (6, 5), (3, 4), (2, 2))]
        net = Network(layers, features, head)
        assert faithfulness.order_of_use(net, IMAGE) == ["2.w", "0.w", "1.w"]

    def test_in_loops_and_branches(self):
        def features(params, x):
            x, _ = jax.lax.scan(lambda x, layer: (x @ layer["b"] + layer["a"], None), x, params["layers"])
            return jax.lax.cond(x.sum() > 0, lambda x, w: x * w, lambda x, w: x - w, x, params["branch"])

        def head(params, F):
            z = jax.lax.while_loop(lambda z: z.sum() < 1, lambda z: z + params["step"], F.mean((0, 1)))
            return z @ params["classifier"]

        params = {
            "branch": jnp.ones(3),
            "classifier": jnp.ones((3, 5)),
            "layers": {"a": jnp.ones((2, 3)), "b": jnp.ones((2, 3, 3))},
            "step": jnp.ones(3),
            "count": jnp.arange(3),
            "key": jax.random.key(0),
        }
        net = Network(params, features, head)
        assert faithfulness.order_of_use(net, IMAGE) == ["layers.b", "layers.a", "branch", "step", "classifier"]


class TestRandomise:
    def test_touches_the_named_parameters_alone_and_keeps_their_values(self):
        net = plain_network()
        changed = faithfulness.randomise(net, ("kernel", "bias"), jax.random.key(0))
        np.testing.assert_array_equal(changed.params["convolution"], net.params["convolution"])
        assert np.abs(changed.params["kernel"] - net.params["kernel"]).max() > 0.1
        np.testing.assert_allclose(np.sort(changed.params["kernel"].ravel()), np.sort(net.params["kernel"].ravel()))

    def test_of_nested_variables_and_all_of_them(self):
        net = nested_network()
        order = faithfulness.order_of_use(net, IMAGE)
        last = faithfulness.randomise(net, order[-2:], jax.random.key(0)).params["params"]["blocks"]
        before = net.params["params"]["blocks"]
        np.testing.assert_array_equal(last["stem"]["kernel"], before["stem"]["kernel"])
        assert np.any(last["a_classifier"]["kernel"] != before["a_classifier"]["kernel"])
        everything = faithfulness.randomise(net, None, jax.random.key(0)).params["params"]["blocks"]
        for layer in before:
            assert np.any(everything[layer]["kernel"] != before[layer]["kernel"])
            assert everything[layer]["kernel"].std() == pytest.approx(float(before[layer]["kernel"].std()), rel=1e-4)

    def test_leaves_that_are_no_floats_stay(self):
        params = {"count": jnp.arange(40), "key": jax.random.key(0), "w": jnp.arange(40.0)}
        changed = faithfulness.randomise(Network(params, None, lambda p, F: F), None, jax.random.key(0)).params
        assert changed["count"] is params["count"] and changed["key"] is params["key"]
        assert np.any(changed["w"] != params["w"])

    @pytest.mark.robust("names and indices")
    def test_an_unknown_name_gets_the_closest(self):
        with pytest.raises(InputError, match="no parameter is called kernal; the closest is kernel"):
            faithfulness.randomise(plain_network(), ["kernal"], jax.random.key(0))
