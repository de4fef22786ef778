"""Look at a data set: what its folder holds, what is missing or odd, and whether its coordinates are right.

galore data check CUB_200_2011 --out sheet.png
"""

import argparse
import sys
import time
from pathlib import Path

_PATIENCE = 2.0
"""Seconds after which progress is shown."""

LONGEST_LINE = 2000
"""Characters; a data set may have any number of parts."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    about = "Say what a folder in the format of CUB-200-2011 or ADE20K holds; exit code 1 where something is wrong."
    check = actions.add_parser("check", help="say what a folder holds and what is wrong", description=about)
    check.add_argument("folder", metavar="DIR", type=Path, help="the data set")
    check.add_argument("--out", metavar="SHEET.png", type=Path, help="also draw images with their parts or objects")
    check.add_argument("--images", metavar="N", type=int, default=12, help="how many images to draw (%(default)s)")


def run(args: argparse.Namespace) -> int:
    from galore import atomic, foreign
    from galore.data import check, sheet
    from galore.errors import InputError

    if args.images < 1:
        raise InputError(f"--images {args.images}: expected at least 1")
    if args.out is not None and args.out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise InputError(f"--out {args.out}: expected a name that ends in .png or .jpg")
    result = check.check(args.folder, _progress())
    for fact in result.facts:
        print(foreign.text(fact, LONGEST_LINE))
    for title, problems in (("wrong", result.problems), ("odd", result.oddities)):
        for problem in problems:
            print(foreign.text(f"{title}: {problem}", LONGEST_LINE))
    for image in result.turned:
        print(f"turned: {image}")
    if not result.problems and not result.oddities:
        print("nothing is wrong or odd")
    if args.out is not None and result.dataset is None:
        print("no sheet was drawn, because the files contradict one another")
    elif args.out is not None and result.dataset is not None:
        picture = sheet.draw(result.dataset, args.images)
        with atomic.file(args.out) as unfinished:
            picture.save(unfinished)
        print(f"drawn: {foreign.text(args.out, foreign.LONGEST_PATH)}")
    return 1 if result.problems else 0


def _progress():
    """Shows on stderr how far it is, once it takes long and only to a person."""
    started = time.monotonic()

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty() and time.monotonic() - started > _PATIENCE and (done % 50 == 0 or done == total):
            print(f"\rexamined {done} of {total} images", end="\n" if done == total else "", file=sys.stderr)

    return show
