"""Many methods in one pass, against a loop over images and maps."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galore import explain
from galore.evaluation import judging, metrics, questions, rules
from galore.evaluation.subject import in_batches
from tests.experiments.conftest import toy_subject


@pytest.fixture(scope="module")
def subject():
    return toy_subject()


@pytest.fixture(scope="module")
def judged(subject):
    asked = questions.beginner(subject, 0)
    return asked, judging.judge_discriminant(subject, asked, rules.all_discriminant(), seed=0)


def test_every_number_equals_a_loop_over_images(subject, judged):
    asked, found = judged
    notes = subject.annotations
    for position in (0, 7, 50):
        row, y, c = asked.rows[position], asked.predicted[position], asked.counter[position]
        images = jnp.asarray(subject.inputs(np.array([row])))
        explained = explain.discriminant(subject.net, images, int(y), int(c))
        raw = explain.discriminant(subject.net, images, int(y), int(c), signs=explain.RAW)
        expected = {
            "a": explained.predicted_maps[0],
            "a * comp(b) * s, softmax": explained.maps[0],
            "margin": raw.predicted_maps[0] - raw.counter_maps[0],
        }
        truth, visible = jnp.asarray(subject.discriminant[y, c]), jnp.asarray(notes.visible[row], bool)
        for name, map_ in expected.items():
            ranks = metrics.ranks(map_, jnp.asarray(notes.points[row]), subject.size)
            np.testing.assert_allclose(found[name]["auroc"][position], metrics.auroc(ranks, truth, visible), atol=1e-6)
            curves = metrics.precision_recall(ranks, truth, visible, subject.size)
            np.testing.assert_allclose(found[name]["recall"][position], curves.recall, atol=1e-6)


def test_methods_keep_their_order_and_baselines_come_last(judged):
    names = list(judged[1])
    assert names[:3] == ["a", "a * comp(b)", "a * comp(b) * s, softmax"]
    assert set(names[-4:]) == {"random map", "centred Gaussian", "whole object", "oracle"}


def test_shuffled_labels_destroy_the_oracles_advantage(subject, judged):
    asked, found = judged
    assert np.nanmean(found["oracle"]["auroc"]) > 0.99
    truth = subject.discriminant[asked.predicted, asked.counter]
    notes = subject.annotations
    oracle = jax.vmap(lambda n, t: n.baselines(jax.random.key(0), t, (8, 8))["oracle"])(
        jax.tree.map(lambda x: jnp.asarray(x[asked.rows]), notes), jnp.asarray(truth)
    )
    shuffled = jnp.asarray(np.random.default_rng(0).permuted(truth, axis=1))
    ranks = jax.vmap(lambda m, p: metrics.ranks(m, p, subject.size))(oracle, jnp.asarray(notes.points[asked.rows]))
    scores = metrics.auroc(ranks, shuffled, jnp.asarray(notes.visible[asked.rows], bool))
    assert np.nanmean(scores) == pytest.approx(0.5, abs=0.12)


def test_the_last_batch_is_filled_up_without_a_trace(subject):
    rows = np.arange(37)
    total = lambda net, predictor, images, notes: jnp.sum(images, axis=(1, 2, 3))  # noqa: E731
    np.testing.assert_allclose(
        in_batches(total, subject, rows, batch_size=16),
        subject.images[:37].astype(np.float64).sum((1, 2, 3)),
        rtol=1e-5,
    )


def test_the_pair_of_an_image_with_itself_holds_the_same_parts(subject):
    asked = questions.beginner(subject, 0)
    twins = asked._replace(counter_rows=asked.rows, counter=asked.predicted)
    found = judging.part_iou(subject, twins, rules.best_discriminant(score="softmax"), seed=0)
    iou = found["a"]["piou"]
    assert np.nanmin(iou) == 1 and np.isnan(found["random map"]["piou"]).sum() > 0
    assert np.nanmean(found["random map"]["piou"][:, 10]) < 0.9


def test_insecurities_are_averaged_over_those_that_occur(subject):
    rows = np.arange(16)
    found, each = judging.judge_deliberative(subject, rows, rules.deliberations(scores=("softmax",)), seed=0)
    explained = explain.deliberative(subject.net, jnp.asarray(subject.inputs(rows)))
    notes = subject.annotations
    for k in (0, 5):
        scores = []
        for map_, (a, b), occurs in zip(explained.maps[k], np.asarray(explained.pairs[k]), explained.occurs[k]):
            if occurs:
                ranks = metrics.ranks(map_, jnp.asarray(notes.points[k]), subject.size)
                scores.append(
                    metrics.auroc(ranks, jnp.asarray(subject.shared[a, b]), jnp.asarray(notes.visible[k], bool))
                )
        np.testing.assert_allclose(found["hesitancy"]["auroc"][k], np.nanmean(scores), atol=1e-6)
        np.testing.assert_allclose(
            np.nanmax(each["hesitancy"]["strength"][k]), np.max(explained.strengths[k][explained.occurs[k]]), rtol=1e-5
        )


def test_easiness_needs_a_predictor(subject):
    asked = questions.beginner(subject, 0)
    alone = dataclasses.replace(subject, predictor=None)
    assert "a * comp(b) * s, easiness" not in judging.judge_discriminant(alone, asked, rules.all_discriminant(), 0)
    with pytest.raises(ValueError, match="hardness predictor"):
        judging.judge_discriminant(alone, asked, rules.best_discriminant(score="easiness"), 0)
