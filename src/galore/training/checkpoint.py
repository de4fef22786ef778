"""Checkpoints: parameters, optimiser, step and a header that says what made them.

    FOLDER/step-00000120/header.json     format, version, network, classes, preprocessing, progress, git, hashes
    FOLDER/step-00000120/params/         written by orbax
    FOLDER/step-00000120/optimiser/      likewise; only needed to go on training
    FOLDER/best -> step-00000090         links, replaced in one move
    FOLDER/last -> step-00000120

A step appears whole or not at all, and the links move afterwards, so that `last` always leads to a complete one.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from jaxtyping import Array, PyTree, Shaped

import galore
from galore import provenance
from galore.confidence import Predictor
from galore.errors import InputError
from galore.network import Network
from galore.preprocessing import Preprocessing
from galore.training import architectures, hardness
from galore.training.forward import shapes

FORMAT = "galore checkpoint"
VERSION = 1


@dataclass(frozen=True)
class Description:
    """What the parameters belong to.

    Attributes:
        network: its name, one of `architectures.names()`.
        class_names: in the order of the logits.
        preprocessing: what the network expects.
        layer: where the network is cut when nothing else is asked for.
        predictor_layer: whose activations the hardness predictor reads; None: there is no predictor.
        predictor_widths: the sizes of its hidden layers.
    """

    network: str
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    layer: str
    predictor_layer: str | None = None
    predictor_widths: tuple[int, ...] = ()


def save(
    folder: str | Path,
    description: Description,
    params: Mapping[str, Shaped[Array, "..."]],
    *,
    step: int = 0,
    optimiser: PyTree = None,
    progress: Mapping[str, Any] | None = None,
    links: tuple[str, ...] = ("best", "last"),
    suffix: str = "",
) -> Path:
    """Writes one checkpoint and points the links at it; steps that no link points to are removed.

    Args:
        folder: of all checkpoints of a run.
        description: what the parameters belong to.
        params: by dotted name; those of the predictor begin with "hardness.".
        step: how many optimisation steps were taken.
        optimiser: its state, any pytree of arrays.
        progress: seed, epoch, best value so far ...: plain data for JSON, given back by `read_header`.
        links: which of "best" and "last" it becomes.
        suffix: of the folder's name, to tell apart two checkpoints of one step.

    Returns:
        The folder of the checkpoint.

    Raises:
        InputError: it cannot be written, for instance because the disk is full; what was there before is kept.
    """
    folder = Path(folder).absolute()
    name = f"step-{step:08d}{suffix}"
    final, unfinished = folder / name, folder / f".{name}.unfinished"
    try:
        if _is_main() and not (final / "header.json").exists():
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
        _barrier(f"checkpoint-{name}-begins")
        if not (final / "header.json").exists():
            leaves = {f"{index:05d}": leaf for index, leaf in enumerate(jax.tree.leaves(optimiser))}
            _write_arrays(unfinished / "params", dict(params))
            _write_arrays(unfinished / "optimiser", leaves)
            if _is_main():
                header = _header(description, params, leaves, step, progress or {})
                (unfinished / "header.json").write_text(json.dumps(header, indent=2) + "\n", encoding="utf-8")
                os.replace(unfinished, final)
        if _is_main():
            for link in links:
                _point(folder / link, final.name)
            _prune(folder)
        _barrier(f"checkpoint-{name}-ends")
    except (OSError, ValueError) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"cannot write the checkpoint {final}: {reason}; earlier ones are kept") from error
    return final


def without_predictor(description: Description) -> Description:
    """The description of the classifier alone."""
    return replace(description, predictor_layer=None, predictor_widths=())


def add_predictor(path: str | Path, description: Description, params: Mapping[str, Shaped[Array, "..."]]) -> None:
    """Gives a finished checkpoint the predictor that was trained on its frozen activations.

    Args:
        path: of the checkpoint.
        description: with the predictor.
        params: the classifier's, as they are there, and the predictor's.

    Raises:
        InputError: as `save`.
    """
    folder, header = find(path), read_header(path)
    save(
        folder.parent, description, params, step=header["step"], progress=header["progress"], links=("best",),
        suffix="-with-predictor",
    )  # fmt: skip


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
        found = header["format"]
        version = header["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} is damaged, expected the header of a checkpoint: {error}") from error
    if found != FORMAT:
        raise InputError(f"{file} is of the format {found!r}, expected {FORMAT!r}")
    if version != VERSION:
        raise InputError(f"{file} is of version {version}, expected {VERSION}: train again with this version of galore")
    return header


def read_description(path: str | Path) -> Description:
    """What the parameters of a checkpoint belong to.

    Raises:
        InputError: as `read_header`, or the header lacks something.
    """
    header = read_header(path)
    try:
        known = dict(header["description"])
        pre = known.pop("preprocessing")
        preprocessing = Preprocessing(pre["resize"], pre["crop"], tuple(pre["mean"]), tuple(pre["std"]))
        names, widths = tuple(known.pop("class_names")), tuple(known.pop("predictor_widths"))
        return Description(class_names=names, preprocessing=preprocessing, predictor_widths=widths, **known)
    except (KeyError, TypeError) as error:
        raise InputError(f"{find(path) / 'header.json'} is damaged: it lacks or misnames {error}") from error


def load_params(path: str | Path) -> dict[str, Array]:
    """The parameters of a checkpoint, by dotted name, checked against the network that its header names.

    Raises:
        InputError: they are damaged or belong to another network.
    """
    folder, header, description = find(path), read_header(path), read_description(path)
    expected = expected_shapes(description)
    arrays = _read_arrays(folder / "params")
    if missing := sorted(set(expected) ^ set(arrays)):
        raise InputError(f"{folder} does not hold the network {description.network!r}: {missing[0]} is in only one")
    for name, array in arrays.items():
        if array.shape != expected[name].shape:
            raise InputError(
                f"{folder} does not hold the network {description.network!r}: {name} has the shape {array.shape}, "
                f"expected {expected[name].shape}"
            )
    _check_hash(folder, arrays, header["params_sha256"])
    return {name: jax.numpy.asarray(array) for name, array in arrays.items()}


def load_optimiser(path: str | Path, like: PyTree) -> PyTree:
    """The optimiser's state, to go on with.

    Args:
        path: of a checkpoint.
        like: a state of the same optimiser for the same parameters, whose structure it takes.

    Raises:
        InputError: it is damaged or of another optimiser.
    """
    folder, header = find(path), read_header(path)
    arrays = _read_arrays(folder / "optimiser")
    leaves = [arrays[name] for name in sorted(arrays)]
    wanted = jax.tree.leaves(like)
    if [leaf.shape for leaf in leaves] != [np.shape(leaf) for leaf in wanted]:
        raise InputError(
            f"{folder} was trained with another optimiser or other parameters; resume with the same choices"
        )
    _check_hash(folder, arrays, header["optimiser_sha256"])
    return jax.tree.unflatten(jax.tree.structure(like), [jax.numpy.asarray(leaf) for leaf in leaves])


def load_network(path: str | Path, layer: str | None = None) -> Network:
    """The trained network, ready to be explained, with its class names and preprocessing.

    Args:
        path: of a checkpoint, of a folder of them (the best is taken) or of a training run.
        layer: where to cut; None: where its header says.

    Raises:
        InputError: there is no checkpoint, it is damaged, of another version or of another network, or an unknown
            layer.
    """
    description, params = read_description(path), load_params(path)
    return architectures.network(
        description.network,
        {name: value for name, value in params.items() if not name.startswith(hardness.PREFIX)},
        layer=layer or description.layer,
        class_names=description.class_names,
        preprocessing=description.preprocessing,
    )


def load_predictor(path: str | Path, layer: str | None = None) -> Predictor:
    """The hardness predictor that was trained with the network, as the confidence score "easiness".

    Args:
        path: as in `load_network`.
        layer: where the explained network is cut. Where that is not the layer that the predictor reads, the
            predictor computes its own activations.

    Raises:
        InputError: as `load_network`, or the checkpoint has no predictor.
    """
    description, params = read_description(path), load_params(path)
    if description.predictor_layer is None:
        raise InputError(
            f"{find(path)} was trained without a hardness predictor; train with hardness, or choose another"
        )
    network = load_network(path, description.predictor_layer)
    own = {name: value for name, value in params.items() if name.startswith(hardness.PREFIX)}
    channels = own[f"{hardness.PREFIX}linears.0.kernel"].shape[0]
    shared = (layer or description.layer) == description.predictor_layer
    return hardness.as_confidence(own, channels, description.predictor_widths, None if shared else network)


def expected_shapes(description: Description) -> dict[str, jax.ShapeDtypeStruct]:
    """The names and shapes that a checkpoint of this description holds."""
    module = architectures.module(description.network, len(description.class_names))
    expected = shapes(module)
    if description.predictor_layer is not None:
        channels = architectures.channels(description.network, description.predictor_layer, description.preprocessing)
        expected |= hardness.shapes(channels, description.predictor_widths)
    return expected


def _header(
    description: Description,
    params: Mapping[str, Any],
    leaves: Mapping[str, Any],
    step: int,
    progress: Mapping[str, Any],
) -> dict[str, Any]:
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


def _write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, dict(arrays) or {"empty": np.zeros(())})


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with ocp.PyTreeCheckpointer() as checkpointer:
            metadata = checkpointer.metadata(path)
            tree = metadata.item_metadata.tree
            arguments = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
            arrays = checkpointer.restore(path, restore_args=arguments)
    except Exception as error:
        # Whatever orbax or tensorstore raise on a damaged file, which they do not document.
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path.parent} is damaged, its {path.name} cannot be read: {reason}") from error
    arrays.pop("empty", None)
    return {name: np.asarray(array) for name, array in arrays.items()}


def _check_hash(folder: Path, arrays: Mapping[str, np.ndarray], expected: str) -> None:
    if provenance.params_sha256(dict(arrays)) != expected:
        raise InputError(f"{folder} is damaged: its arrays are not those that were written (the hash differs)")


def _point(link: Path, target: str) -> None:
    temporary = link.with_name(f".{link.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    os.replace(temporary, link)


def _prune(folder: Path) -> None:
    kept = {os.readlink(folder / link) for link in ("best", "last") if (folder / link).is_symlink()}
    for step in [*folder.glob("step-*"), *folder.glob(".step-*.unfinished")]:
        if step.name not in kept:
            shutil.rmtree(step, ignore_errors=True)


def _is_main() -> bool:
    return jax.process_index() == 0


def _barrier(name: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)
