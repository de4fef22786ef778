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
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import Array, PyTree, Shaped

from galore import provenance
from galore.confidence import Predictor
from galore.errors import InputError
from galore.network import Network
from galore.training import architectures, arrays, hardness, header
from galore.training.header import Description, expected_shapes, find, read_description, read_header


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
            arrays.write(unfinished / "params", params)
            arrays.write(unfinished / "optimiser", leaves)
            if _is_main():
                text = json.dumps(header.make(description, params, leaves, step, progress or {}), indent=2)
                (unfinished / "header.json").write_text(text + "\n", encoding="utf-8")
                os.replace(unfinished, final)
        if _is_main():
            for link in links:
                _point(folder / link, final.name)
            _prune(folder)
        _barrier(f"checkpoint-{name}-ends")
    except (OSError, ValueError) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        text = " ".join(str(error).split())
        reason = "no space is left on the disk" if "No space left on device" in text else text[:200]
        raise InputError(f"cannot write the checkpoint {final}: {reason}; earlier ones are kept") from error
    return final


def add_predictor(path: str | Path, description: Description, params: Mapping[str, Shaped[Array, "..."]]) -> None:
    """Gives a finished checkpoint the predictor that was trained on its frozen activations.

    Args:
        path: of the checkpoint.
        description: with the predictor.
        params: the classifier's, as they are there, and the predictor's.

    Raises:
        InputError: as `save`.
    """
    folder, known = find(path), read_header(path)
    # Another predictor for the same step must not be taken for this one.
    suffix = f"-hardness-{provenance.params_sha256(dict(params))[:8]}"
    save(
        folder.parent, description, params, step=known["step"], progress=known["progress"], links=("best",),
        suffix=suffix,
    )  # fmt: skip


def load_params(path: str | Path) -> dict[str, Array]:
    """The parameters of a checkpoint, by dotted name, checked against the network that its header names.

    Raises:
        InputError: they are damaged or belong to another network.
    """
    folder, description = find(path), read_description(path)
    expected, found = expected_shapes(description), arrays.read(folder / "params", read_header(path)["params_sha256"])
    if missing := sorted(set(expected) ^ set(found)):
        raise InputError(f"{folder} does not hold the network {description.network!r}: {missing[0]} is in only one")
    for name, array in found.items():
        if array.shape != expected[name].shape:
            raise InputError(
                f"{folder} does not hold the network {description.network!r}: {name} has the shape {array.shape}, "
                f"expected {expected[name].shape}"
            )
    return {name: jax.numpy.asarray(array) for name, array in found.items()}


def load_optimiser(path: str | Path, like: PyTree) -> PyTree:
    """The optimiser's state, to go on with.

    Args:
        path: of a checkpoint.
        like: a state of the same optimiser for the same parameters, whose structure it takes.

    Raises:
        InputError: it is damaged or of another optimiser.
    """
    folder = find(path)
    found = arrays.read(folder / "optimiser", read_header(path)["optimiser_sha256"])
    leaves = [found[name] for name in sorted(found)]
    wanted = jax.tree.leaves(like)
    if [leaf.shape for leaf in leaves] != [np.shape(leaf) for leaf in wanted]:
        raise InputError(
            f"{folder} was trained with another optimiser or other parameters; resume with the same choices"
        )
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
        layer: where the explained network is cut. Where that is not the layer that the predictor reads, or where the
            predictor has its own trunk, it computes its own activations.

    Raises:
        InputError: as `load_network`, or the checkpoint has no predictor.
    """
    description, params = read_description(path), load_params(path)
    if description.predictor_layer is None:
        raise InputError(
            f"{find(path)} was trained without a hardness predictor; train with hardness, or choose another"
        )
    own = {name: value for name, value in params.items() if name.startswith(hardness.PREFIX)}
    if description.predictor_trunk:
        structure = hardness.with_trunk(description.network, description.predictor_widths)
        return hardness.network_as_confidence(own, structure, description.predictor_layer)
    network = load_network(path, description.predictor_layer)
    channels = own[f"{hardness.PREFIX}linears.0.kernel"].shape[0]
    shared = (layer or description.layer) == description.predictor_layer
    return hardness.as_confidence(own, channels, description.predictor_widths, None if shared else network)


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
