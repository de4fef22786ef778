"""Draw invented scenes: a data set in ADE20K's format, whose classes differ by the objects that occur."""

import argparse
from pathlib import Path

from galore.commands.make_birds import add_drawing_arguments, workers_for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", type=Path, help="a new folder")
    parser.add_argument("--classes", metavar="N", type=int, default=12, help="how many scene classes (%(default)s)")
    add_drawing_arguments(parser)


def run(args: argparse.Namespace) -> None:
    from galore import terminal
    from galore.data import synthetic_scenes

    album = synthetic_scenes.Album(args.classes, args.per_class, args.seed, args.size)
    with terminal.progress("drawing scenes", len(album)) as on_images:
        synthetic_scenes.write(args.folder, album, workers_for(args.workers, len(album)), on_images)
    print(f"{args.folder}: {len(album)} scenes of {album.classes} classes, {album.size} x {album.size} pixels")
