"""Draws the pictures of docs/answering.md: one invented bird and one invented scene, each asked about four classes.

    python scripts/draw_answering.py
    python scripts/draw_answering.py CHECKOUT     # whose outputs/ and data/ are taken

Takes the networks and the data sets of the experiments. Part tables and counterparts are made as `galore part-tables`
and `galore counterparts` make them, of the training images. Which bird and which scene was chosen by hand, among test
images that the network gets right, so that the four questions have different answers; the maps were not looked at for
it.
"""

from galore import program

program.guard(__name__)

import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.figure import Figure
from PIL import Image

import galore
from galore import cli, counterparts, overlay, part_tables, plotting, regions
from galore.data.synthetic import birds, scenes
from galore.data.synthetic.scenes_drawing import LABEL

ROOT = Path(__file__).resolve().parents[1]
BIRD, SPECIES = 1629, (9, 10, 12, 17)
"""Of images.txt and of classes.txt."""
SCENE, SCENES = 267, ("highway", "harbor", "park", "beach")
SIZE, WIDTH = 256, 900
"""Pixels, of the drawings and of the picture."""
RARE = 0.05
"""An object that scenes of a class hold less often sets a scene apart from them."""
FRACTION, COLOURS = 0.1, 256

RULES = {
    "papers": "the papers' map:\nfor this class, not for\nthe other, where sure",
    "margin": "the margin:\nfor this class minus\nfor the other",
    "standardised": "standardised:\nless for the other class\nthan for all the rest",
    "counterparts": "counterparts:\nfor this class, beside\nwhat the other shows",
    "part tables": "part tables:\nwhere the two classes\ndiffer, on these parts",
}


class Question(NamedTuple):
    """One class to ask about.

    Attributes:
        name: of the class.
        shown: above the maps, what the class looks like.
        differs: the pixels of the image that tell its class from this one.
        what: these in words.
    """

    name: str
    shown: UInt8[np.ndarray, "height width 3"]
    differs: Bool[np.ndarray, "height width"]
    what: str


def main(checkout: Path = ROOT, folder: Path = ROOT / "docs") -> None:
    """Draws both."""
    draw_bird(checkout, folder / "answering_bird.png")
    draw_scene(checkout, folder / "answering_scene.png")


def draw_bird(checkout: Path, picture: Path) -> None:
    data = checkout / "data/synthetic_birds-20x150-96px-seed0"
    network = checkout / "outputs/training/synthetic_birds-small_cnn-seed0"
    drawn = birds.read(data)
    own, photo = drawn.class_number(BIRD), drawn.draw(BIRD, size=SIZE)
    questions = []
    for number in SPECIES:
        kinds = birds.differing_kinds(drawn.species[own - 1], drawn.species[number - 1])
        other = drawn.draw(BIRD, dict.fromkeys(kinds, number), SIZE).image
        parts = [index for index, part in enumerate(birds.PARTS, 1) if birds.kind_of(part) in kinds]
        differs = np.isin(photo.part_map, parts)
        what = " and ".join(kinds) if len(kinds) < 3 else "all parts"
        questions.append(Question(drawn.species[number - 1].name.replace("_", " "), other, differs, what))
    first = "the same bird with the parts of the other species"
    maps = of_rules(network, data, drawn.draw(BIRD).image, [one.name for one in questions])
    plotting.save(figure(drawn.species[own - 1].name.replace("_", " "), photo.image, questions, maps, first), picture)
    smaller(picture)


def draw_scene(checkout: Path, picture: Path) -> None:
    data = checkout / "data/synthetic_scenes-12x150-96px-seed0"
    network = checkout / "outputs/training/synthetic_scenes-small_cnn-seed0"
    drawn = scenes.read(data)
    photo, questions = drawn.draw(SCENE, size=SIZE), []
    for name in SCENES:
        example = drawn.class_names.index(name) * drawn.per_class + 1
        often = scenes.SCENES[name]
        apart = [one for one in photo.objects if one not in ("sky", "wall", "floor") and often.get(one, 0) < RARE]
        differs = np.isin(photo.mask, [LABEL[one] for one in apart])
        shown = drawn.draw(example, size=SIZE).image
        there = sum(one in LABEL for one in photo.objects) - 1  # without the sky
        what = "all objects" if len(apart) == there else ", ".join(apart)
        questions.append(Question(name, shown, differs, what))
    first = "a scene of the other class"
    maps = of_rules(network, data, drawn.draw(SCENE).image, SCENES)
    plotting.save(figure(drawn.class_name(SCENE), photo.image, questions, maps, first), picture)
    smaller(picture)


def of_rules(
    network: Path, data: Path, image: UInt8[np.ndarray, "h w 3"], classes: tuple[str, ...] | list[str]
) -> dict[str, list[Float[np.ndarray, "h w"]]]:
    """The maps of every rule of `RULES` against each class."""
    net = galore.load(network)
    assert net.preprocessing is not None, "trainings bring theirs"
    with tempfile.TemporaryDirectory() as folder:
        parts, others = Path(folder) / "parts.npz", Path(folder) / "counterparts.npz"
        for command, file in (("part-tables", parts), ("counterparts", others)):
            cli.main([command, str(data), "--model", str(network), "--out", str(file)])
        tables, fitted = part_tables.load(parts, net), counterparts.load(others, net)
    x = jnp.asarray(net.preprocessing.apply(image))[None]
    ask = {
        "papers": lambda c: galore.explain.discriminant(net, x, None, c),
        "margin": lambda c: galore.explain.margin(net, x, None, c),
        "standardised": lambda c: galore.explain.standardised(net, x, None, c),
        "counterparts": lambda c: galore.explain.by_counterparts(net, x, fitted, None, c),
        "part tables": lambda c: galore.explain.by_part_tables(net, x, tables, None, c),
    }
    return {rule: [np.asarray(ask[rule](name).maps[0]) for name in classes] for rule in RULES}


def figure(
    name: str,
    photo: UInt8[np.ndarray, "height width 3"],
    questions: list[Question],
    maps: dict[str, list[Float[np.ndarray, "h w"]]],
    first: str,
) -> Figure:
    """Classes from left to right; from top to bottom what they look like, what differs, and what each rule lights."""
    rows, columns = len(maps) + 2, len(questions) + 1
    width, height = columns * 1.5, rows * 1.5 + 0.75
    drawn = Figure(figsize=(width, height))
    axes = drawn.subplots(rows, columns)
    drawn.subplots_adjust(0.004, 0.25 / height, 0.996, 1 - 0.5 / height, 0.03, 0.03)
    for axis in axes.flat:
        axis.set_axis_off()
    lit = {"what really differs": [question.differs for question in questions]}
    lit |= {RULES[rule]: [largest(values) for values in of_classes] for rule, of_classes in maps.items()}
    axes[0, 0].imshow(photo)
    axes[0, 0].set_title(f"Why\n{name} ...", fontsize=9, fontweight="bold")
    for axis, question in zip(axes[0, 1:], questions, strict=True):
        axis.imshow(question.shown)
        axis.set_title(f"... and not\n{question.name}?", fontsize=9, fontweight="bold")
    for axis, question in zip(axes[1, 1:], questions, strict=True):
        axis.text(0.03, 0.03, question.what, fontsize=7, color="white", transform=axis.transAxes, wrap=True)
    for row, (said, regions_of_classes) in zip(axes[1:], lit.items(), strict=True):
        row[0].text(0.04, 0.5, said, fontsize=9, va="center", transform=row[0].transAxes)
        for axis, region in zip(row[1:], regions_of_classes, strict=True):
            axis.imshow(overlay.lit(photo, region, (12, 12)))
    foot = f"Top row: {first}. Lit by each rule: the {FRACTION:.0%} of the picture with the highest values."
    drawn.text(0.5, 0.06 / height, foot, fontsize=8, ha="center", va="bottom", color=plotting.GREY)
    return drawn


def largest(values: Float[np.ndarray, "h w"]) -> Bool[np.ndarray, "height width"]:
    """What a report would light."""
    return np.asarray(regions.largest(regions.smoothed(jnp.asarray(values), (SIZE, SIZE)), FRACTION))


def smaller(picture: Path) -> None:
    """The same in fewer pixels and colours, which takes a fifth of the bytes."""
    with Image.open(picture) as image:
        size = WIDTH, round(WIDTH * image.height / image.width)
        few = image.convert("RGB").resize(size, Image.Resampling.LANCZOS).quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(picture, optimize=True)


if __name__ == "__main__":
    sys.exit(program.ended("error", lambda: main(*map(Path, sys.argv[1:]))))
