"""The header of a checkpoint: what its arrays are, and what made them. Plain JSON beside the arrays."""

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, TypedDict

import jax
import msgspec

import galore
from galore import foreign, provenance
from galore.data.preprocessing import Preprocessing
from galore.errors import InputError
from galore.training import architectures, hardness
from galore.training.architectures import shapes

FORMAT = "galore checkpoint"
VERSION = 1
LARGEST = 16 * 2**20
"""Bytes of a header; a thousand class names need fifty thousand."""

_LARGEST_SIDE, _MOST_WIDTHS, _LARGEST_WIDTH = 1 << 14, 16, 1 << 16
_EXPECTED = "the header of a checkpoint"
_SHA256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class _Progress(TypedDict, total=False):
    best: float
    best_step: _Count
    worse: _Count
    choices: dict[str, Any]


class Header(TypedDict):
    """What stands in the file; `Description` is the type of its description."""

    format: str
    version: int
    description: dict[str, Any]
    layers: list[str]
    step: _Count
    progress: _Progress
    params_sha256: _SHA256
    optimiser_sha256: _SHA256
    galore: str
    git: dict[str, Any] | None


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
        if os.path.isfile(candidate / "header.json"):
            return candidate.resolve()
    shown = foreign.text(path)
    unfinished = [*path.glob(".step-*.unfinished"), *path.glob("checkpoints/.step-*.unfinished")]
    if os.path.isdir(path / "params") or unfinished:
        raise InputError(f"{shown} holds a checkpoint that was not finished (no header.json); train again to resume")
    raise InputError(f"{shown} is no checkpoint: expected a folder with header.json, or the folder of a training run")


def is_checkpoint(path: str | Path) -> bool:
    """Whether a path leads to a checkpoint, finished or not, rather than to something else."""
    path = Path(path)
    places = (path, path / "best", path / "checkpoints" / "best")
    return os.path.isdir(path) and any(
        os.path.exists(place / name) for place in places for name in ("header.json", "params")
    )


def read_header(path: str | Path) -> dict[str, Any]:
    """What a checkpoint says about itself: a `Header`, and what newer versions add.

    Raises:
        InputError: it is none, is damaged, or was written by another version.
    """
    folder = find(path)
    file = folder / "header.json"
    content, shown = foreign.read_bytes(file, _EXPECTED, LARGEST), foreign.text(file)
    known = foreign.json_text(content, dict[str, Any], shown, _EXPECTED)
    written_as, version = known.get("format"), known.get("version")
    if written_as != FORMAT:
        raise InputError(f"{shown} is of the format {foreign.text(written_as, 60)!r}, expected {FORMAT!r}")
    if version != VERSION:
        version = foreign.text(version, 60)
        raise InputError(
            f"{shown} is of version {version}, expected {VERSION}: train again with this version of galore"
        )
    foreign.json_text(content, Header, shown, _EXPECTED)
    description_in(known, folder)
    return known


def read_description(path: str | Path) -> Description:
    """What the parameters of a checkpoint belong to.

    Raises:
        InputError: as `read_header`.
    """
    return description_in(read_header(path), find(path))


def description_in(header: Mapping[str, Any], folder: Path) -> Description:
    """The description in a header.

    Args:
        header: as `read_header` gives it.
        folder: of the checkpoint, for the message.

    Raises:
        InputError: the header lacks something, or something is of another type.
    """
    try:
        described = msgspec.convert(header["description"], Description)
    except msgspec.ValidationError as error:
        where = foreign.text(folder / "header.json")
        raise InputError(f"{where} is damaged, expected {_EXPECTED}: its description says {error}") from error
    lacking = [
        field.name for field in fields(Preprocessing) if field.name not in header["description"]["preprocessing"]
    ]
    if problem := f"preprocessing lacks {', '.join(lacking)}" if lacking else _problem(described):
        raise InputError(f"{foreign.text(folder / 'header.json')} is damaged, expected {_EXPECTED}: {problem}")
    return described


def _problem(description: Description) -> str:
    """What no training writes, in words; "" where there is nothing."""
    pre, widths = description.preprocessing, description.predictor_widths
    if description.network not in architectures.names():
        return f"there is no network {foreign.text(description.network, 60)!r}"
    if not description.class_names:
        return "it names no class"
    if pre.resize > _LARGEST_SIDE or not all(math.isfinite(value) for value in (*pre.mean, *pre.std)):
        return f"its preprocessing is impossible, expected finite numbers and at most {_LARGEST_SIDE} pixels"
    if len(widths) > _MOST_WIDTHS or not all(0 < width <= _LARGEST_WIDTH for width in widths):
        return f"predictor_widths are impossible, expected at most {_MOST_WIDTHS} from 1 to {_LARGEST_WIDTH}"
    return ""


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
