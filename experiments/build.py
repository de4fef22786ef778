"""From options to objects: the data set, the trained network, its predictor, its student."""

from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from galore.confidence import Predictor
from galore.data import ade20k, cub
from galore.data.dataset import PartDataset, SceneDataset
from galore.data.synthetic import birds, scenes
from galore.errors import InputError
from galore.training import checkpoint

ROOT = Path(__file__).resolve().parents[1]


class Invented(NamedTuple):
    """Data that are drawn on first use: what draws them, from which numbers, what reads the folder and its classes."""

    drawing: ModuleType
    numbers: Callable[[int, int, int, int], Any]
    read: Callable[[Path], PartDataset | SceneDataset]
    class_names: Callable[[Any], Iterable[str]]


INVENTED = {
    "synthetic_birds": Invented(
        birds, birds.SyntheticBirds, cub.read, lambda flock: (species.name for species in flock.species)
    ),
    "synthetic_scenes": Invented(scenes, scenes.SyntheticScenes, ade20k.read, lambda album: sorted(album.class_names)),
}


def path(name: str | Path) -> Path:
    """A path of the options: relative ones start at the project's folder, wherever the program runs."""
    return ROOT / name


def dataset(options: Any, workers: int = 1) -> PartDataset | SceneDataset:
    """The data set of `cfg.dataset`; invented ones are made on first use.

    Raises:
        InputError: an unknown kind, or files that are missing or damaged.
    """
    root, classes = path(options.root), options.get("classes")
    if options.kind == "cub":
        return cub.read(root, None if classes is None else list(classes))
    if options.kind == "ade20k":
        return ade20k.read(root, None if classes is None else list(classes))
    if options.kind in INVENTED:
        kind = INVENTED[options.kind]
        _draw_once(root, kind.drawing, invented(options), workers)
        return kind.read(root)
    raise InputError(f"dataset.kind={options.kind}: expected cub, ade20k or {', '.join(INVENTED)}")


def invented_classes(options: Any) -> tuple[str, ...]:
    """The classes of invented data in the order of their labels, known before anything is drawn."""
    return tuple(INVENTED[options.kind].class_names(invented(options)))


def invented(options: Any) -> Any:
    """The flock or album that invented data follow from."""
    return INVENTED[options.kind].numbers(options.classes, options.per_class, options.seed, options.size)


def _draw_once(root: Path, drawing: ModuleType, asked: Any, workers: int) -> None:
    """Draws an invented data set, unless the same one lies there."""
    if not root.exists():
        drawing.write(root, asked, workers=workers)
    elif drawing.read(root) != asked:
        raise InputError(f"{root} holds other images than dataset asks for; name another dataset.root")


def test_part(whole: PartDataset | SceneDataset) -> PartDataset | SceneDataset:
    """The test images; `predictions` are in their order."""
    return whole.subset(~whole.is_training)


def predictor(cfg: Any, layer: str | None = None) -> Predictor:
    """The easiness predictor that was trained with the network.

    Raises:
        InputError: there is none.
    """
    return checkpoint.load_predictor(run_folder(cfg), layer or cfg.model.layer)


def predictions(cfg: Any) -> dict[str, np.ndarray]:
    """What was predicted for the test images, row by row as in `test_part(dataset)`.

    Returns:
        "paths", "labels" [n], "logits" [n, C], "hardness" [n] (nan without a predictor), and the classes that the users
        see: "student" [n] (-1 without one) and "beginner" [n], random by the training's seed.
    """
    file = run_folder(cfg) / "predictions.npz"
    if not file.exists():
        raise InputError(f"{file} is missing: train to the end with python experiments/train.py")
    with np.load(file) as arrays:
        return dict(arrays)


def run_folder(cfg: Any, run: str | None = None) -> Path:
    """The folder of a training run, by default that of the options.

    Raises:
        InputError: it does not exist; the message says how to train.
    """
    folder = path(run or cfg.model.checkpoint)
    if not folder.exists():
        raise InputError(
            f"{run or cfg.model.checkpoint} does not exist; train it with python experiments/train.py "
            f"dataset={cfg.dataset.name} model={cfg.model.name}, or give model.checkpoint=FOLDER"
        )
    return folder
