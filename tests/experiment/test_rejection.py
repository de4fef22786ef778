"""Accuracy after rejection, against sorting by hand."""

import dataclasses
import itertools

import jax.numpy as jnp
import numpy as np
import pytest
import toys

from galore.evaluation.methods import RANDOM, Score
from galore.experiment import claims, config, inputs, runner
from galore.experiment.insecurities import difficulty
from galore.experiment.table import Cell

rejection = runner.load("rejection")


@pytest.fixture
def toy():
    return toys.toy_test_set()


@pytest.fixture
def table(monkeypatch, cfg, toy):
    monkeypatch.setattr(inputs, "test_set", lambda config, **_: toy)
    return rejection.run(config.typed(cfg))


def row(table, method, percent):
    return table.find(Cell(method, rejection.ACCURACY, None, (("rejected", f"{percent}%"),)))


def test_the_mean_of_a_row_is_the_accuracy_on_the_easier_images(table, toy):
    probabilities = np.exp(toy.logits) / np.exp(toy.logits).sum(1, keepdims=True)
    entropy = -(probabilities * np.log(probabilities)).sum(1)
    for score, values in ((Score.SOFTMAX, -probabilities.max(1)), (Score.CERTAINTY, entropy)):
        for percent in (0, 10, 50, 90):
            kept = sorted(range(len(toy)), key=lambda k, v=values: v[k])[: len(toy) - len(toy) * percent // 100]
            found = row(table, difficulty(score), percent)
            assert np.isfinite(found.values[0]).nonzero()[0].tolist() == sorted(kept)
            expected = np.mean([toy.logits[k].argmax() == toy.labels[k] for k in kept])
            assert np.nanmean(found.values) == pytest.approx(expected)
            assert np.isnan(found.values).sum() == sum(found.left_out.values())


def test_hardness_is_what_the_predictor_says_of_each_image(table, toy):
    images = jnp.asarray(toy.images, jnp.float32)
    easiness = [float(toy.predictor.head(toy.predictor.params, toy.net(image)[0])) for image in images]
    kept = np.isfinite(row(table, difficulty(Score.EASINESS), 50).values[0])
    assert kept.nonzero()[0].tolist() == sorted(np.argsort(easiness)[30:].tolist())


def test_scenes_and_networks_without_a_predictor_are_rejected_from_too(monkeypatch, cfg):
    scenes = dataclasses.replace(toys.toy_test_set(scenes=True), predictor=None)
    monkeypatch.setattr(inputs, "test_set", lambda config, **_: scenes)
    table = rejection.run(config.typed(cfg))
    assert row(table, RANDOM, 90) and row(table, difficulty(Score.EASINESS), 0) is None
    for claim in rejection.claims(table):
        assert claims.measure(claim, table).shortage == "there is no hardness predictor"


def test_what_is_rejected_first_stays_rejected(table):
    for method in (difficulty(Score.EASINESS), RANDOM):
        kept = [np.isfinite(row(table, method, percent).values[0]) for percent in rejection.PERCENTS]
        assert all((more >= less).all() for more, less in itertools.pairwise(kept))
