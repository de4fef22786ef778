"""A stream of invented explanations of invented photos, some of which could not be read and one with a hostile name."""

from pathlib import Path

import numpy as np

from galore import stream
from galore.stream import folder as folders
from galore.stream import thumbnails

CLASSES = ("red finch", "blue_jay", "<b>grey</b> wren", "golden tern", "least auk")
HOSTILE = 'evil/<img src=x onerror="alert(1)">\'&\u202egpj.jpg'
SHARD, CELLS, PAIRS = 100, 7, 3


def write(root: Path, count: int, has_thumbnails: bool = True) -> stream.Folder:
    """A finished run with the columns of `stream.both`."""
    images = [f"{CLASSES[k % 5].strip('<b>')}/{k:05d}.jpg".replace("</b>", "") for k in range(count)]
    images[3] = HOSTILE
    made = folders.begin(root, images, {"network": "tiny <i>net</i>", "explanation": "both"}, SHARD)
    for shard in range(made.shards):
        if has_thumbnails:
            thumbnails.write(made, shard, [thumbnail(row) for row in made.rows(shard).tolist()])
        made.write(shard, columns(shard, [images[row] for row in made.rows(shard)]))
    return made


def columns(shard: int, images: list[str]) -> dict[str, np.ndarray]:
    """Those of one shard; every 41st row is not explained."""
    count, rng = len(images), np.random.default_rng(shard)
    predicted = rng.integers(0, 5, count)
    counter = (predicted + rng.integers(1, 5, count)) % 5
    explained = np.arange(count) % 41 != 40
    difficulty = np.where(explained, rng.beta(1, 3, count), np.nan).astype(np.float32)
    y, x = np.mgrid[:CELLS, :CELLS]
    centre = rng.uniform(0, CELLS, (count, 2, 1, 1))
    return {
        "maps": np.exp(-((y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2)).astype(np.float32),
        "predicted": np.where(explained, predicted, -1),
        "counter": np.where(explained, counter, -1),
        "pairs": np.stack([np.stack([predicted, counter], -1)] * PAIRS, 1),
        "strengths": rng.random((count, PAIRS)),
        "occurs": rng.random((count, PAIRS)) > 0.1,
        "difficulty": difficulty,
        "explained": explained,
        "problems": np.array([f"{images[k]} is not an image" for k in np.flatnonzero(~explained)], str),
        "sha256": np.zeros((count, 32), np.uint8),
    }


def thumbnail(row: int) -> np.ndarray:
    """A disc on a ground that fades."""
    rng = np.random.default_rng(row)
    y, x = np.mgrid[:128, :128]
    fade, (first, second, disc) = y[..., None] / 128, rng.integers(0, 255, (3, 3))
    pixels = (1 - fade) * first + fade * second
    pixels[(y - rng.integers(40, 90)) ** 2 + (x - rng.integers(40, 90)) ** 2 < 30**2] = disc
    return pixels.astype(np.uint8)
