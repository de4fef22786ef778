"""Joins the tables of several runs into one: `python experiments/collect.py outputs/sweep [--out joined]`.

Runs of the same experiment and options that differ in the seed alone become one table, averaged over seeds (the last
run where a seed was run twice); others stay apart, with the options that distinguish them as labels. Runs that failed
have no table and are listed.
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import table as tables
from omegaconf import OmegaConf
from table import Table

from galore import atomic
from galore.errors import InputError


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="folders of runs; they are searched for tables")
    parser.add_argument("--out", type=Path, help="a folder for table.csv and table.md; none: print the table")
    options = parser.parse_args(arguments)
    try:
        joined, missing = collect(options.folders)
        if options.out:
            with atomic.folder(options.out, overwrite=True) as folder:
                (folder / "table.csv").write_text(joined.csv(), encoding="utf-8")
                (folder / "table.md").write_text(joined.markdown(), encoding="utf-8")
        else:
            print(joined.markdown())
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for folder in missing:
        print(f"no table in {folder}: the run failed or is not finished", file=sys.stderr)
    return 0


def collect(folders: list[Path]) -> tuple[Table, list[Path]]:
    """Every table below the folders, joined over seeds; and the runs without a table.

    Raises:
        InputError: there is no table.
    """
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder, expected one with runs of experiments")
    # The file that is written last.
    found = sorted({path.parent for folder in folders for path in folder.rglob("values.npz")})
    started = {path.parent.parent for folder in folders for path in folder.rglob(".hydra/config.yaml")}
    if not found:
        raise InputError(f"there is no table below {', '.join(map(str, folders))}; a finished run has a values.npz")
    options = [_choices(path) for path in found]
    names = {name for some in options for name in some} - {"seed"}
    differing = {name for name in names if len({str(some.get(name)) for some in options}) > 1}
    groups: dict[str, dict[int, Table]] = {}
    labels: dict[str, dict[str, str]] = {}
    for path, some in zip(found, options):
        named = {name: str(some.get(name, "")) for name in sorted(differing) if _is_choice(name)}
        key = json.dumps([named, {name: str(some.get(name)) for name in differing}])
        groups.setdefault(key, {})[some["seed"]] = tables.load(path)
        labels[key] = named
    joined = Table(())
    for key, some in groups.items():
        one = tables.join(list(some.values()))
        rows = tuple(dataclasses.replace(row, labels={**labels[key], **row.labels}) for row in one.rows)
        joined += Table(rows, one.remarks)
    return joined, sorted(started - set(found))


def _is_choice(name: str) -> bool:
    """Names of data sets, networks and single options say what a run is; the rest follows from them."""
    said = ("explanation.", "attribution.", "confidence.", "model.checkpoint")
    return name.count(".") == 0 or name.endswith(".name") or name.startswith(said)


def _choices(folder: Path) -> dict[str, Any]:
    """Which experiment it was, and its options as they were composed: what follows from others still says so."""
    made = json.loads((folder / "provenance.json").read_text())
    options: Any = OmegaConf.to_container(OmegaConf.load(folder / "choices.yaml"), resolve=False)
    return {"experiment": made["experiment"]} | flat(options)


def flat(options: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Options by their dotted names."""
    found: dict[str, Any] = {}
    for name, value in options.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


if __name__ == "__main__":
    sys.exit(main())
