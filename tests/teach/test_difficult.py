import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from galore.confidence import Predictor
from galore.data.preprocessing import Preprocessing
from galore.teach import difficult
from galore.training import architectures, checkpoint, header


def test_the_hardest_are_the_least_sure_of_those_not_trained_on_and_half_is_left_for_examples(birds):
    margins = np.array([3.0, 0.1, 2.0, 0.2, 1.0, 0.0], np.float32)
    logits = np.stack([margins, np.zeros(6, np.float32)], 1)
    is_training = np.array([False, False, False, True, True, True])
    six = birds.subset(list(range(6)))
    first, second = (dataclasses.replace(six, is_training=split) for split in (is_training, ~is_training))
    assert difficult.hardest(logits, first, 2).tolist() == [1, 2]
    assert difficult.hardest(logits, second, 99).tolist() == [5, 3, 4]


def test_a_candidate_hesitates_between_its_class_and_another_by_every_score(net, birds):
    easiness = Predictor(jnp.full(6, -1.0), lambda w, F: jax.nn.sigmoid(F.mean((0, 1)) @ w))
    scores = {**difficult.SCORES, "easiness": easiness}
    found = difficult.candidates(net, birds, np.arange(3), np.arange(0, 40, 3), scores)
    assert found
    for candidate in found:
        assert candidate.truth == birds.labels[candidate.index]
        assert candidate.others.keys() == candidate.maps.keys() == scores.keys()
        for name in scores:
            assert candidate.others[name] != candidate.truth
            assert np.ptp(candidate.maps[name]) > 0


def test_an_insecurity_with_a_class_that_the_data_set_lacks_is_none(net, birds):
    first_class = np.flatnonzero(birds.labels == 0)[:8]
    assert difficult.candidates(net, birds, np.arange(3), first_class, difficult.SCORES)
    assert difficult.candidates(net, birds, np.arange(1), first_class, difficult.SCORES) == []


def test_easiness_is_a_score_of_checkpoints_with_a_hardness_predictor(tmp_path):
    plain = header.Description("small_cnn_narrow", ("a", "b"), Preprocessing(32, 32), "conv3")
    hard = dataclasses.replace(plain, predictor_layer="conv3", predictor_widths=(8,))
    params = architectures.random_params("small_cnn_narrow", 2, seed=0)
    expected = header.expected_shapes(hard)
    own = {name: jnp.zeros(expected[name].shape) for name in expected.keys() - params.keys()}
    checkpoint.save(tmp_path / "plain", plain, params)
    checkpoint.save(tmp_path / "hard", hard, params | own)
    assert set(difficult.scores_of("efficientnet_lite0")) == {"softmax", "certainty"}
    assert set(difficult.scores_of(str(tmp_path / "plain"))) == {"softmax", "certainty"}
    assert set(difficult.scores_of(str(tmp_path / "hard"))) == {"softmax", "certainty", "easiness"}
