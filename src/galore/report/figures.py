"""The explanations as figures (PNG), each complete with a title, a legend and the map's resolution."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from galore.report import overlay, words
from galore.report.answer import Answer, Finding, Photo

SIDE = 3.2
DPI = 160
PAIRS = 5


def save(answer: Answer, folder: Path) -> tuple[str, ...]:
    """Writes attributive.png, deliberative.png and counterfactual.png.

    Args:
        answer: what to draw.
        folder: where to; it exists.

    Returns:
        The names of the files.
    """
    figures = {
        "attributive.png": attributive(answer),
        "deliberative.png": deliberative(answer),
        "counterfactual.png": counterfactual(answer),
    }
    for name, figure in figures.items():
        FigureCanvasAgg(figure)
        figure.savefig(folder / name, dpi=DPI, bbox_inches="tight", pad_inches=0.15)
    return tuple(figures)


def attributive(answer: Answer) -> Figure:
    """The photo, the region that supports the prediction, and the map with its values."""
    name = answer.prediction.name
    figure, axes = _panels(3, f"What speaks for {name}?", words.resolution(answer))
    _show(axes[0], answer.photo.view, "what the network saw")
    _show(axes[1], overlay.lit(answer.photo.view, answer.attributive.region), _caption(answer.attributive))
    _show_map(figure, axes[2], answer.photo, answer.attributive, "the map behind it")
    return figure


def deliberative(answer: Answer) -> Figure:
    """The strongest insecurities, side by side."""
    shown = answer.insecurities[:PAIRS]
    figure, axes = _panels(max(len(shown), 1), "Where does the network hesitate?", words.resolution(answer))
    if not shown:
        _show(axes[0], answer.photo.view, "no insecurity was found")
    for rank, (axis, insecurity) in enumerate(zip(axes, shown), 1):
        picture = overlay.lit(answer.photo.view, insecurity.finding.region)
        _show(
            axis,
            picture,
            f"{rank}. {insecurity.first.name}\nor {insecurity.second.name}?\nstrength {insecurity.strength:.3g}",
        )
    return figure


def counterfactual(answer: Answer) -> Figure:
    """The two regions that tell the prediction from the counter class, and their maps."""
    predicted, counter, example = answer.prediction.name, answer.why_not.counter.name, answer.why_not.example
    title = f"Why {predicted} and not {counter}?"
    figure, axes = _panels(4 if example else 2, title, words.resolution(answer))
    finding = answer.why_not.finding
    _show(axes[0], overlay.lit(answer.photo.view, finding.region), f"speaks for {predicted},\nnot for {counter}")
    if example is None:
        _show_map(figure, axes[1], answer.photo, finding, "its map")
        return figure
    _show(
        axes[1],
        overlay.lit(example.photo.view, example.finding.region),
        f"speaks for {counter},\nnot for {predicted}",
    )
    _show_map(figure, axes[2], answer.photo, finding, "map of the first")
    _show_map(figure, axes[3], example.photo, example.finding, "map of the second")
    return figure


def _panels(count: int, title: str, foot: str) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(max(count * SIDE, 2 * SIDE), SIDE + 1.1), layout="constrained")
    axes = [figure.add_subplot(1, count, position + 1) for position in range(count)]
    figure.suptitle(_literal(title), fontsize=13, fontweight="bold")
    figure.supxlabel(foot.replace(". ", ".\n") if count < 3 else foot, fontsize=8, color="#555c66")
    return figure, axes


def _show(axis: Axes, picture: np.ndarray, title: str) -> None:
    axis.imshow(picture)
    axis.set_title(_literal(title), fontsize=9)
    axis.set_axis_off()


def _show_map(figure: Figure, axis: Axes, photo: Photo, finding: Finding, title: str) -> None:
    _show(axis, overlay.heat(photo.view, finding.map), title)
    low, high = float(finding.map.min()), float(finding.map.max())
    colours = ScalarMappable(Normalize(low, high if high > low else low + 1.0), ListedColormap(overlay.legend() / 255))
    bar = figure.colorbar(colours, ax=axis, shrink=0.72, ticks=[low, high] if high > low else [low])
    bar.ax.set_yticklabels([f"{tick:.2g}" for tick in bar.get_ticks()], fontsize=7)


def _caption(finding: Finding) -> str:
    if not finding.boxes:
        return "the map is the same everywhere: no region"
    return f"lit: the {words.percent(finding.covered)} with the highest values"


def _literal(text: str) -> str:
    """Text in which matplotlib finds no formula."""
    return text.replace("$", r"\$")
