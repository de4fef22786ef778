"""Draws the pictures of docs/answering.md: one invented bird and one invented scene, each asked about four classes.

    python scripts/draw_answering.py
    python scripts/draw_answering.py CHECKOUT     # whose outputs/ and data/ are taken

Takes the networks and the data sets of the experiments. Part tables are made as `galore part-tables` makes them, of the
training images. Which bird and which scene was chosen by hand, among test images that the network gets right, so that
the four questions have different answers; the maps were not looked at for it.
"""

from galore import program

program.guard(__name__)

import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

import galore
from galore import cli, overlay, part_tables, plotting
from galore.data.synthetic import birds, scenes

ROOT = Path(__file__).resolve().parents[1]
BIRD, SPECIES = 1629, (9, 10, 12, 17)
"""Of images.txt and of classes.txt."""
SCENE, SCENES = 267, ("highway", "harbor", "park", "beach")
SIZE, PIXELS = 384, 176
"""Of the drawings, and of a panel."""
RARE = 0.05
"""An object that scenes of a class hold less often sets a scene apart from them."""
COLOURS = 160

RULES = {
    "papers": "the papers' map\na(h_y) · comp(a(h_c)) · a(s)",
    "margin": "the margin\na(h_y − h_c)",
    "standardised": "absence of c, standard-\nised over the classes",
    "part tables": "part tables: the classes'\ndifference on its parts",
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
        what = " and ".join(kinds) if len(kinds) < 3 else f"{len(kinds)} of {len(birds.KIND_GROUPS)} kinds of parts"
        questions.append(Question(drawn.species[number - 1].name.replace("_", " "), other, differs, what))
    said = "Above: the same bird, drawn with the parts of the other species. White line: the parts that differ."
    maps = of_rules(network, data, drawn.draw(BIRD).image, [one.name for one in questions])
    plotting.save(figure(drawn.species[own - 1].name.replace("_", " "), photo.image, questions, maps, said), picture)
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
        differs = np.isin(photo.mask, [scenes.OBJECTS.index(one) + 1 for one in apart])
        shown = drawn.draw(example, size=SIZE).image
        questions.append(Question(name, shown, differs, ", ".join(apart)))
    said = "Above: a scene of the other class. White line: the objects that such scenes do not hold."
    maps = of_rules(network, data, drawn.draw(SCENE).image, SCENES)
    plotting.save(figure(drawn.class_name(SCENE), photo.image, questions, maps, said), picture)
    smaller(picture)


def of_rules(
    network: Path, data: Path, image: UInt8[np.ndarray, "h w 3"], classes: tuple[str, ...] | list[str]
) -> dict[str, list[Float[np.ndarray, "h w"]]]:
    """The maps of every rule of `RULES` against each class."""
    net = galore.load(network)
    assert net.preprocessing is not None, "trainings bring theirs"
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "parts.npz")
        cli.main(["part-tables", str(data), "--model", str(network), "--out", file])
        tables = part_tables.load(file, net)
    x = net.preprocessing.apply(image)[None]
    ask = {
        "papers": lambda c: galore.explain.discriminant(net, x, None, c),
        "margin": lambda c: galore.explain.margin(net, x, None, c),
        "standardised": lambda c: galore.explain.standardised(net, x, None, c),
        "part tables": lambda c: galore.explain.by_part_tables(net, x, tables, None, c),
    }
    return {rule: [np.asarray(ask[rule](name).maps[0]) for name in classes] for rule in RULES}


def figure(
    name: str,
    photo: UInt8[np.ndarray, "height width 3"],
    questions: list[Question],
    maps: dict[str, list[Float[np.ndarray, "h w"]]],
    said: str,
) -> Figure:
    """Classes from left to right, rules from top to bottom."""
    rows, columns = len(maps) + 1, len(questions) + 1
    drawn = Figure(figsize=(columns * 1.5, rows * 1.5 + 0.85))
    axes = drawn.subplots(rows, columns)
    drawn.subplots_adjust(0.005, 0.055, 0.995, 0.9, 0.03, 0.04)
    for axis in axes.flat:
        axis.set_axis_off()
    axes[0, 0].imshow(photo)
    axes[0, 0].set_title(f"Why {name} ...", fontsize=8, fontweight="bold", pad=15)
    for axis, question in zip(axes[0, 1:], questions, strict=True):
        axis.imshow(question.shown)
        axis.set_title(f"... and not {question.name}?", fontsize=8, fontweight="bold", pad=15)
        axis.text(0.5, 1.03, question.what, fontsize=7, ha="center", va="bottom", transform=axis.transAxes)
    for row, (rule, of_classes) in zip(axes[1:], maps.items(), strict=True):
        row[0].text(0.02, 0.5, RULES[rule], fontsize=8, va="center", transform=row[0].transAxes)
        for axis, values, question in zip(row[1:], of_classes, questions, strict=True):
            axis.imshow(overlay.heat(photo, values))
            outlined(axis, question.differs)
    low = "Colours: from the lowest (dark) to the highest value (bright) of each map."
    drawn.text(0.5, 0.008, f"{said}\n{low}", fontsize=8, ha="center", va="bottom", color=plotting.GREY)
    return drawn


def outlined(axis: Axes, region: Bool[np.ndarray, "height width"]) -> None:
    for colour, width in (("black", 1.8), ("white", 0.9)):
        axis.contour(region, [0.5], colors=colour, linewidths=width)


def smaller(picture: Path) -> None:
    """The same in few colours, which nobody sees and which takes a third of the bytes."""
    with Image.open(picture) as image:
        few = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(picture, optimize=True)


if __name__ == "__main__":
    sys.exit(program.ended("error", lambda: main(*map(Path, sys.argv[1:]))))
