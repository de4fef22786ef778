"""How an experiment runs as a program: options from the command line, a folder of its own, mistakes on one line."""

import contextlib
import importlib.util
import logging
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import hydra
import jax
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode

from galore import atomic, batching, program
from galore.errors import InputError
from galore.experiment import claims, config, guide, progress, runs, screen, trackers

SWEEP = ("-m", "--multirun")


def main(file: str) -> None:
    """Runs the experiment of a file as a program: options from the command line, results into a new folder.

    Args:
        file: the experiment's `__file__`.
    """
    name = Path(file).stem
    sys.exit(reported(lambda: _hydra_main(name, sys.argv[1:])))


def load(name: str) -> ModuleType:
    """The module of a program in experiments/, which is no package: workers of a launcher find it by its file, too.

    An experiment has a TITLE, the OPTIONS that it uses (beside `config.COMMON`), `run(config) -> Table`,
    `claims(table) -> [Claim]` and `draw(table) -> {name: figure}`; NAME is added.
    """
    full = f"experiments.{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, config.ROOT / "experiments" / f"{name}.py")
        if spec is None or spec.loader is None:
            raise InputError(f"there is no program {name} in {config.ROOT / 'experiments'}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[full] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[full]
            raise
        module.NAME = name  # type: ignore[attr-defined]
    return sys.modules[full]


def run(
    experiment: ModuleType, cfg: Any, folder: Path, tell: progress.Tell = lambda what, done, total: None
) -> runs.Table:
    """Runs an experiment and writes what it gives.

    Args:
        experiment: from `load`.
        cfg: the composed options.
        folder: where to.
        tell: is told how far it is.

    Raises:
        InputError: options that do not fit, or a folder that holds a finished run or that another program is writing;
            before any work.
    """
    with atomic.writer(folder.parent, f".{folder.name}.lock"):
        runs.check_free(folder)
        typed, began = config.typed(cfg), time.perf_counter()
        told = config.flat(config.restricted(config.plain(cfg), experiment.OPTIONS))
        with trackers.opened(cfg.tracker, folder, experiment.NAME, told) as log:
            tell("reading the data", 0, 0)
            with batching.told(tell):
                table = experiment.run(typed)
            tell("intervals and figures", 0, 0)
            runs.save(experiment, cfg, table, folder, time.perf_counter() - began)
            log(trackers.of_table(table), 0)
    return table


def run_seeds(experiment: tuple[str, Sequence[Path]], overrides: Sequence[str], seeds: Sequence[int]) -> list[str]:
    """Runs one experiment with several seeds, those that were not run; in a process of its own where one is wanted.

    Args:
        experiment: its name, and the folder of each seed, which appears only when it is finished.
        overrides: of the options.
        seeds: one training each.

    Returns:
        A line for each seed.
    """
    name, folders = experiment
    lines = []
    for seed, folder in zip(seeds, folders, strict=True):
        if runs.is_finished(folder):
            lines.append(f"{name}, seed {seed}: was finished")
            continue
        run(load(name), config.compose([*overrides, f"seed={seed}"]), folder)
        lines.append(f"{name}, seed {seed}: {runs.load(folder).provenance['seconds']:.0f} s")
    jax.clear_caches()  # what was compiled serves all trainings of an experiment
    return lines


def attempt_seeds(experiment: tuple[str, Sequence[Path]], overrides: Sequence[str], seeds: Sequence[int]) -> list[str]:
    """As `run_seeds`; where the experiment cannot be made, the line says why, and others go on.

    So they do after a fault of the program, whose stack goes to stderr: others may be days of work.
    """
    try:
        return run_seeds(experiment, overrides, seeds)
    except InputError as error:
        return [f"{experiment[0]}: not made, {error}"]
    except Exception as error:
        traceback.print_exc()
        return [f"{experiment[0]}: failed, {type(error).__name__}: {error}"]


def reported(work: Callable[[], Any]) -> int:
    """Runs a program; mistakes in files and options end it with one line on stderr.

    Returns:
        The exit code: 0, 2 after a mistake, or as `program.ended` says.
    """
    # Else Hydra prints the stack of whatever a job raises and exits itself.
    os.environ["HYDRA_FULL_ERROR"] = "1"

    def quietly() -> int:
        try:
            work()
        except _AlreadyReported:
            return 2
        return 0

    return program.ended("error", quietly, HydraException)


def flags_last(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command line with the options first: Hydra takes them on one side of its flags only."""
    flags = [argument for argument in arguments if argument.startswith("-") or "=" not in argument]
    return [argument for argument in arguments if argument not in flags] + flags


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Whether a command line asks what the program does."""
    return bool({"-h", "--help"} & set(arguments))


@contextlib.contextmanager
def job() -> Iterator[None]:
    """The work of a Hydra job.

    In a sweep the line is printed by the process that a launcher started, at once, and names the job. The launcher sees
    an ordinary exception: it starts the other jobs, and raises the first one's after the last job.
    """
    # Hydra puts everything from INFO upwards on stdout, where the results belong, down to each letter that is kept of a
    # font. What orbax cannot write it logs, with the traceback of each of its threads, and raises as well: the error
    # says it in one sentence.
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    logging.getLogger("jax").setLevel(logging.ERROR)
    try:
        yield
    except InputError as error:
        about = HydraConfig.get()
        if about.mode != RunMode.MULTIRUN:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        print(f"error in job {about.job.num}: {error}", file=sys.stderr, flush=True)
        raise _AlreadyReported from None


@contextlib.contextmanager
def new_folder(name: str) -> Iterator[Path]:
    """A folder below outputs/NAME that no other run has, whenever that one started; removed where it stays empty."""
    parent, stamp, number = config.path("outputs") / name, time.strftime("%Y-%m-%d_%H-%M-%S"), 1
    parent.mkdir(parents=True, exist_ok=True)
    while True:
        folder = parent / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            folder.mkdir()  # at most one process can
            break
        except FileExistsError:
            number += 1
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):  # it is in use
            folder.rmdir()


def _hydra_main(name: str, arguments: list[str]) -> None:
    experiment = load(name)
    if asks_for_help(arguments):
        used = ("dataset", "model", "ground_truth.*", *experiment.OPTIONS)
        print(guide.text(experiment.__doc__ or "", used, shutil.get_terminal_size().columns))
        return
    config.check_names(arguments, used=experiment.OPTIONS)
    config.check_used(arguments, experiment.OPTIONS, name)
    # Relative paths among the options start at the project's folder; so do those of Hydra's own.
    os.chdir(config.ROOT)

    # Workers of a parallel launcher get this function by value, and the experiment by its name.
    @hydra.main(version_base="1.3", config_path=str(config.CONF), config_name="config")
    def task(cfg: Any) -> None:
        with job():
            about = HydraConfig.get()
            folder, in_sweep = Path(about.runtime.output_dir), about.mode == RunMode.MULTIRUN
            title = f"job {about.job.num}" if in_sweep else name
            with progress.current(title, as_lines=in_sweep) as tell:
                table = run(load(name), cfg, folder, tell)
            results = claims.load(folder / "claims.json")
        _show(table, results, folder)

    place = "hydra.sweep.dir" if set(SWEEP) & set(arguments) else "hydra.run.dir"
    with contextlib.ExitStack() as stack:
        own = [f"hydra.job.name={name}"]  # Hydra would name the job after this module
        if not any(argument.startswith(f"{place}=") for argument in arguments):
            folder = stack.enter_context(new_folder(name))
            own.append(f"{place}={folder.relative_to(config.ROOT)}")  # whatever the project's own path holds
        sys.argv[1:] = flags_last([*own, *arguments])
        task()


def _show(table: runs.Table, results: list[claims.Result], folder: Path) -> None:
    """Prints what a person wants to know first; the files say the rest."""
    width = shutil.get_terminal_size().columns
    print(screen.table(table.summary(), width), end="\n\n")
    print("±: half of the 95 % interval. Which images did not count, and figures:", f"written to {folder}", sep="\n")
    if results:
        print("", screen.verdicts(results, claims.judge(results), width), sep="\n")


class _AlreadyReported(Exception):
    """A job failed and has said why."""
