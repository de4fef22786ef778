"""Explain two photos that scikit-image ships: a cat that could be another cat, and a cup of espresso.

galore demo
galore demo --out cat-and-cup
"""

import argparse
import importlib.resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from galore import atomic, cache
from galore.commands import explain
from galore.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from galore.data.dataset import PartDataset
    from galore.network import Network


class Example(NamedTuple):
    """A photo of scikit-image, the folder of its report, and the class to ask about."""

    photo: str
    folder: str
    why_not: str


EXAMPLES = (Example("chelsea.png", "cat", "Egyptian"), Example("coffee.png", "coffee", "cup"))
BIRD = "bird"
"""The folder of the report about a bird."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("galore-demo"), help="where to write (%(default)s)"
    )
    parser.add_argument("--trained", metavar="RUN", type=Path, help="also a bird, by the network of this training run")
    parser.add_argument("--birds", metavar="DIR", type=Path, help="the data set that the run was trained on")
    explain.add_method_arguments(parser)
    explain.add_report_arguments(parser)


def run(args: argparse.Namespace) -> None:
    from galore import terminal

    if (args.trained is None) != (args.birds is None):
        raise InputError("--trained and --birds belong together: a training run, and the data set it was trained on")
    console = terminal.console()
    photos = {example: _photo(example.photo) for example in EXAMPLES}
    explain.check(args, *photos.values())
    explain.check_report(args)
    with atomic.folder(args.out, overwrite=True) as folder, cache.compiled(not args.no_cache):
        explainer = explain.Explainer(args)
        for example, photo in photos.items():
            (folder / example.folder).mkdir()
            answer = explainer.explain(photo, folder / example.folder, why_not=example.why_not)
            console.rule(example.photo)
            explain.show(answer)
        if args.trained is not None:
            (folder / BIRD).mkdir()
            _explain_bird(args, folder / BIRD, console)
    console.rule("Done")
    _what_next(console, args)


def _explain_bird(args: argparse.Namespace, folder: Path, console: "Console") -> None:
    """Explains a test image that the trained network gets right, beside an image of its second choice."""
    from galore.data import cub

    own = {"model": str(args.trained), "weights": None, "layer": None}
    explainer = explain.Explainer(argparse.Namespace(**vars(args) | own))
    birds = cub.read(args.birds)
    if birds.class_names != explainer.net.class_names:
        raise InputError(f"--birds {args.birds}: expected the classes that {args.trained} was trained on")
    bird, other = _choose(explainer.net, birds.subset(~birds.is_training))
    answer = explainer.explain(str(bird), folder, counter_image=str(other))
    console.rule(bird.name)
    explain.show(answer)


def _choose(net: "Network", birds: "PartDataset") -> tuple[Path, Path]:
    """The first image that the network recognises (or else the last one), and an image of its second choice."""
    import jax
    import numpy as np

    from galore.data.photo import read_image

    assert net.preprocessing is not None, "checkpoints bring theirs"
    logits, index, order = jax.jit(lambda net, image: net(image)[1]), 0, np.zeros(0, int)
    for index, label in enumerate(birds.labels):
        order = np.argsort(-np.asarray(logits(net, net.preprocessing.apply(read_image(birds.image_path(index))))))
        if order[0] == label:
            break
    return birds.image_path(index), birds.image_path(int(np.flatnonzero(birds.labels == order[1])[0]))


def _photo(name: str) -> str:
    return str(importlib.resources.files("skimage.data").joinpath(name))


def _what_next(console: "Console", args: argparse.Namespace) -> None:
    console.print("The reports; open them in a browser:")
    folders = [example.folder for example in EXAMPLES] + [BIRD] * (args.trained is not None)
    for folder in folders:
        console.print(f"  {args.out / folder / 'explanation.html'}", soft_wrap=True)
    console.print("\nNow a photo of yours:")
    console.print("  galore explain PHOTO.jpg", soft_wrap=True)
    console.print("  galore explain PHOTO.jpg --why-not 'another class' --counter-image OTHER.jpg", soft_wrap=True)
    if args.trained is not None:
        console.print(f"  galore explain PHOTO.jpg --model {args.trained}", soft_wrap=True)
    console.print("  galore explain --help", soft_wrap=True)
