"""The figure that pages of results begin with: claims line by line, with what each study measured and its verdict.

A forest plot as meta-analyses have it. There is a wide one for desks and a narrow one for phones; lengths are inches,
and y goes down.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from galore.experiment import studies
from galore.experiment.claims import Paper, Verdict
from galore.experiment.studies import Entry, Judged

LIMIT = 0.3
"""What lies further from zero is an arrow at the edge: it would press everything else together."""
MARKS = (("o", "#0072b2"), ("s", "#b84a00"), ("D", "#00785a"), ("^", "#a2487a"), ("v", "#000000"), ("P", "#8a6000"))
"""Shape and colour of each study: those of Okabe and Ito, dark enough for letters."""
COLOURS = {
    Verdict.HOLDS: "#1b6e32",
    Verdict.FAILS: "#a4262c",
    Verdict.NO_DIFFERENCE: "#3f4a56",
    Verdict.DEPENDS: "#7a4b00",
    Verdict.UNKNOWN: "#565656",
}
"""Of verdicts, dark enough for letters."""
INK, FAINT, BAND, RULE = "#222222", "#555555", "#e9eaec", "#bbbbbb"
BESIDE = {"above": "▲", "like": "≈", "below": "▼"}
"""Where a method stands to a map that knows nothing."""
LINE, STEP, SMALL_LINE, GAP = 0.2, 0.18, 0.155, 0.13
"""Heights: of a study, of a line of a claim, of a small line, and between claims."""
SPACING = 1.23
"""Of the lines of a claim, in heights of its letters: `STEP`."""
FONT, SMALL = 9.0, 8.0
LETTERS = 23
"""A number has room for; longer ones are smaller."""
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Layout:
    """Where columns begin, and where the axis ends.

    Attributes:
        width: of the figure.
        claim, study, axis, number, verdict, baselines: where each column begins; baselines None: there is no room.
        axis_end: where the axis of the intervals ends.
        letters: in a line of a claim, and of what stands small below it.
        is_narrow: claims stand above their studies, and the interval below a study's name.
    """

    width: float
    claim: float
    study: float
    axis: float
    axis_end: float
    number: float
    verdict: float
    baselines: float | None
    letters: tuple[int, int]
    is_narrow: bool = False


WIDE = Layout(12.4, 0.05, 3.5, 5.4, 6.9, 7.0, 8.75, 10.9, (48, 55))
NARROW = Layout(3.7, 0.02, 0.02, 0.1, 2.05, 2.15, 2.05, None, (50, 56), True)


def forest(entries: Sequence[Entry], layout: Layout = WIDE) -> Figure:
    """One row a claim, one line a study; claims are links to their experiments.

    Args:
        entries: the claims, sorted by paper.
        layout: `WIDE` or `NARROW`.
    """
    names = dict.fromkeys(name for entry in entries for name in entry.by_study)
    marks = {name: MARKS[place % len(MARKS)] for place, name in enumerate(names)}
    limits = _limits(entries)
    heading = 0.45 if not layout.is_narrow else 0.3
    papers = [(paper, list(some)) for paper, some in groupby(entries, key=lambda entry: entry.source.paper)]
    height = heading + sum(0.32 + sum(_height(entry, layout) for entry in some) for _, some in papers) + 0.42
    figure = Figure(figsize=(layout.width, height))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, layout.width), ylim=(height, 0))
    axis.set_axis_off()
    sheet = _Sheet(axis, layout, limits)
    y = heading
    if not layout.is_narrow:
        sheet.head(0.2)
    for paper, some in papers:
        sheet.paper(y, paper)
        y += 0.32
        for entry in some:
            sheet.entry(y, entry, marks)
            y += _height(entry, layout)
    sheet.scale(y + 0.02)
    return figure


def told(entries: Sequence[Entry]) -> str:
    """The figure in one sentence; what it shows stands as a table beside it."""
    names = list(dict.fromkeys(name for entry in entries for name in entry.by_study))
    return (
        f"Forest plot of {len(entries)} headline claims, each with the difference measured, its 95 % interval and the "
        f"verdict on {'; '.join(names)}. The same numbers stand in the table of headline claims."
    )


@dataclass(frozen=True)
class _Sheet:
    """What is drawn on."""

    axis: Axes
    layout: Layout
    limits: tuple[float, float]

    def text(self, x: float, y: float, text: str, size: float = FONT, colour: str = INK, **more) -> None:
        """A line of letters, its middle at y."""
        self.axis.text(x, y, text, fontsize=size, color=colour, va="center_baseline", **more)

    def head(self, y: float) -> None:
        """What the columns are."""
        layout = self.layout
        words = {
            layout.claim: "claim",
            layout.study: "data, network",
            layout.number: "measured [95 %]",
            layout.verdict: "verdict",
        }
        for x, name in words.items():
            self.text(x, y, name, SMALL, FAINT)
        self.text(self.place(0.0) - 0.06, y, "against", SMALL, FAINT, ha="right")
        self.text(self.place(0.0) + 0.06, y, "for the claim", SMALL, FAINT)
        if layout.baselines is not None:
            self.text(layout.baselines, y - 0.08, "maps that know nothing:", SMALL, FAINT)
            self.text(layout.baselines, y + 0.08, "▲ above, ≈ like, ▼ below", SMALL, FAINT)

    def paper(self, y: float, paper: Paper) -> None:
        """A line above the claims of a paper."""
        self.axis.plot([0, self.layout.width], [y, y], color=RULE, linewidth=0.8)
        self.text(self.layout.claim, y + 0.16, paper.value, FONT, INK, weight="bold")

    def entry(self, y: float, entry: Entry, marks: dict[str, tuple[str, str]]) -> None:
        """A claim in words, and a line for each study."""
        claim, small = _lines(entry, self.layout)
        place = (self.layout.claim, y + 0.03)
        more = {"fontsize": FONT, "color": INK, "va": "top", "linespacing": SPACING, "url": f"#{entry.experiment}"}
        self.axis.text(*place, "\n".join(claim), **more)  # one text, to be one link
        below = y + STEP * len(claim)
        for text in small:
            self.text(self.layout.claim, below + SMALL_LINE / 2, text, SMALL, FAINT)
            below += SMALL_LINE
        start = below + 0.03 if self.layout.is_narrow else y
        step = 2 * LINE if self.layout.is_narrow else LINE
        for place, (name, judged) in enumerate(entry.by_study.items()):
            self.study(start + step * place + LINE / 2, name, judged, marks[name])

    def study(self, y: float, name: str, judged: Judged, mark: tuple[str, str]) -> None:
        """What one study measured."""
        layout, (shape, colour) = self.layout, mark
        at = y + LINE if layout.is_narrow else y
        self.axis.plot(layout.study + 0.05, y, shape, color=colour, markersize=4.5)
        self.text(layout.study + 0.14, y, name, SMALL if layout.is_narrow else FONT, colour)
        self.ground(at, judged.result.margin)
        self.interval(at, judged, mark)
        number = studies.number(judged)
        size = (SMALL if layout.is_narrow else FONT) * min(1, LETTERS / len(number))
        self.text(layout.number, at, number, size)
        verdict, why = studies.said(judged), studies.reason(judged)
        right = {"x": layout.width, "ha": "right"} if layout.is_narrow else {"x": layout.verdict}
        short = why and not layout.is_narrow
        said = f"{verdict} ({textwrap.shorten(why, 42, placeholder='…')})" if short else verdict
        self.text(
            **right, y=y, text=said, size=SMALL if short or layout.is_narrow else FONT, colour=COLOURS[judged.verdict]
        )
        if layout.baselines is not None and not short:
            said = " ".join(f"{BESIDE[place]} {_short(baseline)}" for place, baseline in judged.result.baselines)
            self.text(layout.baselines, y, said, SMALL, FAINT)

    def interval(self, y: float, judged: Judged, mark: tuple[str, str]) -> None:
        """Point and bar; an arrow at the edge where they lie beyond."""
        estimate, (shape, colour) = judged.result.estimate, mark
        if estimate is None or np.isnan(estimate.value):
            return
        # A ratio of speeds has no place on an axis of differences: the arrow says to which side of the claim it lies.
        threshold = judged.result.threshold
        low, high = (self.place(bound - threshold) for bound in (estimate.low, estimate.high))
        if not np.isnan(low):
            self.axis.plot([low, high], [y, y], color=colour, linewidth=1.8, solid_capstyle="butt")
        value = estimate.value - threshold
        x, filled = self.place(value), judged.verdict is not Verdict.UNKNOWN
        beyond = value > self.limits[1] or value < self.limits[0]
        shape = (">" if value > 0 else "<") if beyond else shape
        self.axis.plot(x, y, shape, color=colour, markersize=5.5, markerfacecolor=colour if filled else "white")

    def ground(self, y: float, margin: float) -> None:
        """Zero, and the differences that are too small to matter as a band."""
        around = [y - LINE / 2, y + LINE / 2]
        self.axis.plot([self.place(0.0)] * 2, around, color="#888888", linewidth=0.8, zorder=0.5)
        if not np.isnan(margin):
            x = [self.place(-margin), self.place(margin)]
            self.axis.fill_between(x, around[0], around[1], color=BAND, linewidth=0, zorder=0)

    def scale(self, bottom: float) -> None:
        """The axis below all claims, with its numbers."""
        layout = self.layout
        self.axis.plot([layout.axis, layout.axis_end], [bottom, bottom], color="#888888", linewidth=0.8)
        widest = max(self.limits[1], -self.limits[0])
        step = next((tick for tick in TICKS if widest / tick <= 3), TICKS[-1])
        ticks = np.arange(np.ceil(self.limits[0] / step), np.floor(self.limits[1] / step) + 1) * step
        for tick in ticks:
            x = self.place(tick)
            self.axis.plot([x, x], [bottom, bottom + 0.04], color="#888888", linewidth=0.8)
            self.text(
                x,
                bottom + 0.13,
                f"{tick + 0.0:+.{2 if step < 0.1 else 1}f}" if abs(tick) > 1e-9 else "0",
                SMALL,
                FAINT,
                ha="center",
            )
        words = "difference in the measure's own unit; arrow: beyond the axis"
        middle = max((layout.axis + layout.axis_end) / 2, 1.85)
        self.text(middle, bottom + 0.3, words, SMALL, FAINT, ha="center")

    def place(self, value: float) -> float:
        """Of a number on the axis."""
        low, high = self.limits
        inside = np.clip(value, low, high)
        return float(self.layout.axis + (inside - low) / (high - low) * (self.layout.axis_end - self.layout.axis))


def _lines(entry: Entry, layout: Layout) -> tuple[list[str], list[str]]:
    """A claim, and what stands small below it."""
    large, small = layout.letters
    told = [f"{entry.source.value}: {entry.number}", f"published: {entry.published}" if entry.published else ""]
    return textwrap.wrap(entry.text, large, break_on_hyphens=False), [
        text for some in told for text in textwrap.wrap(some, small)
    ]


def _height(entry: Entry, layout: Layout) -> float:
    claim, small = _lines(entry, layout)
    words, of_studies = STEP * len(claim) + SMALL_LINE * len(small), LINE * len(entry.by_study)
    return GAP + (words + 2 * of_studies + 0.03 if layout.is_narrow else max(words, of_studies))


def _limits(entries: Sequence[Entry]) -> tuple[float, float]:
    """What the axis holds: every interval but those of timings, at most `LIMIT` to each side."""
    estimates = [
        judged.result.estimate
        for entry in entries
        for judged in entry.by_study.values()
        if judged.result.estimate is not None and not judged.result.is_timing
    ]
    numbers = [number for estimate in estimates for number in estimate[:3] if not np.isnan(number)]
    low, high = min([*numbers, -0.02]), max([*numbers, 0.02])
    room = 0.04 * (high - low)
    return max(low - room, -LIMIT), min(high + room, LIMIT)


def _short(baseline: str) -> str:
    return {"random map": "random", "centred Gaussian": "Gauss", "whole object": "box"}.get(baseline, baseline)
