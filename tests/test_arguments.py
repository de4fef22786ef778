"""What people give to explanations, right and wrong: the sentence that they get, or that it works."""

import dataclasses
import functools

import chex
import heads
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galore import InputError, attribution, confidence, explain
from galore.confidence import Predictor
from galore.data.preprocessing import Preprocessing

NAMES = ("tiger cat", "tabby", "Egyptian cat", "crane", "crane")
NET = dataclasses.replace(heads.plain_network(), class_names=NAMES)
PHOTOS = dataclasses.replace(NET, preprocessing=Preprocessing(16, 16))
IMAGES = heads.images(3)

pytestmark = pytest.mark.usefixtures("without_shape_types")


class TestClasses:
    @pytest.mark.parametrize(
        ("given", "indices"),
        [
            ("tabby", [1, 1, 1]),
            ("egypt", [2, 2, 2]),
            (["tabby", "TIGER_CAT", "index:4"], [1, 0, 4]),
            (("tabby",), [1, 1, 1]),
            (np.array(["tabby", "tabby", "egyptian cat"]), [1, 1, 2]),
            (["tabby", 4, np.int64(0)], [1, 4, 0]),
            (np.array([1, 2, 3]), [1, 2, 3]),
        ],
        ids=str,
    )
    def test_by_name_or_index_one_or_one_for_each_image(self, given, indices):
        expected = explain.attributive(NET, IMAGES, indices)
        found = explain.attributive(NET, IMAGES, given)
        chex.assert_trees_all_equal(found, expected)

    def test_under_jit_names_are_static(self):
        asked = jax.jit(explain.discriminant, static_argnames=("predicted", "counter"))
        found = asked(NET, IMAGES, predicted="tabby", counter="tabby")
        assert found.predicted.tolist() == found.counter.tolist() == [1, 1, 1]
        bound = jax.jit(functools.partial(explain.counterfactual, counters="egypt"))
        assert bound(NET, IMAGES, counter_images=IMAGES).counter.predicted.tolist() == [2, 2, 2]

    @pytest.mark.robust("names and indices")
    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ("tabbby", 'classes: no class is called "tabbby"; the closest is tabby'),
            ("crane", r'classes: "crane" fits 2 classes, .*crane \(3\), crane \(4\)'),
            ("9", "classes: class 9 does not exist, expected an index from 0 to 4"),
            (["tabby", "bear", "tabby"], 'classes: no class is called "bear"'),
            (["tabby", "tabby"], "classes of shape \\(2,\\): expected one class, or one per image \\(3\\)"),
            ([["tabby"], 1, 2], "classes of unequal lengths"),
            ([1, 2, 5], "classes 5: the network has classes 0 to 4"),
            (np.array([0, 1, -1]), "classes -1: the network has classes 0 to 4"),
            (jnp.array([0.0, 1.0, 2.0]), "classes of type float32: expected class indices, integers, or names"),
        ],
        ids=str,
    )
    def test_that_there_are_not_are_one_sentence(self, given, said):
        with pytest.raises(InputError, match=said):
            explain.attributive(NET, IMAGES, given)

    def test_by_name_need_names(self):
        with pytest.raises(InputError, match='counter "tabby": the network has no class names, expected class indices'):
            explain.discriminant(heads.plain_network(), IMAGES, None, "tabby")


class TestFunctions:
    @pytest.mark.parametrize("name", ["grad_cam", "Grad-CAM", "integrated gradients", "second_order"])
    def test_have_names(self, name):
        function = getattr(attribution, name.lower().replace("-", "_").replace(" ", "_"))
        ask = lambda chosen: jax.jit(functools.partial(explain.attributive, attribution=chosen))(NET, IMAGES)  # noqa: E731
        chex.assert_trees_all_equal(ask(name), ask(function))

    def test_of_the_confidence_too(self):
        ask = lambda **chosen: jax.jit(functools.partial(explain.deliberative, **chosen))(NET, IMAGES)  # noqa: E731
        found = ask(confidence="certainty", confidence_attribution="second_order")
        expected = ask(confidence=confidence.certainty, confidence_attribution=attribution.second_order)
        chex.assert_trees_all_equal(found, expected)

    @pytest.mark.robust("names and indices")
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"attribution": "gradcam"}, 'attribution "gradcam": expected a function .* the closest is grad_cam'),
            ({"attribution": "gradient"}, "the closest are? .*gradient_x_activation"),
            ({"attribution": "zzz"}, "there are gradient_x_activation, integrated_gradients, .*second_order"),
            ({"attribution": None}, "attribution of type NoneType: expected a function"),
            ({"confidence_attribution": "2nd order"}, 'confidence_attribution "2nd order": .*second_order'),
            (
                {"confidence": "certain"},
                'confidence "certain": expected a function logits -> s, .*closest is certainty',
            ),
            ({"confidence": 0.5}, "confidence of type float: expected a function logits -> s, a Predictor"),
            ({"signs": "raw"}, "signs of type str: expected galore.explain.Signs"),
            ({"class_scores": "softmax"}, "class_scores of type str: expected a function .*jax.nn.softmax"),
        ],
        ids=str,
    )
    def test_that_there_are_not_are_one_sentence(self, options, said):
        with pytest.raises(InputError, match=said):
            explain.discriminant(NET, IMAGES, 0, 1, **options)

    def test_a_predictor_is_a_confidence(self):
        judge = Predictor({}, lambda params, F: jnp.mean(F))
        assert explain.discriminant(NET, IMAGES, 0, 1, confidence=judge).confidence.shape == (3,)


class Picture:
    """A picture of some other library."""


@pytest.mark.robust("shapes and numbers")
class TestImages:
    @pytest.mark.parametrize(
        ("images", "said"),
        [
            ("cat.jpg", "images 'cat.jpg': expected an array .*, not a file; galore.data.photo.read_image reads"),
            (["cat.jpg", "dog.jpg"], "images 'cat.jpg': expected an array"),
            (Picture(), r"images of type Picture: expected an array \[B, H, W, c\]"),
            ([[1.0]], "images of type list: expected an array"),
            (IMAGES[0], r"images of shape \(16, 16, 3\): expected a batch .*; for one of them, images\[None\]"),
            (IMAGES[0, 0], r"images of shape \(16, 3\): expected a batch \[B, H, W, c\]$"),
            (np.full((1, 16, 16, 3), "x"), "images of type <U1: expected numbers"),
        ],
    )
    @pytest.mark.parametrize("question", ["attributive", "deliberative", "counterfactual"])
    def test_that_are_none_are_one_sentence(self, images, said, question):
        arguments = {"counters": 1, "counter_images": IMAGES} if question == "counterfactual" else {}
        with pytest.raises(InputError, match=said):
            getattr(explain, question)(NET, images, **arguments)

    def test_counter_images_are_looked_at_too(self):
        with pytest.raises(InputError, match=r"counter_images 'cat\.jpg': expected an array"):
            explain.counterfactual(NET, IMAGES, 1, "cat.jpg")

    @pytest.mark.parametrize("net", ["resnet50", None, heads.convolution])
    def test_a_network_is_a_network(self, net):
        with pytest.raises(InputError, match=r"net of type \w+: expected a galore\.Network, as galore\.load"):
            explain.attributive(net, IMAGES)

    @pytest.mark.parametrize("dtype", [np.uint8, np.int32])
    def test_pixels_of_a_photo_are_told_from_prepared_images_also_under_jit(self, dtype):
        pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(dtype)
        said = f"images of type {np.dtype(dtype)}: the network takes prepared images, floats; .*preprocessing.apply"
        with pytest.raises(InputError, match=said):
            explain.attributive(PHOTOS, pixels)
        with pytest.raises(InputError, match=said):
            jax.jit(explain.attributive)(PHOTOS, pixels)
        scaling = dataclasses.replace(NET, features=lambda params, image: heads.convolution(params, image / 255.0))
        assert explain.attributive(scaling, jnp.asarray(pixels)).maps.shape == (2, 8, 8)

    @pytest.mark.parametrize("make", [np.asarray, jnp.asarray])
    def test_floats_from_0_to_255_are_told_from_prepared_images(self, make):
        pixels = make(np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype(np.float32))
        with pytest.raises(InputError, match=r"values up to 25\d.*: the network takes prepared images, .*-2.1 to 2.6"):
            explain.attributive(PHOTOS, pixels)
        assert explain.attributive(NET, pixels).maps.shape == (2, 8, 8)

    def test_prepared_images_and_those_of_a_network_that_wants_0_to_255_are_taken(self):
        pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
        raw = dataclasses.replace(NET, preprocessing=Preprocessing(16, 16, (0.0,) * 3, (1 / 255,) * 3))
        for net in (PHOTOS, raw):
            assert explain.attributive(net, net.preprocessing.normalise(pixels)).maps.shape == (2, 8, 8)
        assert explain.attributive(PHOTOS, 5 * IMAGES).maps.shape == (3, 8, 8)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"top": "5"}, "top='5': expected a whole number of at least 2"),
            ({"top": 1}, "top=1: expected a whole number of at least 2"),
            ({"top": 2.5}, "top=2.5: expected a whole number"),
            ({"keep": True}, "keep=True: expected a whole number"),
            ({"fraction": "0.1"}, "fraction='0.1': expected a number"),
        ],
        ids=str,
    )
    def test_numbers_are_numbers(self, options, said):
        with pytest.raises(InputError, match=said):
            explain.deliberative(NET, IMAGES, **options)
