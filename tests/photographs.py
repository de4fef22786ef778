"""A folder of small photographs, each with a colour of its own, and a tiny network for them."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
from PIL import Image

from galore import Network
from galore.data.preprocessing import Preprocessing

SIDE, CLASSES = 16, 5


def write_photos(root: Path, count: int) -> Path:
    """Photos 00.png, 01.png, ... in two folders; no two are the same."""
    for k in range(count):
        folder = root / ("ab"[k % 2])
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(k)
        pixels = rng.integers(0, 128, (20 + k % 3, 24, 3)) + rng.integers(0, 128, 3)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{k:02d}.png")
    return root


def tiny_network() -> Network:
    """Averages over 4 x 4 pixels, one hidden channel mix, global pooling, a dense layer."""
    rng = np.random.default_rng(0)
    params = {
        "mix": jnp.asarray(rng.normal(size=(3, 8)), jnp.float32),
        "out": jnp.asarray(3 * rng.normal(size=(8, CLASSES)), jnp.float32),
    }

    def features(params, image):
        cells = image.reshape(SIDE // 4, 4, SIDE // 4, 4, 3).mean((1, 3))
        return jnp.maximum(cells @ params["mix"], 0)

    def head(params, F):
        return F.mean((0, 1)) @ params["out"]

    preprocessing = Preprocessing(resize=SIDE, crop=SIDE, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    return Network(params=params, features=features, head=head, preprocessing=preprocessing, name="tiny", layer="mix")
