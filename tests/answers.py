"""Answers and a tiny network to make reports of, shared by the tests."""

import dataclasses
import functools
import importlib.resources

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from galore import Network, counterparts, part_tables, plotting
from galore.data.photo import read_image
from galore.data.preprocessing import Preprocessing
from galore.report import build
from galore.report.answer import Answer
from galore.report.build import compile_explanations as compile_anew

build.VIEW = 224
"""Half the side of what people see: most of the work of a program compiled fast is to find regions."""
plotting.DPI = 60
"""Of figures; few of their tests look at pixels."""

NAMES = ("red_thing", "green thing", "blue thing", "grey <b>stone</b> [x]", "stone", "stone")
METHODS = {
    "model": "tiny",
    "layer": "pooled",
    "detail": 1,
    "attribution": "gradient",
    "confidence": "softmax",
    "rule": "discriminant",
    "part_tables": None,
    "counterparts": None,
    "top": 4,
    "fraction": 0.1,
    "also": (),
}


def chelsea() -> str:
    return str(importlib.resources.files("skimage.data").joinpath("chelsea.png"))


def coffee() -> str:
    return str(importlib.resources.files("skimage.data").joinpath("coffee.png"))


def features(params, image):
    """Means over cells of 8 x 8 pixels and a ReLU."""
    return jnp.maximum(image.reshape(4, 8, 4, 8, 3).mean((1, 3)), 0) + 0.01


def head(params, F):
    return F.mean((0, 1)) @ params["kernel"]


def tiny_network(kernel=None) -> Network:
    """Means of cells, global average pooling and a linear layer that likes colours."""
    if kernel is None:
        kernel = np.ones((3, len(NAMES)), np.float32)
        kernel[:, :3] = 4 * np.eye(3)
    return Network(
        params={"kernel": jnp.asarray(kernel)},
        features=features,
        head=head,
        preprocessing=Preprocessing(resize=36, crop=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        class_names=NAMES,
        layer="pooled",
        name="tiny",
    )


def write_photo(path, color=(200, 90, 40), size=(60, 48)) -> str:
    """A photo with one bright patch, so that its maps are not the same everywhere."""
    image = Image.new("RGB", size, tuple(channel // 4 for channel in color))
    image.paste(color, (20, 12, 38, 30))
    image.save(path)
    return str(path)


def noise(classes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, jax.Array]:
    """Activations of the tiny network and their labels, to fit something to."""
    F = np.random.default_rng(0).uniform(0, 1, (3 * len(classes), 4, 4, 3)).astype(np.float32)
    return F, np.repeat(classes, 3), jax.random.key(0)


@functools.cache
def tables(*classes: int) -> part_tables.PartTables:
    """Part tables of the tiny network, of noise."""
    found = part_tables.fit(*noise(classes))
    return dataclasses.replace(found, clusterings=found.clusterings[::6])  # two compile faster than twelve


@functools.cache
def counterparts_of(*classes: int) -> counterparts.Counterparts:
    """Likewise."""
    return counterparts.fit(*noise(classes))


FITTED = {"part-tables": tables, "counterparts": counterparts_of}
"""What the rules need, of some classes."""


@functools.cache
def compile_explanations(
    attribution="gradient", confidence="softmax", top=4, fraction=0.1, rule="discriminant", also=()
) -> build.ExplainPhoto:
    """Compiled once for all tests."""
    choices = {"attribution": attribution, "confidence": confidence, "rule": rule, "also": also}
    return compile_anew(**choices, top=top, fraction=fraction)


def answer(folder, counter: bool = True, net: Network | None = None, compared=(0, 1, 2, 3, 4, 5), **changes) -> Answer:
    """The tiny network's answer about a red photo, with a blue one to compare."""
    red, blue = write_photo(folder / "red.png"), write_photo(folder / "blue.png", (40, 60, 210))
    return build.build(
        net or tiny_network(),
        red,
        compile_explanations(**changes),
        METHODS | changes,
        why_not="blue",
        counter_image=blue if counter else None,
        fitted=FITTED[changes["rule"]](*compared) if changes.get("rule") in FITTED else None,
    )


def pixels(path: str) -> np.ndarray:
    return read_image(path)
