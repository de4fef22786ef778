"""Explain two photos that scikit-image ships: a cat that could be another cat, and a cup of espresso."""

import argparse
import importlib.resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from galore import atomic
from galore.commands import explain

if TYPE_CHECKING:
    from rich.console import Console


class Example(NamedTuple):
    """A photo of scikit-image, the folder of its report, and the class to ask about."""

    photo: str
    folder: str
    why_not: str


EXAMPLES = (Example("chelsea.png", "cat", "Egyptian"), Example("coffee.png", "coffee", "cup"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("galore-demo"), help="where to write (%(default)s)"
    )
    explain.add_method_arguments(parser)


def run(args: argparse.Namespace) -> None:
    from galore import terminal

    console = terminal.console()
    photos = {example: _photo(example.photo) for example in EXAMPLES}
    explain.check(args, *photos.values())
    with atomic.folder(args.out, overwrite=True) as folder:
        explainer = explain.Explainer(args)
        for example, photo in photos.items():
            (folder / example.folder).mkdir()
            answer = explainer.explain(photo, folder / example.folder, why_not=example.why_not)
            console.rule(example.photo)
            explain.show(answer)
    console.rule("Done")
    _what_next(console, args.out)


def _photo(name: str) -> str:
    return str(importlib.resources.files("skimage.data").joinpath(name))


def _what_next(console: "Console", out: Path) -> None:
    console.print("The reports; open them in a browser:")
    for example in EXAMPLES:
        console.print(f"  {out / example.folder / 'explanation.html'}", soft_wrap=True)
    console.print("\nNow a photo of yours:")
    console.print("  galore explain PHOTO.jpg", soft_wrap=True)
    console.print("  galore explain PHOTO.jpg --why-not 'another class' --counter-image OTHER.jpg", soft_wrap=True)
    console.print("  galore explain --help", soft_wrap=True)
