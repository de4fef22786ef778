"""Time the explanations: speed, utilisation, cost relative to a forward pass, memory, the first result.

galore bench
galore bench --networks efficientnet_lite0 resnet50 --batch 1 8 --json record.json
galore bench --batch sweep --peak measured
galore bench --scaling strong weak
galore bench --stream PHOTOS
galore bench compare BEFORE.json AFTER.json
galore bench page docs/benchmarks
"""

import argparse
import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from galore.commands.explain import PRECISIONS
from galore.errors import InputError

USUAL = ("forward", "discriminant", "deliberative", "second order", "integrated gradients")
AUTO, SWEEP = "auto", "sweep"
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
    parser.add_argument("--model", nargs="+", dest="networks", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.add_argument(
        "--works", nargs="+", metavar="WORK", default=list(USUAL), help="'all', or some of the names that --list shows"
    )
    parser.add_argument(
        "--batch",
        nargs="+",
        type=_batch,
        metavar="N",
        default=[8],
        help="images at once (%(default)s); auto: as many as fit; sweep: 1, 2, 4 ... until more gain nothing",
    )
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=PRECISIONS,
        default=["default"],
        metavar="PRECISION",
        help="highest, float32 throughout; default, the device's own choice (such as TF32); high, between the two "
        "(three passes of bfloat16 on TPUs); mixed, float32 with products of bfloat16; or bfloat16 (%(default)s)",
    )
    parser.add_argument(
        "--dtype",
        nargs="+",
        dest="precision",
        type=_precision,
        default=argparse.SUPPRESS,
        metavar="DTYPE",
        help="float32, which is --precision default, or bfloat16",
    )
    parser.add_argument("--rounds", type=int, metavar="N", default=7, help="repetitions, interleaved (%(default)s)")
    parser.add_argument(
        "--minimum", type=float, metavar="SECONDS", default=0.2, help="that a measurement lasts at least (%(default)s)"
    )
    parser.add_argument("--classes", type=int, metavar="C", help="logits of the networks (1000, or as they come)")
    parser.add_argument("--layer", metavar="NAME", help="where the networks are cut in two (their usual place)")
    parser.add_argument(
        "--peak",
        nargs="+",
        metavar="X",
        help="of one device: FLOP/s and bytes/s, such as 1e12 2e11, or 'measured'; known for many accelerators",
    )
    parser.add_argument(
        "--scaling", nargs="+", choices=("strong", "weak"), help="on 1, 2, 4 ... of the devices: one batch, or one each"
    )
    parser.add_argument("--coordinator", metavar="HOST:PORT", help="of several processes, or 'auto' on a cluster")
    parser.add_argument("--process-count", type=int, metavar="N", help="how many processes there are")
    parser.add_argument("--process-index", type=int, metavar="K", help="which of them this is, from 0")
    parser.add_argument("--time-limit", type=float, metavar="SECONDS", help="for each setting, in its own process")
    parser.add_argument("--stream", type=Path, metavar="DATA", help="also time a folder of photos as one stream")
    parser.add_argument("--against", choices=("torch",), help="also time torch, Captum and pytorch-grad-cam")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the record")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw the ratios (.png, .svg, .pdf)")
    parser.add_argument(
        "--trace", type=Path, metavar="DIR", help="write a profile of each work, and show its dearest operations"
    )
    parser.add_argument("--list", action="store_true", help="say what can be timed, and stop")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action")
    compare = actions.add_parser("compare", help="say which works differ between two records")
    compare.add_argument("first", type=Path, metavar="A.json")
    compare.add_argument("second", type=Path, metavar="B.json")
    page = actions.add_parser("page", help="draw the records of a folder on one page")
    page.add_argument("folder", type=Path, metavar="DIR")


def _precision(dtype: str) -> str:
    """What a dtype, by which precisions were chosen once, is called now."""
    named = {"float32": "default", "bfloat16": "bfloat16"}
    if dtype not in named:
        raise argparse.ArgumentTypeError(f"{dtype}: expected one of {', '.join(named)}")
    return named[dtype]


def _batch(text: str) -> int | str:
    if text in (AUTO, SWEEP):
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: expected a number, {AUTO} or {SWEEP}") from None


def run(args: argparse.Namespace, torch_builders: dict[str, Callable[[], Any]] | None = None) -> None:
    """Weights are random: what they are does not change the cost."""
    from galore import terminal

    console = terminal.console()
    console.width = max(console.width, WIDTH)
    if args.action == "compare":
        _compare(args, console)
    elif args.action == "page":
        from galore.benchmark import page

        console.print(f"drawn: {page.draw(args.folder)}")
    elif args.list:
        from galore.benchmark import workloads

        for name in workloads.names():
            console.print(f"{name:38}{workloads.description(name)}")
    else:
        _measure(args, console, torch_builders or {})


def _compare(args: argparse.Namespace, console: Any) -> None:
    from galore.benchmark import compare, record, report

    found = compare.compare(record.read(args.first), record.read(args.second))
    console.print(report.comparison(found))
    different = sum(one.differs for one in found)
    console.print(f"{different} of {len(found)} works differ by more than the rounds and the machine do.")


def _measure(args: argparse.Namespace, console: Any, builders: dict[str, Callable[[], Any]]) -> None:
    _check(args)
    import jax

    from galore.benchmark import record, report, timing, trace
    from galore.training import hosts

    hosts.join(args.coordinator, args.process_count, args.process_index)
    # A program that comes from a cache would be said to take no time to compile.
    jax.config.update("jax_enable_compilation_cache", False)
    everything: list[Any] = []
    for found in _records(args, builders):
        everything += found.rows
        if not hosts.is_first():
            continue
        console.print(report.table(found.rows))
        for row in found.rows:
            if not row.is_measured:
                console.print(f"{row.work}: {row.status}: {row.reason}")
        if args.json:
            record.save(dataclasses.replace(found, rows=everything), args.json)
    if not any(row.is_measured for row in everything):
        raise InputError(f"nothing was measured; the first failure: {everything[0].status}: {everything[0].reason}")
    if not hosts.is_first():
        return
    if SWEEP in args.batch:
        console.print("\n".join(report.knees(everything)))
    console.print(f"The process held at most {timing.resident_bytes() / 2**20:.0f} MiB.")
    if args.figure:
        report.save_figure(everything, args.figure)
    for path in sorted(args.trace.rglob(trace.SUMMARY)) if args.trace else ():
        console.print(f"{path.parent.relative_to(args.trace)}\n{path.read_text(encoding='utf-8')}", soft_wrap=True)


def _check(args: argparse.Namespace) -> None:
    if args.rounds < 1:
        raise InputError(f"--rounds {args.rounds}: expected at least 1")
    if not 0 <= args.minimum < float("inf"):
        raise InputError(f"--minimum {args.minimum:g}: expected seconds, 0 or more")
    if args.time_limit is not None and not args.time_limit > 0:
        raise InputError(f"--time-limit {args.time_limit:g}: expected seconds, more than 0")
    has_words = bool(set(args.batch) & {AUTO, SWEEP})
    for name, is_given in (("--scaling", args.scaling), ("--time-limit", args.time_limit)):
        if is_given and has_words:
            raise InputError(f"{name}: expected --batch as numbers, not {AUTO} or {SWEEP}")
    if args.coordinator and (args.time_limit or args.stream or has_words):
        raise InputError("--coordinator: expected no --time-limit, no --stream and --batch as numbers")


def _records(args: argparse.Namespace, builders: dict[str, Callable[[], Any]]) -> Iterator[Any]:
    """What was found, one record a setting, as soon as it is there."""
    from galore import precision, terminal
    from galore.benchmark import measure, record, workloads

    wanted = workloads.names() if args.works == ["all"] else args.works
    options = {name: value for name, value in vars(args).items() if name not in ("run", "action") and value is not None}
    peak = functools.partial(measure.peak_of, *_peak(args.peak))
    # A process that has touched an accelerator holds its memory, which those for one setting each need.
    known = None if args.time_limit else (peak(), record.made(options))

    def one(plan: Any) -> Any:
        with terminal.step(f"Timing {plan.title}"):
            if known is None:
                return measure.apart(plan, args.time_limit, peak=peak, builders=builders, made=options)
            return record.Record(record.SCHEMA, known[1], known[0], measure.rows(plan, known[0], builders))

    has_any = False
    for name, batch, given in itertools.product(args.networks, args.batch, args.precision):
        plan = measure.Plan(
            network=name,
            works=tuple(wanted),
            batch=batch if isinstance(batch, int) else 1,
            precision=precision.named(given),
            layer=args.layer,
            classes=args.classes,
            rounds=args.rounds,
            minimum_s=args.minimum,
            stream=args.stream,
            torch=args.against == "torch",
            trace=args.trace,
        )
        try:
            for found in _of_plan(plan, batch, args.scaling, one):
                yield found
                has_any = True
        except InputError as error:
            # What was measured before is worth more than the mistake in what comes after it.
            if not has_any:
                raise
            rows = [record.failure(row, error) for row in measure.unfinished(plan, None)]
            yield dataclasses.replace(found, rows=rows)


def _of_plan(
    plan: Any, batch: int | str, scaling_kinds: Sequence[str] | None, one: Callable[[Any], Any]
) -> Iterator[Any]:
    """The records of a plan, for a batch that may be a word, and maybe for several numbers of devices."""
    import jax

    from galore.benchmark import measure, scaling, sweep

    if scaling_kinds:
        for each in scaling.plans(plan, scaling_kinds, jax.device_count(), jax.process_count()):
            yield one(each)
    elif batch == AUTO:
        fits = lambda many: measure.fits(dataclasses.replace(plan, batch=many))  # noqa: E731
        yield one(dataclasses.replace(plan, batch=sweep.largest(fits, jax.device_count())))
    elif batch == SWEEP:
        found = {}

        def images_per_s(many: int) -> float | None:
            found[many] = one(dataclasses.replace(plan, batch=many))
            return found[many].rows[0].images_per_s

        for many, _ in sweep.growing(images_per_s, jax.device_count()):
            yield found[many]
    else:
        yield one(plan)


def _peak(given: Sequence[str] | None) -> tuple[list[float] | None, bool]:
    """Two numbers, or whether to measure them."""
    if given is None or given == ["measured"]:
        return None, given is not None
    try:
        return [float(text) for text in given], False
    except ValueError:
        raise InputError(f"--peak {' '.join(given)}: expected FLOP/s and bytes/s, or 'measured'") from None
