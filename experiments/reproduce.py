"""Runs every experiment for one data set and network, joins the seeds, and writes the page of results.

    python experiments/reproduce.py                  synthetic birds, small CNN, seed 0: 7 minutes on 2 cores
    python experiments/reproduce.py seed=0,1,2
    python experiments/reproduce.py dataset=cub model=efficientnet_lite0 train=head explanation=few

Trains what is missing, skips what is finished (delete its folder below outputs/reproduce to run it again), and writes
results/DATASET-NETWORK/ and results/index.html. `name=...` names the study, `only=sanity,gallery` runs some of them.
`workers=2` runs that many experiments at once; without it, as many as there are processor cores, at most four, or one
where there is an accelerator.

    python experiments/reproduce.py setting=papers data=DIR weights=DIR
    python experiments/reproduce.py setting=papers data=DIR weights=DIR plan=true
    python experiments/reproduce.py setting=papers rehearsal=true

The papers' networks on their data, trained as theirs (docs/reproducing.md). `plan=true` says what there is to do and
what is missing; `rehearsal=true` does all of it at small size. `study=cub-resnet50` makes some of its studies. With a
launcher of Hydra (`hydra/launcher=joblib hydra.launcher.n_jobs=2`) each training and its experiments are a job.
"""

from galore import program

program.guard(__name__)

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax

from galore import processes
from galore.errors import InputError, closest
from galore.experiment import config, guide, inputs, pages, papers, plan, progress, runner, runs
from galore.experiment.config import Config
from galore.experiment.papers import Setting, Study
from galore.experiment.plan import Job
from galore.options import from_mapping
from galore.training.config import TrainConfig

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
OWN = ("name", "only", "workers", "setting", "data", "weights", "study", "rehearsal", "plan")
"""Options that are not of conf/."""
OF_PAPERS = ("data", "weights", "study", "rehearsal", "plan")
"""Those that setting=papers takes."""
REHEARSAL = Path("outputs/rehearsal")
FAST_COMPILATION = (
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_use_fusion_emitters=false",
)
"""Of programs that run once: in a rehearsal nearly all time is that of compilation."""


class Arguments(NamedTuple):
    """The command line: overrides of conf/, seeds, what is not of conf/, the experiments to run (none: all), and how
    many at once (0: as many as the machine has cores for)."""

    overrides: list[str]
    seeds: list[int]
    own: dict[str, str]
    only: list[str]
    workers: int

    @property
    def launcher(self) -> list[str]:
        """Hydra's own options, which choose a launcher."""
        return [option for option in self.overrides if option.startswith("hydra")]

    @property
    def for_jobs(self) -> list[str]:
        """The command line of a job, without its study and seed."""
        own = [f"{name}={value}" for name, value in self.own.items() if name not in ("study", "seed", "plan")]
        return [*own, *self.of_conf]

    @property
    def of_conf(self) -> list[str]:
        """The overrides without Hydra's own."""
        return [option for option in self.overrides if option not in self.launcher]

    def asks_for(self, option: str) -> bool:
        """Whether rehearsal=true or plan=true was given."""
        return self.own.get(option) == "true"


class Prepared(NamedTuple):
    """A study whose options are known to be good: the composed options of each seed, the experiments, and the folder
    of each experiment and seed."""

    study: Study
    composed: list[Any]
    experiments: list[ModuleType]
    folders: dict[str, list[Path]]

    @property
    def first(self) -> Config:
        """The options of the first seed."""
        return config.typed(self.composed[0])


def main(arguments: list[str]) -> None:
    """Everything, in order; `seed=0,1,2` repeats it for several trainings."""
    if runner.asks_for_help(arguments):
        used = ("dataset", "model", "train", "attribution", "confidence", "explanation.*", "ground_truth.*")
        print(guide.text(__doc__ or "", used, shutil.get_terminal_size().columns))
        return
    given = parse(arguments)
    with programs_shared() if given.asks_for("rehearsal") else contextlib.nullcontext():
        reproduce(given)


def reproduce(given: Arguments) -> None:
    """What the command line asks for."""
    asked = asked_for(given)
    prepared = [one for study in asked.studies if (one := prepare(study, asked, given)).experiments]
    pages.load_studies(config.path(asked.results))  # refuses results of another format before any work
    if not prepared:
        raise InputError(f"only={given.own['only']}: none of the studies has such data; see study=")
    if asked.data is not None:
        look_ahead(prepared, asked, given)
    if given.asks_for("plan"):
        return
    if given.launcher:
        launch(prepared, given)
    failed = make(prepared, asked, given.workers)
    if failed:
        raise InputError(f"of {len(prepared)} studies these failed: {', '.join(failed)}; the same command resumes them")


def make(prepared: list[Prepared], asked: Setting, workers: int) -> list[str]:
    """Trains and runs what is missing and writes the pages; a study that fails does not stop the others.

    Returns:
        The names of those that failed.

    Raises:
        InputError: the only one failed.
    """
    # All trainings come first: afterwards this process holds the memory of the device. One fills a machine, except in a
    # rehearsal, where it mostly compiles; two of those fit into 16 GB.
    failed = train_all(prepared, min(2, workers or cores()) if asked.is_rehearsal else 1)
    for one in prepared:
        try:
            if error := failed.get(one.study.name):
                raise error
            run_experiments(one, workers)
            write_page(one, asked)
        except InputError as error:
            if len(prepared) == 1:
                raise
            failed[one.study.name] = error
            print(f"error in {one.study.name}: {error}", file=sys.stderr, flush=True)
        inputs.forget()
    return list(failed)


@contextlib.contextmanager
def programs_shared() -> Iterator[None]:
    """What one of the programs that a rehearsal starts compiles the others find, as long as it lasts."""
    with tempfile.TemporaryDirectory(prefix="galore-rehearsal-", ignore_cleanup_errors=True) as folder:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", folder)
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
        yield


def asked_for(given: Arguments) -> Setting:
    """The studies that a command line asks for: one, or those of the papers.

    Raises:
        InputError: there is no such study.
    """
    own, names = given.own, [name for name in given.own.get("study", "").split(",") if name]
    if "setting" not in own:
        seeds, only = tuple(given.seeds or [0]), tuple(given.only)
        study = Study(own.get("name", ""), tuple(given.of_conf), seeds, only, is_alone=True)
        return Setting((study,), "outputs", "results")
    overrides = tuple(given.of_conf)
    # Trainings are processes of their own, to which this one must leave the memory of the device.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if given.asks_for("rehearsal"):
        os.environ["XLA_FLAGS"] = " ".join([*FAST_COMPILATION, os.environ.get("XLA_FLAGS", "")])
        made = papers.selected(papers.rehearsed(REHEARSAL, tuple(given.seeds or [0]), overrides), names)
        papers.draw(made, config.ROOT)
    else:
        weights = Path(own["weights"]) if "weights" in own else None
        seeds = tuple(given.seeds or papers.SEEDS)
        made = papers.selected(papers.setting(Path(own["data"]), weights, seeds, overrides), names)
    return made


def prepare(study: Study, asked: Setting, given: Arguments) -> Prepared:
    """Composes the options of a study and looks at its experiments.

    Raises:
        InputError: options that do not fit, or that nothing uses; a finished run with other options.
    """
    composed = [config.compose([*study.overrides, f"seed={seed}"]) for seed in study.seeds]
    first = config.typed(composed[0])
    names = [name for name in possible(list(study.only), first) if not (study.dataset and name in papers.LEFT_OUT)]
    experiments = [runner.load(name) for name in names if not given.only or name in given.only]
    used = [option for experiment in experiments for option in experiment.OPTIONS]
    config.check_used(given.of_conf, ["train", *dict.fromkeys(used)], "this study")
    study = study._replace(name=study.name or f"{first.dataset.name}-{first.model.name}")
    parent = config.path(asked.outputs) / "reproduce" / study.name
    folders = {
        experiment.NAME: [parent / f"seed-{seed}" / experiment.NAME for seed in study.seeds]
        for experiment in experiments
    }
    return Prepared(study, composed, experiments, folders)


def train_all(prepared: Sequence[Prepared], at_once: int = 1) -> dict[str, InputError]:
    """Trains the networks of some studies that are missing.

    Returns:
        Why it could not be done, by the name of the study.
    """
    waiting: dict[str, tuple[str, list[str]]] = {}
    for one in prepared:
        if not one.study.is_comparison:  # which is of networks that other studies train
            for cfg, seed in zip(one.composed, one.study.seeds):
                waiting[config.typed(cfg).checkpoint] = one.study.name, [*one.study.overrides, f"seed={seed}"]
    failed = train({run: overrides for run, (_, overrides) in waiting.items()}, at_once)
    return {waiting[run][0]: error for run, error in failed.items()}


def run_experiments(prepared: Prepared, workers: int) -> None:
    """Runs the experiments of a study that are not finished."""
    study, composed, experiments, folders = prepared
    for experiment in experiments:
        for cfg, folder in zip(composed, folders[experiment.NAME]):
            runs.check_same(folder, experiment, cfg)
    run = runner.run_seeds if study.is_alone else runner.attempt_seeds
    work = functools.partial(run, overrides=study.overrides, seeds=study.seeds)
    waiting = sum(not all(map(runs.is_finished, some)) for some in folders.values())
    # The last ones take longest: begun first, nobody waits for them at the end.
    results = processes.results(work, reversed(folders.items()), min(workers or cores(), waiting))
    with progress.whole(study.name, len(folders)) as finished:
        for lines in results:
            finished(lines)


def write_page(prepared: Prepared, asked: Setting) -> None:
    """Writes the page of a study and the index, of the experiments that are finished.

    Raises:
        InputError: some are not, which is said after the page was written.
    """
    study, is_invented = prepared.study, prepared.first.dataset.is_invented or asked.is_rehearsal
    made = [one for one in prepared.experiments if all(map(runs.is_finished, prepared.folders[one.NAME]))]
    if made:
        write_results(config.path(asked.results), study.name, made, prepared.folders, is_invented)
        print(f"written: {asked.results}/{study.name}/index.html and {asked.results}/index.html")
    if lacking := [one.NAME for one in prepared.experiments if one not in made]:
        raise InputError(f"{study.name} lacks {', '.join(lacking)}: see above")


def look_ahead(prepared: list[Prepared], asked: Setting, given: Arguments) -> None:
    """Looks for all that is missing before anything starts; prints the plan where it was asked for.

    Raises:
        InputError: names everything that is missing, with the command that fetches it.
    """
    jobs = [job for one in prepared if not one.study.is_comparison for job in jobs_of(one)]
    jobs += plan.students(jobs)
    train_options = from_mapping(TrainConfig, config.plain(prepared[0].composed[0])["train"])
    absent, costs = plan.missing(asked), {}
    if not asked.is_rehearsal:
        networks = dict.fromkeys(job.network for job in jobs if given.asks_for("plan") or not job.is_trained)
        costs, failed = plan.costs(list(networks), train_options, config.path(asked.outputs) / "costs.json")
        absent += failed + plan.short(asked, jobs, costs, train_options)
    if given.asks_for("plan"):
        print(*plan.lines(asked, jobs, costs, train_options), *plan.notes(asked), sep="\n")
    if absent:
        listed = "".join(f"\n  {one.what}\n    {one.remedy}" for one in absent)
        raise InputError(f"before anything can start, {len(absent)} of what it needs is missing:{listed}")


def jobs_of(prepared: Prepared) -> list[Job]:
    """The jobs of a study: what there is of each training and its experiments."""
    trainings = [config.path(config.typed(cfg).checkpoint) for cfg in prepared.composed]
    students = [student_of(cfg) for cfg in prepared.composed]
    done = [[runs.is_finished(some[place]) for some in prepared.folders.values()] for place in range(len(trainings))]
    return plan.jobs(prepared.study, trainings, students, done)


def student_of(cfg: Any) -> Path | None:
    """The folder of the student that a training shares with others; None: it has none."""
    train_options = config.plain(cfg)["train"]
    folder = train_options["alexnet_folder"] if "alexnet" in train_options["students"] else None
    return None if folder is None else config.path(folder)


def launch(prepared: list[Prepared], given: Arguments) -> None:
    """Has a launcher of Hydra do every job that is not finished: a training and its experiments.

    What fails there says so and is tried once more here, afterwards.
    """
    jobs = [job for one in prepared if not one.study.is_comparison for job in jobs_of(one)]
    waiting = [job for job in jobs if not job.is_trained or job.finished < job.experiments]
    if not waiting:
        return
    names, seeds = (
        dict.fromkeys(str(values) for values in some) for some in zip(*((job.study, job.seed) for job in waiting))
    )
    arguments = ",".join(map(papers.quoted, given.for_jobs))
    options = [f"study={','.join(names)}", f"seed={','.join(seeds)}", f"arguments=[{arguments}]", *given.launcher]
    subprocess.run([sys.executable, str(config.ROOT / "experiments" / "job.py"), *options, "-m"], cwd=config.ROOT)


def run_job(arguments: list[str]) -> None:
    """What a launcher's job does: trains and runs what is missing of a study, and writes no page."""
    given = parse(arguments)
    asked = asked_for(given)
    for one in (prepare(study, asked, given) for study in asked.studies):
        for error in train_all([one]).values():
            raise error
        run_experiments(one, given.workers)


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
        seeds = [int(seed) for seed in own["seed"].split(",")] if "seed" in own else []
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
    check_setting(own, overrides)
    return Arguments(overrides, seeds, own, only, int(workers or 0))


def check_setting(own: Mapping[str, str], overrides: Sequence[str]) -> None:
    """Looks at the options of the papers' setting.

    Raises:
        InputError: a value that there is not, one that is missing, or one that the setting chooses itself.
    """
    for name in ("rehearsal", "plan"):
        if own.get(name, "true") not in ("true", "false"):
            raise InputError(f"{name}={own[name]}: expected true or false")
    if "setting" not in own:
        for name in OF_PAPERS:
            if name in own:
                raise InputError(f"{name}={own[name]} belongs to setting=papers; give that too")
        for option in overrides:
            if option.startswith("hydra"):
                raise InputError(f"{option} belongs to setting=papers; a sweep of experiments/train.py takes it too")
        return
    if own["setting"] != "papers":
        raise InputError(f"setting={own['setting']}: no such setting, there is setting=papers")
    chosen = [option for option in overrides if option.startswith(("dataset", "model", "train=", "explanation="))]
    if chosen or "name" in own:
        raise InputError(f"setting=papers does not take {(*chosen, 'name=')[0]}: it chooses that itself, see study=")
    for name in own.get("only", "").split(","):
        if name in papers.LEFT_OUT:
            raise InputError(
                f"only={name}: setting=papers leaves it out, since it takes too much memory at so many classes"
            )
    is_rehearsal = own.get("rehearsal") == "true"
    if is_rehearsal and ("data" in own or "weights" in own):
        raise InputError("rehearsal=true draws its own data and weights; leave data= and weights= out")
    if not is_rehearsal and "data" not in own:
        raise InputError("setting=papers needs data=DIR, the folder that holds CUB_200_2011 and ADEChallengeData2016")


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


def train(options: Mapping[str, Sequence[str]], at_once: int) -> dict[str, InputError]:
    """Trains what has not been trained to the end: the folder of each training, and its options.

    Returns:
        What could not be trained, and why.
    """
    waiting = [run for run in options if not (config.path(run) / "result.json").exists()]
    program = [sys.executable, str(config.ROOT / "experiments" / "train.py")]
    # Bars of several programs would overwrite each other.
    environment = os.environ | ({"TTY_COMPATIBLE": "0"} if min(at_once, len(waiting)) > 1 else {})

    def start(run: str) -> subprocess.Popen:
        print(f"training {run}", flush=True)
        return subprocess.Popen([*program, *options[run]], cwd=config.ROOT, env=environment)

    said = "training {} failed; run experiments/train.py with the same options"
    return {run: InputError(said.format(run)) for run, code in processes.codes(start, waiting, at_once) if code}


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
