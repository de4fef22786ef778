"""Explain a photo: what supports the prediction, where the network hesitates, and why not another class."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galore import atomic, foreign
from galore.errors import InputError

if TYPE_CHECKING:
    from galore.network import Network
    from galore.report.answer import Answer

PRINTED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("image", metavar="IMAGE", help="the photo")
    add("--why-not", metavar="CLASS", help="the other class: a name, a part of one, or an index (the second choice)")
    add("--counter-image", metavar="IMAGE", help="a photo of the other class, to see what it has that this one lacks")
    add_method_arguments(parser)
    add("--out", metavar="DIR", type=Path, help="where to write (the photo's name with -explained)")


def add_method_arguments(parser: argparse.ArgumentParser) -> None:
    """The choices that do not depend on the photo."""
    add = parser.add_argument
    # The names are those of galore.report.build, which would bring jax along; a test compares them.
    add(
        "--attribution",
        choices=("gradient", "integrated-gradients", "grad-cam", "second-order"),
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
        choices=("discriminant", "margin"),
        default="discriminant",
        metavar="RULE",
        help="what sets the two classes apart: discriminant, the papers' product of maps, or margin, the map of the "
        "difference of the two scores (%(default)s)",
    )
    add("--top", metavar="N", type=int, default=5, help="how many classes to consider (%(default)s)")
    add("--fraction", metavar="F", type=float, default=0.1, help="the part of the photo to light (%(default)s)")
    add(
        "--model",
        metavar="NAME|DIR|MODULE:FUNCTION",
        default="efficientnet_lite0",
        help="a network, a checkpoint, or a function of yours that returns a network (%(default)s)",
    )
    add("--weights", metavar="PATH", help="its weights, a .safetensors or .pth file (the published ones)")
    add("--layer", metavar="NAME", help="where the network is cut in two (the model's usual place)")
    add(
        "--detail",
        metavar="N",
        type=int,
        default=1,
        help="finer maps: N times as many cells a side, from N x N crops that overlap, up to 4 (%(default)s)",
    )


def run(args: argparse.Namespace) -> None:
    check(args, args.image, args.counter_image)
    out = args.out or Path(f"{Path(args.image).stem}-explained")
    with atomic.folder(out, overwrite=True) as folder:
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
    for photo in photos:
        if photo is not None:
            read_image(photo)


def load(args: argparse.Namespace) -> "Network":
    """The network of the method's arguments."""
    from galore import loading

    return loading.load(args.model, args.weights or "imagenet", layer=args.layer, detail=args.detail)


class Explainer:
    """A loaded network and the compiled function of its maps, for any number of photos."""

    def __init__(self, args: argparse.Namespace) -> None:
        from galore import terminal

        with terminal.step(f"Loading {args.model}"):
            from galore.report import build

            self.net = load(args)
        top = min(args.top, len(build.names_of(self.net)))
        choices = {
            "attribution": args.attribution,
            "confidence": args.confidence,
            "rule": args.rule,
            "top": top,
            "fraction": args.fraction,
        }
        network = {"model": self.net.name or args.model, "layer": self.net.layer, "detail": args.detail}
        self.methods: dict[str, Any] = network | choices
        self.options = {name: value for name, value in vars(args).items() if name != "run"}
        self.explain_photo = build.compile_explanations(**choices)

    def explain(
        self, image: str, folder: Path, *, why_not: str | None = None, counter_image: str | None = None
    ) -> "Answer":
        """Explains a photo and writes the report's files into a folder."""
        from galore import terminal
        from galore.report import build, figures, page, record

        with terminal.step(f"Explaining {foreign.text(image)}"):
            answer = build.build(
                self.net,
                image,
                self.explain_photo,
                self.methods,
                why_not=why_not,
                counter_image=counter_image,
                options=self.options | {"image": image, "why_not": why_not, "counter_image": counter_image},
            )
        with terminal.step("Writing the report"):
            record.save(answer, folder)
            figures.save(answer, folder)
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
    if answer.methods.get("rule") == "margin":
        line(words.rule(answer))
    line(words.example_hint(answer))
    if not answer.why_not.named:
        line(f"({counter} is the second choice; --why-not asks about any other class)")
    for note in answer.notes:
        console.print()
        line(f"Note: {note}", style="yellow")
