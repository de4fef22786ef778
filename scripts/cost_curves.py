"""How the cost of explanations grows: with the number of images, of classes, of cells of the map, of devices.

    python scripts/cost_curves.py ../shared/data/CUB_200_2011 --out docs/cost      # about 15 minutes on 2 cores
    python scripts/cost_curves.py PHOTOS --out docs/cost --only classes devices    # some of the curves anew
    python scripts/cost_curves.py PHOTOS --out docs/cost --only                    # none: the figure alone

Writes docs/cost.json, a list of points, and draws docs/cost.svg. `docs/cost.md` explains them. Classes and maps are
varied behind features that cost next to nothing, so that what is seen is the explanation and not the network.
"""

from galore import program

program.guard(__name__)

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import galore
from galore import Network, atomic, stream
from galore.benchmark import record, timing, workloads
from galore.data import loader
from galore.stream import photos

BATCH, ROUNDS, IMAGES = 4, 5, 10_000
SEARCH = "exhaustive search, first edit"
WORKLOADS = ("discriminant", "deliberative", "second order", "discriminant, integrated gradients")
Point = dict[str, float | str]


def classes(data: Path) -> list[Point]:
    """Seconds an image for 10 to 10,000 classes: a 7 x 7 x 1280 map, pooled, as EfficientNet-Lite0 has it."""
    points = []
    for count in (10, 100, 1000, 10_000):
        points += _timed("classes", count, _network(7, 1280, count, _pooled), [*WORKLOADS, SEARCH])
    return points


def maps(data: Path) -> list[Point]:
    """Seconds an image for maps of 49 to 3,136 cells of 256 channels, 200 classes: pooled, and behind a convolution."""
    points = []
    for side in (7, 14, 28, 56):
        names = [*WORKLOADS, SEARCH] if side < 56 else WORKLOADS
        points += _timed("cells", side**2, _network(side, 256, 200, _pooled), names)
    for side in (7, 14):
        names = [*WORKLOADS, SEARCH] if side < 14 else WORKLOADS
        points += _timed("cells, any head", side**2, _network(side, 64, 200, _convolution), names)
    return points


def devices(data: Path) -> list[Point]:
    """Seconds an image of one batch divided among 1 to 8 devices that share this machine: what dividing costs."""
    points = []
    for count in (1, 2, 4, 8):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "bench.json"
            command = [sys.executable, "-m", "galore", "bench", "--works", "discriminant", "--json", str(out)]
            flags = f"--xla_force_host_platform_device_count={count}"
            subprocess.run(command, check=True, env=os.environ | {"XLA_FLAGS": flags}, stdout=subprocess.DEVNULL)
            points += [
                _point("devices", row.work, count, (row.median_s or np.nan) / row.setting.batch, row.spread or 0.0)
                for row in record.read(out).rows
                if row.median_s is not None and row.spread is not None
            ]
    return points


def images(data: Path) -> list[Point]:
    """Seconds since the start and the most memory held so far, while 10,000 photos are streamed.

    Through a small network, so that decoding has as large a part as it can have.
    """
    net = galore.load("small_cnn", weights=None)
    root = photos.folder_of(data)
    names = photos.find(root)
    points: list[Point] = []
    with tempfile.TemporaryDirectory() as folder:
        many = Path(folder) / "photos"
        many.mkdir()
        for k in range(IMAGES):
            (many / f"{k:05d}.jpg").symlink_to((root / names[k % len(names)]).resolve())
        start = time.perf_counter()

        def note(done: int, total: int) -> None:
            if done % 256 == 0 or done == total:
                points.append(_point("images", "seconds", done, time.perf_counter() - start))
                points.append(_point("images", "bytes", done, timing.resident_bytes()))

        stream.run(net, many, Path(folder) / "out", stream.discriminant, on_images=note)
    return points


def decoding(data: Path) -> list[Point]:
    """Seconds a photo to decode, resize and crop, by one thread and by as many as there are processors."""
    net = galore.load("efficientnet_lite0")
    assert net.preprocessing is not None
    root, points = photos.folder_of(data), []
    names = photos.find(root)
    source = photos.Photos(root, names, np.arange(0, len(names), max(len(names) // 500, 1)), net.preprocessing)
    for threads in sorted({1, os.cpu_count() or 1}):
        seconds = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            for _ in loader.batches(source, 32, threads=threads):
                pass
            seconds.append((time.perf_counter() - start) / len(source))
        points.append(_point("decoding threads", "decode", threads, float(np.median(seconds))))
    return points


CURVES: dict[str, Callable[[Path], list[Point]]] = {
    function.__name__: function for function in (classes, maps, devices, images, decoding)
}


def _network(side: int, channels: int, count: int, head: Callable) -> Network:
    rng = np.random.default_rng(0)
    shapes = {"mix": (3, channels), "filter": (3, 3, channels, channels), "out": (channels, count)}
    needed = shapes if head is _convolution else {name: shapes[name] for name in ("mix", "out")}
    params = {name: jnp.asarray(rng.normal(size=shape) / 8, jnp.float32) for name, shape in needed.items()}
    return Network(params=params, features=lambda params, x: jax.nn.relu(x @ params["mix"]), head=head, name=str(side))


def _pooled(params, F):
    return F.mean((0, 1)) @ params["out"]


def _convolution(params, F):
    x = jax.lax.conv_general_dilated(
        F[None], params["filter"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return _pooled(params, jax.nn.relu(x[0]))


def _timed(axis: str, x: int, net: Network, names: list[str] | tuple[str, ...]) -> list[Point]:
    side = int(net.name)
    built = workloads.build(net, list(names), BATCH, "float32", size=side)
    seconds = timing.taken_in_turns(built, ROUNDS, minimum_s=0.0).seconds
    low, medians, high = np.quantile(seconds, [0.25, 0.5, 0.75], axis=0)
    spreads = (high - low) / medians
    columns = zip(built, medians.tolist(), spreads.tolist(), strict=True)
    return [_point(axis, work.name, x, median / BATCH, spread) for work, median, spread in columns]


def _point(axis: str, work: str, x: float, value: float, spread: float = 0.0) -> Point:
    return {"axis": axis, "work": work, "x": x, "value": value, "spread": spread}


def draw(points: list[Point], path: Path) -> None:
    """One panel an axis; both of its axes are logarithmic, except where images are counted."""
    from matplotlib.figure import Figure

    titles = {
        "classes": "More classes",
        "cells": "A larger map, pooled head",
        "cells, any head": "A larger map, head with a convolution",
        "devices": "Simulated devices that share two cores",
    }
    figure = Figure(figsize=(9, 10), layout="constrained")
    panels = figure.subplots(3, 2).ravel()
    names = list(dict.fromkeys(str(point["work"]) for point in points if point["axis"] in titles))
    for panel, (axis, title) in zip(panels, titles.items(), strict=False):
        _lines(panel, [point for point in points if point["axis"] == axis], names)
        panel.set(title=title, xlabel=axis.split(",")[0], ylabel="ms an image")
    panels[3].set_ylim(bottom=1)
    for panel, work, factor, title in zip(
        panels[4:], ("seconds", "bytes"), (1, 2**-20), ("Time of a stream (s)", "Memory of a stream (MiB)"), strict=True
    ):
        mine = [point for point in points if point["axis"] == "images" and point["work"] == work]
        panel.plot([p["x"] for p in mine], [float(p["value"]) * factor for p in mine], color="black")
        panel.set(title=title, xlabel="images")
        panel.set_ylim(0, 1.25 * panel.get_ylim()[1])
    handles = {line.get_label(): line for panel in panels[:4] for line in panel.lines}
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=3, frameon=False)
    with atomic.file(path) as unfinished:
        figure.savefig(unfinished)


def _lines(panel, points: list[Point], names: list[str]) -> None:
    """A line for each work, in the colour that it has in all panels; ticks where something was measured."""
    for work in dict.fromkeys(str(point["work"]) for point in points):
        mine = [point for point in points if point["work"] == work]
        values = [1000 * float(p["value"]) for p in mine]
        panel.plot([p["x"] for p in mine], values, marker="o", ms=3, label=work, color=f"C{names.index(work)}")
    panel.set(xscale="log", yscale="log")
    measured = sorted({int(point["x"]) for point in points})
    panel.set_xticks(measured, [f"{x:,}" for x in measured])
    panel.minorticks_off()
    panel.yaxis.set_major_formatter("{x:g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="a folder of photos")
    parser.add_argument("--out", type=Path, required=True, help="where to write, without the endings .json and .svg")
    parser.add_argument("--only", nargs="*", choices=CURVES, default=list(CURVES), help="the curves to measure")
    arguments = parser.parse_args()
    path = arguments.out.with_suffix(".json")
    points = json.loads(path.read_text()) if path.exists() else []
    for name in arguments.only:
        print(name, flush=True)
        new = CURVES[name](arguments.data)
        measured = {point["axis"] for point in new}
        points = [point for point in points if point["axis"] not in measured] + new
        with atomic.file(path) as unfinished:
            unfinished.write_text("[\n" + ",\n".join(json.dumps(point) for point in points) + "\n]\n")
    draw(points, arguments.out.with_suffix(".svg"))


if __name__ == "__main__":
    sys.exit(program.ended("error", main))
