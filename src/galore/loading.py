"""The one way to a network: by name, with published or own weights, or from a checkpoint of the training."""

import os
import warnings
from pathlib import Path

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
    path, expected = weights, str(name)
    if str(name) not in factory.names() and os.path.isdir(name):
        path, expected = name, None
    if path is not None and path != "imagenet" and os.path.isdir(path):
        from galore.training import checkpoint  # orbax takes a second to import, and few callers need it

        network, warning = checkpoint.build_network(expected, path, layer, classes, seed)
    else:
        network, warning = factory.build_network(str(name), weights, layer, classes, seed)
    if warning:
        warnings.warn(warning, stacklevel=2)
    return network
