import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from galore.confidence import Predictor
from galore.data.preprocessing import Preprocessing
from galore.teach import hard_images
from galore.training import architectures, checkpoint, header


def test_the_hardest_are_the_least_sure_of_those_not_trained_on_and_half_is_left_for_examples(birds):
    margins = np.array([3.0, 0.1, 2.0, 0.2, 1.0, 0.0], np.float32)
    logits = np.stack([margins, np.zeros(6, np.float32)], 1)
    is_training = np.array([False, False, False, True, True, True])
    six = birds.subset(list(range(6)))
    first, second = (dataclasses.replace(six, is_training=split) for split in (is_training, ~is_training))
    assert hard_images.hardest(logits, first, 2).tolist() == [1, 2]
    assert hard_images.hardest(logits, second, 99).tolist() == [5, 3, 4]


def test_a_hard_image_hesitates_between_its_class_and_another_by_every_score(net, birds):
    easiness = Predictor(jnp.full(6, -1.0), lambda w, F: jax.nn.sigmoid(F.mean((0, 1)) @ w))
    scores = {**hard_images.SCORES, "easiness": easiness}
    images = hard_images.with_insecurities(net, birds, np.arange(3), np.arange(0, 40, 3), scores)
    assert images
    for image in images:
        assert image.truth == birds.labels[image.index]
        assert image.others.keys() == image.maps.keys() == scores.keys()
        for name in scores:
            assert image.others[name] != image.truth
            assert np.ptp(image.maps[name]) > 0


def test_an_insecurity_with_a_class_that_the_data_set_lacks_is_none(net, birds):
    first_class = np.flatnonzero(birds.labels == 0)[:8]
    assert hard_images.with_insecurities(net, birds, np.arange(3), first_class, hard_images.SCORES)
    assert hard_images.with_insecurities(net, birds, np.arange(1), first_class, hard_images.SCORES) == []


def test_easiness_is_a_score_of_checkpoints_with_a_hardness_predictor(tmp_path):
    plain = header.Description("small_cnn_narrow", ("a", "b"), Preprocessing(32, 32), "conv3")
    hard = dataclasses.replace(plain, predictor_layer="conv3", predictor_widths=(8,))
    params = architectures.random_params("small_cnn_narrow", 2, seed=0)
    expected = header.expected_shapes(hard)
    own = {name: jnp.zeros(expected[name].shape) for name in expected.keys() - params.keys()}
    checkpoint.save(tmp_path / "plain", plain, params)
    checkpoint.save(tmp_path / "hard", hard, params | own)
    assert set(hard_images.scores_of("efficientnet_lite0")) == {"softmax", "certainty"}
    assert set(hard_images.scores_of(str(tmp_path / "plain"))) == {"softmax", "certainty"}
    assert set(hard_images.scores_of(str(tmp_path / "hard"))) == {"softmax", "certainty", "easiness"}
