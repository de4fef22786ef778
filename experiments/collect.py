"""Joins the tables of several runs into one: `python experiments/collect.py outputs/sweep [--out joined]`.

Runs of the same experiment and options that differ in the seed alone become one table, averaged over seeds (the last
run where a seed was run twice); others stay apart, with the options that distinguish them as labels. Runs that failed
have no table and are listed.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from galore import atomic, program
from galore.errors import InputError
from galore.experiment import runs, table
from galore.experiment.table import Table


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="folders of runs; they are searched for tables")
    parser.add_argument("--out", type=Path, help="a new folder for table.csv and table.md; none: print the table")
    program.take_any_text()
    options = parser.parse_args(arguments)
    try:
        joined, missing = collect(options.folders)
        numbers = joined.summary()
        if options.out:
            with atomic.folder(options.out) as folder:
                (folder / "table.csv").write_text(numbers.csv(), encoding="utf-8")
                (folder / "table.md").write_text(numbers.markdown(), encoding="utf-8")
        else:
            print(numbers.markdown())
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for folder in missing:
        print(f"no table in {folder}: the run failed or is not finished", file=sys.stderr)
    return 0


def collect(folders: list[Path]) -> tuple[Table, list[Path]]:
    """Every table below the folders, joined over seeds; and the runs without a table.

    Raises:
        InputError: there is no table, or one of another format.
    """
    finished, missing = runs.find(folders)
    loaded = [runs.load(folder) for folder in finished]
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
        one = table.join(list(by_seed.values()))
        rows = tuple(replace(row, cell=row.cell.with_labels(**labels[key])) for row in one.rows)
        joined += Table(rows, one.remarks)
    return joined, missing


def _is_choice(name: str) -> bool:
    """Names of data sets, networks and single options say what a run is; the rest follows from them."""
    said = ("explanation.", "attribution.", "confidence.", "model.checkpoint")
    return name.count(".") == 0 or name.endswith(".name") or name.startswith(said)


if __name__ == "__main__":
    sys.exit(main())
