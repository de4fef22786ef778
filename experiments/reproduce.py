"""Runs every experiment for one data set and network, joins the seeds, and writes the page of results.

    python experiments/reproduce.py                  synthetic birds, small CNN, seed 0: 10 minutes on 2 cores
    python experiments/reproduce.py seed=0,1,2
    python experiments/reproduce.py dataset=cub model=efficientnet_lite0 train=head explanation=few

Trains what is missing, skips what is finished (delete its folder below outputs/reproduce to run it again), and writes
results/DATASET-NETWORK/ and results/index.html.
"""

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import build
import claims
import hydra
import jax
import page
import running
import subjects
import table as tables

from galore import atomic
from galore.errors import InputError

EXPERIMENTS = (
    "discriminant_vs_attributive",
    "counterfactual_vs_search",
    "part_iou_vs_region",
    "counterfactual_attribution",
    "true_counterfactual",
    "deliberative_difficulty",
    "deliberative_attribution",
    "deliberative_layer",
    "deliberative_network",
    "deliberative_shift",
    "insecurity_strength",
    "sanity",
    "recommendation",
    "gallery",
)
PARTS_ONLY = (
    "counterfactual_vs_search",
    "part_iou_vs_region",
    "deliberative_shift",
    "insecurity_strength",
    "recommendation",
)


def main(arguments: list[str]) -> None:
    """Everything, in order; `seed=0,1,2` repeats it for several trainings."""
    overrides, seeds, name, only = split(arguments)
    configurations = [compose([*overrides, f"seed={seed}"]) for seed in seeds]
    first = configurations[0]
    name = name or f"{first.dataset.name}-{first.model.name}"
    experiments = [found for found in EXPERIMENTS if applies(found, first) and (not only or found in only)]
    for cfg, seed in zip(configurations, seeds):
        train(cfg, [*overrides, f"seed={seed}"])
    work = build.ROOT / "outputs" / "reproduce" / name
    for experiment in experiments:
        for cfg in configurations:
            run_once(importlib.import_module(experiment), experiment, cfg, work / f"seed-{cfg.seed}" / experiment)
    write_results(name, experiments, configurations, work, build.ROOT / "results")
    print(f"written: results/{name}/index.html and results/index.html")


def split(arguments: list[str]) -> tuple[list[str], list[int], str, list[str]]:
    """The overrides, the seeds, the name of the study and the experiments to run (all where none is named)."""
    own = ("seed=", "name=", "only=")
    given = {argument.split("=", 1)[0]: argument.split("=", 1)[1] for argument in arguments if argument.startswith(own)}
    overrides = [argument for argument in arguments if not argument.startswith(own)]
    try:
        seeds = [int(seed) for seed in given.get("seed", "0").split(",")]
    except ValueError:
        raise InputError(f"seed={given['seed']}: expected numbers with commas between, such as 0,1,2") from None
    only = [experiment for experiment in given.get("only", "").split(",") if experiment]
    for experiment in only:
        if experiment not in EXPERIMENTS:
            raise InputError(f"only={experiment}: no such experiment; there are {', '.join(EXPERIMENTS)}")
    return overrides, seeds, given.get("name", ""), only


def compose(overrides: list[str]) -> Any:
    """The options, as Hydra makes them."""
    running.check_options(overrides)
    with hydra.initialize_config_dir(str(build.ROOT / "conf"), version_base="1.3"):
        return hydra.compose("config", overrides=overrides)


def applies(experiment: str, cfg: Any) -> bool:
    """Whether an experiment can be made on a data set."""
    if experiment == "true_counterfactual":
        return cfg.dataset.kind == "synthetic_birds"
    if experiment == "deliberative_network":
        return len(subjects.checkpoints(cfg)) > 1
    return experiment not in PARTS_ONLY or cfg.dataset.kind in ("cub", "synthetic_birds")


def train(cfg: Any, overrides: list[str]) -> None:
    """Trains the network of the options where it has not been trained to the end."""
    if (build.path(cfg.model.checkpoint) / "result.json").exists():
        return
    print(f"training {cfg.model.checkpoint}", flush=True)
    done = subprocess.run([sys.executable, str(build.ROOT / "experiments" / "train.py"), *overrides], cwd=build.ROOT)
    if done.returncode:
        raise InputError(f"training {cfg.model.checkpoint} failed; run experiments/train.py with the same options")


def run_once(experiment: ModuleType, name: str, cfg: Any, folder: Path) -> None:
    """Runs one experiment with one seed, unless its folder is there: it appears only when it is finished."""
    if (folder / "seconds.json").exists():
        print(f"{name}, seed {cfg.seed}: was finished", flush=True)
        return
    began = time.perf_counter()
    running.write(experiment, cfg, experiment.run(cfg), folder)
    seconds = time.perf_counter() - began
    with atomic.file(folder / "seconds.json") as file:
        file.write_text(json.dumps(seconds))
    print(f"{name}, seed {cfg.seed}: {seconds:.0f} s", flush=True)
    jax.clear_caches()


def write_results(name: str, experiments: list[str], configurations: list[Any], work: Path, results: Path) -> None:
    """Joins the seeds of each experiment and writes the pages."""
    published = json.loads((Path(__file__).parent / "published.json").read_text(encoding="utf-8"))["tables"]
    # Photos belong to their photographers: pictures of invented images alone are published with the results.
    with_pictures = configurations[0].dataset.kind in build.INVENTED
    sections, spent = [], 0.0
    for experiment in experiments:
        folders = [work / f"seed-{cfg.seed}" / experiment for cfg in configurations]
        join_seeds(importlib.import_module(experiment), folders, results / name / experiment, with_pictures)
        spent += sum(json.loads((folder / "seconds.json").read_text()) for folder in folders)
        tables_there = [table for table in published if table["experiment"] == experiment]
        title = importlib.import_module(experiment).TITLE
        sections.append({"name": experiment, "title": title, "published": tables_there})
    with atomic.file(results / name / "order.json") as file:
        file.write_text(json.dumps(experiments) + "\n")
    page.write_study(results / name, name, sections, introduction(configurations, spent, with_pictures))
    page.write_index(results, {name: importlib.import_module(name).TITLE for name in EXPERIMENTS})


def join_seeds(experiment: ModuleType, folders: list[Path], target: Path, with_pictures: bool) -> None:
    """Writes the joined table of an experiment, its claims, figures, provenance, and pictures of the first seed."""
    joined = tables.join([tables.load(folder) for folder in folders])
    with atomic.folder(target, overwrite=True) as unfinished:
        (unfinished / "table.csv").write_text(joined.csv(), encoding="utf-8")
        (unfinished / "table.md").write_text(f"# {experiment.TITLE}\n\n{joined.markdown()}", encoding="utf-8")
        claims.save(experiment.claims(joined), unfinished / "claims.json")
        origins = [json.loads((folder / "provenance.json").read_text()) for folder in folders]
        (unfinished / "provenance.json").write_text(json.dumps(origins, indent=1) + "\n", encoding="utf-8")
        running.save_figures(experiment.draw(joined), unfinished)
        for picture in folders[0].glob("*.png") if with_pictures else ():
            if not (unfinished / picture.name).exists():
                (unfinished / picture.name).write_bytes(picture.read_bytes())


def introduction(configurations: list[Any], spent: float, with_pictures: bool) -> list[str]:
    """What was run, for how long, by which code."""
    cfg = configurations[0]
    origin = running.origin(cfg)
    state = origin["git"] or {"commit": "unknown", "dirty": False}
    seeds = ", ".join(str(one.seed) for one in configurations)
    lines = [
        f"Data set {cfg.dataset.name}, network {cfg.model.name} ({cfg.train.name}), seeds {seeds}: "
        f"{spent / 60:.1f} minutes on {origin['device']}, training not included.",
        f"Code {state['commit'][:12]}{' with local changes' if state['dirty'] else ''}; the provenance of every number "
        "is beside its table.",
    ]
    if not with_pictures:
        lines.append("The gallery shows photos that are not ours to publish; the experiment writes it below outputs/.")
    return lines


if __name__ == "__main__":
    sys.exit(running.reported(lambda: main(sys.argv[1:]), check=False))
