"""From a network and a photo to an explanation in one call, and what a notebook shows of it."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, overload

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from galore import arguments, atomic, plotting, provenance
from galore.counterparts import Counterparts
from galore.errors import InputError
from galore.network import Network
from galore.part_tables import PartTables
from galore.report import build, figures, notebook, page, record, words
from galore.report.answer import Answer
from galore.report.figures import Question

_compiled = functools.lru_cache(build.compile_explanations)
"""The same settings give the same function, for which jax keeps one program for each shape of network and photo."""


@dataclasses.dataclass(frozen=True)
class PhotoExplanation:
    """Why a network sees what it sees in one photo: shown as it is in a notebook, drawn by `plot`, written by `save`.

    Attributes:
        answer: all that is shown, as numbers, maps and regions.
    """

    answer: Answer

    def __repr__(self) -> str:
        """The answer in three lines."""
        answer = self.answer
        lines = words.headline(answer), words.deliberative(answer), words.counterfactual(answer)
        return f"{answer.photo.name}: {lines[0]}\n{lines[1]}\n{lines[2]}".replace(words.NARROW, " ")

    def _repr_html_(self) -> str:
        """What a notebook shows: the answers with their pictures."""
        return notebook.html(self.answer)

    @overload
    def plot(self, question: Question | None = None) -> Figure: ...

    @overload
    def plot(self, question: Question | None = None, *, ax: Axes) -> Axes: ...

    def plot(self, question: Question | None = None, *, ax: Axes | None = None) -> Figure | Axes:
        """Draws the answers.

        Args:
            question: "attributive", "deliberative" or "counterfactual", each with its maps; None: the three regions
                beside one another.
            ax: axes in which the one picture that answers the question is drawn, "counterfactual" unless another is
                named.

        Returns:
            A figure, which a notebook shows and `savefig` writes; no window opens. The axes where they are given.

        Raises:
            InputError: there is no such question.
        """
        if question is not None:
            _check_name("question", question, get_args(Question))
        if ax is not None:
            plotting.draw(ax, figures.panel(self.answer, question or "counterfactual"))
            return ax
        return figures.overview(self.answer) if question is None else getattr(figures, question)(self.answer)

    def save(self, path: str | Path, question: Question | None = None) -> None:
        """Writes the explanation into one file, whole or not at all; a file of that name is replaced.

        Args:
            path: its ending says what is written. .pdf, .svg or .png: what `plot` draws; .html: the page; .json: the
                numbers (docs/explanation_schema.md); .npz: the maps.
            question: what the figure shows, as in `plot`.

        Raises:
            InputError: another ending, or a place that cannot be written.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in (*plotting.FORMATS, ".html", ".json", ".npz"):
            endings = ", ".join((*plotting.FORMATS, ".html", ".json"))
            raise InputError(f"cannot save {path}: expected a name that ends in {endings} or .npz")
        with atomic.file(path) as unfinished:
            if suffix in plotting.FORMATS:
                plotting.save(self.plot(question), unfinished)
            elif suffix == ".html":
                unfinished.write_text(page.page(self.answer), encoding="utf-8", errors="replace")
            elif suffix == ".json":
                record.write_json(self.answer, unfinished)
            else:
                record.write_maps(self.answer, unfinished)


def explain_photo(
    net: Network,
    image: Any,
    why_not: str | int | None = None,
    counter_image: Any = None,
    *,
    attribution: str = "gradient",
    confidence: str = "softmax",
    rule: str = "discriminant",
    part_tables: PartTables | None = None,
    counterparts: Counterparts | None = None,
    top: int = 5,
    fraction: float = 0.1,
    detail: int = 1,
    also: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> PhotoExplanation:
    """Asks a network about a photo: what supports its prediction, where it hesitates, and why not another class.

    What is needed of the network is compiled, once for all photos that are explained with the same settings.

    Args:
        net: a network with preprocessing, such as `galore.load` gives.
        image: the path of a photo, or the photo itself: a PIL image, or uint8 [height, width, 3].
        why_not: the counter class: its name, a part of it, or its index; None: the second choice.
        counter_image: a photo of that class, likewise, to see what it has that the first one lacks.
        attribution: "gradient", "integrated-gradients", "grad-cam" or "second-order".
        confidence: how sure the network is, "softmax" or "certainty".
        rule: what sets two classes apart: "discriminant", the papers' product of maps; "margin", the map of the
            difference of the two scores; "standardised", the absence of the counter class beside that of the others;
            "part-tables", the parts by which the classes differ; or "counterparts", what would be lost if a place
            looked as it does in the other class. docs/answering.md compares them.
        part_tables: for that rule, of this network at this cut, such as `galore.part_tables.load` gives.
        counterparts: likewise, such as `galore.counterparts.load` gives.
        top: how many classes are candidates, at least 2.
        fraction: the part of the photo that a region covers, between 0 and 1.
        detail: how many times as many cells a side the maps have, see `Network.finer`.
        also: other attributions, whose maps are kept too, for the reader of the page to switch to.
        options: what the provenance records as asked for; None: the choices above.

    Returns:
        The explanation, on the host.

    Raises:
        InputError: a photo, class or choice that cannot be had, or a network whose outputs are not finite.
    """
    if not isinstance(net, Network):
        raise InputError(f"net of type {type(net).__name__}: expected a galore.Network, as galore.load gives one")
    _check_name("attribution", attribution, tuple(build.ATTRIBUTIONS))
    _check_name("confidence", confidence, tuple(build.CONFIDENCES))
    _check_name("rule", rule, build.RULES)
    top = arguments.whole_number(top, "top", 2)
    if not 0 < fraction < 1:
        raise InputError(f"fraction={fraction!r}: expected a number between 0 and 1")
    for name in also:
        _check_name("also", name, tuple(build.ATTRIBUTIONS))
    others = tuple(dict.fromkeys(name for name in also if name != attribution))
    settings = {"attribution": attribution, "confidence": confidence, "rule": rule, "also": others}
    settings |= {"top": min(top, len(build.names_of(net))), "fraction": fraction}
    needed = {"part_tables": (part_tables, PartTables), "counterparts": (counterparts, Counterparts)}
    for name, (given, kind) in needed.items():
        if (rule == (of := name.replace("_", "-"))) != isinstance(given, kind):
            raise InputError(f'rule="{of}" and {name}=galore.{name}.load(FILE, net) belong together')
    digests = {name: given and provenance.params_sha256(given) for name, (given, _) in needed.items()}
    return PhotoExplanation(
        build.build(
            net.finer(detail),
            image,
            _compiled(**settings),
            {"model": net.name, "layer": net.layer, "detail": detail, **digests, **settings},
            why_not=why_not if why_not is None or isinstance(why_not, str) else f"index:{why_not}",
            counter_image=counter_image,
            fitted=part_tables or counterparts,
            options=dict(options or settings),
        )
    )


def _check_name(option: str, given: Any, known: tuple[str, ...]) -> None:
    if given not in known:
        raise InputError(f"{option} {given!r}: expected {', '.join(known)}")
