"""Draw invented birds: a data set in CUB-200-2011's format in which true counterfactuals can be drawn.

galore make-birds birds
galore make-birds birds --classes 5 --per-class 20 --size 64
"""

import argparse
import os
from pathlib import Path

from galore.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", type=Path, help="a new folder")
    parser.add_argument("--classes", metavar="N", type=int, default=20, help="how many species (%(default)s)")
    add_drawing_arguments(parser)


def add_drawing_arguments(parser: argparse.ArgumentParser) -> None:
    """What birds and scenes have in common."""
    parser.add_argument("--per-class", metavar="N", type=int, default=100, help="images of each class (%(default)s)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="same seed, same bytes (%(default)s)")
    parser.add_argument("--size", metavar="PIXELS", type=int, default=96, help="side of the images (%(default)s)")
    parser.add_argument("--workers", metavar="N", type=int, help="processes that draw; one for each processor")


def run(args: argparse.Namespace) -> None:
    from galore import terminal
    from galore.data.synthetic import birds

    drawn = birds.SyntheticBirds(args.classes, args.per_class, args.seed, args.size)
    with terminal.progress("drawing birds", len(drawn)) as on_images:
        birds.write(args.folder, drawn, workers_for(args.workers, len(drawn)), on_images)
    print(f"{args.folder}: {len(drawn)} birds of {drawn.classes} species, {drawn.size} x {drawn.size} pixels")


def workers_for(given: int | None, images: int) -> int:
    """How many processes to draw with; starting more does not pay for a handful of images."""
    if given is not None and given < 1:
        raise InputError(f"--workers is {given}, expected at least 1")
    return given or (1 if images < 200 else os.cpu_count() or 1)
