import functools

import chex
import heads
import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from galore import InputError, attribution, explain
from galore.confidence import certainty, softmax_score
from galore.evaluation.methods import AttributionSetting

F = heads.activation()
METHODS = [
    attribution.gradient_x_activation,
    attribution.integrated_gradients,
    attribution.grad_cam,
    attribution.second_order,
]


def run(method, score, G, *arrays, **options):
    """The method as users run it: under jit, which also compiles faster than one operation at a time."""
    return jax.jit(lambda *args: method(score, *args, **options))(G, *arrays)


def equations(program):
    """All operations of a traced program, those of its inner ones too."""
    for equation in program.eqns:
        yield equation
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            yield from equations(inner)


def smooth_score(G):
    return heads.smooth_head(heads.smooth_params(), G)[2]


def smooth_confidence(G):
    return softmax_score(heads.smooth_head(heads.smooth_params(), G))


class TestLinearScore:
    """q(F) = <W, F> + b: every path and order gives the same, W * F summed over channels."""

    W = heads.normal(3, *F.shape)
    expected = jnp.sum(W * F, axis=-1)

    def score(self, G):
        return jnp.sum(self.W * G) + 0.7

    @pytest.mark.parametrize(
        "method", [attribution.gradient_x_activation, attribution.integrated_gradients, attribution.second_order]
    )
    def test_the_map_is_weight_times_activation(self, method):
        chex.assert_trees_all_close(run(method, self.score, F), self.expected, rtol=1e-5)

    def test_grad_cam_weighs_channels_by_their_mean_gradient(self):
        expected = jax.nn.relu(jnp.sum(self.W.mean((0, 1)) * F, axis=-1))
        chex.assert_trees_all_close(run(attribution.grad_cam, self.score, F), expected, rtol=1e-5)

    def test_a_positive_gradient_drops_the_negative_weights(self):
        expected = jnp.sum(jax.nn.relu(self.W) * F, axis=-1)
        chex.assert_trees_all_close(
            run(attribution.gradient_x_activation, self.score, F, positive_gradient=True), expected, rtol=1e-5
        )


class TestQuadraticScore:
    """q(F) = 1/2 vec(F)' A vec(F), A symmetric: gradient A F, Hessian A."""

    size = F.size
    root = heads.normal(4, size, size)
    A = (root + root.T) / 2
    product = F.reshape(-1) * (A @ F.reshape(-1))

    def score(self, G):
        return 0.5 * G.reshape(-1) @ self.A @ G.reshape(-1)

    def test_gradient_x_activation(self):
        expected = self.product.reshape(F.shape).sum(-1)
        chex.assert_trees_all_close(
            run(attribution.gradient_x_activation, self.score, F), expected, rtol=1e-4, atol=1e-4
        )

    def test_integrated_gradients_halves_it(self):
        expected = 0.5 * self.product.reshape(F.shape).sum(-1)
        chex.assert_trees_all_close(
            run(attribution.integrated_gradients, self.score, F), expected, rtol=1e-4, atol=1e-4
        )

    def test_second_order_adds_half_the_block(self):
        height, width, depth = F.shape
        vectors = F.reshape(-1, depth)
        blocks = self.A.reshape(height * width, depth, height * width, depth)
        curvature = jnp.stack([vectors[i] @ blocks[i, :, i] @ vectors[i] for i in range(height * width)])
        expected = self.product.reshape(F.shape).sum(-1) + 0.5 * curvature.reshape(height, width)
        chex.assert_trees_all_close(run(attribution.second_order, self.score, F), expected, rtol=1e-4, atol=1e-4)


class TestPooledLinearSoftmaxHead:
    """z = mean(F) W + b, p = softmax(z): the maps are class activation maps and their softmax chain rule."""

    params = heads.pooled_linear_params()
    cells = F.shape[0] * F.shape[1]
    contributions = jnp.einsum("hwd,dc->hwc", F, params["kernel"]) / cells
    p = jax.nn.softmax(heads.pooled_linear_head(params, F))
    top = int(jnp.argmax(p))

    def logits(self, G):
        return heads.pooled_linear_head(self.params, G)

    def test_a_logit_gives_the_class_activation_map(self):
        actual = run(attribution.gradient_x_activation, self.logits, F)
        chex.assert_trees_all_close(actual, jnp.moveaxis(self.contributions, -1, 0), rtol=1e-5)

    @pytest.mark.parametrize("clipped", [(), (3, 19)])
    def test_more_scores_than_locations_give_the_maps_of_one_at_a_time(self, clipped):
        mixing = heads.normal(11, heads.CLASSES, 20)
        scores = lambda G: jnp.tanh(self.logits(G) @ mixing)  # noqa: E731
        chosen = np.isin(np.arange(20), clipped)
        together = run(attribution.gradient_x_activation, scores, F, positive_gradient=chosen)
        method = attribution.gradient_x_activation
        alone = [run(method, lambda G, k=k: scores(G)[k], F, positive_gradient=bool(chosen[k])) for k in (0, 3, 7, 19)]
        chex.assert_trees_all_close(together[jnp.array([0, 3, 7, 19])], jnp.stack(alone), rtol=1e-4, atol=1e-6)

    def test_the_curvature_of_a_logit_is_exactly_zero(self):
        assert not np.any(run(attribution.location_curvature, self.logits, F))

    def test_the_softmax_score(self):
        centred = self.contributions[..., self.top] - self.contributions @ self.p
        expected = self.p[self.top] * centred
        actual = run(attribution.gradient_x_activation, lambda G: softmax_score(self.logits(G)), F)
        chex.assert_trees_all_close(actual, expected, rtol=1e-4, atol=1e-6)

    def test_the_curvature_of_the_softmax_score(self):
        u, p, y = self.contributions, self.p, self.top
        mean, square = u @ p, (u**2) @ p
        expected = p[y] * ((u[..., y] - mean) ** 2 - (square - mean**2))
        actual = run(attribution.location_curvature, lambda G: softmax_score(self.logits(G)), F)
        chex.assert_trees_all_close(actual, expected, rtol=1e-3, atol=1e-6)

    def test_grad_cam_of_a_logit_is_the_positive_part_of_the_class_activation_map(self):
        actual = run(attribution.grad_cam, lambda G: self.logits(G)[0], F)
        chex.assert_trees_all_close(actual, jax.nn.relu(self.contributions[..., 0]), rtol=1e-5, atol=1e-7)


class TestIntegratedGradients:
    @pytest.mark.parametrize("score", [smooth_score, smooth_confidence])
    @pytest.mark.parametrize("chunk", [64, 10])
    def test_the_map_sums_to_the_difference_of_the_scores(self, score, chunk):
        total = run(attribution.integrated_gradients, score, F, steps=64, chunk=chunk).sum()
        chex.assert_trees_all_close(total, score(F) - score(jnp.zeros_like(F)), rtol=1e-4)

    def test_from_another_baseline(self):
        baseline = heads.activation(seed=9)
        total = run(attribution.integrated_gradients, smooth_score, F, baseline, steps=64).sum()
        chex.assert_trees_all_close(total, smooth_score(F) - smooth_score(baseline), rtol=1e-4)

    def test_through_a_pooled_sum_follows_the_definition(self):
        params, baseline = heads.pooled_linear_params(), heads.activation(seed=9)

        def scores(G):
            logits = heads.pooled_linear_head(params, G)
            return jnp.stack([jnp.tanh(logits[0]), softmax_score(logits)])

        clip = jnp.array([False, True])
        actual = run(attribution.integrated_gradients, scores, F, baseline, steps=5, positive_gradient=clip, chunk=2)
        for k in range(2):
            slope = jax.jit(jax.grad(lambda G, k=k: scores(G)[k]))
            gradients = [slope(baseline + (t + 0.5) / 5 * (F - baseline)) for t in range(5)]
            mean = sum(jax.nn.relu(g) if clip[k] else g for g in gradients) / 5
            chex.assert_trees_all_close(actual[k], jnp.sum(mean * (F - baseline), -1), rtol=1e-4, atol=1e-7)


class TestAlongTheImage:
    net, image = heads.plain_network(), heads.images(1)[0]
    BLACK = (-1.0, -0.5, -2.0)

    def features(self, image):
        return self.net.features(self.net.params, image)

    def pooled(self, G):
        logits = heads.pooled_linear_head(self.net.params, G)
        return jnp.stack([logits[1], softmax_score(logits)])

    def whole(self, G):
        weights = jnp.asarray(heads.normal(11, 8, 8, heads.DEPTH))
        logits = self.net.head(self.net.params, jnp.tanh(G * weights))
        return jnp.stack([logits[1], softmax_score(logits)])

    def by_loops(self, scores, steps):
        """Points, channels and locations one after the other, as the papers' code takes them."""
        black = np.ones(self.image.shape, np.float32) * np.array(self.BLACK, np.float32)
        images = [black + t / steps * (np.asarray(self.image) - black) for t in range(steps + 1)]
        slopes = jax.jit(lambda x: jax.jacrev(scores)(self.features(x)))
        gradients = [np.asarray(slopes(x)) for x in images]
        mean = sum(gradients) / (steps + 1)
        change = np.asarray(self.features(self.image)) - np.asarray(self.features(jnp.asarray(black)))
        maps = np.zeros(mean.shape[:3])
        for i, j, channel in np.ndindex(*change.shape):
            maps[0, i, j] += mean[0, i, j, channel] * change[i, j, channel]
            maps[1, i, j] += max(max(mean[1, i, j, channel], 0) * change[i, j, channel], 0)
        return maps

    @pytest.mark.parametrize("name", ["pooled", "whole"])
    def test_points_and_clipping_are_the_authors(self, name):
        scores, path = getattr(self, name), attribution.image_path_integrated_gradients
        given = functools.partial(path, features=self.features, image=self.image, black=self.BLACK, steps=5, chunk=4)
        actual = run(given, scores, self.features(self.image), positive_gradient=jnp.array([False, True]))
        chex.assert_trees_all_close(actual, self.by_loops(scores, 5), rtol=1e-4, atol=1e-6)

    def test_a_setting_carries_the_black_of_each_channel(self):
        setting = AttributionSetting.of(attribution.image_path_integrated_gradients, black=self.BLACK, steps=5)
        assert setting in {setting}
        asked = functools.partial(explain.attributive, attribution=setting.function(), signs=explain.RAW)
        maps = jax.jit(asked)(self.net, self.image[None], 1).maps
        chex.assert_trees_all_close(maps[0], self.by_loops(self.pooled, 5)[0], rtol=1e-4, atol=1e-6)

    def test_memory_holds_a_chunk_of_images(self):
        path = attribution.image_path_integrated_gradients
        given = functools.partial(path, self.whole, features=self.features, image=self.image, chunk=4)
        program = jax.make_jaxpr(given)(self.features(self.image))
        largest = max(v.aval.size for e in equations(program) for v in e.outvars)
        assert largest <= 4 * 2 * 8 * 8 * heads.DEPTH


class TestSecondOrder:
    @pytest.mark.parametrize("score", [smooth_score, smooth_confidence])
    @pytest.mark.parametrize("chunk", [256, 5])
    def test_equals_the_explicit_hessian_block(self, score, chunk):
        hessian, gradient = jax.jit(jax.hessian(score))(F), jax.jit(jax.grad(score))(F)
        expected = np.zeros(F.shape[:2])
        for i, j in np.ndindex(*F.shape[:2]):
            f, g, H = np.asarray(F[i, j]), np.asarray(gradient[i, j]), np.asarray(hessian[i, j, :, i, j, :])
            expected[i, j] = g @ f + 0.5 * f @ H @ f
        chex.assert_trees_all_close(
            run(attribution.second_order, score, F, chunk=chunk), expected, rtol=1e-5, atol=1e-6
        )

    def test_absolute_curvature_is_the_authors_choice(self):
        curvature = run(attribution.location_curvature, smooth_score, F)
        assert np.any(curvature < 0)
        expected = run(attribution.gradient_x_activation, smooth_score, F) + 0.5 * jnp.abs(curvature)
        actual = run(attribution.second_order, smooth_score, F, absolute_curvature=True)
        chex.assert_trees_all_close(actual, expected, rtol=1e-6)

    def test_no_hessian_is_materialised(self):
        """The largest array in the program is the stack of masked activations, far from (h w d)^2."""
        jaxpr = jax.make_jaxpr(functools.partial(attribution.location_curvature, smooth_confidence))(F)
        largest = max(v.aval.size for e in jaxpr.eqns for v in e.outvars)
        assert largest <= F.shape[0] * F.shape[1] * F.size


class TestSeveralScores:
    @pytest.mark.parametrize("method", METHODS)
    def test_a_vector_of_scores_gives_the_maps_of_each(self, method):
        def scores(G):
            return jnp.append(heads.smooth_head(heads.smooth_params(), G)[:2], smooth_confidence(G))

        clip = jnp.array([False, True, True])
        together = run(method, scores, F, positive_gradient=clip)
        alone = [run(method, lambda G, k=k: scores(G)[k], F, positive_gradient=bool(clip[k])) for k in range(3)]
        chex.assert_trees_all_close(together, jnp.stack(alone), rtol=1e-4, atol=1e-6)

    def test_the_head_is_looked_at_and_linearised_once_for_all(self):
        traces = []

        def scores(G):
            traces.append(1)
            return heads.smooth_head(heads.smooth_params(), G)

        attribution.gradient_x_activation(scores, F)
        assert len(traces) == 2


class TestPooledHead:
    """The gradient is the same at every location, so that K scores need no K arrays of the size of F."""

    kernel = heads.normal(5, heads.DEPTH, 40)

    def scores(self, G):
        logits = jnp.mean(G, axis=(0, 1)) @ self.kernel
        return jnp.append(jnp.tanh(logits), softmax_score(logits))

    clip = jnp.arange(41) % 3 == 0

    def plain(self, G, clip):
        gradients = attribution.gradient(self.scores, G)
        return jnp.where(clip[:, None, None, None], jax.nn.relu(gradients), gradients)

    @pytest.mark.parametrize("clip", [jnp.zeros(41, bool), clip])
    def test_is_as_exact_as_the_plain_way(self, clip):
        batch = jnp.stack([heads.activation(seed) for seed in range(3)])
        for method, plain in (
            (attribution.gradient_x_activation, lambda g, G: (g * G).sum(-1)),
            (attribution.grad_cam, lambda g, G: jax.nn.relu(jnp.einsum("kd,hwd->khw", g.mean((1, 2)), G))),
        ):
            given = functools.partial(method, self.scores, positive_gradient=clip)
            one = jax.jit(lambda G, plain=plain: plain(self.plain(G, clip), G))
            expected = np.stack([one(G) for G in batch])
            chex.assert_trees_all_close(jax.jit(jax.vmap(given))(batch), expected, rtol=1e-5, atol=1e-6)
            chex.assert_trees_all_close(jax.jit(given)(batch[0]), expected[0], rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("method", [attribution.gradient_x_activation, attribution.grad_cam])
    def test_no_gradient_of_the_size_of_F_is_made_also_under_vmap_and_jit(self, method):
        def maps(activations, classes):
            given = lambda G, c: method(lambda H: self.scores(H)[c], G, positive_gradient=True)  # noqa: E731
            return jax.jit(jax.vmap(given))(activations, classes)

        batch, classes = jnp.stack([F, F + 1]), jnp.tile(jnp.arange(40), (2, 1))
        largest = max(v.aval.size for e in equations(jax.make_jaxpr(maps)(batch, classes)) for v in e.outvars)
        assert largest < 2 * 40 * F.size


class TestAtOnce:
    def attribute(self, method):
        clipped = [False, True]
        scores = lambda G: jnp.stack([smooth_score(G), smooth_confidence(G)])  # noqa: E731
        return jax.jit(lambda G: attribution.attribute(method, scores, G, clipped, None, lambda x: x))(F)

    def test_grad_cam_of_a_confidence_is_not_clipped(self):
        weights = jax.jit(jax.grad(smooth_confidence))(F).mean((0, 1))
        expected = jax.nn.relu(jnp.einsum("d,hwd->hw", weights, F))
        chex.assert_trees_all_close(self.attribute(attribution.grad_cam)[1], expected, rtol=1e-4, atol=1e-8)
        clipped = self.attribute(functools.partial(attribution.grad_cam, positive_gradient=True))[1]
        assert np.abs(clipped - expected).max() > 0.1 * np.abs(expected).max()

    def test_all_scores_come_as_one_vector_to_those_who_request_it(self):
        shapes = []

        @attribution.requests(all_scores=True)
        def own(score, G):
            shapes.append(score(G).shape)
            return attribution.gradient_x_activation(score, G)

        maps = self.attribute(own)
        raw = self.attribute(functools.partial(own))
        assert shapes == [(2,), (2,)] and np.any(maps[0] < 0) and np.all(maps[1] >= 0)
        chex.assert_trees_all_equal(maps, raw)


class TestRelatives:
    """Other papers' maps, before they take the positive part."""

    slopes = np.asarray(jax.jit(jax.grad(smooth_score))(F))

    def test_gradient_x_activation_is_hirescam(self):
        expected = np.zeros(F.shape[:2], np.float32)
        for channel in range(F.shape[2]):
            expected += self.slopes[..., channel] * np.asarray(F[..., channel])
        chex.assert_trees_all_close(
            run(attribution.gradient_x_activation, smooth_score, F), expected, rtol=1e-4, atol=1e-6
        )

    def test_with_a_positive_gradient_it_is_layercam(self):
        expected = np.zeros(F.shape[:2], np.float32)
        for channel in range(F.shape[2]):
            expected += np.maximum(self.slopes[..., channel], 0) * np.asarray(F[..., channel])
        actual = run(attribution.gradient_x_activation, smooth_score, F, positive_gradient=True)
        chex.assert_trees_all_close(actual, expected, rtol=1e-4, atol=1e-6)


class TestSmooth:
    key = jax.random.key(3)

    def noisy(self, sigma: float, samples: int) -> list[np.ndarray]:
        """The activations that SmoothGrad would look at, one after the other."""
        deviation = sigma * (float(F.max()) - float(F.min()))
        keys = [jax.random.fold_in(self.key, sample) for sample in range(samples)]
        return [np.asarray(F) + deviation * np.asarray(jax.random.normal(key, F.shape)) for key in keys]

    @pytest.mark.parametrize("chunk", [3, 100])
    def test_is_the_mean_of_the_maps_at_noisy_activations(self, chunk):
        smooth = attribution.smooth(attribution.gradient_x_activation, self.key, samples=10, sigma=0.3, chunk=chunk)
        slope = jax.jit(jax.grad(smooth_score))
        expected = np.mean([np.sum(np.asarray(slope(G)) * G, -1) for G in self.noisy(0.3, 10)], axis=0)
        chex.assert_trees_all_close(run(smooth, smooth_score, F), expected, rtol=1e-4, atol=1e-5)

    def test_of_a_linear_score_it_nears_the_map_itself(self):
        weights = jnp.asarray(heads.normal(3, *F.shape))
        score = lambda G: jnp.sum(weights * G)  # noqa: E731
        found = run(attribution.smooth(attribution.gradient_x_activation, self.key, samples=4000), score, F)
        chex.assert_trees_all_close(found, jnp.sum(weights * F, -1), atol=0.05)

    def test_without_noise_it_is_the_function_itself(self):
        smooth = attribution.smooth(attribution.second_order, self.key, samples=2, sigma=0.0)
        chex.assert_trees_all_close(
            run(smooth, smooth_confidence, F), run(attribution.second_order, smooth_confidence, F), rtol=1e-5
        )

    @pytest.mark.parametrize("method", METHODS)
    def test_requests_what_it_wraps_requests(self, method):
        wrapped = functools.partial(method)
        assert attribution.smooth(wrapped, self.key).requests == method.requests

    def test_the_clipping_of_a_confidence_is_the_wrapped_functions(self):
        scores = lambda G: jnp.stack([smooth_score(G), smooth_confidence(G)])  # noqa: E731
        smooth = attribution.smooth(attribution.gradient_x_activation, self.key, samples=4)
        clipped = lambda G: attribution.attribute(smooth, scores, G, [False, True], None, lambda x: x)  # noqa: E731
        slope = jax.jit(jax.grad(smooth_confidence))
        expected = np.mean([np.sum(np.maximum(slope(G), 0) * G, -1) for G in self.noisy(0.15, 4)], axis=0)
        chex.assert_trees_all_close(jax.jit(clipped)(F)[1], expected, rtol=1e-4, atol=1e-6)

    def test_one_of_your_own_and_one_that_follows_images_are_given_what_they_need(self):
        own = lambda score, G: jnp.linalg.norm(G, axis=-1)  # noqa: E731
        net, images = heads.plain_network(), heads.images(2)
        for method in (own, functools.partial(attribution.image_path_integrated_gradients, steps=2)):
            smooth = attribution.smooth(method, self.key, samples=2)
            asked = jax.jit(functools.partial(explain.attributive, attribution=smooth))
            assert np.isfinite(asked(net, images).maps).all()

    def test_wide_ranges_of_half_precision_are_finite(self):
        wide = jnp.linspace(-60000, 60000, 12).reshape(2, 2, 3).astype(jnp.float16)
        smooth = attribution.smooth(attribution.gradient_x_activation, self.key, samples=4, sigma=0.01)
        score = lambda G: jnp.mean(G.astype(jnp.float32))  # noqa: E731
        assert np.isfinite(run(smooth, score, wide)).all()

    @pytest.mark.robust("options")
    @pytest.mark.parametrize(
        ("method", "options", "said"),
        [
            ("grad_cam", {}, "attribution of type str: expected a function"),
            (attribution.grad_cam, {"samples": 0}, "samples=0, sigma=0.15: expected at least one sample"),
            (attribution.grad_cam, {"sigma": -1.0}, "no negative sigma"),
            (attribution.grad_cam, {"sigma": np.nan}, "no negative sigma"),
        ],
    )
    def test_what_it_cannot_wrap_is_one_sentence(self, method, options, said, without_shape_types):
        with pytest.raises(InputError, match=said):
            attribution.smooth(method, self.key, **options)


@pytest.mark.parametrize("method", METHODS)
class TestEveryMethod:
    def test_vmap_equals_a_loop(self, method):
        batch = jnp.stack([heads.activation(seed) for seed in range(3)])
        one = functools.partial(method, smooth_confidence)
        loop = jnp.stack([jax.jit(one)(G) for G in batch])
        chex.assert_trees_all_close(jax.jit(jax.vmap(one))(batch), loop, rtol=1e-4, atol=1e-6)

    def test_jit_traces_once_per_shape(self, method):
        traces = []

        @jax.jit
        def one(G):
            traces.append(G.shape)
            return method(smooth_confidence, G)

        one(F), one(F + 1), one(heads.activation(3))
        assert len(traces) == 1

    def test_bfloat16_is_near_float32(self, method):
        exact = run(method, smooth_confidence, F)
        rough = run(method, smooth_confidence, F.astype(jnp.bfloat16))
        assert rough.dtype == jnp.float32
        assert jnp.linalg.norm(rough - exact) <= 2e-2 * jnp.linalg.norm(exact)

    def test_a_score_without_gradient_gives_zeros(self, method):
        assert not np.any(run(method, lambda G: jnp.float32(0.3) + 0 * G.sum(), F))

    def test_gradients_flow_through_the_map(self, method):
        slope = jax.jit(jax.grad(lambda G: method(smooth_confidence, G).sum()))(F)
        assert np.all(np.isfinite(slope)) and np.any(slope)


@jax.jit
def scaled_and_not(scale, G):
    methods = (attribution.gradient_x_activation, attribution.integrated_gradients, attribution.second_order)
    scaled = [method(lambda H: scale * smooth_score(H), G) for method in methods]
    return jnp.stack(scaled), scale * jnp.stack([method(smooth_score, G) for method in methods])


@settings(deadline=None, max_examples=25)
@given(scale=st.floats(0.1, 10), seed=st.integers(0, 100))
def test_attributions_are_linear_in_the_score(scale, seed):
    scaled, expected = scaled_and_not(scale, heads.activation(seed))
    chex.assert_trees_all_close(scaled, expected, rtol=1e-3, atol=1e-4)


def test_the_certainty_has_a_curvature_too():
    def score(G):
        return certainty(heads.pooled_linear_head(heads.pooled_linear_params(), G))

    hessian = jax.jit(jax.hessian(score))(F)
    expected = jnp.einsum("ijd,ijdijc,ijc->ij", F, hessian, F)
    chex.assert_trees_all_close(run(attribution.location_curvature, score, F), expected, rtol=1e-4, atol=1e-6)
