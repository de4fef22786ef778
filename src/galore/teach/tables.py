"""Numbers as words, and as the lines of a table."""

import math
from typing import Any

from galore.statistics import Estimate


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
