"""Make a page that asks people whether pieces the network finds ambiguous are ambiguous to them too.

galore agree BIRDS --model runs/birds --subject birds --out ambiguous
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from galore.commands.teach import add_page_arguments

if TYPE_CHECKING:
    from galore.teach.sheet import Sheet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", type=Path, help="a folder in CUB-200-2011's or ADE20K's format")
    parser.add_argument("--model", metavar="CHECKPOINT", required=True, help="the network, trained on these classes")
    parser.add_argument("--classes", metavar="CLASS", nargs="+", help="only these classes; all that are present")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="a new folder")
    parser.add_argument("--items", metavar="N", type=int, default=10, help="pieces of each group (%(default)s)")
    add_page_arguments(parser, learners=50)


def run(args: argparse.Namespace) -> None:
    from galore import atomic
    from galore.commands import teach

    with atomic.folder(args.out) as folder:
        sheet = make(args, folder)
    teach.report(sheet, args.out)


def make(args: argparse.Namespace, folder: Path) -> "Sheet":
    """Makes an experiment and writes it into its folder."""
    from galore import terminal
    from galore.commands import teach
    from galore.teach import agree, hard_images, network_maps

    teach.check_simulation(args)
    options = agree.AgreementOptions(
        items=args.items,
        fraction=args.fraction,
        learners=args.learners,
        seed=args.seed,
        subject=args.subject,
        contact=args.contact,
        consent=teach.text(args.consent),
        post_to=args.post_to,
    )
    agree.check(options)
    dataset = network_maps.read(args.data, args.classes)
    net = teach.network(args.model)
    scores = hard_images.scores_of(args.model)
    with terminal.step(f"Looking for difficult images and their insecurities ({', '.join(scores)})"):
        sheet = agree.make(net, dataset, options, scores)
    teach.finish(net, sheet, dataset.root, args, folder)
    return sheet
