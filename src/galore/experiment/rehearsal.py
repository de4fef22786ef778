"""What a rehearsal stands on: a few invented images in the data sets' formats, and weights drawn at random in the
layout of the files that torchvision publishes."""

import math
import pickle
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float, Shaped
from PIL import Image

from galore import atomic
from galore.data import ade20k, cub
from galore.data.dataset import PartDataset, SceneDataset
from galore.data.photo import read_image
from galore.data.synthetic import birds, scenes
from galore.models import factory, weights
from galore.models.weights import to_torch_name, to_torch_shape
from galore.training.architectures import training_forward

CLASSES = 4
PER_CLASS = 16
SIDE = 96
INPUT = 64
"""Pixels of an image as the networks take it."""
TINTS = ((220, 40, 40), (40, 180, 40), (50, 60, 220), (220, 200, 30))

_STORAGES = {"float32": "FloatStorage", "int64": "LongStorage"}
_EMPTY_DICTIONARY = b"ccollections\nOrderedDict\n)R"


def draw_images(cub_root: Path, ade20k_root: Path) -> None:
    """Draws the images of both data sets where they are missing: 4 classes of 10 training and 6 test images.

    Every other image has a tint of its class. So a network that saw little learns it, and is right where it sees it;
    on the others it guesses, as its student does, so that one is right where the other is not.
    """
    for root, drawing, drawn, read in (
        (cub_root, birds, birds.SyntheticBirds(CLASSES, PER_CLASS, seed=0, size=SIDE), cub.read),
        (ade20k_root, scenes, scenes.SyntheticScenes(CLASSES, PER_CLASS, seed=0, size=SIDE), ade20k.read),
    ):
        if root.exists():
            continue
        with atomic.folder(root) as folder:
            drawing.write(folder / "drawn", drawn)
            _tint(read(folder / "drawn"))
            for path in list((folder / "drawn").iterdir()):
                path.rename(folder / path.name)
            (folder / "drawn").rmdir()


def _tint(dataset: PartDataset | SceneDataset) -> None:
    for index in range(0, len(dataset), 2):
        path, colour = dataset.image_path(index), TINTS[dataset.labels[index]]
        with Image.open(path) as image:
            tinted = 0.4 * np.asarray(image.convert("RGB")) + 0.6 * np.array(colour)
        Image.fromarray(tinted.astype(np.uint8)).save(path)


def prepared_images(cub_root: Path, ade20k_root: Path, network: str) -> Float[np.ndarray, "n H W 3"]:
    """The training images of both data sets as a network takes them."""
    prepare = factory.ARCHITECTURES[network].preprocessing.at(INPUT).apply
    paths = [
        dataset.image_path(int(index))
        for dataset in (cub.read(cub_root), ade20k.read(ade20k_root))
        for index in np.flatnonzero(dataset.is_training)
    ]
    return np.stack([prepare(read_image(path)) for path in paths])


def write_weights(path: Path, network: str, images: Float[np.ndarray, "n H W 3"] | None = None, seed: int = 0) -> None:
    """Writes random ImageNet weights of a network, as `torch.save` writes them, tensor by tensor.

    Args:
        path: a .pth file.
        network: one of `galore.models.factory.names()`.
        images: prepared ones, whose statistics BatchNorm has; None: mean 0 and variance 1. Published weights know the
            images that they were made from; without that a deep network sees nothing in a few steps of training, since
            what BatchNorm remembers of them is too little.
        seed: of the numbers: kernels as He et al. draw them, but that the weights of every output sum to 0, without
            which all images would look alike to a deep network without BatchNorm; BatchNorm's scales 1, biases 0.
    """
    tensors = _drawn(network, seed)
    if images is not None:
        tensors |= _statistics(network, tensors, images)
    types = {name: (tensor.dtype.name, tensor.shape) for name, tensor in tensors.items()}
    with atomic.file(path) as unfinished, zipfile.ZipFile(unfinished, "w") as archive:
        # Entries of no date, so that the same numbers are the same file.
        archive.writestr(zipfile.ZipInfo("archive/data.pkl"), b"".join(_pickled(types)))
        archive.writestr(zipfile.ZipInfo("archive/byteorder"), "little")
        for key, tensor in enumerate(tensors.values()):
            archive.writestr(zipfile.ZipInfo(f"archive/data/{key}"), tensor.tobytes())


def _drawn(network: str, seed: int) -> dict[str, Shaped[np.ndarray, "..."]]:
    """torch's name -> tensor, BatchNorm's counters included."""
    rng, torch_name = np.random.default_rng(seed), factory.ARCHITECTURES[network].torch_name
    tensors = {}
    for parameter, shape in factory.template(network, 1000, None).params.items():
        name = torch_name(to_torch_name(parameter))
        tensors[name] = _values(name, to_torch_shape(shape.shape), rng)
        if name.endswith("running_var"):  # torch counts the batches behind it
            tensors[name.replace("running_var", "num_batches_tracked")] = np.zeros((), np.int64)
    return tensors


def _statistics(
    network: str, tensors: Mapping[str, Shaped[np.ndarray, "..."]], images: Float[np.ndarray, "n H W 3"]
) -> dict[str, Float[np.ndarray, " c"]]:
    """torch's name -> BatchNorm's mean or variance of these images."""
    architecture = factory.ARCHITECTURES[network]
    module = nnx.eval_shape(lambda: architecture.build(1000, rngs=nnx.Rngs(0)))
    for _, part in nnx.iter_graph(module):
        if isinstance(part, nnx.BatchNorm):
            part.momentum = 0.0  # the statistics of this batch alone
    floats = {name: tensor for name, tensor in tensors.items() if tensor.dtype == np.float32}
    params = weights.match(factory.template(network, 1000, None).params, floats, network, architecture.torch_name)
    _, statistics = jax.jit(training_forward(module))(params, images, jax.random.key(0))
    return {architecture.torch_name(to_torch_name(name)): np.asarray(values) for name, values in statistics.items()}


def _values(name: str, shape: Sequence[int], rng: np.random.Generator) -> Float[np.ndarray, "..."]:
    if len(shape) > 1:
        kernels = rng.standard_normal(shape, np.float32) * np.float32(math.sqrt(2 / math.prod(shape[1:])))
        return kernels - kernels.mean(tuple(range(1, len(shape))), keepdims=True)
    return np.full(shape, name.endswith(("weight", "running_var")), np.float32)


def _pickled(tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> Iterator[bytes]:
    """The pickle of a state dict, protocol 2, opcode by opcode: torch's own names cannot be pickled without torch."""
    yield b"\x80\x02" + _EMPTY_DICTIONARY + b"("
    for key, (name, (dtype, shape)) in enumerate(tensors.items()):
        strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
        yield _literal(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(("
        yield _literal("storage") + f"ctorch\n{_STORAGES[dtype]}\n".encode()
        yield _literal(str(key)) + _literal("cpu") + _literal(math.prod(shape)) + b"tQ"
        yield _literal(0) + _literal(shape) + _literal(strides) + _literal(False) + _EMPTY_DICTIONARY + b"tR"
    yield b"u."


def _literal(value: str | int | tuple[int, ...]) -> bytes:
    return pickle.dumps(value, 2)[2:-1]
