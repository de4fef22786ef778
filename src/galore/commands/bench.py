"""Time the explanations: images per second, cost relative to a forward pass, memory, compilation.

galore bench
galore bench --networks efficientnet_lite0 resnet50 --batch 1 8
galore bench --stream PHOTOS
"""

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from galore.errors import InputError

USUAL = ("forward", "discriminant", "deliberative", "second order", "integrated gradients")
WIDTH = 118
"""Of the table, at least; a narrower terminal breaks its lines."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--networks",
        nargs="+",
        metavar="NAME|DIR|MODULE:FUNCTION",
        default=["efficientnet_lite0"],
        help="as the --model of galore explain (%(default)s)",
    )
    parser.add_argument(
        "--works", nargs="+", metavar="WORK", default=list(USUAL), help="'all', or some of the names that --list shows"
    )
    parser.add_argument("--batch", nargs="+", type=int, metavar="N", default=[8], help="images at once (%(default)s)")
    parser.add_argument("--dtype", nargs="+", choices=("float32", "bfloat16"), default=["float32"], help="%(default)s")
    parser.add_argument("--rounds", type=int, metavar="N", default=7, help="repetitions, interleaved (%(default)s)")
    parser.add_argument("--classes", type=int, metavar="C", help="logits of the networks (1000, or as they come)")
    parser.add_argument("--layer", metavar="NAME", help="where the networks are cut in two (their usual place)")
    parser.add_argument("--stream", type=Path, metavar="DATA", help="also time a folder of photos as one stream")
    parser.add_argument("--against", choices=("torch",), help="also time torch, Captum and pytorch-grad-cam")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the records")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw the ratios (.png, .svg, .pdf)")
    parser.add_argument("--trace", type=Path, metavar="DIR", help="write a profiler trace of one round")
    parser.add_argument("--list", action="store_true", help="say what can be timed, and stop")


def run(args: argparse.Namespace, torch_builders: dict[str, Callable[[], Any]] | None = None) -> None:
    """Weights are random: what they are does not change the cost."""
    from galore import terminal
    from galore.benchmark import workloads as available

    console = terminal.console()
    console.width = max(console.width, WIDTH)
    if args.list:
        for name in available.names():
            console.print(f"{name:38}{available.description(name)}")
        return
    if args.rounds < 1:
        raise InputError(f"--rounds {args.rounds}: expected at least 1")

    import jax

    from galore import loading
    from galore.benchmark import against_torch, report, streaming, timing

    # A program that comes from a cache would be said to take no time to compile.
    jax.config.update("jax_enable_compilation_cache", False)
    wanted = list(available.names()) if args.works == ["all"] else args.works
    everything = []
    for name, batch, dtype in itertools.product(args.networks, args.batch, args.dtype):
        net = loading.load(name, weights=None, layer=args.layer, classes=args.classes)
        size = net.preprocessing.crop if net.preprocessing else 224
        with terminal.step(f"Compiling {name}, batch {batch}, {dtype}"):
            workloads = available.build(net, wanted, batch, dtype, size=size)
            if args.against == "torch" and dtype == "float32":
                workloads += against_torch.build(net, batch, torch_builders, size)
        everything += _timed(workloads, args, console, name, batch, dtype)
        if args.stream:
            workloads = streaming.build(net, args.stream, batch, dtype)
            everything += _timed(workloads, args, console, name, batch, dtype, warm_up=0)
    console.print(f"The process held at most {timing.resident_bytes() / 2**20:.0f} MiB.")
    if args.json:
        report.save_json(everything, args.json)
    if args.figure:
        report.save_figure(everything, args.figure)


def _timed(
    workloads: list[Any], args: argparse.Namespace, console: Any, name: str, batch: int, dtype: str, warm_up: int = 1
) -> list[Any]:
    """Lets workloads take turns and shows the table; returns its rows."""
    import jax

    from galore import terminal
    from galore.benchmark import report, timing

    with terminal.step(f"Timing {args.rounds} rounds"):
        seconds = timing.interleaved(workloads, args.rounds, warm_up)
    if args.trace:
        with jax.profiler.trace(str(args.trace)):
            timing.interleaved(workloads, 1, warm_up=0)
    records = timing.records(workloads, seconds, name, batch, dtype)
    console.print(report.table(records, timing.ratios(seconds)))
    return records
