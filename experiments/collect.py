"""Joins the tables of several runs into one: `python experiments/collect.py outputs/sweep [--out joined]`.

Runs of the same experiment and options that differ in the seed alone become one table, averaged over seeds (the last
run where a seed was run twice); others stay apart, with the options that distinguish them as labels. Runs that failed
have no table and are listed; so are damaged ones, which are left out and make the exit status 1.
"""

from galore import program

program.guard(__name__)

import argparse
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from galore import atomic, foreign
from galore.errors import InputError
from galore.experiment import runs, screen, table
from galore.experiment.runs import Run
from galore.experiment.table import Table


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="folders of runs; they are searched for tables")
    parser.add_argument("--out", type=Path, help="a new folder for table.csv and table.md; none: print the table")
    options = parser.parse_args(arguments)
    return program.ended("error", lambda: report(options.folders, options.out))


def report(folders: list[Path], out: Path | None) -> int:
    """Writes or prints the table, and says what is not in it; the exit code, 1 where a run is damaged.

    Raises:
        InputError: as `collect`, or `out` cannot be written.
    """
    joined, missing, damaged = collect(folders)
    numbers = joined.summary()
    if out:
        with atomic.folder(out) as folder:
            (folder / "table.csv").write_text(numbers.csv(), encoding="utf-8")
            (folder / "table.md").write_text(numbers.markdown(), encoding="utf-8")
    else:
        print(screen.table(numbers, shutil.get_terminal_size().columns))
    for folder in missing:
        print(f"no table in {foreign.text(folder)}: the run failed or is not finished", file=sys.stderr)
    for problem in damaged:
        print(f"left out: {problem}", file=sys.stderr)
    if damaged:
        print(f"{len(damaged)} of the runs could not be read and are left out", file=sys.stderr)
    return 1 if damaged else 0


def collect(folders: list[Path]) -> tuple[Table, list[Path], list[InputError]]:
    """Every table below the folders, joined over seeds; the runs without a table; and what is wrong with the damaged.

    Raises:
        InputError: there is no table, or none that can be read.
    """
    finished, missing = runs.find(folders)
    loaded, damaged = _readable(finished)
    options = [{"experiment": run.experiment} | run.options for run in loaded]
    names = {name for some in options for name in some} - {"seed"}
    differing = sorted(name for name in names if len({str(some.get(name)) for some in options}) > 1)
    groups: dict[tuple[str, ...], dict[Any, Table]] = {}
    labels: dict[tuple[str, ...], dict[str, str]] = {}
    for run, some in zip(loaded, options):
        key = tuple(str(some.get(name)) for name in differing)
        groups.setdefault(key, {})[some["seed"]] = run.table
        labels[key] = {name: str(some.get(name, "")) for name in differing if _is_choice(name)}
    joined = Table(())
    for key, by_seed in groups.items():
        try:
            one = table.join(list(by_seed.values()))
        except InputError as error:  # about other images, for instance
            damaged.append(error)
            continue
        rows = tuple(replace(row, cell=row.cell.with_labels(**labels[key])) for row in one.rows)
        joined += Table(rows, one.remarks)
    if damaged and not joined.rows:
        raise damaged[0]
    return joined, missing, damaged


def _readable(finished: list[Path]) -> tuple[list[Run], list[InputError]]:
    """The runs, without those that are damaged: one of them does not end the collection of a hundred."""
    loaded, damaged = [], []
    for folder in finished:
        try:
            loaded.append(runs.load(folder))
        except InputError as error:
            damaged.append(error)
    return loaded, damaged


def _is_choice(name: str) -> bool:
    """Names of data sets, networks and single options say what a run is; the rest follows from them."""
    said = ("explanation.", "attribution.", "confidence.", "model.checkpoint")
    return name.count(".") == 0 or name.endswith(".name") or name.startswith(said)


if __name__ == "__main__":
    sys.exit(main())
