"""What a group of learners did, for people: numbers as words, the lines of a table, the files of a report."""

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from galore.statistics import Estimate
from galore.teach.results import Refusal


@runtime_checkable
class Report(Protocol):
    """A dataclass about one group of learners; `simulation` is "" for people."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def title(self) -> str: ...

    @property
    def simulation(self) -> str: ...


def percent(value: float) -> str:
    """ "72 %", or a dash where there is no number."""
    return "–" if math.isnan(value) else f"{100 * value:.0f} %"


def seconds(value: float) -> str:
    """ "2.5", or a dash where nothing was measured."""
    return "–" if math.isnan(value) else f"{value:.1f}"


def interval(value: Estimate, signed: bool = False) -> str:
    """ "72 % (65 to 78)"; "+12 % (+3 to +20)" for a difference."""
    if math.isnan(value.value):
        return "–"
    sign = "+" if signed else ""
    text = f"{100 * value.value:{sign}.0f} %"
    return text if math.isnan(value.low) else f"{text} ({100 * value.low:{sign}.0f} to {100 * value.high:{sign}.0f})"


def p_text(p: float) -> str:
    """A p value in three digits."""
    return "–" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def markdown_table(head: list[str], cells: list[list[str]], simulation: str) -> list[str]:
    """The lines of a table, under a caption that says so where it is a simulation's."""
    caption = [f"SIMULATION ({simulation}):", ""] if simulation else []
    rows = [head, ["---"] * len(head), *cells]
    return [*caption, *("| " + " | ".join(row) + " |" for row in rows), ""]


def finite(value: Any) -> Any:
    """Plain data for JSON: "not a number" is null, and an interval says what its numbers are."""
    if isinstance(value, Estimate):
        return {name: finite(getattr(value, name)) for name in ("value", "low", "high")}
    if isinstance(value, dict):
        return {name: finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def save(report: Report, text: str, refusals: Sequence[Refusal], draw: Callable[[Path], None], folder: Path) -> None:
    """Writes table.md, results.json and figure.png of one group; the names of a simulation's files say so.

    Args:
        report: a dataclass, all of which the data hold.
        text: the tables as Markdown.
        refusals: the files that are not counted.
        draw: writes the figure.
        folder: where to; it is made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prefix = "simulation-" if report.simulation else ""
    (folder / f"{prefix}table.md").write_text(text, "utf-8")
    body: dict[str, Any] = {"title": report.title} | dataclasses.asdict(report)
    body["not_counted"] = [dataclasses.asdict(refusal) for refusal in refusals]
    data = json.dumps(finite(body), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / f"{prefix}results.json").write_text(data + "\n", "utf-8", "backslashreplace")
    draw(folder / f"{prefix}figure.png")


def set_title(axes: Any, report: Report) -> None:
    """The title of a figure; that of a simulation is red."""
    axes.set_title(
        report.title.replace(": ", ":\n", 1),
        loc="left",
        fontsize=9,
        color="#9a2c14" if report.simulation else "#1c2024",
        parse_math=False,
    )
