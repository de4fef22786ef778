"""A program cut in two at a value through which everything passes, and what is wrong with other values."""

import dataclasses
import difflib
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax.numpy as jnp

from galore.cutting import axes as places
from galore.cutting import layout as layouts
from galore.cutting.axes import Axes
from galore.cutting.layout import Layout
from galore.cutting.program import Program, Step
from galore.cutting.scores import Scores
from galore.cutting.scores import logits as find_logits
from galore.errors import InputError


class Placement(NamedTuple):
    """Where the caller says that the locations are; empty: they are followed from the image."""

    axes: tuple[int, int] | None = None
    grid: tuple[int, int] | None = None
    prefix: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Parts:
    """A program cut in two.

    Attributes:
        program: the whole model.
        value: what the layer returns.
        layout: how that becomes F.
        scores: where the logits are.
        trunk: the steps from the image to the value.
        top: those from the value to the logits.
    """

    program: Program
    value: int
    layout: Layout
    scores: Scores
    trunk: tuple[Step, ...]
    top: tuple[Step, ...]


def cut_at(program: Program, value: int, layer: str, placement: Placement, scores: Scores) -> Parts:
    """The parts of a program on both sides of a value.

    Raises:
        InputError: the image gets around the value, the logits do not see it, or its locations are unknown.
    """
    if value not in program.dependent:
        raise InputError(f"what the layer {layer} returns does not depend on the image")
    if not _sees(program, scores, program.reached_from({value})):
        raise InputError(f"the logits do not see what the layer {layer} returns")
    if _sees(program, scores, program.reached_from({program.image}, without={value})):
        raise InputError(
            f"the layer {layer} is no bottleneck: the image also reaches the logits around it, through "
            f"{_around(program, value, scores)}; cut where both have come together"
        )
    followed = places.follow(program, image_axes(program))
    where = layout_of(program, value, layer, placement, followed)
    if value in followed and not places.see_locations(program, value, scores.value, followed):
        raise InputError(
            f"behind the layer {layer} the logits see no location, only tokens that have none"
            f"{_better(program, value, scores, followed)}"
        )
    top = program.needed([scores.value], given={value})
    return Parts(program, value, where, scores, program.needed([value]), top)


def _better(program: Program, value: int, scores: Scores, followed: dict[int, Axes]) -> str:
    """The last layer before a value that can be cut at."""
    names = [(values[0], name) for name, values in named(program).items() if len(values) == 1 and values[0] < value]
    better = next(
        (name for number, name in sorted(names, reverse=True) if can_be_cut(program, number, scores, followed)), None
    )
    return f": cut at {better}" if better else ""


def earlier(parts: Parts) -> Iterator[str]:
    """The layers before a value that can be cut at, the last first."""
    followed = places.follow(parts.program, image_axes(parts.program))
    named_once = ((values[0], name) for name, values in named(parts.program).items() if len(values) == 1)
    for value, name in sorted(named_once, reverse=True):
        if value < parts.value and can_be_cut(parts.program, value, parts.scores, followed):
            yield name


def can_be_cut(program: Program, value: int, scores: Scores, followed: dict[int, Axes]) -> bool:
    """Whether everything passes through a value, at more than one location."""
    layout = layouts.found(program.types[value].shape, followed.get(value))
    return (
        layout is not None
        and layout.grid != (1, 1)
        and is_bottleneck(program, value, scores)
        and places.see_locations(program, value, scores.value, followed)
    )


def is_bottleneck(program: Program, value: int, scores: Scores) -> bool:
    """Whether the logits see the image through this value alone."""
    around = program.reached_from({program.image}, without={value})
    return value in program.dependent and not _sees(program, scores, around)


def _sees(program: Program, scores: Scores, values: frozenset[int]) -> bool:
    return isinstance(scores.value, int) and scores.value in values


def _around(program: Program, value: int, scores: Scores) -> str:
    """What goes around a value: the layers and shapes that meet what depends on it."""
    behind, around = program.reached_from({value}), program.reached_from({program.image}, without={value})
    names = {number: name for name, numbers in program.names.items() for number in numbers}
    crossing: dict[str, None] = {}
    for step in program.needed([scores.value]):
        read = {operand for operand in step.inputs if isinstance(operand, int)}
        if read & behind:
            for number in sorted(read & around - behind):
                crossing[_called(program, number, names)] = None
    if not crossing:
        return f"{_called(program, scores.value, names)}, which does not use it"  # type: ignore[arg-type]
    shown = list(crossing)[:3]
    return " and ".join(shown) + (f" and {len(crossing) - 3} more" if len(crossing) > 3 else "")


def _called(program: Program, value: int, names: Mapping[int, str]) -> str:
    """A value by the layer that returned it or the scope that made it, and its shape."""
    shape = list(program.types[value].shape)
    if value == program.image:
        return f"the image {shape}"
    producer = next((step for step in program.steps if value in step.outputs), None)
    while producer is not None and value not in names and len(producer.inputs) == 1:
        (before,) = producer.inputs
        if not isinstance(before, int) or program.types[before].shape != program.types[value].shape:
            break
        value = before
        producer = next((step for step in program.steps if value in step.outputs), None)
    if value in names:
        return f"what {names[value]} returns, {shape}"
    where = f" in {producer.scope}" if producer is not None and producer.scope else ""
    return f"a value of shape {shape}{where}"


def named(program: Program) -> dict[str, tuple[int, ...]]:
    """The values by what they are called: the names of layers, else what leaves each scope, else single operations."""
    return dict(program.names) or _scopes(program) or _operations(program)


def _operations(program: Program) -> dict[str, tuple[int, ...]]:
    """Operations that see the image, numbered by kind: convolution 2 stays that when types are converted elsewhere."""
    numbers: dict[str, int] = {}
    values: dict[str, tuple[int, ...]] = {}
    for step in program.steps:
        kind = step.primitive.name
        numbers[kind] = numbers.get(kind, 0) + 1
        if kind != "convert_element_type" and not program.dependent.isdisjoint(step.outputs):
            values[f"{kind} {numbers[kind]}"] = step.outputs
    return values


def _scopes(program: Program) -> dict[str, tuple[int, ...]]:
    inside: dict[str, list[int]] = {}
    for number, step in enumerate(program.steps):
        levels = [level for level in step.scope.split("/") if level]
        for depth in range(1, len(levels) + 1):
            inside.setdefault("/".join(levels[:depth]), []).append(number)
    results = {operand for operand in program.results if isinstance(operand, int)}
    readers: dict[int, set[int]] = {}
    for number, step in enumerate(program.steps):
        for operand in step.inputs:
            if isinstance(operand, int):
                readers.setdefault(operand, set()).add(number)
    leaving: dict[str, tuple[int, ...]] = {}
    for scope, numbers in inside.items():
        made = {value for number in numbers for value in program.steps[number].outputs} & program.dependent
        members = set(numbers)
        leaving[scope] = tuple(sorted(v for v in made if v in results or readers.get(v, set()) - members))
    return {scope: values for scope, values in leaving.items() if values}


def value_of(program: Program, layer: str) -> int:
    """The value that a layer returns.

    Raises:
        InputError: there is no such layer, or it is called several times or inside a loop.
    """
    values = named(program)
    found = next((name for name in values if _plain(name) == _plain(layer)), None)
    if found is None:
        closed = next((name for name in program.closed if _plain(name) == _plain(layer)), None)
        if closed is not None:
            raise InputError(
                f"the layer {layer} is called inside a {_kind(program.closed[closed])}, in which nothing can be cut: "
                "cut before or behind it"
            )
        raise InputError(f"the model calls no layer {layer!r}{_closest(layer, values)}; galore.layers lists them all")
    if found in program.closed:
        raise InputError(f"the layer {layer} is also called inside a {_kind(program.closed[found])}: expected one call")
    if len(values[found]) > 1:
        raise InputError(
            f"the layer {layer} is called {len(values[found])} times, as shared layers are: expected one call"
        )
    return values[found][0]


def _plain(name: str) -> str:
    return re.sub(r"[/.]+", ".", name).strip(".")


def _kind(primitive: str) -> str:
    return {"scan": "scanned loop", "while": "loop", "cond": "branch"}.get(primitive, primitive)


def _closest(layer: str, names: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(layer, list(names), n=3, cutoff=0.4)
    return f"; the closest are {', '.join(close)}" if close else ""


def image_axes(program: Program) -> Axes:
    """Height and width of the image: the channels are the last axis, or the first where it is the short one."""
    shape = program.types[program.image].shape
    if len(shape) == 2:
        return (places.along("H", shape[0]), places.along("W", shape[1]))
    if len(shape) != 3:
        return tuple(map(places.other, shape))
    first, middle, last = shape
    if first <= 4 < min(middle, last):
        return (places.other(first), places.along("H", middle), places.along("W", last))
    return (places.along("H", first), places.along("W", middle), places.other(last))


def layout_of(program: Program, value: int, layer: str, placement: Placement, followed: Mapping[int, Axes]) -> Layout:
    """Where the locations of a layer's result are.

    Raises:
        InputError: nobody knows, or the caller's word does not fit.
    """
    shape = program.types[value].shape
    if placement.axes is not None:
        if not all(-len(shape) <= axis < len(shape) for axis in placement.axes):
            raise InputError(f"axes={placement.axes}: the layer {layer} returns shape {list(shape)}")
        return layouts.of_axes(shape, placement.axes)
    if placement.grid is not None:
        layout = layouts.of_tokens(shape, placement.grid, placement.prefix)
        if layout is None:
            raise InputError(
                f"grid={placement.grid}, prefix={placement.prefix}: the layer {layer} returns shape {list(shape)}, "
                "which has no axis of that many tokens"
            )
        return layout
    layout = layouts.found(shape, followed.get(value))
    if layout is None:
        raise InputError(
            f"the layer {layer} returns shape {list(shape)}, whose locations cannot be followed from the image: say "
            "axes=(height, width), or grid=(h, w) and prefix= of its tokens"
        )
    return layout


def bottlenecks(program: Program, scores: Scores) -> Iterator[int]:
    """The values at which the model can be cut, the last first."""
    followed = places.follow(program, image_axes(program))
    for step in reversed(program.needed([scores.value])):
        yield from (value for value in step.outputs if can_be_cut(program, value, scores, followed))


def scores_of(program: Program, keep_normalisation: bool, name: str) -> Scores:
    """Where the logits are.

    Raises:
        InputError: the model returns no vector of floating-point numbers.
    """
    types = [program.types[result] if isinstance(result, int) else None for result in program.results]
    if len(types) != 1 or types[0] is None or not jnp.issubdtype(types[0].dtype, jnp.floating):
        raise InputError(f"{name} returns no floating-point array that depends on its input")
    return Scores(program.results[0]) if keep_normalisation else find_logits(program)
