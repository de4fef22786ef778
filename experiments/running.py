"""What running any experiment has in common: options, files, provenance, errors on one line."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import hydra
import subjects
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from matplotlib import pyplot as plt
from omegaconf import OmegaConf
from table import Table, words

from galore import atomic, provenance
from galore.errors import InputError, closest

ROOT = Path(__file__).resolve().parents[1]


def main(file: str) -> None:
    """Runs the experiment of a file as a program: options from the command line, results into Hydra's output folder.

    Args:
        file: the experiment's `__file__`.
    """
    sys.exit(reported(lambda: _hydra_main(Path(file).stem)))


def reported(work: Any, check: bool = True) -> int:
    """Runs a piece of work; what a person did wrong becomes one line on stderr and exit code 2."""
    try:
        if check:
            check_options(sys.argv[1:])
        work()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


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
        (unfinished / "provenance.json").write_text(json.dumps(origin(cfg), indent=1) + "\n", encoding="utf-8")


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


def check_options(arguments: list[str]) -> None:
    """Refuses options that do not exist before anything starts, naming the closest ones.

    Raises:
        InputError: no such option, or no such choice of a group.
    """
    conf = ROOT / "conf"
    groups = {
        folder.name: sorted(file.stem for file in folder.glob("*.yaml")) for folder in conf.iterdir() if folder.is_dir()
    }
    known = None
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or name.startswith(("-", "hydra", "+", "~")):
            continue
        if name in groups:
            for choice in value.strip("[]").split(","):
                if choice.strip("'\" ") not in (*groups[name], "null"):
                    hint = closest(choice, groups[name]) or f"there are {', '.join(groups[name])}"
                    raise InputError(f"{name}={choice}: no such choice; {hint}")
            continue
        known = known or _option_names(arguments, groups)
        if name not in known:
            hint = closest(name, known) or f"see {conf.name}/"
            raise InputError(f"unknown option {name!r}; {hint}")


def _option_names(arguments: list[str], groups: dict[str, list[str]]) -> list[str]:
    """The dotted names of all options under the choices made."""
    chosen = [argument for argument in arguments if argument.partition("=")[0] in groups and "," not in argument]
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = hydra.compose("config", overrides=chosen)
    names: list[str] = list(groups)

    def walk(node: Any, prefix: str) -> None:
        for name, inner in node.items() if isinstance(node, dict) else ():
            names.append(f"{prefix}{name}")
            walk(inner, f"{prefix}{name}.")

    walk(OmegaConf.to_container(cfg, resolve=False), "")
    return list(dict.fromkeys(names))


def _hydra_main(name: str) -> None:
    experiment = importlib.import_module(name)

    @hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="config")
    def run(cfg: Any) -> None:
        try:
            table = experiment.run(cfg)
        except InputError as error:
            # Inside a sweep one job's mistake must not end the others: the launcher sees an ordinary exception.
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        folder = Path(HydraConfig.get().runtime.output_dir)
        write(experiment, cfg, table, folder)
        print(table.markdown())
        print(f"written to {folder}")

    # Hydra would name the job, and its folder, after this module.
    sys.argv.insert(1, f"hydra.job.name={name}")
    run()
