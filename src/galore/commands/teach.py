"""Make a page that teaches people two classes with a network's explanations, as an experiment.

galore teach BIRDS --model runs/birds --classes finch jay --out lesson
galore teach BIRDS --from-sheet lesson/sheet.json --out again
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from galore import foreign
from galore.errors import InputError

if TYPE_CHECKING:
    from galore.network import Network
    from galore.teach.sheet import Sheet

CONDITIONS = "counterfactual,attributive,random,whole"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", type=Path, help="a folder in CUB-200-2011's or ADE20K's format")
    parser.add_argument("--model", metavar="CHECKPOINT", help="the network, trained on these classes")
    parser.add_argument("--classes", metavar=("A", "B"), nargs=2, help="the two classes to tell apart")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="a new folder")
    parser.add_argument("--conditions", metavar="LIST", default=CONDITIONS, help="what is lit (%(default)s)")
    parser.add_argument("--before", metavar="N", type=int, default=20, help="questions before (%(default)s)")
    parser.add_argument("--pairs", metavar="N", type=int, default=10, help="explained pairs (%(default)s)")
    parser.add_argument("--after", metavar="N", type=int, default=20, help="questions after (%(default)s)")
    add_page_arguments(parser, learners=200)
    parser.add_argument("--show-names", action="store_true", help="call the classes by their names instead of A and B")
    parser.add_argument("--no-parts", action="store_true", help="do not name the parts that are lit in both pictures")
    parser.add_argument("--from-sheet", metavar="FILE", type=Path, help="make the page of this sheet again")


def add_page_arguments(parser: argparse.ArgumentParser, learners: int) -> None:
    """What both experiments have in common."""
    parser.add_argument(
        "--fraction", metavar="F", type=float, default=0.1, help="the part of a picture that is lit (%(default)s)"
    )
    parser.add_argument("--learners", metavar="N", type=int, default=learners, help="links to make (%(default)s)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of every draw (%(default)s)")
    parser.add_argument("--subject", metavar="WORD", default="pictures", help='what is shown, such as "birds"')
    parser.add_argument("--contact", metavar="TEXT", default="", help="who runs the experiment, for the consent")
    parser.add_argument("--consent", metavar="FILE", type=Path, help="a text file with more words for the consent")
    parser.add_argument("--post-to", metavar="URL", default="", help="an address that takes results")
    parser.add_argument(
        "--simulate", metavar="N", type=int, help="let N simulated learners a condition take it, for a power analysis"
    )


def run(args: argparse.Namespace) -> None:
    from galore import atomic

    with atomic.folder(args.out) as folder:
        sheet = rebuild(args, folder) if args.from_sheet else make(args, folder)
    report(sheet, args.out)


def make(args: argparse.Namespace, folder: Path) -> "Sheet":
    """Makes an experiment and writes it into its folder."""
    if not args.model or not args.classes:
        raise InputError("teach needs --model CHECKPOINT and --classes A B, or --from-sheet FILE")
    check_simulation(args)
    from galore import terminal
    from galore.teach import design, lesson, network_maps

    options = lesson.LessonOptions(
        conditions=tuple(word.strip() for word in args.conditions.split(",")),
        sizes=design.Sizes(args.before, args.pairs, args.after),
        fraction=args.fraction,
        learners=args.learners,
        seed=args.seed,
        subject=args.subject,
        show_names=args.show_names,
        parts=not args.no_parts,
        contact=args.contact,
        consent=text(args.consent),
        post_to=args.post_to,
    )
    lesson.check(options)
    dataset = network_maps.read(args.data)
    classes = network_maps.two_classes(dataset, args.classes)
    net = network(args.model)
    with terminal.step("Choosing images that the network gets right, and explaining the pairs"):
        sheet = lesson.make(net, dataset, classes, options)
    finish(net, sheet, dataset.root, args, folder)
    return sheet


def check_simulation(args: argparse.Namespace) -> None:
    """Refuses a number of simulated learners out of range."""
    if args.simulate is not None and not 2 <= args.simulate <= 1000:
        raise InputError(f"--simulate {args.simulate}: expected 2 to 1000 learners a condition")


def finish(net: "Network", sheet: "Sheet", root: Path, args: argparse.Namespace, folder: Path) -> None:
    """Writes the experiment into its folder, and lets simulated learners take it where asked to."""
    from galore import terminal

    write(sheet, root, folder)
    if args.simulate:
        with terminal.step("Simulating learners"):
            simulate(net, sheet, root, args, folder / "simulation")


def text(file: Path | None) -> str:
    """The words in a file; "" without one."""
    if file is None:
        return ""
    try:
        words = foreign.read_bytes(file, "the consent, a text file in UTF-8").decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read the consent {file}, expected a text file in UTF-8") from error
    return words.replace("\r\n", "\n").strip()


def network(model: str) -> "Network":
    """A checkpoint, or a network by its name."""
    from galore import terminal

    with terminal.step(f"Loading {model}"):
        from galore import loading

        return loading.load(model)


def rebuild(args: argparse.Namespace, folder: Path) -> "Sheet":
    """Makes the page of a sheet again; no network is needed."""
    from galore.teach import sheet

    again = sheet.read(args.from_sheet)
    write(again, args.data, folder)
    return again


def write(sheet: "Sheet", root: Path, folder: Path) -> None:
    """Writes the experiment into its folder."""
    from galore import terminal
    from galore.teach import build

    with terminal.step("Writing the page"):
        build.fill(sheet, root / "images", folder)


def simulate(net: "Network", sheet: "Sheet", root: Path, args: argparse.Namespace, folder: Path) -> None:
    """Writes simulated learners' result files, their reports and the power analysis, all labelled as simulation."""
    from galore.teach import agree_report, learners, planning, report, results
    from galore.teach import sheet as sheets

    write = report.write if sheet.kind == sheets.TEACH else agree_report.write
    perceived = learners.perceive(net, sheet, root / "images")
    files = learners.write(sheet, perceived, folder / "results", args.simulate, args.seed)
    counted, refusals = results.join(sheet, files)
    for kind, group in report.groups(counted).items():
        place = folder / kind.replace(" ", "-")
        write(sheet, group, refusals, place, args.seed)
        (place / "simulation-power.md").write_text(planning.table(sheet, group, args.seed), "utf-8")


def report(sheet: "Sheet", out: Path) -> None:
    """Says what was made."""
    from galore import terminal

    console = terminal.console()
    lines = [
        f"Experiment {sheet.experiment}: {len(sheet.pictures)} pictures, {len(sheet.orders[0])} questions a learner",
        f"Look at {out / 'page' / 'index.html'}; publish the folder {out / 'page'} as it is",
        f"Give each learner a line of {out / 'links.txt'} after the page's address",
        f"Keep {out / 'sheet.json'}: galore teach-results needs it, and it holds every answer",
    ]
    for line in lines:
        console.print(foreign.text(line, foreign.LONGEST_PATH), soft_wrap=True)
