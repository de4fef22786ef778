"""The one way to a network: by name, with published or own weights, or from a checkpoint of the training."""

import dataclasses
import warnings
from pathlib import Path

import jax

from galore.errors import InputError
from galore.models import factory
from galore.network import Network


def load(
    name: str | Path,
    weights: str | Path | None = "imagenet",
    layer: str | None = None,
    classes: int | None = None,
    seed: int = 0,
) -> Network:
    """A network with its weights, cut at a layer, ready to be explained.

    Args:
        name: one of `galore.models.names()`; or the folder of a checkpoint, which brings everything itself.
        weights: "imagenet": the published ones; a path: a .pth or .safetensors file with torch's names, or the folder
            of a checkpoint; None: random.
        layer: where to cut; None: the last layer before the classifier.
        classes: how many logits. None: as many as the weights have, 1000 for random ones. Where the weights have
            another number, the last linear layer is drawn anew, and a warning says so.
        seed: of the random numbers, where any are needed.

    Returns:
        The network with its preprocessing, and its class names where they are known.

    Raises:
        InputError: an unknown name or layer, or weights that cannot be had, are damaged, carry code, or do not fit.
    """
    if str(name) not in factory.names() and Path(name).is_dir():
        network, warning = _from_checkpoint(Path(name), None, layer, classes, seed)
    elif weights is not None and weights != "imagenet" and Path(weights).is_dir():
        network, warning = _from_checkpoint(Path(weights), str(name), layer, classes, seed)
    else:
        network, warning = factory.build_network(str(name), weights, layer, classes, seed)
    if warning:
        warnings.warn(warning, stacklevel=2)
    return network


def _from_checkpoint(
    path: Path, name: str | None, layer: str | None, classes: int | None, seed: int
) -> tuple[Network, str]:
    """As `factory.build_network`; where the classes differ, a last linear layer is drawn anew over the trunk."""
    from galore.training import architectures, checkpoint  # orbax takes a second to import, and few callers need it

    network = checkpoint.load_network(path, layer)
    if name is not None and network.name != name:
        raise InputError(f"{path} holds the network {network.name!r}, expected {name!r}")
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
    return network, factory.drawn_anew(new, path, classes)
