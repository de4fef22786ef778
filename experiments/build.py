"""From options to objects: the data set, the trained network, its predictor, its student."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from galore.confidence import Predictor
from galore.data import ade20k, cub, synthetic_birds, synthetic_scenes
from galore.data.dataset import PartDataset, SceneDataset
from galore.errors import InputError
from galore.network import Network
from galore.training import checkpoint

ROOT = Path(__file__).resolve().parents[1]
INVENTED = {
    "synthetic_birds": (synthetic_birds, synthetic_birds.Flock, cub.read),
    "synthetic_scenes": (synthetic_scenes, synthetic_scenes.Album, ade20k.read),
}
"""Kinds of data that are drawn on first use: what draws them, from which numbers, and what reads the folder."""


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
        drawing, make, read = INVENTED[options.kind]
        _draw_once(root, drawing, make(options.classes, options.per_class, options.seed, options.size), workers)
        return read(root)
    raise InputError(f"dataset.kind={options.kind}: expected cub, ade20k or {', '.join(INVENTED)}")


def _draw_once(root: Path, drawing: ModuleType, asked: Any, workers: int) -> None:
    """Draws an invented data set, unless the same one lies there."""
    if not root.exists():
        drawing.write(root, asked, workers=workers)
    elif drawing.read(root) != asked:
        raise InputError(f"{root} holds other images than dataset asks for; name another dataset.root")


def test_part(whole: PartDataset | SceneDataset) -> PartDataset | SceneDataset:
    """The test images; `predictions` are in their order."""
    return whole.subset(~whole.is_training)


def network(cfg: Any, layer: str | None = None) -> Network:
    """The trained network of `cfg.model.checkpoint`, cut at `layer` (None: `cfg.model.layer`).

    Raises:
        InputError: there is no checkpoint, or it does not fit; the message says how to train one.
    """
    return checkpoint.load_network(_checkpoint(cfg), layer or cfg.model.layer)


def predictor(cfg: Any, layer: str | None = None) -> Predictor:
    """The easiness predictor that was trained with the network.

    Raises:
        InputError: there is none.
    """
    return checkpoint.load_predictor(_checkpoint(cfg), layer or cfg.model.layer)


def predictions(cfg: Any) -> dict[str, np.ndarray]:
    """What was predicted for the test images, row by row as in `test_part(dataset)`.

    Returns:
        "paths", "labels" [n], "logits" [n, C], "hardness" [n] (nan without a predictor), and the classes that the users
        see: "student" [n] (-1 without one) and "beginner" [n], random by the training's seed.
    """
    file = _checkpoint(cfg) / "predictions.npz"
    if not file.exists():
        raise InputError(f"{file} is missing: train to the end with python experiments/train.py")
    with np.load(file) as arrays:
        return dict(arrays)


def _checkpoint(cfg: Any) -> Path:
    folder = path(cfg.model.checkpoint)
    if not folder.exists():
        raise InputError(
            f"{cfg.model.checkpoint} does not exist; train it with python experiments/train.py "
            f"dataset={cfg.dataset.name} model={cfg.model.name}, or give model.checkpoint=FOLDER"
        )
    return folder
