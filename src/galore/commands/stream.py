"""Explain a whole folder of photos, however many; stopped at any moment, it resumes where it was.

galore stream PHOTOS --out OUT
galore stream PHOTOS --out OUT --explanation deliberative
galore stream PHOTOS --out OUT --model runs/birds --why-not finch
galore stream PHOTOS --out OUT --rule counterparts --counterparts counterparts.npz
galore stream PHOTOS --out OUT --part 1/4
"""

import argparse
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galore import cache
from galore.commands import explain
from galore.errors import InputError

if TYPE_CHECKING:
    from galore.network import Network
    from galore.stream import Folder

SHOWN = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("data", metavar="DATA", type=Path, help="a folder of photos, or a data set with its photos in images/")
    add("--out", metavar="DIR", type=Path, required=True, help="a new folder, or that of the run to resume")
    kinds = ("discriminant", "attributive", "deliberative", "both")
    add(
        "--explanation",
        choices=kinds,
        default="discriminant",
        metavar="KIND",
        help=f"{', '.join(kinds)} the first and the third (%(default)s)",
    )
    add("--why-not", metavar="CLASS", help="discriminant, both: the other class (each photo's second choice)")
    explain.add_method_arguments(parser)
    add("--batch", metavar="N", type=int, default=32, help="photos at once (%(default)s)")
    add("--shard", metavar="N", type=int, default=256, help="photos a file (%(default)s)")
    add("--threads", metavar="N", type=int, help="threads that decode (one a processor)")
    add("--no-gallery", action="store_true", help="write no thumbnails and no pages to look at")
    add("--part", metavar="K/N", help="only the K-th of N parts, K from 1, to share the work among machines")


def run(args: argparse.Namespace) -> int:
    explain.check(args)
    if args.why_not is not None and args.explanation not in ("discriminant", "both"):
        raise InputError(f"--why-not asks for --explanation discriminant or both, not {args.explanation}")
    if args.rule != "discriminant" and args.explanation not in ("discriminant", "both"):
        raise InputError(f"--rule {args.rule} asks for --explanation discriminant or both, not {args.explanation}")
    part = None if args.part is None else _part(args.part)
    with cache.compiled(not args.no_cache):
        return _stream(args, part)


def _stream(args: argparse.Namespace, part: tuple[int, int] | None) -> int:
    from galore import foreign, stream, terminal
    from galore.report import build

    console, skipped = terminal.console(), Counter[str]()
    with terminal.step(f"Loading {args.model}"):
        net = explain.load(args)
        fitted = explain.fitted_of(args, net)
        net = net.finer(args.detail)
    answer, settings = _answer(args, net, fitted)
    with terminal.progress(f"Explaining {foreign.text(args.data)}") as on_images:
        folder = stream.run(
            net,
            args.data,
            args.out,
            answer,
            settings=settings,
            batch_size=args.batch,
            shard_size=args.shard,
            threads=args.threads,
            part=part,
            has_thumbnails=not args.no_gallery,
            on_images=on_images,
            skipped=skipped,
            on_notice=terminal.notice,
        )
    if not folder.finished():
        console.print("This part has no photos: there are fewer shards than parts.")
        return 0
    stream.save_ranking(folder)
    page = None
    if not args.no_gallery:
        with terminal.step("Writing the gallery"):
            page = stream.save_gallery(folder, build.names_of(net), args.fraction)
    return _show(console, folder, net, skipped, page)


def _part(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise InputError(f"--part {text}: expected K/N with K from 1 to N, such as 1/8")
    return int(number) - 1, int(count)


def _answer(args: argparse.Namespace, net: "Network", fitted: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The function of a batch, and the settings behind it."""
    from galore import class_names, provenance, stream
    from galore.report import build

    names = ("explanation", "attribution", "confidence", "detail")
    settings: dict[str, Any] = {name: getattr(args, name) for name in names}
    settings |= {} if args.precision is None else {"precision": args.precision}
    options: dict[str, Any] = {"confidence": build.CONFIDENCES[args.confidence]}
    methods = build.ATTRIBUTIONS[args.attribution]
    if args.explanation == "attributive":
        return partial(stream.attributive, attribution=methods["attribution"], **options), settings
    if args.explanation == "deliberative":
        own = {"top": args.top, "fraction": args.fraction}
        return partial(stream.deliberative, **methods, **options, **own), settings | own
    counter = None if args.why_not is None else class_names.find(args.why_not, build.names_of(net))
    why_not = None
    if args.rule != "discriminant":
        settings |= {"rule": args.rule, **{name: provenance.params_sha256(one) for name, one in fitted.items()}}
        if args.rule == "part-tables":
            of_two = partial(stream.by_part_tables, tables=fitted["part_tables"])
        elif args.rule == "counterparts":
            of_two = partial(stream.by_counterparts, fitted=fitted["counterparts"])
        else:
            ask = stream.margin if args.rule == "margin" else stream.standardised
            of_two = partial(ask, attribution=methods["attribution"])
        why_not = partial(of_two, counter=counter, confidence=options["confidence"])
    if args.explanation == "both":
        own = {"counter": counter, "top": args.top, "fraction": args.fraction}
        return partial(stream.both, why_not=why_not, **methods, **options, **own), settings | own
    why_not = why_not or partial(stream.discriminant, counter=counter, **methods, **options)
    return why_not, settings | {"counter": counter}


def _show(console: Any, folder: "Folder", net: "Network", skipped: Counter[str], page: Path | None) -> int:
    """Says what there is; the exit code, 1 where no photo could be explained."""
    from galore import class_names, foreign, stream
    from galore.report import build
    from galore.stream import photos

    problems, names = folder.problems(), build.names_of(net)
    explained = len(folder.column("difficulty")[0])
    rest = folder.images - explained - len(problems)
    console.print(f"{explained} photos are explained" + (f", {rest} are left to other parts" if rest else ""))
    if problems:
        one = foreign.text(next(iter(problems.values())), 400)
        console.print(f"{len(problems)} could not be, such as: {one}", soft_wrap=True)
    if skipped:
        console.print(f"{photos.told(skipped).capitalize()}.", soft_wrap=True)
    if explained:
        console.print("The network is least sure of")
    for one in stream.hardest(folder, SHOWN):
        label = class_names.label(one.predicted, names)
        console.print(f"  {one.difficulty:.3f}  {foreign.text(one.image)}: {label}", soft_wrap=True)
    console.print(f"The maps are in {folder.root}/shard-*.npz, the order in ranking.csv.", soft_wrap=True)
    if page is not None:
        console.print(f"Look at {foreign.text(page, foreign.LONGEST_PATH)}", soft_wrap=True)
    return 0 if explained else 1
