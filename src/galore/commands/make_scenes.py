"""Draw invented scenes: a data set in ADE20K's format, whose classes differ by the objects that occur.

galore make-scenes scenes
"""

import argparse
from pathlib import Path

from galore.commands.make_birds import add_drawing_arguments, workers_for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", type=Path, help="a new folder")
    parser.add_argument("--classes", metavar="N", type=int, default=12, help="how many scene classes (%(default)s)")
    add_drawing_arguments(parser)


def run(args: argparse.Namespace) -> None:
    from galore import terminal
    from galore.data.synthetic import scenes

    drawn = scenes.SyntheticScenes(args.classes, args.per_class, args.seed, args.size)
    with terminal.progress("drawing scenes", len(drawn)) as on_images:
        scenes.write(args.folder, drawn, workers_for(args.workers, len(drawn)), on_images)
    print(f"{args.folder}: {len(drawn)} scenes of {drawn.classes} classes, {drawn.size} x {drawn.size} pixels")
