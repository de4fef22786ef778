"""Trains the hardness predictor on frozen activations, and asks it about the test images."""

from typing import Any

import jax
import numpy as np
from fit_classifier import Plan, train_classifier
from setting import Setting, Show

import galore
from galore.training import architectures, classifier, evaluation, hardness, held_out


def fit_hardness(setting: Setting, params: dict[str, Any], held: np.ndarray, show: Show) -> dict[str, Any]:
    """Trains the predictor; its targets come from images that the judging classifier never saw.

    Args:
        setting: of the run.
        params: of the classifier, whose frozen activations are read.
        held: positions of the validation images among the training images.
        show: the progress.

    Returns:
        Its parameters, with `hardness.PREFIX`.
    """
    train, labels = setting.train, setting.labels[setting.training]
    if train.hardness == "held_out":
        activations, logits = setting.outputs(params, setting.training[held])
        probability = evaluation.true_class_probability(logits, labels[held])
    else:
        activations, _ = setting.outputs(params, setting.training)
        probability = judged(setting, show)
    return held_out.fit_predictor(activations, probability, widths=tuple(train.hardness_widths), seed=train.seed)


def judged(setting: Setting, show: Show) -> np.ndarray:
    """p of the true class of every training image, by a classifier that was trained without its fold."""
    train, labels = setting.train, setting.labels[setting.training]
    none = np.zeros(0, int)

    def judge(chosen: np.ndarray) -> np.ndarray:
        plan = Plan(setting, np.flatnonzero(chosen), none, train.epochs)
        other = train_classifier(plan, show, "cross-fitting")
        return evaluation.true_class_probability(setting.outputs(other, setting.training)[1], labels)

    return held_out.cross_fit(judge, held_out.folds(labels, train.hardness_folds, train.seed))


def predicted(setting: Setting, own: dict[str, Any], activations: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The hardness k of images.

    Args:
        setting: of the run.
        own: the predictor's parameters, with `hardness.PREFIX`.
        activations: the classifier's mean activations for these images.
        rows: of the images.
    """
    description, cut = setting.description, setting.cut
    if not description.predictor_trunk:
        return held_out.predict(own, activations, description.predictor_widths)
    layer = description.layer
    to_input = classifier.as_input(description.preprocessing)
    structure = hardness.with_trunk(description.network, description.predictor_widths)
    judge = lambda module, x: module.head(architectures.through(module.trunk, x, cut, layer), layer)  # noqa: E731
    run = galore.from_nnx(structure, features=judge, head=lambda module, x: x).features
    values = hardness.own(own)
    return evaluation.in_batches(jax.jit(lambda x: run(values, to_input(x))), setting.whole[rows])
