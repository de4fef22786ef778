"""A whole folder as one stream, against the forward passes alone of as many images."""

import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from galore import stream
from galore.benchmark.timing import Made, Workload
from galore.errors import InputError
from galore.network import Network
from galore.stream import device, photos

FORWARDS, STREAM = "forward passes of a folder", "stream of a folder"


def build(net: Network, data: Path, batch: int, dtype: str) -> list[Workload]:
    """The forward passes alone, whose pixels lie in memory, and the stream: decode, forward, explain, write, rank.

    Args:
        net: with its preprocessing, float32.
        data: the folder of photos.
        batch: images at once.
        dtype: "float32" or "bfloat16".

    Raises:
        InputError: no photos, a network without preprocessing, or a batch that the devices cannot share equally.
    """
    if net.preprocessing is None:
        raise InputError("the network has no preprocessing, so that photos cannot be streamed through it")
    net, side = net.astype(dtype), net.preprocessing.crop
    count = len(photos.find(photos.folder_of(data)))
    pixels = np.random.default_rng(0).integers(0, 255, (batch, side, side, 3), np.uint8)
    batches = [{"image": pixels}] * -(-count // batch)

    def pass_on(answer: device.Answer, batches: list) -> None:
        for _ in device.Devices(net, answer, batch).answers(batches):
            pass

    def streamed() -> None:
        with tempfile.TemporaryDirectory() as out:
            stream.save_ranking(stream.run(net, data, Path(out) / "run", stream.discriminant, batch_size=batch))

    compile_s = []
    for answer in (_logits, stream.discriminant):
        start = time.perf_counter()
        pass_on(answer, batches[:1])
        compile_s.append(time.perf_counter() - start)
    return [
        Workload(FORWARDS, lambda: pass_on(_logits, batches), count, Made(compile_s=compile_s[0])),
        Workload(STREAM, streamed, count, Made(compile_s=compile_s[1])),
    ]


def _logits(net: Network, images: jax.Array) -> dict[str, jax.Array]:
    return {"logits": jax.vmap(net)(images)[1]}
