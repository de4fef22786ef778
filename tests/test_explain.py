"""The explanations against the formulas of the paper, written out a second time in numpy."""

import dataclasses
import functools
from itertools import combinations

import chex
import heads
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from galore import InputError, Network, attribution, confidence, counterparts, explain, part_tables

NET = heads.plain_network()
IMAGES = heads.images(3)
COUNTER = 2


def ask(question, *arguments, **choices):
    """The explanation as users ask for it: under jit, which also compiles faster than one operation at a time."""
    return jax.jit(lambda net, *rest: question(net, *rest, **choices))(*arguments)


@functools.cache
def value_and_slope(score):
    return jax.jit(jax.value_and_grad(score))


def by_hand(image, classes, difficulty=False, score=confidence.softmax_score, signs=True):
    """a(h) for each class and a(s), for the pooled linear head of the plain network."""
    F, logits = map(np.asarray, NET(image))
    kernel = np.asarray(NET.params["kernel"])
    cells = F.shape[0] * F.shape[1]
    maps = np.stack([F @ kernel[:, c] / cells for c in classes])
    value, slope = value_and_slope(score)(logits)
    gradient = kernel @ np.asarray(-slope if difficulty else slope) / cells
    if signs:
        maps[maps < 0] = 1e-7
        gradient = np.maximum(gradient, 0)
    return maps, F @ gradient, 1 - value if difficulty else value


class TestAttributive:
    def test_the_map_of_the_predicted_class(self):
        explanation = jax.jit(explain.attributive)(NET, IMAGES)
        for i, image in enumerate(IMAGES):
            prediction = int(jnp.argmax(NET(image)[1]))
            assert explanation.classes[i] == prediction
            (expected,), _, _ = by_hand(image, [prediction])
            chex.assert_trees_all_close(explanation.maps[i], expected, rtol=1e-4, atol=1e-6)

    def test_of_any_class_and_with_raw_signs(self):
        explanation = ask(explain.attributive, NET, IMAGES, classes=[0, 1, 4], signs=explain.RAW)
        for image, chosen, actual in zip(IMAGES, [0, 1, 4], explanation.maps):
            (expected,), _, _ = by_hand(image, [chosen], signs=False)
            assert expected.min() < 0
            chex.assert_trees_all_close(actual, expected, rtol=1e-4, atol=1e-6)

    def test_of_the_probability_as_in_the_text_of_the_papers(self):
        explanation = ask(explain.attributive, NET, IMAGES, 1, signs=explain.RAW, class_scores=jax.nn.softmax)
        F, _ = NET(IMAGES[0])
        probability = lambda G: jax.nn.softmax(NET.head(NET.params, G))[1]  # noqa: E731
        expected = jax.jit(lambda F: attribution.gradient_x_activation(probability, F))(F)
        chex.assert_trees_all_close(explanation.maps[0], expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("score", [confidence.softmax_score, confidence.certainty])
class TestDiscriminant:
    def test_is_for_the_prediction_against_the_counter_class_where_the_network_is_sure(self, score):
        one = jax.jit(functools.partial(explain.discriminant, confidence=score))
        explanation = one(NET, IMAGES, None, COUNTER)
        for i, image in enumerate(IMAGES):
            prediction = int(jnp.argmax(NET(image)[1]))
            (a, b), s, value = by_hand(image, [prediction, COUNTER], score=score)
            chex.assert_trees_all_close(explanation.maps[i], a * (b.max() - b) * s, rtol=1e-3, atol=1e-8)
            chex.assert_trees_all_close(explanation.confidence[i], value, rtol=1e-5)

    def test_the_factors_multiply_to_the_map(self, score):
        D = ask(explain.discriminant, NET, IMAGES, 0, COUNTER, confidence=score)
        product = D.predicted_maps * explain.complement(D.counter_maps) * D.confidence_maps
        chex.assert_trees_all_close(D.maps, product)


@functools.cache
def deliberated():
    return ask(explain.deliberative, NET, IMAGES)


class TestDeliberative:
    explanation = property(lambda self: deliberated())

    def test_every_insecurity_is_the_product_of_its_two_classes_and_the_difficulty(self):
        for i, image in enumerate(IMAGES):
            for pair, actual in zip(self.explanation.pairs[i], self.explanation.maps[i]):
                (a, b), difficulty, value = by_hand(image, list(np.asarray(pair)), difficulty=True)
                chex.assert_trees_all_close(actual, a * b * difficulty, rtol=1e-3, atol=1e-8)
                chex.assert_trees_all_close(self.explanation.difficulty[i], value, rtol=1e-5)

    def test_all_pairs_of_the_top_classes_are_there_once(self):
        for i, image in enumerate(IMAGES):
            top = np.argsort(-np.asarray(NET(image)[1]))[:5]
            expected = {frozenset(pair) for pair in combinations(top.tolist(), 2)}
            assert {frozenset(pair) for pair in self.explanation.pairs[i].tolist()} == expected

    def test_a_pair_occurs_where_both_classes_are_among_the_three_largest(self):
        for i in range(len(IMAGES)):
            maps = np.asarray(self.explanation.class_maps[i])
            found = set()
            for y, x in np.ndindex(*maps.shape[1:]):
                largest = np.argsort(-maps[:, y, x], kind="stable")[:3]
                found |= {
                    frozenset(np.asarray(self.explanation.classes[i])[list(p)].tolist())
                    for p in combinations(largest, 2)
                }
            actual = zip(self.explanation.pairs[i].tolist(), self.explanation.occurs[i].tolist())
            assert {frozenset(pair) for pair, occurs in actual if occurs} == found

    def test_the_strongest_come_first_and_pairs_that_do_not_occur_last(self):
        for strengths, occurs in zip(self.explanation.strengths, self.explanation.occurs):
            assert np.all(np.diff(np.asarray(occurs, int)) <= 0)
            assert np.all(np.diff(np.asarray(strengths)[np.asarray(occurs)]) <= 0)

    def test_the_strength_is_the_mean_over_the_largest_tenth(self):
        maps = np.asarray(self.explanation.maps).reshape(len(IMAGES), 10, -1)
        expected = np.sort(maps, axis=-1)[..., -7:].mean(-1)  # ceil(0.1 * 64)
        chex.assert_trees_all_close(self.explanation.strengths, expected, rtol=1e-5)

    def test_second_order_for_the_difficulty_alone(self):
        second = functools.partial(attribution.second_order, absolute_curvature=True)
        explanation = ask(explain.deliberative, NET, IMAGES[:1], confidence_attribution=second)
        F, _ = NET(IMAGES[0])
        difficulty = lambda G: 1 - confidence.softmax_score(NET.head(NET.params, G))  # noqa: E731
        expected = jax.jit(lambda F: second(difficulty, F, positive_gradient=True))(F)
        chex.assert_trees_all_close(explanation.difficulty_maps[0], expected, rtol=1e-4, atol=1e-7)
        chex.assert_trees_all_close(explanation.class_maps, self.explanation.class_maps[:1], rtol=1e-5)

    def test_fewer_classes_than_candidates(self):
        assert ask(explain.deliberative, NET, IMAGES, top=50).pairs.shape == (3, 10, 2)


class TestCounterfactual:
    def test_asks_both_images_the_same_question(self):
        pair = ask(explain.counterfactual, NET, IMAGES, COUNTER, IMAGES[::-1])
        predictions = jax.vmap(NET)(IMAGES)[1].argmax(-1)
        query = ask(explain.discriminant, NET, IMAGES, predictions, COUNTER)
        counter = ask(explain.discriminant, NET, IMAGES[::-1], COUNTER, predictions)
        chex.assert_trees_all_close(pair.query, query, rtol=1e-5)
        chex.assert_trees_all_close(pair.counter, counter, rtol=1e-5)


class TestMargin:
    @pytest.mark.parametrize("name", ["gradient_x_activation", "integrated_gradients", "second_order"])
    def test_is_the_difference_of_the_class_maps(self, name):
        explanation = ask(explain.margin, NET, IMAGES, None, COUNTER, attribution=getattr(attribution, name))
        for i, image in enumerate(IMAGES):
            logits = NET(image)[1]
            prediction = int(jnp.argmax(logits))
            (a, b), _, _ = by_hand(image, [prediction, COUNTER], signs=False)
            chex.assert_trees_all_close(explanation.maps[i], a - b, rtol=1e-4, atol=1e-5)
            chex.assert_trees_all_close(explanation.margin[i], logits[prediction] - logits[COUNTER], rtol=1e-4)
            assert explanation.predicted[i] == prediction and explanation.counter[i] == COUNTER

    def test_without_a_counter_class_it_is_over_the_runner_up(self):
        explanation = ask(explain.margin, NET, IMAGES, None)
        runners_up = jnp.argsort(explanation.logits, axis=1)[:, -2]
        chex.assert_trees_all_equal(explanation.counter, runners_up)

    def test_by_grad_cam_it_is_finer_cam(self):
        """The weights are those of the difference: not the difference of two maps that are nowhere negative."""
        explanation = ask(explain.margin, NET, IMAGES, 0, COUNTER, attribution=attribution.grad_cam)
        F, kernel = np.asarray(NET(IMAGES[0])[0]), np.asarray(NET.params["kernel"])
        expected = np.maximum(F @ (kernel[:, 0] - kernel[:, COUNTER]), 0) / F[..., 0].size
        chex.assert_trees_all_close(explanation.maps[0], expected, rtol=1e-4, atol=1e-6)

    def test_of_probabilities(self):
        explanation = ask(explain.margin, NET, IMAGES, 0, COUNTER, class_scores=jax.nn.softmax)
        p = jax.nn.softmax(explanation.logits)
        chex.assert_trees_all_close(explanation.margin, p[:, 0] - p[:, COUNTER], rtol=1e-4)

    @pytest.mark.robust("shapes and numbers")
    @pytest.mark.parametrize(("y", "c"), [(-1, 0), (0, 5), (5, 5)])
    def test_of_a_class_that_does_not_exist_is_nan_where_the_index_is_traced(self, y, c):
        explanation = jax.jit(lambda y, c: explain.margin(NET, IMAGES, y, c))(y, c)
        assert np.isnan(explanation.maps).all() and np.isnan(explanation.margin).all()

    def test_takes_activations(self):
        F = jax.vmap(NET)(IMAGES)[0]
        head = dataclasses.replace(NET, features=None)
        found = jax.jit(lambda F: explain.margin(head, None, None, COUNTER, activations=F))(F)
        chex.assert_trees_all_close(found, ask(explain.margin, NET, IMAGES, None, COUNTER), rtol=1e-4, atol=1e-6)


class TestStandardised:
    def test_compares_a_cell_with_all_classes(self):
        explanation = ask(explain.standardised, NET, IMAGES, None, COUNTER)
        for i, image in enumerate(IMAGES):
            maps, _, _ = by_hand(image, range(heads.CLASSES), signs=False)
            lacking = -np.stack(maps)
            spread = lacking.std(0)
            # Where no channel is on, no class has anything to say, and neither has the map.
            expected = (lacking[COUNTER] - lacking.mean(0)) / np.where(spread == 0, 1, spread)
            chex.assert_trees_all_close(explanation.maps[i], expected, rtol=1e-3, atol=1e-4)
            assert explanation.predicted[i] == int(jnp.argmax(NET(image)[1])) and explanation.counter[i] == COUNTER

    def test_what_is_added_to_every_class_is_immaterial(self):
        maps = jnp.asarray(heads.normal(3, heads.CLASSES, 4, 3))
        chex.assert_trees_all_close(
            explain.standardised_maps(maps), explain.standardised_maps(5 * maps + heads.normal(4, 4, 3)), atol=1e-4
        )
        assert (explain.standardised_maps(jnp.ones((3, 2, 2))) == 0).all()

    def test_without_a_counter_class_it_is_about_the_runner_up(self):
        explanation = ask(explain.standardised, NET, IMAGES)
        chex.assert_trees_all_equal(explanation.counter, jnp.argsort(explanation.logits, axis=1)[:, -2])

    @pytest.mark.robust("shapes and numbers")
    @pytest.mark.parametrize(("y", "c"), [(-1, 0), (0, 5)])
    def test_of_a_class_that_does_not_exist_is_nan_where_the_index_is_traced(self, y, c):
        assert np.isnan(jax.jit(lambda y, c: explain.standardised(NET, IMAGES, y, c))(y, c).maps).all()

    def test_takes_activations(self):
        F, head = jax.vmap(NET)(IMAGES)[0], dataclasses.replace(NET, features=None)
        found = jax.jit(lambda F: explain.standardised(head, None, None, COUNTER, activations=F))(F)
        chex.assert_trees_all_close(found, ask(explain.standardised, NET, IMAGES, None, COUNTER), rtol=1e-3, atol=1e-4)


@functools.cache
def tables_of(*classes, channels=heads.DEPTH):
    F, labels = heads.normal(21, 4 * len(classes), 8, 8, channels), np.repeat(classes, 4)
    found = part_tables.fit(F, labels, jax.random.key(0))
    return dataclasses.replace(found, clusterings=found.clusterings[::6])  # two compile faster than twelve


maps_of = jax.jit(part_tables.maps)
ALL = range(heads.CLASSES)


@functools.cache
def activations():
    return jax.vmap(NET)(IMAGES)[0]


class TestByPartTables:
    def test_is_the_tables_map_of_the_counter_class(self):
        explanation = ask(explain.by_part_tables, NET, IMAGES, tables_of(*ALL), None, COUNTER)
        for i, F in enumerate(activations()):
            y = int(jnp.argmax(NET.logits(F)))
            assert (explanation.predicted[i], explanation.counter[i]) == (y, COUNTER)
            chex.assert_trees_all_close(explanation.maps[i], maps_of(tables_of(*ALL), F, y)[COUNTER], atol=1e-3)

    def test_takes_activations_and_tables_that_are_traced(self):
        head = dataclasses.replace(NET, features=None)
        ask_by = jax.jit(lambda tables, F: explain.by_part_tables(head, None, tables, None, COUNTER, activations=F))
        expected = ask(explain.by_part_tables, NET, IMAGES, tables_of(*ALL), None, COUNTER)
        chex.assert_trees_all_close(ask_by(tables_of(*ALL), activations()), expected, atol=1e-3)

    def test_of_classes_that_the_tables_do_not_have_is_nan(self):
        some = tables_of(1, 3, 4)
        ask_about = jax.jit(lambda y, c: explain.by_part_tables(NET, IMAGES, some, y, c).maps)
        chex.assert_trees_all_close(ask_about(1, 3)[0], maps_of(some, activations()[0], 1)[1], atol=1e-3)
        assert jnp.isnan(ask_about(2, 3)).all() and jnp.isnan(ask_about(3, 2)).all()

    def test_without_a_counter_class_it_is_about_the_runner_up(self):
        explanation = ask(explain.by_part_tables, NET, IMAGES, tables_of(*ALL))
        chex.assert_trees_all_equal(explanation.counter, jnp.argsort(explanation.logits, axis=1)[:, -2])

    def test_plots_itself(self):
        figure = ask(explain.by_part_tables, NET, IMAGES, tables_of(*ALL), 1, 2).plot(
            IMAGES, class_names=tuple("abcdef")
        )
        assert figure.axes[0].get_title() == "where b\nand c differ"

    @pytest.mark.robust("shapes and numbers")
    @pytest.mark.parametrize(
        ("tables", "said"),
        [
            (lambda: "parts.npz", "tables of type str: expected galore.part_tables.PartTables"),
            (lambda: tables_of(0, 1, 2, channels=heads.DEPTH + 1), "channels and the part tables are of"),
        ],
    )
    def test_other_tables_are_refused(self, tables, said, monkeypatch):
        monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        with pytest.raises(InputError, match=said):
            explain.by_part_tables(NET, IMAGES, tables())


@functools.cache
def fitted_to(classes, channels=heads.DEPTH):
    F = np.random.default_rng(1).normal(size=(4 * classes, 3, 3, channels)).astype(np.float32)
    return counterparts.fit(F, np.arange(len(F)) % classes, jax.random.key(0))


class TestByCounterparts:
    def test_is_what_the_margin_loses_with_each_cell_that_is_exchanged(self):
        """The head is linear, so that first order is exact."""
        explanation = ask(explain.by_counterparts, NET, IMAGES, fitted_to(heads.CLASSES), None, COUNTER)
        for i, F in enumerate(activations()):
            y, (height, width, _) = int(explanation.predicted[i]), F.shape
            other = counterparts.expected(fitted_to(heads.CLASSES), F, COUNTER)
            exchanged = jnp.stack([F.at[r, k].set(other[r, k]) for r in range(height) for k in range(width)])
            margin = lambda G, y=y: (lambda h: h[y] - h[COUNTER])(NET.logits(G))  # noqa: E731
            lost = (margin(F) - jax.vmap(margin)(exchanged)).reshape(height, width)
            chex.assert_trees_all_close(explanation.maps[i], lost, atol=1e-3)

    def test_takes_activations_and_counterparts_that_are_traced(self):
        head = dataclasses.replace(NET, features=None)
        ask_by = jax.jit(lambda fitted, F: explain.by_counterparts(head, None, fitted, activations=F))
        chex.assert_trees_all_close(
            ask_by(fitted_to(heads.CLASSES), activations()),
            ask(explain.by_counterparts, NET, IMAGES, fitted_to(heads.CLASSES)),
            atol=1e-3,
        )

    def test_standardised_is_beside_the_maps_of_every_class(self):
        found = ask(explain.by_counterparts, NET, IMAGES, fitted_to(heads.CLASSES), 1, COUNTER, standardised=True).maps
        against = jax.jit(lambda c: explain.by_counterparts(NET, IMAGES, fitted_to(heads.CLASSES), 1, c).maps)
        every = jnp.stack([against(c) for c in range(heads.CLASSES)])
        chex.assert_trees_all_close(found, (every[COUNTER] - every.mean(0)) / every.std(0), atol=1e-3)

    def test_a_class_without_a_counterpart_has_no_map(self):
        some = fitted_to(heads.CLASSES - 1)
        ask_about = jax.jit(lambda y, c: explain.by_counterparts(NET, IMAGES, some, y, c).maps)
        assert jnp.isnan(ask_about(0, heads.CLASSES - 1)).all() and not jnp.isnan(ask_about(heads.CLASSES - 1, 0)).any()

    def test_a_class_that_does_not_exist_has_no_map(self):
        ask_about = jax.jit(lambda c: explain.by_counterparts(NET, IMAGES, fitted_to(heads.CLASSES), None, c).maps)
        assert jnp.isnan(ask_about(heads.CLASSES)).all() and not jnp.isnan(ask_about(COUNTER)).any()

    @pytest.mark.robust("shapes and numbers")
    @pytest.mark.parametrize(
        ("fitted", "said"),
        [
            (lambda: "parts.npz", "fitted of type str: expected galore.counterparts.Counterparts"),
            (lambda: fitted_to(heads.CLASSES, heads.DEPTH + 1), "channels and the counterparts are of"),
        ],
    )
    def test_others_are_refused(self, fitted, said, monkeypatch):
        monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        with pytest.raises(InputError, match=said):
            explain.by_counterparts(NET, IMAGES, fitted())


JUDGE = {"convolution": 0.3 * heads.normal(11, 3, 3, 3, heads.DEPTH), "weight": heads.normal(12, heads.DEPTH)}


def judge_head(params, F):
    return jax.nn.sigmoid(jnp.mean(F, (0, 1)) @ params["weight"])


class TestExternalPredictor:
    def test_its_map_is_taken_on_its_own_activations(self):
        easiness = confidence.Predictor(JUDGE, judge_head, heads.convolution)
        D = jax.jit(lambda judge: explain.discriminant(NET, IMAGES, 0, 1, confidence=judge))(easiness)
        F = heads.convolution(JUDGE, IMAGES[0])
        chex.assert_trees_all_close(D.confidence[0], judge_head(JUDGE, F), rtol=1e-5)
        expected = attribution.gradient_x_activation(lambda G: judge_head(JUDGE, G), F, positive_gradient=True)
        chex.assert_trees_all_close(D.confidence_maps[0], expected, rtol=1e-4)

    def test_it_may_read_the_classifiers_activations(self):
        easiness = confidence.Predictor(JUDGE, judge_head)
        D = ask(explain.discriminant, NET, IMAGES, 0, 1, confidence=easiness)
        chex.assert_trees_all_close(D.confidence[0], judge_head(JUDGE, NET(IMAGES[0])[0]), rtol=1e-5)

    def test_a_map_of_another_size_is_brought_to_the_classifiers(self):
        def halved(params, image):
            return heads.convolution(params, image)[::2, ::2]

        easiness = confidence.Predictor(JUDGE, judge_head, halved)
        D = ask(explain.discriminant, NET, IMAGES, 0, 1, confidence=easiness)
        assert D.confidence_maps.shape == D.maps.shape == (3, 8, 8)


class TestAttributionFunctionsOfYourOwn:
    def test_one_that_knows_only_score_and_activation(self):
        def occlusion(score, F):
            height, width, _ = F.shape
            without = jax.vmap(lambda cell: score(F.at[cell // width, cell % width].set(0)))(jnp.arange(height * width))
            return score(F) - without.reshape(height, width)

        D = jax.jit(functools.partial(explain.discriminant, attribution=occlusion))(NET, IMAGES, 0, 1)
        # Occlusion equals gradient x activation where the score is linear.
        exact = ask(explain.discriminant, NET, IMAGES, 0, 1)
        chex.assert_trees_all_close(D.predicted_maps, exact.predicted_maps, rtol=1e-3, atol=1e-5)
        assert np.all(D.confidence_maps >= 0)

    def test_one_that_requests_the_image(self):
        D = ask(explain.attributive, NET, IMAGES, 0, attribution=attribution.image_path_integrated_gradients)
        assert D.maps.shape == (3, 8, 8)

    def test_one_that_requests_the_clipping_gets_all_scores_at_once_also_as_a_partial(self):
        shapes = []

        @attribution.requests(positive_gradient=True)
        def own(score, F, *, scale, positive_gradient=False):
            shapes.append((score(F).shape, np.shape(positive_gradient)))
            return scale * attribution.gradient_x_activation(score, F, positive_gradient=positive_gradient)

        D = ask(explain.discriminant, NET, IMAGES, 0, 1, attribution=functools.partial(own, scale=2.0))
        exact = ask(explain.discriminant, NET, IMAGES, 0, 1)
        chex.assert_trees_all_close(D.confidence_maps, 2 * exact.confidence_maps, rtol=1e-5)
        assert shapes == [((3,), (3,))]

    @pytest.mark.parametrize("name", ["positive_gradient", "image", "features"])
    def test_one_that_takes_what_it_does_not_request_is_refused(self, name):
        functions = {
            "positive_gradient": lambda score, F, positive_gradient=False: F.sum(-1),
            "image": lambda score, F, image: F.sum(-1),
            "features": lambda score, F, features: F.sum(-1),
        }
        with pytest.raises(InputError, match=f"takes {name} and does not say whether .* @galore.attribution.requests"):
            explain.attributive(NET, IMAGES, attribution=functions[name])


class TestActivationsInPlaceOfImages:
    head = dataclasses.replace(NET, features=None)
    activations = jax.vmap(NET)(IMAGES)[0]

    @pytest.mark.parametrize(
        "question",
        [
            explain.attributive,
            functools.partial(explain.deliberative, top=3),
            functools.partial(explain.discriminant, predicted=None, counter=COUNTER),
        ],
    )
    def test_give_the_same_with_a_head_alone(self, question):
        expected = ask(question, NET, IMAGES)
        actual = jax.jit(lambda F: question(self.head, None, activations=F))(self.activations)
        chex.assert_trees_all_close(actual, expected, rtol=1e-4, atol=1e-7)

    def test_images_beside_them_are_for_what_needs_images(self):
        path = attribution.image_path_integrated_gradients
        both = jax.jit(lambda F: explain.attributive(NET, IMAGES, 0, activations=F, attribution=path))(self.activations)
        images = ask(explain.attributive, NET, IMAGES, 0, attribution=path)
        chex.assert_trees_all_close(both.maps, images.maps, rtol=1e-4, atol=1e-6)

    def test_what_needs_images_says_so(self):
        with pytest.raises(InputError, match="image_path_integrated_gradients follows a path of images: give images"):
            path = functools.partial(attribution.image_path_integrated_gradients, steps=3)
            explain.attributive(NET, None, 0, activations=self.activations, attribution=path)
        easiness = confidence.Predictor(JUDGE, judge_head, heads.convolution)
        with pytest.raises(InputError, match="predictor has features of its own: give images"):
            explain.discriminant(NET, None, 0, 1, activations=self.activations, confidence=easiness)
        with pytest.raises(InputError, match="has no features, so it takes activations"):
            explain.attributive(self.head, IMAGES)

    @pytest.mark.robust("shapes and numbers")
    @pytest.mark.parametrize(
        ("images", "activations", "said"),
        [
            (None, None, "neither images nor activations"),
            (None, np.zeros((8, 8, 6), np.float32), "activations of shape"),
            (IMAGES[:2], np.zeros((3, 8, 8, 6), np.float32), "2 images and 3 activations"),
        ],
    )
    def test_what_does_not_fit_is_one_sentence(self, images, activations, said, monkeypatch):
        monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        given = None if activations is None else jnp.asarray(activations)
        with pytest.raises(InputError, match=said):
            explain.attributive(NET, images, activations=given)


class TestTheFormulas:
    def test_of_maps_by_hand(self):
        a, b, s = (jnp.asarray(m) for m in ([[2.0, -1.0]], [[1.0, 3.0]], [[0.5, 4.0]]))
        chex.assert_trees_all_close(explain.floored(a), jnp.array([[2.0, 1e-7]]))
        chex.assert_trees_all_equal(explain.floored(a, explain.RAW), a)
        chex.assert_trees_all_close(explain.discriminant_map(a, b), jnp.array([[4.0, 0.0]]))
        chex.assert_trees_all_close(explain.discriminant_map(a, b, s), jnp.array([[2.0, 0.0]]))
        chex.assert_trees_all_close(explain.margin_map(a, b), jnp.array([[1.0, -4.0]]))
        chex.assert_trees_all_close(explain.insecurity_map(a, b, s), jnp.array([[1.0, -12.0]]))


class TestAsProgram:
    @pytest.mark.parametrize(
        "question",
        [
            explain.attributive,
            explain.deliberative,
            lambda net, images: explain.discriminant(net, images, None, COUNTER),
        ],
    )
    def test_a_batch_equals_a_loop(self, question):
        ask_it = jax.jit(question)
        together = ask_it(NET, IMAGES)
        alone = jax.tree.map(lambda *parts: jnp.concatenate(parts), *[ask_it(NET, IMAGES[i : i + 1]) for i in range(3)])
        chex.assert_trees_all_close(together, alone, rtol=1e-4, atol=1e-7)

    def test_one_trace_per_shape_whatever_the_parameters(self):
        traces = []

        @jax.jit
        def one(net, images):
            traces.append(images.shape)
            return explain.deliberative(net, images)

        one(NET, IMAGES), one(NET, IMAGES + 1), one(jax.tree.map(lambda p: 2 * p, NET), IMAGES)
        assert len(traces) == 1

    def test_bfloat16_is_near_float32(self):
        exact = ask(explain.discriminant, NET, IMAGES, 0, 1)
        rough = ask(explain.discriminant, NET.astype(jnp.bfloat16), IMAGES.astype(jnp.bfloat16), 0, 1)
        for name in ("predicted_maps", "counter_maps", "confidence_maps"):
            a, b = getattr(exact, name), getattr(rough, name).astype(jnp.float32)
            assert jnp.linalg.norm(a - b) <= 2e-2 * jnp.linalg.norm(a)

    def test_maps_are_differentiable_in_the_parameters(self):
        def total(net):
            return explain.discriminant(net, IMAGES, 0, 1).maps.sum()

        slopes = jax.jit(jax.grad(total))(NET)
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slopes))
        assert np.any(slopes.params["kernel"])


class TestNumbers:
    @pytest.mark.robust("shapes and numbers")
    @pytest.mark.parametrize("index", [-1, -5, 5, 100])
    def test_the_map_of_a_class_that_does_not_exist_is_nan_where_the_index_is_traced(self, index):
        one = jax.jit(lambda y, c: explain.discriminant(NET, IMAGES[:1], y, c))
        for pair in ((index, 0), (0, index)):
            assert np.isnan(one(*pair).maps).all()
        assert np.isnan(jax.jit(lambda y: explain.attributive(NET, IMAGES[:1], y).maps)(index)).all()
        assert np.isfinite(one(1, 0).maps).all()

    @pytest.mark.robust("shapes and numbers")
    @pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
    @pytest.mark.parametrize("method", ["gradient_x_activation", "integrated_gradients", "grad_cam", "second_order"])
    def test_the_sums_of_large_maps_of_half_precision_are_finite_and_right(self, dtype, method):
        """The sum over the map, 96 x 96 x 40, is beyond the largest float16, 65504; its mean is not."""
        kernel = 1e-2 * heads.normal(4, heads.DEPTH, heads.CLASSES)
        net = Network({"kernel": jnp.asarray(kernel)}, None, lambda p, F: F.mean((0, 1)) @ p["kernel"])
        activation = 40 + heads.normal(5, 1, 96, 96, heads.DEPTH)
        asked = functools.partial(
            explain.discriminant, predicted=0, counter=1, attribution=getattr(attribution, method), signs=explain.RAW
        )
        ask_it = jax.jit(lambda net, F: asked(net, None, activations=F))
        found, exact = (ask_it(net.astype(kind), jnp.asarray(activation, kind)) for kind in (dtype, jnp.float32))
        F = activation[0].astype(np.float64)
        if method in ("gradient_x_activation", "integrated_gradients"):
            closed = F @ kernel[:, :2].astype(np.float64) / F[..., 0].size
            chex.assert_trees_all_close(exact.predicted_maps[0], closed[..., 0].astype(np.float32), rtol=1e-3)
        for name in ("predicted_maps", "counter_maps", "confidence_maps"):
            a, b = getattr(exact, name), getattr(found, name)
            assert jnp.linalg.norm(a - b) <= 3e-2 * jnp.linalg.norm(a), name

    @pytest.mark.robust("shapes and numbers")
    @pytest.mark.parametrize("score", [confidence.softmax_score, confidence.certainty])
    @pytest.mark.parametrize("method", ["gradient_x_activation", "integrated_gradients", "second_order"])
    def test_classes_that_are_ruled_out_leave_the_maps_of_the_others_as_they_are(self, score, method):
        """Of five classes two are ruled out: the maps are those of the network of the other three."""
        kept = np.array([0, 2, 3])
        kernel = heads.normal(4, heads.DEPTH, heads.CLASSES)
        allowed = jnp.asarray(np.isin(np.arange(heads.CLASSES), kept))
        masked = Network({}, None, lambda p, F: jnp.where(allowed, F.mean((0, 1)) @ kernel, -jnp.inf))
        small = Network({}, None, lambda p, F: F.mean((0, 1)) @ kernel[:, kept])
        options = {"attribution": getattr(attribution, method), "confidence": score}
        activation = heads.activation()[None]
        found = jax.jit(lambda F: explain.discriminant(masked, None, 2, 0, activations=F, **options))(activation)
        exact = jax.jit(lambda F: explain.discriminant(small, None, 1, 0, activations=F, **options))(activation)
        # The normalised entropy is divided by the logarithm of another number of classes.
        scale = np.log(3) / np.log(5) if score is confidence.certainty else 1.0
        chex.assert_trees_all_close(found.predicted_maps, exact.predicted_maps, rtol=1e-4)
        chex.assert_trees_all_close(found.confidence_maps, scale * exact.confidence_maps, rtol=1e-3, atol=1e-7)
        chex.assert_trees_all_close(1 - found.confidence, scale * (1 - exact.confidence), rtol=1e-4)


class TestBadInput:
    @pytest.mark.robust("shapes and numbers")
    @pytest.mark.parametrize(
        ("ask", "message"),
        [
            (lambda: explain.attributive(NET, IMAGES[0]), r"expected a batch \[B, H, W, c\]"),
            (lambda: explain.attributive(NET, np.zeros((2, 7))), r"expected a batch \[B, H, W, c\]"),
            (
                lambda: explain.discriminant(NET, IMAGES, 0, 1, confidence=jax.nn.softmax),
                r"gives shape \(5,\), expected one",
            ),
            (lambda: explain.deliberative(NET, IMAGES, confidence=lambda logits: (logits,)), "gives a tuple"),
            (
                lambda: explain.discriminant(NET, IMAGES, 0, 1, confidence=confidence.Predictor({}, lambda p, F: F)),
                r"gives shape \(8, 8, 6\), expected one number",
            ),
            (lambda: explain.attributive(NET, IMAGES, 0, class_scores=jnp.max), r"give shape \(\), expected one per"),
            (lambda: explain.attributive(NET, IMAGES, 0, attribution=attribution.gradient), r"shape \(8, 8, 6\), ex"),
            (lambda: explain.attributive(NET, [IMAGES]), r"expected an array \[B, H, W, c\]"),
            (lambda: explain.attributive(NET, IMAGES, 5), "classes 0 to 4"),
            (lambda: explain.attributive(NET, IMAGES, -1), "classes 0 to 4"),
            (lambda: explain.attributive(NET, IMAGES, 2**40), "classes 0 to 4"),
            (lambda: explain.attributive(NET, IMAGES, True), "integers"),
            (lambda: explain.attributive(NET, IMAGES, "crane"), "no class names, expected class indices"),
            (lambda: explain.attributive(NET, None, activations=np.zeros((1, 8, 8, 6), int)), "floating-point"),
            (lambda: explain.attributive(NET, IMAGES, [0, 1]), "one per image"),
            (lambda: explain.attributive(NET, IMAGES, 0.5), "integers"),
            (lambda: explain.discriminant(NET, IMAGES, 0, -1), "classes 0 to 4"),
            (lambda: explain.deliberative(NET, IMAGES, top=1), "at least 2"),
            (lambda: explain.deliberative(NET, IMAGES, fraction=0.0), "fraction"),
            (lambda: explain.counterfactual(NET, IMAGES, 1, IMAGES[:2]), "expected as many"),
        ],
    )
    def test_says_what_was_expected(self, ask, message, monkeypatch):
        # What users meet: without the type checks that only the tests switch on.
        monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        with pytest.raises(InputError, match=message):
            ask()
