"""What a rehearsal stands on: a few invented images in the data sets' formats, and weights drawn at random in the
layout of the files that torchvision publishes."""

import math
import pickle
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from PIL import Image

from galore import atomic
from galore.data import ade20k, cub
from galore.data.dataset import PartDataset, SceneDataset
from galore.data.synthetic import birds, scenes
from galore.models import factory
from galore.models.weights import to_torch_name, to_torch_shape

CLASSES = 4
PER_CLASS = 16
SIDE = 96
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


def write_weights(path: Path, network: str, seed: int = 0) -> None:
    """Writes random ImageNet weights of a network, as `torch.save` writes them, tensor by tensor.

    Args:
        path: a .pth file.
        network: one of `galore.models.factory.names()`.
        seed: of the numbers: kernels as He et al. draw them, but that the weights of every output sum to 0, without
            which all images would look alike to a deep network without BatchNorm; BatchNorm as the identity, biases 0.
    """
    rng, torch_name = np.random.default_rng(seed), factory.ARCHITECTURES[network].torch_name
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    for parameter, shape in factory.template(network, 1000, None).params.items():
        name = torch_name(to_torch_name(parameter))
        tensors[name] = ("float32", to_torch_shape(shape.shape))
        if name.endswith("running_var"):  # torch counts the batches behind it
            tensors[name.replace("running_var", "num_batches_tracked")] = ("int64", ())
    with atomic.file(path) as unfinished, zipfile.ZipFile(unfinished, "w") as archive:
        # Entries of no date, so that the same numbers are the same file.
        archive.writestr(zipfile.ZipInfo("archive/data.pkl"), b"".join(_pickled(tensors)))
        archive.writestr(zipfile.ZipInfo("archive/byteorder"), "little")
        for key, (name, (dtype, shape)) in enumerate(tensors.items()):
            values = _values(name, dtype, shape, rng)
            if network.startswith("resnet") and len(shape) == 1 and name.endswith("weight"):
                values = values / 4  # else what the blocks add grows with every one of them, and no learning rate fits
            archive.writestr(zipfile.ZipInfo(f"archive/data/{key}"), values.tobytes())


def _values(name: str, dtype: str, shape: Sequence[int], rng: np.random.Generator) -> Shaped[np.ndarray, "..."]:
    if len(shape) > 1:
        kernels = rng.standard_normal(shape, np.float32) * np.float32(math.sqrt(2 / math.prod(shape[1:])))
        return kernels - kernels.mean(tuple(range(1, len(shape))), keepdims=True)
    return np.full(shape, name.endswith(("weight", "running_var")), dtype)


def _pickled(tensors: dict[str, tuple[str, tuple[int, ...]]]) -> Iterator[bytes]:
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
