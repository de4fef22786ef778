"""Runs every experiment for one data set and network, joins the seeds, and writes the page of results.

    python experiments/reproduce.py                  synthetic birds, small CNN, seed 0: 7 minutes on 2 cores
    python experiments/reproduce.py seed=0,1,2
    python experiments/reproduce.py dataset=cub model=efficientnet_lite0 train=head explanation=few

Trains what is missing, skips what is finished (delete its folder below outputs/reproduce to run it again), and writes
results/DATASET-NETWORK/ and results/index.html. `name=...` names the study, `only=sanity,gallery` runs some of them.
`workers=2` runs that many experiments at once; without it, as many as there are processor cores, at most four, or one
where there is an accelerator.
"""

from galore import program

program.guard(__name__)

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import jax

from galore import processes
from galore.errors import InputError, closest
from galore.experiment import config, guide, pages, progress, runner, runs
from galore.experiment.config import Config

EXPERIMENTS = (
    "discriminant_vs_attributive",
    "counterfactual_vs_search",
    "part_iou_vs_region",
    "counterfactual_attribution",
    "unique",
    "counterfactual_edits",
    "side_by_side",
    "true_counterfactual",
    "answering",
    "answering_sanity",
    "deliberative_difficulty",
    "deliberative_attribution",
    "deliberative_layer",
    "deliberative_network",
    "deliberative_shift",
    "insecurity_strength",
    "rejection",
    "sanity",
    "recommendation",
    "gallery",
)
PARTS_ONLY = (
    "counterfactual_vs_search",
    "counterfactual_edits",
    "part_iou_vs_region",
    "deliberative_shift",
    "insecurity_strength",
    "recommendation",
)
OWN = ("name", "only", "workers")
"""Options that are not of conf/."""


class Arguments(NamedTuple):
    """The command line: overrides of conf/, seeds, the study's name, the experiments to run (none: all), and how many
    at once (0: as many as the machine has cores for)."""

    overrides: list[str]
    seeds: list[int]
    name: str
    only: list[str]
    workers: int


def main(arguments: list[str]) -> None:
    """Everything, in order; `seed=0,1,2` repeats it for several trainings."""
    if runner.asks_for_help(arguments):
        used = ("dataset", "model", "train", "attribution", "confidence", "explanation.*", "ground_truth.*")
        print(guide.text(__doc__ or "", used, shutil.get_terminal_size().columns))
        return
    given = parse(arguments)
    composed = [config.compose([*given.overrides, f"seed={seed}"]) for seed in given.seeds]
    first = config.typed(composed[0])
    experiments = [runner.load(name) for name in possible(given.only, first)]
    used = [option for experiment in experiments for option in experiment.OPTIONS]
    config.check_used(given.overrides, ["train", *dict.fromkeys(used)], "this study")
    pages.load_studies(config.path("results"))  # refuses results of another format before any work
    for cfg, seed in zip(composed, given.seeds):
        train(config.typed(cfg), [*given.overrides, f"seed={seed}"])
    name = given.name or f"{first.dataset.name}-{first.model.name}"
    parent = config.path("outputs/reproduce") / name
    folders = {
        experiment.NAME: [parent / f"seed-{seed}" / experiment.NAME for seed in given.seeds]
        for experiment in experiments
    }
    for experiment in experiments:
        for cfg, folder in zip(composed, folders[experiment.NAME]):
            runs.check_same(folder, experiment, cfg)
    work = functools.partial(runner.run_seeds, overrides=given.overrides, seeds=given.seeds)
    waiting = sum(not all(map(runs.is_finished, some)) for some in folders.values())
    # The last ones take longest: begun first, nobody waits for them at the end.
    results = processes.results(work, reversed(folders.items()), min(given.workers or cores(), waiting))
    with progress.whole("experiments", len(folders)) as finished:
        for lines in results:
            finished(lines)
    write_results(config.path("results"), name, experiments, folders, first.dataset.is_invented)
    print(f"written: results/{name}/index.html and results/index.html")


def parse(arguments: list[str]) -> Arguments:
    """What the command line asks for.

    Raises:
        InputError: an unknown option or experiment, or seeds that are no numbers.
    """
    parted = {argument: argument.partition("=") for argument in arguments}
    own = {name: value for name, _, value in parted.values() if name in ("seed", *OWN)}
    overrides = [argument for argument, (name, _, _) in parted.items() if name not in own]
    config.check_names(arguments, own=OWN)
    try:
        seeds = [int(seed) for seed in own.get("seed", "0").split(",")]
    except ValueError:
        raise InputError(f"seed={own['seed']}: expected numbers with commas between, such as 0,1,2") from None
    only = [experiment for experiment in own.get("only", "").split(",") if experiment]
    for experiment in only:
        if experiment not in EXPERIMENTS:
            hint = closest(experiment, EXPERIMENTS) or f"there are {', '.join(EXPERIMENTS)}"
            raise InputError(f"only={experiment}: no such experiment; {hint}")
    workers = own.get("workers", "")
    if workers and not (workers.isascii() and workers.isdigit() and 1 <= int(workers[:4]) <= 64):
        raise InputError(f"workers={workers}: expected a number from 1 to 64")
    return Arguments(overrides, seeds, own.get("name", ""), only, int(workers or 0))


def possible(only: list[str], options: Config) -> list[str]:
    """The experiments to run, in order: all that can be made on the data set, or those that were named.

    Raises:
        InputError: one that was named cannot be made.
    """
    reasons = {experiment: obstacle(experiment, options) for experiment in EXPERIMENTS}
    for experiment in only:
        if reasons[experiment]:
            raise InputError(f"only={experiment}: {reasons[experiment]}")
    return [name for name, reason in reasons.items() if not reason and (not only or name in only)]


def obstacle(experiment: str, options: Config) -> str:
    """Why an experiment cannot be made with these options; empty where it can."""
    if experiment == "true_counterfactual" and options.dataset.kind != "synthetic_birds":
        return f"{options.dataset.name} cannot be drawn again with another part, only dataset=synthetic_birds can"
    if experiment == "deliberative_network" and len(options.checkpoints) == 1:
        return "there is one network to compare; name several trainings in explanation.checkpoints"
    if experiment in PARTS_ONLY and not options.dataset.has_parts:
        return f"{options.dataset.name} has no annotated parts"
    return ""


def train(options: Config, overrides: list[str]) -> None:
    """Trains the network of the options where it has not been trained to the end."""
    if (config.path(options.checkpoint) / "result.json").exists():
        return
    print(f"training {options.checkpoint}", flush=True)
    done = subprocess.run([sys.executable, str(config.ROOT / "experiments" / "train.py"), *overrides], cwd=config.ROOT)
    if done.returncode:
        raise InputError(f"training {options.checkpoint} failed; run experiments/train.py with the same options")


def cores() -> int:
    """How many experiments at once: one accelerator serves one, and each takes up to 2 GB."""
    return min(os.cpu_count() or 1, 4) if jax.default_backend() == "cpu" else 1


def write_results(
    results: Path, name: str, experiments: list[ModuleType], folders: dict[str, list[Path]], is_invented: bool
) -> None:
    """Joins the seeds of each experiment and writes the pages; what earlier runs left there stays on them."""
    # Photos belong to their photographers: pictures of invented images alone are published with the results.
    joined = {
        experiment.NAME: runs.join(experiment, folders[experiment.NAME], results / name / experiment.NAME, is_invented)
        for experiment in experiments
    }
    earlier = [other for other in EXPERIMENTS if (results / name / other / "rows.json").exists()]
    joined |= {other: runs.load_joined(results / name / other) for other in earlier if other not in joined}
    sections = []
    for module in (runner.load(other) for other in EXPERIMENTS if other in joined):
        question = (module.__doc__ or "").partition("\n")[0]
        sections.append(pages.Section(module.TITLE, question, pages.published(module.NAME), joined[module.NAME]))
    note = "The gallery shows photos that are not ours to publish; the experiment writes it below outputs/."
    pages.write_study(results / name, name, sections, [] if is_invented else [note])
    titles = {other: runner.load(other).TITLE for other in EXPERIMENTS}
    pages.write_index(results, pages.load_studies(results), titles)


if __name__ == "__main__":
    sys.exit(runner.reported(lambda: main(sys.argv[1:])))
