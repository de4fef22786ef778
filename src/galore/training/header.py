"""The header of a checkpoint: what its arrays are, and what made them. Plain JSON beside the arrays."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax

import galore
from galore import provenance
from galore.data.preprocessing import Preprocessing
from galore.errors import InputError
from galore.training import architectures, hardness
from galore.training.architectures import shapes

FORMAT = "galore checkpoint"
VERSION = 1


@dataclass(frozen=True)
class Description:
    """What the parameters belong to.

    Attributes:
        network: its name, one of `architectures.names()`.
        class_names: in the order of the logits.
        preprocessing: what the network expects.
        layer: where the network is cut unless another layer is requested.
        predictor_layer: whose activations the hardness predictor reads; None: there is no predictor.
        predictor_widths: the sizes of its hidden layers.
        predictor_trunk: whether the predictor has a trunk of its own, of the same architecture; the layer is then the
            trunk's.
    """

    network: str
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    layer: str
    predictor_layer: str | None = None
    predictor_widths: tuple[int, ...] = ()
    predictor_trunk: bool = False


def without_predictor(description: Description) -> Description:
    """The description of the classifier alone."""
    return replace(description, predictor_layer=None, predictor_widths=(), predictor_trunk=False)


def find(path: str | Path) -> Path:
    """The folder of a checkpoint: itself, or the best one of a folder of checkpoints or of a run.

    Raises:
        InputError: there is none.
    """
    path = Path(path)
    for candidate in (path, path / "best", path / "checkpoints" / "best"):
        if (candidate / "header.json").is_file():
            return candidate.resolve()
    unfinished = [*path.glob(".step-*.unfinished"), *path.glob("checkpoints/.step-*.unfinished")]
    if (path / "params").is_dir() or unfinished:
        raise InputError(f"{path} holds a checkpoint that was not finished (no header.json); train again to resume")
    raise InputError(f"{path} is no checkpoint: expected a folder with header.json, or the folder of a training run")


def is_checkpoint(path: str | Path) -> bool:
    """Whether a path leads to a checkpoint, finished or not, rather than to something else."""
    path = Path(path)
    places = (path, path / "best", path / "checkpoints" / "best")
    return path.is_dir() and any((place / name).exists() for place in places for name in ("header.json", "params"))


def read_header(path: str | Path) -> dict[str, Any]:
    """What a checkpoint says about itself.

    Raises:
        InputError: it is none, is damaged, or was written by another version.
    """
    file = find(path) / "header.json"
    try:
        header = json.loads(file.read_text(encoding="utf-8"))
        written_as, version = header["format"], header["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} is damaged, expected the header of a checkpoint: {error}") from error
    if written_as != FORMAT:
        raise InputError(f"{file} is of the format {written_as!r}, expected {FORMAT!r}")
    if version != VERSION:
        raise InputError(f"{file} is of version {version}, expected {VERSION}: train again with this version of galore")
    return header


def read_description(path: str | Path) -> Description:
    """What the parameters of a checkpoint belong to.

    Raises:
        InputError: as `read_header`, or the header lacks something.
    """
    return description_in(read_header(path), find(path))


def description_in(header: Mapping[str, Any], folder: Path) -> Description:
    """The description in a header.

    Args:
        header: as `read_header` gives it.
        folder: of the checkpoint, for the message.

    Raises:
        InputError: the header lacks something.
    """
    try:
        known = dict(header["description"])
        pre = known.pop("preprocessing")
        preprocessing = Preprocessing(pre["resize"], pre["crop"], tuple(pre["mean"]), tuple(pre["std"]))
        names, widths = tuple(known.pop("class_names")), tuple(known.pop("predictor_widths"))
        return Description(class_names=names, preprocessing=preprocessing, predictor_widths=widths, **known)
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder / 'header.json'} is damaged: it lacks or misnames {error}") from error


def predictor_module(description: Description) -> hardness.HardnessPredictor | hardness.HardnessNetwork:
    """The structure of the hardness predictor, without values; the description has one."""
    network, layer, widths = description.network, description.predictor_layer, description.predictor_widths
    if description.predictor_trunk:
        return hardness.with_trunk(network, widths)
    return hardness.module(architectures.channels(network, layer, description.preprocessing), widths)


def expected_shapes(description: Description) -> dict[str, jax.ShapeDtypeStruct]:
    """The names and shapes that a checkpoint of this description holds."""
    expected = shapes(architectures.module(description.network, len(description.class_names)))
    if description.predictor_layer is None:
        return expected
    return expected | hardness.prefixed(shapes(predictor_module(description)))


def make(
    description: Description,
    params: Mapping[str, Any],
    leaves: Mapping[str, Any],
    step: int,
    progress: Mapping[str, Any],
) -> dict[str, Any]:
    """The header of a checkpoint, as data for JSON.

    Args:
        description: what the parameters belong to.
        params: all of them, by dotted name.
        leaves: of the optimiser's state, by number.
        step: how many optimisation steps were taken.
        progress: plain data that a resumed run needs.
    """
    module = architectures.module(description.network, len(description.class_names))
    return {
        "format": FORMAT,
        "version": VERSION,
        "description": asdict(description),
        "layers": list(module.layers()),
        "step": step,
        "progress": dict(progress),
        "params_sha256": provenance.params_sha256(dict(params)),
        "optimiser_sha256": provenance.params_sha256(dict(leaves)),
        "galore": galore.__version__,
        "git": provenance.git(),
    }
