"""Time the explanations: images per second, cost relative to a forward pass, memory, compilation."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from galore.errors import InputError

USUAL = ("forward", "discriminant", "deliberative", "second order", "integrated gradients")


WIDTH = 118
"""Of the table, where the output is no terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--networks", nargs="+", metavar="NAME", default=["efficientnet_lite0"], help="%(default)s")
    parser.add_argument(
        "--works", nargs="+", metavar="WORK", default=list(USUAL), help="'all', or some of the names that --list shows"
    )
    parser.add_argument("--batch", nargs="+", type=int, metavar="N", default=[8], help="images at once (%(default)s)")
    parser.add_argument("--dtype", nargs="+", choices=("float32", "bfloat16"), default=["float32"], help="%(default)s")
    parser.add_argument("--rounds", type=int, metavar="N", default=7, help="repetitions, interleaved (%(default)s)")
    parser.add_argument("--classes", type=int, metavar="C", default=1000, help="logits of the networks (%(default)s)")
    parser.add_argument("--against", choices=("torch",), help="also time torch, Captum and pytorch-grad-cam")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the records")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw the ratios (.png, .svg, .pdf)")
    parser.add_argument("--trace", type=Path, metavar="DIR", help="write a profiler trace of one round")
    parser.add_argument("--list", action="store_true", help="say what can be timed, and stop")


def run(args: argparse.Namespace, torch_builders: dict[str, Callable[[], Any]] | None = None) -> None:
    """Weights are random: what they are does not change the cost."""
    from galore import terminal
    from galore.benchmark import works as available

    console = terminal.console()
    if args.list:
        for name in available.names():
            console.print(f"{name:38}{available.description(name)}")
        return
    if args.rounds < 1:
        raise InputError(f"--rounds {args.rounds}: expected at least 1")

    import jax

    from galore import models
    from galore.benchmark import against_torch, report, timing

    asked = list(available.names()) if args.works == ["all"] else args.works
    everything = []
    for name in args.networks:
        net = models.load(name, weights=None, classes=args.classes)
        size = net.preprocessing.crop if net.preprocessing else 224
        for batch in args.batch:
            for dtype in args.dtype:
                with terminal.step(f"Compiling {name}, batch {batch}, {dtype}"):
                    works = available.build(net, asked, batch, dtype, size=size)
                    if args.against == "torch" and dtype == "float32":
                        works += against_torch.build(net, batch, torch_builders, size)
                with terminal.step(f"Timing {args.rounds} rounds"):
                    seconds = timing.interleaved(works, args.rounds)
                if args.trace:
                    with jax.profiler.trace(str(args.trace)):
                        timing.interleaved(works, 1, warm_up=0)
                records = timing.records(works, seconds, name, batch, dtype)
                shown = report.table(records, timing.ratios(works, seconds))
                console.print(shown, width=max(console.width, WIDTH), crop=False)
                everything += records
    console.print(f"The process held at most {timing.resident_bytes() / 2**20:.0f} MiB.")
    if args.json:
        report.save_json(everything, args.json)
    if args.figure:
        report.save_figure(everything, args.figure)
