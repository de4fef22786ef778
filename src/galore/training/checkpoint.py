"""Checkpoints: parameters, optimiser, step and a header that says what made them.

    FOLDER/step-00000120/header.json     format, version, network, classes, preprocessing, progress, git, hashes
    FOLDER/step-00000120/params/         written by orbax
    FOLDER/step-00000120/optimiser/      likewise; only needed to go on training
    FOLDER/best -> step-00000090         links, replaced in one move
    FOLDER/last -> step-00000120

A step appears whole or not at all, and the links move afterwards, so that `last` always leads to a complete one.
"""

import contextlib
import dataclasses
import functools
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jaxtyping import Array, PyTree, Shaped

from galore import foreign, provenance, representation
from galore.confidence import Predictor
from galore.errors import InputError, is_out_of_memory
from galore.models import factory
from galore.network import Network
from galore.training import architectures, chunks, hardness, header
from galore.training.header import Description, find, read_description, read_header
from galore.training.hosts import barrier, is_first

__all__ = [
    "Checkpoint", "Description", "add_predictor", "find", "load_network", "load_optimiser", "load_params",
    "load_predictor", "read", "read_description", "read_header", "save",
]  # fmt: skip


Shapes = Mapping[str, tuple[int, ...]]

_DESCRIPTORS = Path("/proc/self/fd")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint that `read` opened; its arrays are read and checked once, when they are first needed.

    Attributes:
        folder: of the checkpoint itself.
        header: what it says about itself.
        description: what its parameters belong to.
    """

    folder: Path
    header: dict[str, Any]
    description: Description

    __repr__ = representation.fields

    @functools.cached_property
    def params(self) -> dict[str, Array]:
        """The parameters, by dotted name, the predictor's among them; an `InputError` where they are damaged or belong
        to another network than the header names."""
        expected = {name: value.shape for name, value in header.expected_shapes(self.description).items()}
        other = f"{foreign.text(self.folder)} does not hold the network {self.description.network!r}"

        def check(shapes: Shapes) -> None:
            if unmatched := sorted(set(expected) ^ set(shapes)):
                raise InputError(f"{other}: {foreign.text(unmatched[0])} is in only one")
            for name, shape in shapes.items():
                if shape != expected[name]:
                    raise InputError(f"{other}: {name} has the shape {shape}, expected {expected[name]}")

        arrays = read_arrays(self.folder / "params", self.header["params_sha256"], check)
        return {name: jnp.asarray(array) for name, array in arrays.items()}

    def optimiser(self, like: PyTree) -> PyTree:
        """The optimiser's state, to go on with.

        Args:
            like: a state of the same optimiser for the same parameters, whose structure it takes.

        Raises:
            InputError: it is damaged or of another optimiser.
        """
        expected = [np.shape(leaf) for leaf in jax.tree.leaves(like)]

        def check(shapes: Shapes) -> None:
            if [shapes[name] for name in sorted(shapes)] != expected:
                raise InputError(
                    f"{foreign.text(self.folder)} was trained with another optimiser or other parameters; resume with "
                    "the same options"
                )

        arrays = read_arrays(self.folder / "optimiser", self.header["optimiser_sha256"], check)
        leaves = [jnp.asarray(arrays[name]) for name in sorted(arrays)]
        return jax.tree.unflatten(jax.tree.structure(like), leaves)

    def network(self, layer: str | None = None) -> Network:
        """The trained network, ready to be explained, with its class names and preprocessing.

        Args:
            layer: where to cut; None: where its header says.

        Raises:
            InputError: damaged or foreign arrays, or an unknown layer.
        """
        return architectures.network(
            self.description.network,
            {name: value for name, value in self.params.items() if not name.startswith(hardness.PREFIX)},
            layer=layer or self.description.layer,
            class_names=self.description.class_names,
            preprocessing=self.description.preprocessing,
        )

    def predictor(self, layer: str | None = None) -> Predictor:
        """The hardness predictor that was trained with the network, as the confidence score "easiness".

        Args:
            layer: where the explained network is cut. Where that is not the layer that the predictor reads, or where
                the predictor has its own trunk, it computes its own activations.

        Raises:
            InputError: damaged or foreign arrays, or there is no predictor.
        """
        description = self.description
        if description.predictor_layer is None:
            raise InputError(
                f"{self.folder} was trained without a hardness predictor; train with hardness, or choose another"
            )
        own = {name: value for name, value in self.params.items() if name.startswith(hardness.PREFIX)}
        structure = header.predictor_module(description)
        if isinstance(structure, hardness.HardnessNetwork):
            return hardness.network_as_confidence(own, structure, description.predictor_layer)
        is_shared = (layer or description.layer) == description.predictor_layer
        network = None if is_shared else self.network(description.predictor_layer)
        return hardness.as_confidence(own, structure, network)


def read(path: str | Path) -> Checkpoint:
    """Opens a checkpoint: reads its header now, and its arrays when they are needed.

    Args:
        path: of a checkpoint, of a folder of them (the best is taken) or of a training run.

    Raises:
        InputError: there is no checkpoint, its header is damaged, or it is of another version.
    """
    folder = find(path)
    known = read_header(folder)
    return Checkpoint(folder, known, header.description_in(known, folder))


def build_network(
    name: str | None, path: str | Path, layer: str | None, classes: int | None, seed: int
) -> tuple[Network, str]:
    """As `galore.models.factory.build_network`; where the classes differ, the last linear layer is drawn anew.

    Args:
        name: of the network that it should hold; None: any.
        path: as in `read`.
        layer, classes, seed: as in `galore.load`.

    Raises:
        InputError: as `read`, another network, or an unknown layer.
    """
    network = read(path).network(layer)
    if name is not None and network.name != name:
        raise InputError(f"{foreign.text(path)} holds the network {network.name!r}, expected {name!r}")
    if classes is None or classes == len(network.class_names):
        return network, ""
    if classes < 1:
        raise InputError(f"classes={classes}, expected at least 1")
    prefix = f"{architectures.classifier(network.name)}."
    new = {
        name: jax.ShapeDtypeStruct((*value.shape[:-1], classes), value.dtype)
        for name, value in network.params.items()
        if name.startswith(prefix)
    }
    network = dataclasses.replace(network, params=network.params | factory.draw(new, seed), class_names=())
    return network, factory.drawn_anew(new, Path(path), classes)


def load_params(path: str | Path) -> dict[str, Array]:
    """`read(path).params`."""
    return read(path).params


def load_optimiser(path: str | Path, like: PyTree) -> PyTree:
    """`read(path).optimiser(like)`."""
    return read(path).optimiser(like)


def load_network(path: str | Path, layer: str | None = None) -> Network:
    """`read(path).network(layer)`."""
    return read(path).network(layer)


def load_predictor(path: str | Path, layer: str | None = None) -> Predictor:
    """`read(path).predictor(layer)`."""
    return read(path).predictor(layer)


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
        if is_first() and not (final / "header.json").exists():
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
        barrier(f"checkpoint-{name}-begins")
        if not (final / "header.json").exists():
            leaves = {f"{index:05d}": leaf for index, leaf in enumerate(jax.tree.leaves(optimiser))}
            write_arrays(unfinished / "params", params)
            write_arrays(unfinished / "optimiser", leaves)
            made = header.make(description, params, leaves, step, progress or {})
            _verify(unfinished, made)
            if is_first():
                text = json.dumps(made, indent=2)
                (unfinished / "header.json").write_text(text + "\n", encoding="utf-8")
                os.replace(unfinished, final)
        if is_first():
            for link in links:
                _point(folder / link, final.name)
            _prune(folder)
        barrier(f"checkpoint-{name}-ends")
    except (OSError, ValueError) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        text = " ".join(str(error).split())
        reason = "no space is left on the disk" if "No space left on device" in text else text[:200]
        raise InputError(
            f"cannot write the checkpoint {foreign.text(final)}: {reason}; earlier ones are kept"
        ) from error
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
    before = read(path)
    # Another predictor for the same step must not be taken for this one.
    suffix = f"-hardness-{provenance.params_sha256(dict(params))[:8]}"
    step, progress = before.header["step"], before.header["progress"]
    save(before.folder.parent, description, params, step=step, progress=progress, links=("best",), suffix=suffix)


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes named arrays into a new folder.

    Args:
        path: of the folder.
        arrays: of the host or the device; where a run has several processes, each holds them whole and calls this.

    Raises:
        OSError, ValueError: from orbax and tensorstore, for instance on a full disk.
    """
    values = {name: np.asarray(array) for name, array in arrays.items()} or {"empty": np.zeros(())}
    with _plain(path.parent) as folder, ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder / path.name, values)


def read_arrays(path: Path, sha256: str, check: Callable[[Shapes], None] | None = None) -> dict[str, np.ndarray]:
    """The arrays of a folder.

    Args:
        path: as given to `write_arrays`.
        sha256: of the arrays, see `provenance.params_sha256`.
        check: refuses shapes that are not those expected, before any array is read.

    Raises:
        InputError: they are damaged, or not those that were written.
    """
    shown = foreign.text(path.parent)
    _check_files(path)
    try:
        with _plain(path.parent) as folder, ocp.PyTreeCheckpointer() as checkpointer:
            chunks.check(folder / path.name)
            tree = checkpointer.metadata(folder / path.name).item_metadata.tree
            if check is not None:
                check({name: tuple(known.shape) for name, known in tree.items() if name != "empty"})
            arguments = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
            arrays = checkpointer.restore(folder / path.name, restore_args=arguments)
    except Exception as error:
        # Whatever orbax or tensorstore raise on a damaged file, which they do not document.
        if isinstance(error, InputError) or is_out_of_memory(error):
            raise
        raise InputError(f"{shown} is damaged, its {path.name} cannot be read: {foreign.text(error, 160)}") from error
    arrays = {name: np.asarray(array) for name, array in arrays.items() if name != "empty"}
    if provenance.params_sha256(arrays) != sha256:
        raise InputError(f"{shown} is damaged: its arrays are not those that were written (the hash differs)")
    return arrays


@contextlib.contextmanager
def _plain(folder: Path) -> Iterator[Path]:
    """The folder by a short and plain name.

    To orbax and tensorstore a path is a pattern ([], *, a backslash) or an address (gs:), UTF-8, and leaves room for
    their own names behind it. Several processes must name a folder alike, so that they cannot do without its own.
    """
    if jax.process_count() > 1 or not _DESCRIPTORS.is_dir():
        yield folder
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield _DESCRIPTORS / str(descriptor)
    finally:
        os.close(descriptor)


def _check_files(folder: Path) -> None:
    """Refuses what could be waited for: orbax opens every file that it finds."""
    if not folder.is_dir():
        raise InputError(f"{foreign.text(folder.parent)} is damaged: it has no folder {folder.name}")
    for place, folders, files in os.walk(folder):
        wrong = [name for name in folders if (Path(place) / name).is_symlink()]
        wrong += [name for name in files if not (Path(place) / name).is_file()]
        if wrong:
            raise InputError(f"{foreign.text(Path(place) / wrong[0])} is no regular file, expected one of a checkpoint")


def _verify(folder: Path, made: Mapping[str, Any]) -> None:
    """Reads back what was written; a training that ends with nothing to load is found out now."""
    try:
        read_arrays(folder / "params", made["params_sha256"])
        read_arrays(folder / "optimiser", made["optimiser_sha256"])
    except InputError as error:
        raise OSError("what was written cannot be read back") from error


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
