"""The folder of a run: what a single run writes, `reproduce` and `collect` read and join, and pages are made from.

    table.csv, table.md, claims.md              for people
    *.svg, *.png                                figures, what they show in words inside; with photos also *.pdf
    claims.json                                 what claims.md says, as data
    rows.json, values.npz                       the table as data
    options.yaml                                the options that the experiment uses, as they were composed
    provenance.json                             experiment, seconds, resolved options, code, versions, device, hashes

Joined runs (in results/) have one provenance per run and no values.npz: their rows.json holds the numbers themselves.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypedDict

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from omegaconf import OmegaConf

from galore import atomic, foreign, plotting, provenance, representation
from galore.data import photo
from galore.errors import InputError
from galore.experiment import claims, inputs, plots, table
from galore.experiment.claims import Result
from galore.experiment.config import flat, plain, portable, read_options, restricted, typed
from galore.experiment.table import Table, TableSummary


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run.

    Attributes:
        folder: where it lies.
        experiment: its file's name.
        table: what it gave.
        options: by dotted name, as they were composed: what follows from others still says so.
        provenance: what made it.
    """

    folder: Path
    experiment: str
    table: Table
    options: dict[str, Any]
    provenance: dict[str, Any]

    __repr__ = representation.fields


class _Provenance(TypedDict):
    """What is used of provenance.json."""

    experiment: str
    options: dict[str, Any]
    files: dict[str, str]


@dataclass(frozen=True, eq=False)
class Joined:
    """An experiment's runs with several seeds, joined.

    Attributes:
        experiment: its file's name.
        numbers: of the joined table.
        results: what they say of the experiment's claims.
        provenances: of the runs.
        pictures: what each figure beside them shows, in sentences, by the name of its file (SVG; of photos PNG).
    """

    experiment: str
    numbers: TableSummary
    results: list[Result]
    provenances: list[dict[str, Any]]
    pictures: dict[str, str]

    __repr__ = representation.fields


def save(experiment: ModuleType, cfg: Any, result: Table, folder: Path, seconds: float) -> None:
    """Writes what a run gave; the folder's files appear whole or not at all.

    Args:
        experiment: the module with NAME, TITLE, OPTIONS, claims and draw.
        cfg: the composed options.
        result: what its `run` gave.
        folder: where to.
        seconds: that it took.
    """
    check_free(folder)
    options = plain(cfg, resolve=False)
    with atomic.folder(folder, overwrite=True) as unfinished:
        results = _measured(experiment, result)
        _save_for_people(experiment, result, results, unfinished)
        said = [one.sentence(verdict) for one, verdict in zip(results, claims.judge(results))]
        (unfinished / "claims.md").write_text("".join(f"{line}\n" for line in said), encoding="utf-8")
        result.save(unfinished)
        used = OmegaConf.create(restricted(options, experiment.OPTIONS))
        (unfinished / "options.yaml").write_text(OmegaConf.to_yaml(used, resolve=False), encoding="utf-8")
        origin = {"experiment": experiment.NAME, "seconds": round(seconds, 1)} | origin_of(experiment, cfg)
        (unfinished / "provenance.json").write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")


def check_free(folder: Path) -> None:
    """Refuses a folder that holds a finished run.

    Raises:
        InputError: it does.
    """
    if is_finished(folder):
        raise InputError(f"{folder} holds a finished run; name another folder, or remove it to run again")


def is_finished(folder: Path) -> bool:
    """Whether a folder holds a finished run."""
    return (folder / "provenance.json").exists()


def origin_of(experiment: ModuleType, cfg: Any) -> dict[str, Any]:
    """The provenance of a run: the options that it uses, seed, code, versions, checkpoints; without paths of this
    machine."""
    config = typed(cfg)
    options = portable(restricted(plain(cfg), experiment.OPTIONS))
    collected = provenance.collect(options, seed=config.seed, files=inputs.hashes(config))
    return collected | {"training": inputs.trainings(config)}


def load(folder: Path, experiment: str = "") -> Run:
    """Reads what `save` wrote.

    Args:
        folder: of the run.
        experiment: what it should be of; empty: anything.

    Raises:
        InputError: it is no finished run, of another experiment, or of another format.
    """
    origin = _provenance(folder)
    if experiment and origin["experiment"] != experiment:
        raise InputError(f"{folder} is a run of {origin['experiment']}, expected one of {experiment}")
    options = flat(read_options(folder / "options.yaml"))
    if "seed" not in options:
        raise InputError(f"{foreign.text(folder / 'options.yaml')} has no seed, expected the options of a run")
    return Run(folder, origin["experiment"], table.load(folder), options, origin)


def check_same(folder: Path, experiment: ModuleType, cfg: Any) -> None:
    """Refuses to take what was finished with other options or another training for what is asked for now.

    Raises:
        InputError: names what differs, be it the version of the format.
    """
    if not is_finished(folder):
        return
    there, here = _provenance(folder), origin_of(experiment, cfg)
    if there["experiment"] != experiment.NAME:
        raise InputError(f"{folder} is a run of {there['experiment']}, expected one of {experiment.NAME}")
    before, now = flat(there["options"]), flat(here["options"])
    differing = [f"{name}={before[name]}" for name in now if before.get(name, now[name]) != now[name]]
    files = here["files"].items()
    differing += [f"{name} as it was then" for name, sha256 in files if there["files"].get(name, sha256) != sha256]
    if differing:
        raise InputError(
            f"{folder} was finished with {', '.join(differing)}; name another study (name=...), or delete the folder "
            "to run it again"
        )
    table.check_format(folder / "rows.json")


def find(folders: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The finished runs below some folders, and the runs of a sweep that are not finished.

    Raises:
        InputError: a folder does not exist, or there is no finished run.
    """
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder, expected one with runs of experiments")
    finished = sorted({file.parent for folder in folders for file in folder.rglob("rows.json")})
    started = {file.parent.parent for folder in folders for file in folder.rglob(".hydra/config.yaml")}
    if not finished:
        raise InputError(f"there is no table below {', '.join(map(str, folders))}; a finished run has a rows.json")
    return finished, sorted(started - set(finished))


def join(experiment: ModuleType, folders: Sequence[Path], target: Path, with_pictures: bool) -> Joined:
    """Joins the runs of an experiment with several seeds and writes them, with the first seed's pictures.

    Raises:
        InputError: as `load`.
    """
    runs = [load(folder, experiment.NAME) for folder in folders]
    photos = sorted(folders[0].glob("*.png")) if with_pictures else []
    provenances = [run.provenance for run in runs]
    return write_joined(experiment, table.join([run.table for run in runs]), provenances, target, photos)


def write_joined(
    experiment: ModuleType,
    joined: Table,
    provenances: list[dict[str, Any]],
    target: Path,
    pictures: Sequence[Path] = (),
) -> Joined:
    """Writes a joined table; of the pictures those that it does not draw itself."""
    results, numbers = _measured(experiment, joined), joined.summary()
    with atomic.folder(target, overwrite=True) as unfinished:
        _save_for_people(experiment, joined, results, unfinished)
        numbers.save(unfinished / "rows.json")
        (unfinished / "provenance.json").write_text(json.dumps(provenances, indent=1) + "\n", encoding="utf-8")
        for picture in pictures:
            if not (unfinished / picture.name).exists():
                (unfinished / picture.name).write_bytes(picture.read_bytes())
    return Joined(experiment.NAME, numbers, results, provenances, _pictures(target))


def load_joined(folder: Path) -> Joined:
    """Reads what `join` wrote.

    Raises:
        InputError: its table is of another format.
    """
    provenances = foreign.json_file(folder / "provenance.json", list[dict[str, Any]], "what joined runs were made by")
    numbers, results = table.load_summary(folder / "rows.json"), claims.load(folder / "claims.json")
    return Joined(folder.name, numbers, results, provenances, _pictures(folder))


def _measured(experiment: ModuleType, result: Table) -> list[Result]:
    return [claims.measure(claim, result) for claim in experiment.claims(result)]


def _save_for_people(experiment: ModuleType, result: Table, results: list[Result], folder: Path) -> None:
    numbers = result.summary()
    (folder / "table.csv").write_text(numbers.csv(), encoding="utf-8")
    (folder / "table.md").write_text(f"# {experiment.TITLE}\n\n{numbers.markdown()}", encoding="utf-8")
    claims.save(results, folder / "claims.json")
    for name, figure in experiment.draw(result).items():
        save_figure(figure, folder / name, experiment.TITLE, plots.described(figure, experiment.TITLE))


def save_figure(figure: Figure, path: Path, title: str, description: str) -> None:
    """Writes a figure as SVG, letters as letters, and as PNG; one with photos as PNG for the pages, and as PDF and SVG
    for papers; nothing without any axes.

    Args:
        figure: is closed.
        path: without a suffix.
        title: goes into the files, as does the next.
        description: what it shows, in sentences.
    """
    photos = any(axis.images for axis in figure.axes)
    if figure.axes:
        told = {"Title": title, "Description": description}
        figure.savefig(path.with_suffix(".png"), dpi=1000 / figure.get_figwidth() if photos else 90, metadata=told)
        if photos:
            for suffix in (".pdf", ".svg"):
                plotting.save(figure, path.with_suffix(suffix))
        else:
            figure.set_layout_engine("none")  # everything has its place by now
            with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": path.name}):
                figure.savefig(path.with_suffix(".svg"), metadata=told | {"Date": None})
    plt.close(figure)


def _provenance(folder: Path) -> dict[str, Any]:
    file, expected = folder / "provenance.json", "the provenance of one run of an experiment"
    if not file.exists():
        raise InputError(f"{foreign.text(folder)} is no finished run of an experiment: it lacks {file.name}")
    content = foreign.read_bytes(file, expected)
    foreign.json_text(content, _Provenance, foreign.text(file), expected)
    return foreign.json_text(content, dict[str, Any], foreign.text(file), expected)


def _pictures(folder: Path) -> dict[str, str]:
    """Every figure, as SVG unless it shows photos, with the description that lies in its PNG."""
    pictures = {}
    first = [f"{measure}.png" for measure in table.FIRST]
    for file in sorted(
        folder.glob("*.png"), key=lambda file: (file.name not in first, file.name != first[0], file.name)
    ):
        told = photo.read_description(file)
        drawn, printed = file.with_suffix(".svg"), file.with_suffix(".pdf")
        pictures[drawn.name if drawn.exists() and not printed.exists() else file.name] = told
    return pictures
