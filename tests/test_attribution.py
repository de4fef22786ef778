import functools

import chex
import heads
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from galore import attribution
from galore.confidence import certainty, softmax_score

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
            gradients = [
                jax.grad(lambda G, k=k: scores(G)[k])(baseline + (t + 0.5) / 5 * (F - baseline)) for t in range(5)
            ]
            mean = sum(jax.nn.relu(g) if clip[k] else g for g in gradients) / 5
            chex.assert_trees_all_close(actual[k], jnp.sum(mean * (F - baseline), -1), rtol=1e-4, atol=1e-7)

    def test_along_the_image_follows_the_definition(self):
        net, image = heads.plain_network(), heads.images(1)[0]
        features = functools.partial(net.features, net.params)

        def score(G):
            return softmax_score(net.head(net.params, G))

        actual = attribution.image_path_integrated_gradients(
            score, features(image), features=features, image=image, black=-1.0, steps=5
        )
        black = jnp.full_like(image, -1.0)
        gradients = [jax.grad(score)(features(black + t / 5 * (image - black))) for t in range(1, 6)]
        expected = jnp.sum(sum(gradients) / 5 * (features(image) - features(black)), axis=-1)
        chex.assert_trees_all_close(actual, expected, rtol=1e-4, atol=1e-7)


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

    def test_the_head_is_linearised_once(self):
        traces = []

        def scores(G):
            traces.append(1)
            return heads.smooth_head(heads.smooth_params(), G)

        attribution.gradient_x_activation(scores, F)
        assert len(traces) == 1


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
