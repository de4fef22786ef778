"""What a setting has to do, what it costs on this machine's device, and what is missing, before anything starts."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax

from galore import atomic, foreign, provenance
from galore.data import ade20k, cub
from galore.data.dataset import PartDataset, SceneDataset
from galore.data.synthetic import birds
from galore.errors import InputError
from galore.experiment import config, papers
from galore.experiment.papers import Setting, Study
from galore.models import factory, published
from galore.models.published import Download
from galore.training.config import TrainConfig

EXPERIMENT_PASSES = 150
"""All experiments take as long as so many forward passes of each test image: on 25 classes of CUB with
EfficientNet-Lite0, five trainings, on two cores (results/cub-efficientnet_lite0)."""
PUBLISHED_IMAGES = {"cub": (5994, 5794), "ade20k": (20210, 2000)}
"""Training and test images of the whole data sets."""
PROBE_BATCH = 4
"""Images of a measured step on a CPU; on other devices the step has as many as in the training."""
SMALLER = "give a smaller train.batch_size=, or train.compute=bfloat16"
"""What to do about memory."""

_GIB = 2**30
_STEPS = 3
"""Of a measurement; the first one compiles."""


class Job(NamedTuple):
    """One training and its experiments; or a student, which has none and is trained by the first one that needs it.

    Attributes:
        study: its name.
        dataset, network: of the study.
        seed: of the training.
        training: the folder of the training.
        is_trained: whether it was trained to the end.
        finished, experiments: how many of the experiments are finished, of how many.
        student: the folder of the student that it needs; None: it needs none.
    """

    study: str
    dataset: str
    network: str
    seed: int
    training: Path
    is_trained: bool
    finished: int
    experiments: int
    student: Path | None = None

    @property
    def is_student(self) -> bool:
        """Whether it is a student."""
        return not self.experiments

    @property
    def state(self) -> str:
        """Of the training, in words."""
        return "finished" if self.is_trained else "begun" if self.training.exists() else "to do"


class Missing(NamedTuple):
    """Something without which the work cannot be done, and what to do about it."""

    what: str
    remedy: str


@dataclass(frozen=True)
class Cost:
    """What training a network costs on the device that it was measured on.

    Attributes:
        device: its kind.
        batch_size: of the measured step.
        first_stage, joint: seconds of a step for each image of the batch.
        state: bytes of the parameters and of the optimiser: those of a checkpoint.
        memory: bytes that the measured training took at most: of the device where it has a memory of its own.
        disk: bytes of the folder of a training.
    """

    device: str
    batch_size: int
    first_stage: float
    joint: float
    state: int
    memory: int
    disk: int

    def memory_at(self, batch_size: int) -> int:
        """Bytes at another batch size: what the images take grows with it, parameters and gradients do not.

        At a larger one this is an upper bound: a short process on a CPU holds the parameters more than once, and that
        counts as the images' here.
        """
        fixed = min(self.memory, round(1.4 * self.state))
        return round(fixed + (self.memory - fixed) * batch_size / self.batch_size)

    def seconds(self, train: TrainConfig, images: int) -> float:
        """Of both stages, without the student."""
        first = 0.0 if train.first_stage is None else self.seconds_of_student(train, images)
        return first + images * train.epochs * self.joint

    def seconds_of_student(self, train: TrainConfig, images: int) -> float:
        """Of the network as a student, which is trained as the classifier is in the first stage."""
        return images * train.of_classifier_alone.epochs * self.first_stage

    @property
    def disk_of_student(self) -> int:
        """Bytes of the network as a student: the first stage is what lies beside the joint training's checkpoint."""
        return self.disk - self.state


def missing(setting: Setting) -> list[Missing]:
    """The data and the weights that are not there, or not whole, each with the command that fetches it."""
    found = []
    for dataset in dict.fromkeys(study.dataset for study in setting.studies):
        root = config.path(setting.root(dataset))
        command = f"python scripts/fetch_data.py {dataset} {setting.data}"
        if not root.is_dir():
            found.append(Missing(f"no data set {root}", command))
            continue
        try:
            _check_images(read(dataset, root))
        except InputError as error:
            found.append(Missing(str(error), f"remove {root}, then: {command}"))
    for network in dict.fromkeys([*(study.network for study in setting.studies), papers.STUDENT]):
        folder = published.cache_folder() if setting.weights is None else config.path(setting.weights)
        problem = _problem_of_weights(folder / papers.file_name(network), network, setting.is_rehearsal)
        if problem:
            found.append(Missing(problem, f"python scripts/fetch_data.py {network} {folder}"))
    return found


def read(dataset: str, root: Path) -> PartDataset | SceneDataset:
    """A data set of the papers.

    Raises:
        InputError: files that are missing or damaged.
    """
    return cub.read(root) if dataset == "cub" else ade20k.read(root)


def notes(setting: Setting) -> list[str]:
    """What is there and not as the papers have it: data sets of which a part is there."""
    said = []
    for dataset in dict.fromkeys(study.dataset for study in setting.studies):
        root = config.path(setting.root(dataset))
        try:
            there = read(dataset, root)
        except InputError:
            continue
        counts = int(there.is_training.sum()), int((~there.is_training).sum())
        if counts != PUBLISHED_IMAGES[dataset]:
            whole = "{} and {}".format(*PUBLISHED_IMAGES[dataset])
            said.append(f"{root} is a part: {counts[0]} training and {counts[1]} test images, of {whole}")
    return said


def short(setting: Setting, jobs: Sequence[Job], costs: dict[str, Cost], train: TrainConfig) -> list[Missing]:
    """Disk and memory that do not suffice for what is not trained yet."""
    found = []
    needed = sum(_disk(job, costs[job.network]) for job in jobs if not job.is_trained and job.network in costs)
    place = config.path(setting.outputs)
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > free:
        found.append(Missing(f"{needed / _GIB:.1f} GiB of disk are needed, {free / _GIB:.1f} are free", f"at {place}"))
    available = available_memory()
    for network, cost in costs.items():
        # What was measured is certain; what is extrapolated from it refuses nobody.
        wanted = cost.memory_at(min(train.batch_size, cost.batch_size))
        trained = [job.network for job in jobs if not job.is_trained and not job.is_student]
        if wanted > available and network in trained:
            said = f"training {network} takes {wanted / _GIB:.1f} GiB of memory, {available / _GIB:.1f} are there"
            found.append(Missing(said, SMALLER))
    return found


def available_memory() -> int:
    """Bytes of memory of each device, or of the host where the device is a CPU."""
    stats = jax.local_devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def measured(network: str, train: TrainConfig) -> Cost:
    """Trains a network on a few drawn birds at the papers' size, in a process and a folder of its own.

    Raises:
        InputError: it cannot be trained on this machine.
    """
    is_cpu = jax.default_backend() == "cpu"
    first, joint = (
        (PROBE_BATCH, PROBE_BATCH)
        if is_cpu
        else (train.first_stage.batch_size if train.first_stage else train.batch_size, train.batch_size)
    )
    with tempfile.TemporaryDirectory(prefix="galore-plan-") as name:
        folder, run = Path(name), Path(name) / "run"
        per_class = -(-_STEPS * joint // 2)  # three fifths of the images of each of two classes are for training
        birds.write(folder / "birds", birds.SyntheticBirds(2, -(-per_class * 5 // 3), seed=0, size=256))
        given = [
            "dataset=cub", f"dataset.root={folder}/birds", f"model={network}", "model.weights=null",
            f"model.checkpoint={run}", "train=authors", "train.first_stage.epochs=1", "train.epochs=1",
            f"train.first_stage.batch_size={first}", f"train.batch_size={joint}", "train.students=[]",
            f"train.compute={train.compute}",
        ]  # fmt: skip
        program = [sys.executable, str(config.ROOT / "experiments" / "train.py"), *given]
        done = subprocess.run(program, cwd=config.ROOT, capture_output=True, text=True)
        if done.returncode:
            why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise InputError(f"a step of {network} cannot be measured: {why}")
        result = json.loads((run / "result.json").read_text())
        memory = result["peak_memory_host" if is_cpu else "peak_memory_device"]
        seconds = [_last_step(file) for file in (run / "first_stage" / "metrics.jsonl", run / "metrics.jsonl")]
        state = _bytes_of((run / "checkpoints" / "last").resolve())
        return Cost(provenance.device(), joint, seconds[0] / first, seconds[1] / joint, state, memory, _bytes_of(run))


def lines(setting: Setting, jobs: Sequence[Job], costs: dict[str, Cost], train: TrainConfig) -> list[str]:
    """The plan in lines: each job, what it costs, and the sum."""
    table = [("study", "seed", "training", "experiments", "hours", "memory", "disk")]
    hours, disk = 0.0, 0
    for job in jobs:
        cost, images = costs.get(job.network), _images(setting, job.dataset)
        spent, needed, wanted = "", "", ""
        if cost is not None and not (job.is_trained and job.finished == job.experiments):
            own = 0.0 if job.is_trained else _training_hours(job, cost, train, images[0])
            own += (job.experiments - job.finished) / max(1, job.experiments) * _experiment_hours(cost, images[1])
            hours, spent = hours + own, f"{own:.1f}"
            if not job.is_trained:
                disk, needed = disk + _disk(job, cost), f"{_disk(job, cost) / _GIB:.1f} GiB"
                wanted = "" if job.is_student else f"{cost.memory_at(train.batch_size) / _GIB:.1f} GiB"
        count = "" if job.is_student else f"{job.finished} of {job.experiments}"
        table.append((job.study, str(job.seed), job.state, count, spent, wanted, needed))
    widths = [max(map(len, column)) for column in zip(*table)]
    said = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in table]
    if costs:
        one = next(iter(costs.values()))
        said += [
            "",
            f"All of it, one job after the other: {hours:.0f} hours, {disk / _GIB:.1f} GiB of disk. Estimated from "
            f"steps of {one.batch_size} images on {one.device}, as is the memory, at batch {train.batch_size}"
            + (": no more than that." if one.batch_size < train.batch_size else "."),
        ]
    return said


def jobs(
    study: Study, trainings: Sequence[Path], students: Sequence[Path | None], finished: Sequence[Sequence[bool]]
) -> list[Job]:
    """The jobs of a study, one for each seed.

    Args:
        study: that they are of.
        trainings: the folder of each seed's training.
        students: that of the student that it needs.
        finished: for each seed, which of its experiments are.
    """
    about = study.name, study.dataset, study.network
    return [
        Job(*about, seed, training, _is_trained(training), sum(done), len(done), student)
        for seed, training, student, done in zip(study.seeds, trainings, students, finished, strict=True)
    ]


def students(jobs: Sequence[Job]) -> list[Job]:
    """The students of some jobs, each once: networks of one data set and seed share theirs."""
    needing: dict[Path, list[Job]] = {}
    for job in jobs:
        if job.student is not None:
            needing.setdefault(job.student, []).append(job)
    return [
        Job(
            f"{some[0].dataset} student", some[0].dataset, papers.STUDENT, some[0].seed, folder,
            _is_trained(folder) or all(job.is_trained for job in some), 0, 0,
        )
        for folder, some in needing.items()
    ]  # fmt: skip


def costs(networks: Sequence[str], train: TrainConfig, kept: Path) -> tuple[dict[str, Cost], list[Missing]]:
    """What each network costs, measured once on a kind of device and kept in a file; and what cannot be measured.

    Args:
        networks: to be trained.
        train: the options of the training.
        kept: the file.
    """
    known = foreign.json_file(kept, dict[str, Cost], "what trainings cost") if kept.exists() else {}
    found, problems = {}, []
    for network in networks:
        key = f"{network}, batch {train.batch_size}, {train.compute}, {provenance.device()}"
        try:
            cost = known[key] if key in known else measured(network, train)
        except InputError as error:
            problems.append(Missing(str(error), SMALLER))
            continue
        found[network] = known[key] = cost
        with atomic.file(kept) as file:
            plain = {name: dataclasses.asdict(one) for name, one in known.items()}
            file.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    return found, problems


def _is_trained(folder: Path) -> bool:
    return (folder / "result.json").exists()


def _training_hours(job: Job, cost: Cost, train: TrainConfig, images: int) -> float:
    return (cost.seconds_of_student if job.is_student else cost.seconds)(train, images) / 3600


def _disk(job: Job, cost: Cost) -> int:
    return cost.disk_of_student if job.is_student else cost.disk


def _experiment_hours(cost: Cost, images: int) -> float:
    """A step is about three forward passes."""
    return EXPERIMENT_PASSES * images * cost.first_stage / 3 / 3600


def _images(setting: Setting, dataset: str) -> tuple[int, int]:
    """Training and test images that are there, or that the whole data set has."""
    root = config.path(setting.root(dataset))
    try:
        there = read(dataset, root)
    except InputError:
        return PUBLISHED_IMAGES[dataset]
    return int(there.is_training.sum()), int((~there.is_training).sum())


def _check_images(there: PartDataset | SceneDataset) -> None:
    for name, some in (("training", there.is_training), ("test", ~there.is_training)):
        if not some.any():
            raise InputError(f"{there.root} has no {name} images")


def _problem_of_weights(file: Path, network: str, is_rehearsal: bool) -> str:
    if not file.is_file():
        return f"no weights of {network}, {file}"
    expected = factory.ARCHITECTURES[network].published
    assert isinstance(expected, Download)
    if not is_rehearsal and provenance.file_sha256(file) != expected.sha256:
        return f"{file} is not the file that torchvision publishes: its SHA-256 is another one"
    return ""


def _last_step(file: Path) -> float:
    records = [json.loads(line) for line in file.read_text().splitlines()]
    return [record["seconds"] for record in records if "seconds" in record][-1]


def _bytes_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
