"""What running any experiment has in common: options, files, provenance."""

import importlib
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import hydra
import jobs
import spelling
import subjects
from hydra.core.hydra_config import HydraConfig
from matplotlib import pyplot as plt
from omegaconf import OmegaConf
from table import Table, words

from galore import atomic, provenance

ROOT = Path(__file__).resolve().parents[1]


def main(file: str) -> None:
    """Runs the experiment of a file as a program: options from the command line, results into Hydra's output folder.

    Args:
        file: the experiment's `__file__`.
    """
    sys.exit(jobs.reported(lambda: _hydra_main(Path(file).stem, sys.argv[1:])))


def write(experiment: ModuleType, cfg: Any, table: Table, folder: Path) -> None:
    """Writes the table, its figures and where they come from; the folder appears whole or not at all.

    Args:
        experiment: the module with TITLE, claims and draw.
        cfg: the resolved options.
        table: what its `run` gave.
        folder: where to.
    """
    with atomic.folder(folder, overwrite=True) as unfinished:
        (unfinished / "table.csv").write_text(table.csv(), encoding="utf-8")
        (unfinished / "table.md").write_text(f"# {experiment.TITLE}\n\n{table.markdown()}", encoding="utf-8")
        lines = [claim_line(claim) for claim in experiment.claims(table)]
        (unfinished / "claims.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        table.save(unfinished)
        save_figures(experiment.draw(table), unfinished)
        (unfinished / "choices.yaml").write_text(OmegaConf.to_yaml(cfg, resolve=False), encoding="utf-8")
        made_by = {"experiment": experiment.__name__} | origin(cfg)
        (unfinished / "provenance.json").write_text(json.dumps(made_by, indent=1) + "\n", encoding="utf-8")


def save_figures(drawn: dict[str, Any], folder: Path) -> None:
    """Writes figures as PNG files."""
    for name, figure in drawn.items():
        figure.savefig(folder / f"{name}.png", dpi=90)
        plt.close(figure)


def claim_line(claim: Any) -> str:
    """One claim in Markdown: verdict, statement, number."""
    number = claim.why or "not measured" if claim.estimate is None else words(claim.estimate)
    return f"- **{claim.verdict}** {claim.text} ({claim.source}) {claim.number}: {number}"


def origin(cfg: Any) -> dict[str, Any]:
    """The provenance of a run: resolved options, seed, code, versions, checkpoint; without paths of this machine."""
    options = portable(OmegaConf.to_container(cfg, resolve=True))
    return provenance.collect(options, seed=cfg.seed, files=subjects.hashes(cfg))


def portable(value: Any) -> Any:
    """The same options with absolute paths cut down: below the project to the rest, elsewhere to the last name."""
    if isinstance(value, dict):
        return {name: portable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [portable(inner) for inner in value]
    if isinstance(value, str) and value.startswith("/"):
        path = Path(value)
        return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name
    return value


def _hydra_main(name: str, arguments: list[str]) -> None:
    experiment = importlib.import_module(name)
    spelling.check(arguments)
    # Relative paths among the options start at the project's folder (build.path); so do those of Hydra's own.
    os.chdir(ROOT)

    @hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="config")
    def run(cfg: Any) -> None:
        with jobs.job():
            table = experiment.run(cfg)
            folder = Path(HydraConfig.get().runtime.output_dir)
            write(experiment, cfg, table, folder)
        print(table.markdown())
        print(f"written to {folder}")

    # Hydra would name the job, and its folder, after this module.
    sys.argv[1:] = jobs.flags_last([f"hydra.job.name={name}", *arguments])
    run()
