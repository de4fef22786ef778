"""Rules put maps together as their names say."""

import jax.numpy as jnp
import numpy as np

from galore.evaluation import rules
from tests.heads import plain_network


def columns(net, predictor, images, y, c):
    """Maps that follow the image, and one that prefers the left whatever it shows."""
    left = jnp.broadcast_to(jnp.arange(images.shape[2], 0, -1.0), images.shape[:3])
    return {"image": images[..., 0], "left": left}


def test_mirrored_too_keeps_what_follows_the_image_and_averages_out_the_rest():
    images = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 4, 1)).astype(np.float32))
    found = rules.mirrored_too(columns)(plain_network(), None, images, jnp.zeros(2, int), jnp.ones(2, int))
    np.testing.assert_allclose(found["image"], images[..., 0], rtol=1e-6)
    np.testing.assert_allclose(found["left"], 2.5)
