"""A toy test set: a plain network on small images with parts, or with masks, at random places."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from heads import CLASSES, DEPTH, normal, plain_network

from galore.confidence import Predictor
from galore.evaluation.ground_truth import AttributeTable
from galore.evaluation.test_set import OtherTruth, Parts, Scenes, TestSet

IMAGES, PARTS, SIZE = 60, 8, (16, 16)


def toy_test_set(scenes: bool = False) -> TestSet:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (IMAGES, *SIZE, 3)).astype(np.uint8)
    net = plain_network()
    net = dataclasses.replace(net, params=net.params | {"convolution": net.params["convolution"] / 100})
    logits = np.asarray(jax.vmap(net)(jnp.asarray(images, jnp.float32))[1])
    labels = logits.argmax(1).astype(np.int32)
    student = rng.integers(0, CLASSES, IMAGES).astype(np.int32)
    labels[:5] = (labels[:5] + 1) % CLASSES
    distinct = rng.random((CLASSES, CLASSES, PARTS)) < 0.7
    distinct |= distinct.transpose(1, 0, 2)
    if scenes:
        annotations = Scenes(rng.integers(0, PARTS + 1, (IMAGES, *SIZE)).astype(np.uint8), SIZE, PARTS)
    else:
        points = rng.uniform(0, 16, (IMAGES, PARTS, 2)).astype(np.float32)
        box = np.tile(np.array([2.0, 2.0, 12.0, 12.0], np.float32), (IMAGES, 1))
        annotations = Parts(points, rng.random((IMAGES, PARTS)) < 0.9, box, SIZE)
    other = rng.random((CLASSES, CLASSES, PARTS)) < 0.5
    by_other_tables = OtherTruth(other, ~other, AttributeTable.NEURIPS, AttributeTable.SCOUT)
    kernel = jnp.asarray(normal(9, DEPTH))
    predictor = Predictor(kernel, lambda k, F: jax.nn.sigmoid(jnp.mean(F, axis=(0, 1)) @ k / 100))
    return TestSet(
        net,
        images,
        annotations,
        labels,
        logits,
        distinct,
        ~distinct,
        tuple("abcde"),
        np.arange(IMAGES),
        predictor,
        student,
        None if scenes else by_other_tables,
    )
