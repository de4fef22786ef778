"""From options to objects: the data set, the trained networks, and the test sets that they are evaluated on."""

import functools
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax
import numpy as np

from galore import atomic, foreign, npz, provenance
from galore.attribution import image_path_integrated_gradients
from galore.data import ade20k, cub
from galore.data.ade20k import objects_present
from galore.data.dataset import PartDataset, SceneDataset
from galore.data.preprocessing import Preprocessing
from galore.data.synthetic import birds, scenes
from galore.data.synthetic.birds import SyntheticBirds
from galore.data.synthetic.scenes import SyntheticScenes
from galore.errors import InputError
from galore.evaluation import ground_truth, queries, stability
from galore.evaluation import test_set as test_sets
from galore.evaluation.ground_truth import AttributeTable
from galore.evaluation.methods import AttributionSetting, Score
from galore.evaluation.queries import CounterImages, Queries
from galore.evaluation.test_set import OtherTruth, TestSet
from galore.experiment.config import Config, DatasetConfig, GroundTruthConfig, flat, path, read_options
from galore.models.layers import check_layer
from galore.training import architectures, checkpoint
from galore.training.header import Description

Dataset = PartDataset | SceneDataset


class _Invented(NamedTuple):
    """Data that are drawn on first use: what draws them, from which numbers, what reads the folder and its classes."""

    drawing: ModuleType
    numbers: Callable[[int, int, int, int], Any]
    read: Callable[[Path], Dataset]
    class_names: Callable[[Any], Iterable[str]]


_INVENTED = {
    "synthetic_birds": _Invented(
        birds, birds.SyntheticBirds, cub.read, lambda drawn: (species.name for species in drawn.species)
    ),
    "synthetic_scenes": _Invented(scenes, scenes.SyntheticScenes, ade20k.read, lambda drawn: sorted(drawn.class_names)),
}


def dataset(config: DatasetConfig, workers: int = 1) -> Dataset:
    """The data set of the options; invented ones are made on first use.

    Raises:
        InputError: files that are missing or damaged, or a folder that holds other invented images.
    """
    root = path(config.root)
    if not config.is_invented:
        read = cub.read if config.kind == "cub" else ade20k.read
        return read(root, None if config.classes is None else list(config.classes))
    drawing, drawn = _INVENTED[config.kind].drawing, invented(config)
    if not root.exists():
        with atomic.turn(root):  # runs that start together need the same images
            if not root.exists():
                # To start a process takes as long as to draw some hundred images.
                drawing.write(root, drawn, workers=min(workers, max(len(drawn) // 100, 1)))
    if drawing.read(root) != drawn:
        raise InputError(f"{root} holds other images than dataset asks for; name another dataset.root")
    return _INVENTED[config.kind].read(root)


def invented(config: DatasetConfig) -> Any:
    """The numbers that invented data follow from."""
    return _INVENTED[config.kind].numbers(config.classes, config.per_class, config.seed, config.size)  # type: ignore[arg-type]


def birds_of(config: Config) -> SyntheticBirds | None:
    """The invented birds of the data set, which can be drawn again; None for other data."""
    return invented(config.dataset) if config.dataset.kind == "synthetic_birds" else None


def scenes_of(config: Config) -> tuple[SyntheticScenes, np.ndarray] | None:
    """The invented scenes of the data set, which can be drawn again, and the numbers of the test images, as they count
    them; None for other data."""
    if config.dataset.kind != "synthetic_scenes":
        return None
    drawn, whole = invented(config.dataset), _dataset(config.dataset)
    numbers = {name: number for number, name in enumerate(drawn.names(), 1)}
    return drawn, np.array([numbers[Path(file).stem] for file in whole.subset(~whole.is_training).paths])


def test_set(config: Config, *, run: str | None = None, layer: str | None = None, needs_parts: bool = False) -> TestSet:
    """The network of the options on the test images of the data set; made once for the same network and layer.

    Args:
        config: the options.
        run: another training run than that of the options.
        layer: another layer than that of the options (of another run: its own).
        needs_parts: the caller's metrics are about parts.

    Raises:
        InputError: the data set has no parts although they are needed, there is no checkpoint, it is of other classes,
            its predictor is asked for and missing, or no image counts; before anything is drawn or decoded.
    """
    if needs_parts and not config.dataset.has_parts:
        raise InputError(f"{config.dataset.name} has no annotated parts, which this experiment needs; try dataset=cub")
    layer = layer or (None if run else config.model.layer)
    run = run or config.checkpoint
    described = _checked(config, run)
    if config.score is Score.EASINESS and described.predictor_layer is None:
        raise InputError(f"confidence=easiness needs a hardness predictor, and {run} was trained without one")
    return _test_set(config.dataset, config.ground_truth, run, layer, config.explanation.batch_size)


def forget() -> None:
    """Lets go of the data sets and networks that are kept for the next experiment of the same study."""
    for kept in (_class_names, _test_set, _decoded, _dataset, _truth):
        kept.cache_clear()


def users(config: Config, evaluated: TestSet) -> list[Queries]:
    """The queries of each user, with the counter images of the options."""
    return queries.users(evaluated, config.seed, CounterImages(config.explanation.counter_images))


def along_images(evaluated: TestSet) -> AttributionSetting:
    """Integrated gradients as the authors take them: along the image from a black one, as the network sees it."""
    preprocessing = evaluated.net.preprocessing
    black = (0.0,) if preprocessing is None else preprocessing.normalise(np.zeros((1, 3), np.uint8))[0]
    path = tuple(float(value) for value in black)
    return AttributionSetting.of(image_path_integrated_gradients, "integrated gradients", black=path, steps=50)


def with_margin(config: Config, evaluated: TestSet, rows: np.ndarray) -> TestSet:
    """Some images of the test set of the options with the margin that shifts need; see `stability.with_margin`."""
    whole = _dataset(config.dataset)
    assert isinstance(whole, PartDataset)
    return stability.with_margin(evaluated, whole.subset(~whole.is_training), rows)


def with_part_tables(config: Config, evaluated: TestSet) -> TestSet:
    """The test set of the options with part tables, fitted to training images of its data set."""
    whole = _dataset(config.dataset)
    training, key = whole.subset(whole.is_training), jax.random.key(config.seed)
    return test_sets.with_part_tables(evaluated, training, key, batch_size=config.explanation.batch_size)


def layers(config: Config, run: str) -> list[str]:
    """The layers of the options, or those that a training run's network has compared (`compared_layers`).

    Raises:
        InputError: the network has no such layer.
    """
    description = checkpoint.read_description(run_folder(config, run))
    module = architectures.module(description.network, len(description.class_names))
    if config.explanation.layers is None:
        return module.compared_layers()
    return [check_layer(module, layer) for layer in config.explanation.layers]


def networks(config: Config) -> dict[str, dict[str, str]]:
    """The training runs of the options, each with the label that tells its rows from those of the others.

    The label is the network's name, with the run's name beside it where several runs trained the same network; there
    is none where there is one run only.

    Raises:
        InputError: one of the runs is missing or of other classes.
    """
    names = {run: _checked(config, run).network for run in config.checkpoints}
    if len(names) == 1:
        return {run: {} for run in names}
    doubled = {name for name in names.values() if list(names.values()).count(name) > 1}
    return {run: {"network": _training_of(run) if name in doubled else name} for run, name in names.items()}


def remarks(evaluated: TestSet) -> tuple[str, ...]:
    """What a reader has to know about the test set of a table."""
    accuracy = np.mean(evaluated.predicted == evaluated.labels)
    said = [
        f"Network: {evaluated.net.name}, layer {evaluated.net.layer}; {len(evaluated)} test images of "
        f"{len(evaluated.class_names)} classes, accuracy {accuracy:.3f}"
    ]
    if evaluated.student is not None:
        said.append(f"student {np.mean(evaluated.student == evaluated.labels):.3f}")
    if evaluated.predictor is None:
        said.append("no hardness predictor, so that rows with easiness and hardness are missing")
    if evaluated.student is None:
        said.append("no student, so that there is no advanced user")
    judged = []
    if evaluated.other is not None:
        discriminant, shared = evaluated.other.discriminant_table.other, evaluated.other.shared_table.other
        judged.append(
            f"Parts that tell classes apart are those of {discriminant.phrase}, shared parts those of {shared.phrase}, "
            "unless a number names the other one."
        )
    return ("; ".join(said) + ".", *judged)


def hashes(config: Config) -> dict[str, str]:
    """What identifies the trained networks (the hash of their parameters) and the test images (of paths and labels)."""
    runs = {Path(run).name: path(run) for run in config.checkpoints}
    files = {name: checkpoint.read_header(folder)["params_sha256"] for name, folder in runs.items()}
    known = _predictions(next(iter(runs.values())) / "predictions.npz")
    images = {name: known[name] for name in ("paths", "labels")}
    return files | {f"test images of {config.dataset.name}": provenance.params_sha256(images)}


def trainings(config: Config) -> dict[str, str]:
    """How the networks were trained, by run: the name of the training options; of runs that say so."""
    files = {Path(run).name: path(run) / "config.yaml" for run in config.checkpoints}
    names = {name: flat(read_options(file)).get("train.name") for name, file in files.items() if file.exists()}
    return {name: str(trained) for name, trained in names.items()}


def run_folder(config: Config, run: str) -> Path:
    """The folder of a training run.

    Raises:
        InputError: it does not exist; the message says how to train.
    """
    folder = path(run)
    if not folder.exists():
        raise InputError(
            f"{run} does not exist; train it with python experiments/train.py dataset={config.dataset.name} "
            f"model={config.model.name}, or give model.checkpoint=FOLDER"
        )
    return folder


def _training_of(run: str) -> str:
    """How a network was trained, as a label: its name and that of the training run, which is the same for all seeds."""
    name = re.sub(r"-seed\d+$", "", Path(run).name)
    return f"{checkpoint.read_description(path(run)).network} ({name})"


def _checked(config: Config, run: str) -> Description:
    """The description of a training run, once it is certain that it is of the classes of the data set."""
    described, names = checkpoint.read_description(run_folder(config, run)), _class_names(config.dataset)
    if names != tuple(described.class_names):
        raise InputError(
            f"{run} was trained on {len(described.class_names)} other classes than the {len(names)} of "
            f"{config.dataset.name}; give the checkpoint that was trained on it"
        )
    return described


@functools.lru_cache(maxsize=2)
def _class_names(config: DatasetConfig) -> tuple[str, ...]:
    """The classes in the order of their labels; those of invented data are known before anything is drawn."""
    if config.is_invented:
        return tuple(_INVENTED[config.kind].class_names(invented(config)))
    return tuple(_dataset(config).class_names)


@functools.lru_cache(maxsize=6)
def _test_set(
    config: DatasetConfig, judged: GroundTruthConfig, run: str, layer: str | None, batch_size: int
) -> TestSet:
    opened = checkpoint.read(path(run))
    net = opened.network(layer)
    whole = _dataset(config)
    test = whole.subset(~whole.is_training)
    easiness = None if opened.description.predictor_layer is None else opened.predictor(net.layer)
    student = _student(path(run), test)
    discriminant, shared, other = _truth(config, judged)
    decoded = None if net.preprocessing is None else _decoded(config, net.preprocessing, batch_size)
    known: dict[str, Any] = {"predictor": easiness, "student": student, "other": other, "decoded": decoded}
    return test_sets.build(net, test, discriminant, shared, **known, batch_size=batch_size)


@functools.lru_cache(maxsize=2)
def _decoded(config: DatasetConfig, preprocessing: Preprocessing, batch_size: int) -> dict[str, np.ndarray]:
    """The test images, decoded once for all networks that see them alike."""
    whole = _dataset(config)
    return test_sets.decode(whole.subset(~whole.is_training), preprocessing, batch_size)


@functools.lru_cache(maxsize=2)
def _dataset(config: DatasetConfig) -> Dataset:
    return dataset(config)


@functools.lru_cache(maxsize=2)
def _truth(config: DatasetConfig, judged: GroundTruthConfig) -> tuple[np.ndarray, np.ndarray, OtherTruth | None]:
    """Discriminant and shared parts or objects by pair of classes; of parts also by the other tables of attributes."""
    whole = _dataset(config)
    if isinstance(whole, SceneDataset):
        training = whole.subset(whole.is_training)
        frequencies = ground_truth.object_frequencies(objects_present(training), training)
        return ground_truth.discriminant_objects(frequencies), ground_truth.shared_objects(frequencies), None
    chosen = AttributeTable(judged.discriminant), AttributeTable(judged.shared)

    def by(discriminant: AttributeTable, shared: AttributeTable) -> tuple[np.ndarray, np.ndarray]:
        return (
            ground_truth.discriminant_parts(whole, discriminant, judged.divergence),
            ground_truth.shared_parts(whole, shared, judged.divergence),
        )

    others = (chosen[0].other, chosen[1].other)
    return *by(*chosen), OtherTruth(*by(*others), *others)


def _predictions(file: Path) -> dict[str, np.ndarray]:
    """What a training run wrote about the test images, by name.

    Raises:
        InputError: it is missing or damaged.
    """
    expected = "the predictions of a training run"
    with (
        foreign.open_regular(file, expected) as opened,
        foreign.understood(file, expected),
        npz.opened(opened) as arrays,
    ):
        known = {name: arrays[name] for name in ("paths", "labels", "logits", "student")}
        paths, labels, logits, student = known.values()
        if logits.ndim != 2 or not paths.shape == labels.shape == student.shape == logits.shape[:1]:
            raise ValueError("its arrays are about different numbers of images")
        return known


def _student(run: Path, test: Any) -> np.ndarray | None:
    """What the student of a training run predicts for the test images.

    Raises:
        InputError: the run predicted other images, or no query can be made of these.
    """
    file = run / "predictions.npz"
    if not file.exists():
        raise InputError(f"{file} is missing: train to the end with python experiments/train.py")
    known = _predictions(file)
    paths, labels, student = known["paths"], known["labels"], known["student"]
    right = known["logits"].argmax(-1) == labels
    if tuple(paths) != test.paths:
        raise InputError(f"{file} is about other test images than those of {test.name}; train on this data set")
    if not right.any():
        raise InputError(f"no image counts: the network of {run} gets none of the {len(labels)} test images right")
    if (student < 0).all():
        return None
    mistaken = right & (student != labels)
    if not mistaken.any():
        raise InputError(f"no image counts for the advanced user: the student of {run} is wrong on none that count")
    if not np.isin(student[mistaken], labels).any():
        raise InputError(f"no image counts for the advanced user: no class that {run}'s student says has a test image")
    return student.astype(np.int32)
