"""Runs every experiment for one data set and network, joins the seeds, and writes the page of results.

    python experiments/reproduce.py                  synthetic birds, small CNN, seed 0: 10 minutes on 2 cores
    python experiments/reproduce.py seed=0,1,2
    python experiments/reproduce.py dataset=cub model=efficientnet_lite0 train=head explanation=few

Trains what is missing, skips what is finished (delete its folder below outputs/reproduce to run it again), and writes
results/DATASET-NETWORK/ and results/index.html.
"""

import importlib
import json
import math
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import build
import claims
import collect
import hydra
import jax
import jobs
import page
import running
import spelling
import subjects
import table as tables

from galore import atomic
from galore.errors import InputError, closest

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

OWN = ("name", "only")
"""Options that are not of conf/."""


def main(arguments: list[str]) -> None:
    """Everything, in order; `seed=0,1,2` repeats it for several trainings."""
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return
    overrides, seeds, name, only = split(arguments)
    configurations = [compose([*overrides, f"seed={seed}"]) for seed in seeds]
    first = configurations[0]
    name = name or f"{first.dataset.name}-{first.model.name}"
    experiments = chosen(only, first)
    for cfg, seed in zip(configurations, seeds):
        train(cfg, [*overrides, f"seed={seed}"])
    work = build.ROOT / "outputs" / "reproduce" / name
    work_to_do = [(found, cfg, work / f"seed-{cfg.seed}" / found) for found in experiments for cfg in configurations]
    for _, cfg, folder in work_to_do:
        check_finished(cfg, folder)
    for experiment, cfg, folder in work_to_do:
        run_once(importlib.import_module(experiment), experiment, cfg, folder)
    write_results(name, experiments, configurations, work, build.ROOT / "results")
    print(f"written: results/{name}/index.html and results/index.html")


def split(arguments: list[str]) -> tuple[list[str], list[int], str, list[str]]:
    """The overrides, the seeds, the name of the study and the experiments to run (all where none is named)."""
    parted = {argument: argument.partition("=") for argument in arguments}
    given = {name: value for name, _, value in parted.values() if name in ("seed", *OWN)}
    overrides = [argument for argument, (name, _, _) in parted.items() if name not in given]
    try:
        seeds = [int(seed) for seed in given.get("seed", "0").split(",")]
    except ValueError:
        raise InputError(f"seed={given['seed']}: expected numbers with commas between, such as 0,1,2") from None
    only = [experiment for experiment in given.get("only", "").split(",") if experiment]
    for experiment in only:
        if experiment not in EXPERIMENTS:
            hint = closest(experiment, EXPERIMENTS) or f"there are {', '.join(EXPERIMENTS)}"
            raise InputError(f"only={experiment}: no such experiment; {hint}")
    return overrides, seeds, given.get("name", ""), only


def compose(overrides: list[str]) -> Any:
    """The options, as Hydra makes them."""
    spelling.check(overrides, own=OWN)
    with hydra.initialize_config_dir(str(build.ROOT / "conf"), version_base="1.3"):
        return hydra.compose("config", overrides=overrides)


def chosen(only: list[str], cfg: Any) -> list[str]:
    """The experiments to run, in order: all that can be made on the data set, or those that were asked for.

    Raises:
        InputError: one that was asked for cannot be made.
    """
    reasons = {experiment: obstacle(experiment, cfg) for experiment in EXPERIMENTS}
    for experiment in only:
        if reasons[experiment]:
            raise InputError(f"only={experiment}: {reasons[experiment]}")
    return [name for name, reason in reasons.items() if not reason and (not only or name in only)]


def obstacle(experiment: str, cfg: Any) -> str:
    """Why an experiment cannot be made with these options; empty where it can."""
    if experiment == "true_counterfactual" and subjects.flock(cfg) is None:
        return f"{cfg.dataset.name} cannot be drawn again with another part, only dataset=synthetic_birds can"
    if experiment == "deliberative_network" and len(subjects.checkpoints(cfg)) == 1:
        return "there is one network to compare; name several trainings in explanation.checkpoints"
    if experiment in PARTS_ONLY and not subjects.has_parts(cfg):
        return f"{cfg.dataset.name} has no annotated parts"
    return ""


def train(cfg: Any, overrides: list[str]) -> None:
    """Trains the network of the options where it has not been trained to the end."""
    if (build.path(cfg.model.checkpoint) / "result.json").exists():
        return
    print(f"training {cfg.model.checkpoint}", flush=True)
    done = subprocess.run([sys.executable, str(build.ROOT / "experiments" / "train.py"), *overrides], cwd=build.ROOT)
    if done.returncode:
        raise InputError(f"training {cfg.model.checkpoint} failed; run experiments/train.py with the same options")


def check_finished(cfg: Any, folder: Path) -> None:
    """Refuses to take what was finished with other options or another training for what is asked now.

    Raises:
        InputError: names what differs.
    """
    if not (folder / "seconds.json").exists():
        return
    made, asked = json.loads((folder / "provenance.json").read_text()), running.origin(cfg)
    before, now = collect.flat(made["options"]), collect.flat(asked["options"])
    differing = [f"{name}={before[name]}" for name in now if before.get(name, now[name]) != now[name]]
    files = asked["files"].items()
    differing += [f"{name} as it was then" for name, sha256 in files if made["files"].get(name, sha256) != sha256]
    if differing:
        raise InputError(
            f"{folder} was finished with {', '.join(differing)}; name another study (name=...), or delete the folder "
            "to run it again"
        )


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
    """Joins the seeds of each experiment and writes the pages; what earlier runs left there stays on them."""
    # Photos belong to their photographers: pictures of invented images alone are published with the results.
    with_pictures = configurations[0].dataset.kind in build.INVENTED
    for experiment in experiments:
        folders = [work / f"seed-{cfg.seed}" / experiment for cfg in configurations]
        join_seeds(importlib.import_module(experiment), folders, results / name / experiment, with_pictures)
    there = [experiment for experiment in EXPERIMENTS if (results / name / experiment / "claims.json").exists()]
    sections = [section(experiment) for experiment in there]
    with atomic.file(results / name / "order.json") as file:
        file.write_text(json.dumps(there) + "\n")
    origins = [json.loads((results / name / experiment / "provenance.json").read_text()) for experiment in there]
    lines = introduction([origin for some in origins for origin in some])
    if not with_pictures:
        lines.append("The gallery shows photos that are not ours to publish; the experiment writes it below outputs/.")
    page.write_study(results / name, name, sections, lines)
    page.write_index(results, {name: importlib.import_module(name).TITLE for name in EXPERIMENTS})


def section(name: str) -> dict[str, Any]:
    """What the page says of an experiment beside its results: title, question, published numbers."""
    module = importlib.import_module(name)
    published = json.loads((Path(__file__).parent / "published.json").read_text(encoding="utf-8"))["tables"]
    return {
        "name": name,
        "title": module.TITLE,
        "question": (module.__doc__ or "").partition("\n")[0],
        "published": [table for table in published if table["experiment"] == name],
    }


def join_seeds(experiment: ModuleType, folders: list[Path], target: Path, with_pictures: bool) -> None:
    """Writes the joined table of an experiment, its claims, figures, provenance, and pictures of the first seed."""
    joined = tables.join([tables.load(folder) for folder in folders])
    with atomic.folder(target, overwrite=True) as unfinished:
        (unfinished / "table.csv").write_text(joined.csv(), encoding="utf-8")
        (unfinished / "table.md").write_text(f"# {experiment.TITLE}\n\n{joined.markdown()}", encoding="utf-8")
        claims.save(experiment.claims(joined), unfinished / "claims.json")
        origins = [
            json.loads((folder / "provenance.json").read_text())
            | {"seconds": round(json.loads((folder / "seconds.json").read_text()), 1)}
            for folder in folders
        ]
        (unfinished / "provenance.json").write_text(json.dumps(origins, indent=1) + "\n", encoding="utf-8")
        running.save_figures(experiment.draw(joined), unfinished)
        for picture in folders[0].glob("*.png") if with_pictures else ():
            if not (unfinished / picture.name).exists():
                (unfinished / picture.name).write_bytes(picture.read_bytes())


def introduction(origins: list[dict[str, Any]]) -> list[str]:
    """What was run, for how long, by which code: of the runs themselves, whenever the page was written."""

    def said(some: Iterable[Any]) -> str:
        return ", ".join(dict.fromkeys(str(one) for one in some))

    options, codes = [origin["options"] for origin in origins], [origin["git"] or {} for origin in origins]
    seconds = sum(origin.get("seconds", math.nan) for origin in origins)
    spent = "" if math.isnan(seconds) else f": {seconds / 60:.1f} minutes, training not included"
    code = said(
        one.get("commit", "unknown")[:12] + (" with local changes" if one.get("dirty") else "") for one in codes
    )
    seeds = sorted({origin["seed"] for origin in origins})
    runs = [name for origin in origins for name in origin["files"] if not name.startswith("test images")]
    return [
        f"Data set {said(one['dataset']['name'] for one in options)}, seeds {said(seeds)}, trained networks "
        f"{said(runs)} (train={said(one['train']['name'] for one in options)}), on "
        f"{said(one['device'] for one in origins)}{spent}.",
        f"Code {code}; the provenance of every number is beside its table.",
    ]


if __name__ == "__main__":
    sys.exit(jobs.reported(lambda: main(sys.argv[1:])))
