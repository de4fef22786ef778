"""Draw invented birds: a data set in CUB-200-2011's format in which true counterfactuals can be drawn."""

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
    from galore.data import synthetic_birds

    flock = synthetic_birds.Flock(args.classes, args.per_class, args.seed, args.size)
    with terminal.progress("drawing birds", len(flock)) as on_images:
        synthetic_birds.write(args.folder, flock, workers_for(args.workers, len(flock)), on_images)
    print(f"{args.folder}: {len(flock)} birds of {flock.classes} species, {flock.size} x {flock.size} pixels")


def workers_for(asked: int | None, images: int) -> int:
    """How many processes to draw with; starting more does not pay for a handful of images."""
    if asked is not None and asked < 1:
        raise InputError(f"--workers is {asked}, expected at least 1")
    return asked or (1 if images < 200 else os.cpu_count() or 1)
