"""The one way to a network: by name, with published or own weights, from a checkpoint, or made by a function."""

import contextlib
import importlib
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from galore import foreign
from galore.errors import InputError, closest
from galore.models import factory
from galore.network import Network


def load(
    name: str | Path,
    weights: str | Path | None = "imagenet",
    layer: str | None = None,
    classes: int | None = None,
    seed: int = 0,
    detail: int = 1,
) -> Network:
    """A network with its weights, cut at a layer, ready to be explained.

    Args:
        name: one of `galore.models.names()`; the folder of a checkpoint, which brings everything itself; or
            "package.module:function", a function that takes nothing and returns a network with preprocessing, of a
            module that is installed or lies in the current folder.
        weights: "imagenet": the published ones; a path: a .pth or .safetensors file with torch's names, or the folder
            of a checkpoint; None: random.
        layer: where to cut; None: the last layer before the classifier.
        classes: how many logits. None: as many as the weights have, 1000 for random ones. Where the weights have
            another number, the last linear layer is drawn anew, and a warning says so.
        seed: of the random numbers, where any are needed.
        detail: how many times as many cells a side its maps have, by crops that overlap; see `Network.finer` and
            docs/finer_maps.md.

    Returns:
        The network with its preprocessing, and its class names where they are known.

    Raises:
        InputError: an unknown name or layer, or weights that cannot be had, are damaged, carry code, or do not fit; a
            function that is not there, raises, or returns something else; another detail.
    """
    path, expected = weights, str(name)
    if expected not in factory.names():
        if os.path.isdir(name):
            path, expected = name, None
        elif ":" in expected:
            options = {"weights": None if weights == "imagenet" else weights, "layer": layer, "classes": classes}
            made = _made_by(expected, [option for option, value in options.items() if value is not None])
            return made.finer(detail)
        elif os.path.exists(name) or Path(name).suffix:
            raise InputError(
                f"the model {name}: expected the name of a network, a checkpoint folder or package.module:function; "
                "--weights takes a file"
            )
    if path is not None and path != "imagenet" and os.path.isdir(path):
        from galore.training import checkpoint  # orbax takes a second to import, and few callers need it

        network, warning = checkpoint.build_network(expected, path, layer, classes, seed)
    else:
        network, warning = factory.build_network(str(name), weights, layer, classes, seed)
    if warning:
        warnings.warn(warning, stacklevel=2)
    return network.finer(detail)


def _made_by(name: str, given: list[str]) -> Network:
    """The network that somebody's own function returns.

    Args:
        name: "package.module:function".
        given: the options that came with it; it has no room for any.
    """
    if given:
        raise InputError(f"{' and '.join(given)} given with the model {name}: its function decides that alone")
    module, _, function = name.partition(":")
    if module.endswith(".py") or not all(part.isidentifier() for part in (*module.split("."), function)):
        raise InputError(f"the model {name}: expected package.module:function, such as my_models:network")
    make = _function(_module(module, name), function, name)
    with _foreign_code(name):
        made = make()
    if not isinstance(made, Network):
        raise InputError(f"{name} returned a {type(made).__name__}, expected a galore.Network, as galore.cut makes it")
    if made.preprocessing is None:
        raise InputError(
            f"{name} returned a network without preprocessing, so it takes no photos: give galore.cut "
            "preprocessing=galore.data.preprocessing.Preprocessing(...)"
        )
    return made


def _module(module: str, name: str) -> Any:
    """Imports a module; those of the current folder come first, as with `python -m`."""
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        with _foreign_code(name):
            return importlib.import_module(module)
    except InputError as error:
        missing = error.__cause__.name if isinstance(error.__cause__, ModuleNotFoundError) else None
        if missing and f"{module}.".startswith(f"{missing}."):  # else it is one that the module imports
            raise InputError(f"the model {name}: there is no module {missing}, in {here} or installed") from error
        raise


def _function(module: Any, function: str, name: str) -> Callable[[], Any]:
    found = getattr(module, function, None)
    if callable(found):
        return found
    where = getattr(module, "__file__", None) or module.__name__
    if found is not None:
        raise InputError(f"the model {name}: {function} in {where} is a {type(found).__name__}, expected a function")
    hint = closest(function, [key for key, value in vars(module).items() if callable(value)])
    raise InputError(f"the model {name}: {where} has no function {function}" + (f" ({hint})" if hint else ""))


@contextlib.contextmanager
def _foreign_code(name: str) -> Iterator[None]:
    """Around code of somebody else: whatever it raises becomes one sentence that says where."""
    try:
        yield
    except (Exception, SystemExit) as error:
        ours = (__file__, contextlib.__file__, importlib.__file__)
        frames = traceback.extract_tb(error.__traceback__)
        theirs = [frame for frame in frames if frame.filename not in ours and not frame.filename.startswith("<")]
        where = f" ({Path(theirs[0].filename).name}, line {theirs[0].lineno})" if theirs else ""
        said = foreign.text(f": {error}" if str(error) else "", 600)
        raise InputError(f"{name} raised {type(error).__name__}{where}{said}") from error
