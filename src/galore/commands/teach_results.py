"""Check and join the result files of an experiment with people: accuracy, gains, tests, a figure.

galore teach-results results --sheet lesson/sheet.json --out analysed
"""

import argparse
import os
from pathlib import Path

from galore.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="result files, or folders of them")
    parser.add_argument("--sheet", metavar="FILE", type=Path, required=True, help="the experiment's sheet.json")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("teach-results"), help="a new folder (%(default)s)"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the resampling (%(default)s)")


def run(args: argparse.Namespace) -> int:
    from galore import atomic, foreign, terminal
    from galore.teach import agree_report, report, results
    from galore.teach import sheet as sheets

    sheet = sheets.read(args.sheet)
    files = list_files(args.files)
    counted, refusals = results.join(sheet, files)
    if not counted:
        reasons = "; ".join(map(str, refusals[:3]))
        raise InputError(f"none of the {len(files)} files can be counted ({reasons})")
    write = report.write if sheet.kind == sheets.TEACH else agree_report.write
    console = terminal.console()
    with atomic.folder(args.out) as folder:
        for simulation, group in report.groups(counted).items():
            place = folder / (f"simulation-{simulation.replace(' ', '-')}" if simulation else "people")
            console.print(write(sheet, group, refusals, place, args.seed), soft_wrap=True)
    for refusal in refusals:
        console.print(f"not counted: {refusal}", style="yellow", soft_wrap=True)
    console.print(f"{len(counted)} of {len(files)} files counted; look at {foreign.text(args.out)}", soft_wrap=True)
    return 1 if refusals else 0


def list_files(given: list[Path]) -> list[Path]:
    """The files, with a folder's JSON files in its place."""
    files = [file for path in given for file in (sorted(path.glob("*.json")) if os.path.isdir(path) else [path])]
    if not files:
        raise InputError(f"no .json file in {', '.join(map(str, given))}")
    return files
