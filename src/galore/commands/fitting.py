"""What `galore part-tables` and `galore counterparts` share: from labelled photos to a file for one network."""

import argparse
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from galore import atomic, cache, foreign
from galore.commands import explain
from galore.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from galore.network import Network


class Labelled(NamedTuple):
    """Photos of one class of the network."""

    label: int
    paths: list[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "data",
        metavar="DATA",
        type=Path,
        help="a folder with a folder of photos for each class, called as the network calls the class; or a data set in "
        "the format of CUB-200-2011 or ADE20K, of which the training images are taken",
    )
    add("--out", metavar="FILE.npz", type=Path, required=True, help="where to write")
    add("--per-class", metavar="N", type=int, default=30, help="photos of a class, the first ones (%(default)s)")
    add("--seed", metavar="N", type=int, default=0, help="of the cells that are drawn (%(default)s)")
    add("--batch", metavar="N", type=int, default=32, help="photos at once (%(default)s)")
    explain.add_network_arguments(parser)


def run(args: argparse.Namespace, module: Any, doing: str) -> None:
    """Fits and saves.

    Args:
        args: of `add_arguments`.
        module: of galore, with `fit`, `save` and the `FEWEST` classes that it takes.
        doing: what a person is told meanwhile.
    """
    for name in ("per_class", "batch"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} {getattr(args, name)}: expected at least 1")
    if not 0 <= args.seed < 2**32:
        raise InputError(f"--seed {args.seed}: expected a number from 0 to {2**32 - 1}")
    if args.out.suffix != ".npz":
        raise InputError(f"--out {args.out}: expected a name that ends in .npz")
    with atomic.file(args.out) as unfinished, cache.compiled(not args.no_cache):
        _make(args, module, doing, unfinished)
    print(f"Written: {foreign.text(args.out, foreign.LONGEST_PATH)}")


def _make(args: argparse.Namespace, module: Any, doing: str, out: Path) -> None:
    import jax

    from galore import terminal

    with terminal.step(f"Loading {args.model}"):
        net = explain.load(args)
    classes = [Labelled(one.label, one.paths[: args.per_class]) for one in labelled(args.data, net)]
    if len(classes) < module.FEWEST:
        found = f"{foreign.text(args.data)} has photos of {len(classes)} of the network's classes"
        raise InputError(f"{found}, expected at least {module.FEWEST}, and better ten")
    F, labels = _activations(net.finer(args.detail), classes, args.batch)
    with terminal.step(doing):
        fitted = module.fit(F, labels, jax.random.key(args.seed))
    module.save(out, fitted, net)
    print(f"{len(labels)} photos of {len(classes)} classes.")


def labelled(data: Path, net: "Network") -> list[Labelled]:
    """The photos of a folder by the network's classes, in their order.

    Raises:
        InputError: no such folder, no photos in folders, or a folder whose name is no class of the network, or that of
            the same class as another.
    """
    from galore import class_names
    from galore.report import build

    names, found = build.names_of(net), {}
    for name, paths in _by_name(data).items():
        try:
            label = class_names.find(name, names)
        except InputError as error:
            raise InputError(f"the photos of {foreign.name(name)} in {foreign.text(data)}: {error}") from error
        if label in found:
            raise InputError(f"{foreign.text(data)} has two classes that are {class_names.label(label, names)}")
        found[label] = paths
    return [Labelled(label, found[label]) for label in sorted(found)]


def _by_name(data: Path) -> dict[str, list[str]]:
    """The paths of the photos of each class, as the data set or the folders call it."""
    from galore.data import ade20k, cub
    from galore.stream import photos

    found = defaultdict(list)
    if (data / "images.txt").is_file() or (data / "sceneCategories.txt").is_file():
        dataset = (cub if (data / "images.txt").is_file() else ade20k).read(data)
        for index, label in enumerate(dataset.labels):
            if dataset.is_training[index]:
                found[dataset.class_names[label]].append(str(dataset.image_path(index)))
        return found
    root = photos.folder_of(data)
    for name in photos.find(root):
        folder, _, rest = name.partition("/")
        if rest:
            found[folder].append(str(root / name))
    if not found:
        raise InputError(f"{foreign.text(data)} has no folders with photos, expected one for each class")
    return found


def _activations(net: "Network", classes: list[Labelled], batch: int) -> tuple["np.ndarray", "np.ndarray"]:
    """Of the photos, at the places of maps, and their labels.

    Raises:
        InputError: a photo cannot be read.
    """
    import jax
    import numpy as np

    from galore import terminal
    from galore.data import loader
    from galore.stream.photos import Photos

    assert net.preprocessing is not None, "the command line loads networks with one"
    normalise, paths = net.preprocessing.normalise, [path for one in classes for path in one.paths]
    labels = np.repeat([one.label for one in classes], [len(one.paths) for one in classes])
    of_one = lambda net, pixels: net.locations(net.activation(normalise(pixels)))[0]  # noqa: E731
    locations, found = jax.jit(jax.vmap(of_one, in_axes=(None, 0))), []
    with terminal.progress("Looking at photos", len(paths)) as on_images:
        source = Photos(Path(), paths, np.arange(len(paths)), net.preprocessing)
        for some in loader.batches(source, batch):
            if wrong := [str(problem) for problem in some["problem"] if problem]:
                raise InputError(wrong[0])
            found.append(np.asarray(locations(net, some["image"]))[some["valid"]])
            on_images(sum(map(len, found)))
    return np.concatenate(found), labels
