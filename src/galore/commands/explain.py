"""Explain a photo: what supports the prediction, where the network hesitates, and why not another class.

galore explain bird.jpg
galore explain bird.jpg --why-not finch --counter-image finch.jpg
galore explain bird.jpg --model resnet50 --layer layer3
galore explain bird.jpg --model runs/birds --attribution grad-cam
galore explain bird.jpg --model my_models:network --out report
galore explain bird.jpg --model runs/birds --rule part-tables --part-tables parts.npz
galore explain bird.jpg --model runs/birds --rule counterparts --counterparts counterparts.npz
"""

import argparse
import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from galore import atomic, cache, foreign
from galore.errors import InputError

if TYPE_CHECKING:
    from galore.counterparts import Counterparts
    from galore.network import Network
    from galore.part_tables import PartTables
    from galore.report.answer import Answer

PRINTED = 3
ATTRIBUTIONS = ("gradient", "integrated-gradients", "grad-cam", "second-order")
"""The names are those of galore.report.build, which would bring jax along; a test compares them."""
PRECISIONS = ("highest", "high", "default", "mixed", "bfloat16")
"""Likewise, those of galore.precision."""
FITTED = ("part-tables", "counterparts")
"""Rules that take a file, which the command of the same name makes."""
RULES = ("discriminant", "margin", "standardised", *FITTED)
"""Likewise."""
FORMATS = (".png", ".pdf", ".svg")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("image", metavar="IMAGE", help="the photo")
    add(
        "--why-not",
        metavar="CLASS",
        help="the other class: a name, a part of one, or an index; name:7 or index:7 where 7 could be "
        "both (the second choice)",
    )
    add("--counter-image", metavar="IMAGE", help="a photo of the other class, to see what it has that this one lacks")
    add_method_arguments(parser)
    add_report_arguments(parser)
    add("--out", metavar="DIR", type=Path, help="where to write (the photo's name with -explained)")


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """What is written."""
    add = parser.add_argument
    add(
        "--figures",
        metavar="FORMATS",
        default="png",
        help="the formats of the figures, some of png, pdf and svg: pdf,svg (%(default)s)",
    )
    add(
        "--also",
        metavar="METHODS",
        default="",
        help="other attributions that the page can switch to: grad-cam,integrated-gradients (none)",
    )


def add_method_arguments(parser: argparse.ArgumentParser) -> None:
    """The choices that do not depend on the photo."""
    add = parser.add_argument
    add(
        "--attribution",
        choices=ATTRIBUTIONS,
        default="gradient",
        metavar="METHOD",
        help="gradient, integrated-gradients, grad-cam, or second-order: that of the confidence, "
        "with gradient for the classes (%(default)s)",
    )
    add(
        "--confidence",
        choices=("softmax", "certainty"),
        default="softmax",
        metavar="SCORE",
        help="how sure the network is: softmax or certainty (%(default)s)",
    )
    add(
        "--rule",
        choices=RULES,
        default="discriminant",
        metavar="RULE",
        help="what sets the two classes apart: discriminant, the papers' product of maps; margin, the map of the "
        "difference of the two scores; standardised, what speaks less for the other class than for all others; "
        "part-tables, the parts by which the classes differ; or counterparts, what would be lost if a place looked as "
        "it does in the other class (%(default)s)",
    )
    for rule in FITTED:
        add(f"--{rule}", metavar="FILE", type=Path, help=f"for --rule {rule}: a file that galore {rule} has made")
    add("--top", metavar="N", type=int, default=5, help="how many classes to consider (%(default)s)")
    add("--fraction", metavar="F", type=float, default=0.1, help="the part of the photo to light (%(default)s)")
    add_network_arguments(parser)


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    """Which network, and what it computes with."""
    add = parser.add_argument
    add(
        "--model",
        metavar="NAME|DIR|MODULE:FUNCTION",
        default="efficientnet_lite0",
        help="a network (efficientnet_lite0, alexnet, vgg16, vgg16_bn, resnet18, resnet34, resnet50, small_cnn), the "
        "folder of a training or of its checkpoint, or a function of yours that returns a network (%(default)s)",
    )
    add("--weights", metavar="PATH", help="its weights, a .safetensors or .pth file (the published ones)")
    add(
        "--layer",
        metavar="NAME",
        help="where the network is cut in two: stage1 to stage7 or conv_head of efficientnet_lite0, conv1 to conv5 of "
        "alexnet, conv1_1 to conv5_3 of vgg16, layer1 to layer4 of a resnet, conv1 to conv4 of small_cnn (the "
        "last one)",
    )
    add(
        "--detail",
        metavar="N",
        type=int,
        default=1,
        help="finer maps: N times as many cells a side, from N x N crops that overlap, up to 4 (%(default)s)",
    )
    add(
        "--precision",
        choices=PRECISIONS,
        metavar="PRECISION",
        help="how exactly the network computes: highest, float32 throughout; default, the device's own choice, such as "
        "TF32; high, between the two (three passes of bfloat16 on TPUs); mixed, float32 with products of bfloat16; or "
        "bfloat16 (as JAX is told)",
    )
    add("--no-cache", action="store_true", help="compile anew, and keep no compiled program for the next time")


def formats(text: str) -> tuple[str, ...]:
    """The endings of the files of `--figures pdf,svg`."""
    endings = tuple(dict.fromkeys(f".{one.strip()}" for one in text.lower().split(",")))
    if not set(endings) <= set(FORMATS):
        raise InputError(f"--figures {text}: expected some of png, pdf and svg, such as pdf,svg")
    return endings


def also(text: str) -> tuple[str, ...]:
    """The names of `--also grad-cam,integrated-gradients`."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if wrong := [name for name in names if name not in ATTRIBUTIONS]:
        raise InputError(
            f"--also {text}: no attribution is called {wrong[0]}, expected some of {', '.join(ATTRIBUTIONS)}"
        )
    return names


def run(args: argparse.Namespace) -> None:
    check(args, args.image, args.counter_image)
    check_report(args)
    out = args.out or Path(f"{Path(args.image).stem}-explained")
    with atomic.folder(out, overwrite=True) as folder, cache.compiled(not args.no_cache):
        explainer = Explainer(args)
        answer = explainer.explain(args.image, folder, why_not=args.why_not, counter_image=args.counter_image)
    show(answer)
    print(f"\nLook at {foreign.text(out / 'explanation.html', foreign.LONGEST_PATH)}")


def check(args: argparse.Namespace, *photos: str | None) -> None:
    """Refuses numbers outside their range and files that are no photos, before anything slow begins."""
    from galore.data.photo import read_image

    if args.top < 2:
        raise InputError(f"--top {args.top}: hesitation lies between two classes, expected at least 2")
    if not 0 < args.fraction < 1:
        raise InputError(f"--fraction {args.fraction:g}: expected a number between 0 and 1")
    for rule in FITTED:
        if (args.rule == rule) != (getattr(args, rule.replace("-", "_")) is not None):
            raise InputError(f"--rule {rule} and --{rule} FILE belong together; galore {rule} makes the file")
    for photo in photos:
        if photo is not None:
            read_image(photo)


def check_report(args: argparse.Namespace) -> None:
    """Likewise, what is written."""
    formats(args.figures)
    also(args.also)


def load(args: argparse.Namespace) -> "Network":
    """The network of the method's arguments, with its precision; what is finer is its maps."""
    from galore import loading

    net = loading.load(args.model, args.weights or "imagenet", layer=args.layer)
    return net if args.precision is None else net.with_precision(args.precision)


def fitted_of(args: argparse.Namespace, net: "Network") -> "dict[str, PartTables | Counterparts]":
    """What the rule was fitted to, as the option of `galore.explain_photo`; empty where it needs nothing."""
    from galore import counterparts, part_tables

    if args.part_tables is not None:
        return {"part_tables": part_tables.load(args.part_tables, net)}
    return {} if args.counterparts is None else {"counterparts": counterparts.load(args.counterparts, net)}


class Explainer:
    """A loaded network and the choices for its explanations, for any number of photos."""

    def __init__(self, args: argparse.Namespace) -> None:
        from galore import terminal

        with terminal.step(f"Loading {args.model}"):
            from galore.report import explain_photo

            net = load(args)
        self.net = dataclasses.replace(net, name=net.name or args.model)
        names = ("attribution", "confidence", "rule", "top", "fraction", "detail")
        choices = {name: getattr(args, name) for name in names} | {"also": also(args.also)}
        choices |= fitted_of(args, net)
        options = {name: value for name, value in vars(args).items() if name not in ("run", "no_cache")}
        self.explain_photo = functools.partial(explain_photo, self.net, **choices, options=options)
        self.formats = formats(args.figures)

    def explain(
        self, image: str, folder: Path, *, why_not: str | None = None, counter_image: str | None = None
    ) -> "Answer":
        """Explains a photo and writes the report's files into a folder."""
        from galore import terminal
        from galore.report import figures, page, record

        with terminal.step(f"Explaining {foreign.text(image)}"):
            answer = self.explain_photo(image, why_not, counter_image).answer
        with terminal.step("Writing the report"):
            record.save(answer, folder)
            figures.save(answer, folder, self.formats)
            (folder / "explanation.html").write_text(page.page(answer), encoding="utf-8", errors="replace")
        return answer


def show(answer: "Answer") -> None:
    """Prints the answer, as wide as the terminal is."""
    from rich.padding import Padding

    from galore import terminal
    from galore.report import words

    console = terminal.console()

    def question(text: str) -> None:
        console.print()
        console.print(text, style="bold")

    def line(text: str, style: str = "") -> None:
        console.print(Padding(text, (0, 0, 0, 2), expand=False), style=style)

    predicted, counter = answer.prediction.name, answer.why_not.counter.name
    console.print(words.headline(answer), style="bold")
    question(f"What speaks for {predicted}?")
    line(words.parts(answer.attributive))
    question("Where does it hesitate?")
    for insecurity in answer.insecurities[:PRINTED]:
        line(f"{insecurity.first.name} or {insecurity.second.name}: {words.parts(insecurity.finding)}")
    if not answer.insecurities:
        line("nowhere between two classes")
    question(f"Why {predicted} and not {counter}?")
    line(words.parts(answer.why_not.finding))
    if answer.methods["rule"] != "discriminant":
        line(words.rule(answer))
    line(words.example_hint(answer))
    if not answer.why_not.named:
        line(f"({counter} is the second choice; --why-not asks about any other class)")
    for note in answer.notes:
        console.print()
        line(f"Note: {note}", style="yellow")
