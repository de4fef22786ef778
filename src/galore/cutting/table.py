"""What can be cut: the layers of a model, in the order in which they return."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import PyTree

from galore.cutting import axes as places
from galore.cutting import flops
from galore.cutting import layout as layouts
from galore.cutting import parts as cutting
from galore.cutting.cut import Choose, whole_model
from galore.cutting.frameworks import Call
from galore.cutting.program import Program
from galore.cutting.scores import Scores


class Layer(NamedTuple):
    """A layer of a model.

    Attributes:
        name: as `galore.cut` takes it.
        shape: of what it returns, the batch axis included.
        grid: its locations, (h, w); None: it has none that could be followed.
        is_used: whether the logits see what it returns; those behind the logits, and by-products, are not.
        is_bottleneck: whether the logits see the image through it alone.
        can_be_cut: whether they also see its locations.
        calls: how often it is called.
        behind: the share of the model's FLOPs that lie behind it, from 0 to 1.
    """

    name: str
    shape: tuple[int, ...]
    grid: tuple[int, int] | None
    is_used: bool
    is_bottleneck: bool
    can_be_cut: bool
    calls: int
    behind: float


class Layers(tuple[Layer, ...]):
    """The layers of a model; printed, a table."""

    def __repr__(self) -> str:
        rows = [("layer", "shape", "locations", "cut here", "FLOPs behind"), *map(_row, self)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(layer: Layer) -> tuple[str, ...]:
    locations = "x".join(map(str, layer.grid)) if layer.grid else "-"
    return layer.name, "x".join(map(str, layer.shape)), locations, _verdict(layer), f"{100 * layer.behind:.1f} %"


def _verdict(layer: Layer) -> str:
    if layer.can_be_cut:
        return "yes"
    if layer.calls > 1:
        return f"called {layer.calls} times"
    if not layer.is_used:
        return "no, not used"
    return "no, no locations" if layer.is_bottleneck else "no, bypassed"


def layers(
    model: Any,
    image: Any,
    *,
    params: PyTree | None = None,
    variables: PyTree | None = None,
    call: Call | None = None,
    output: Choose | None = None,
    batched: bool | None = None,
    channels_first: bool | None = None,
    **keywords: Any,
) -> Layers:
    """The layers of a model that `galore.cut` can be asked for; nothing is computed, the model is only traced.

    Args:
        model, image, params, variables, call, output, batched, channels_first, **keywords: as in `galore.cut`.

    Returns:
        The layers in the order in which they return; `print` shows a table.

    Raises:
        InputError: as `galore.cut`, of the model alone.
    """
    whole, parameters = whole_model(model, image, params, variables, call, output, batched, channels_first, keywords)
    program = whole.traced(parameters, whole.dtype)
    scores = cutting.scores_of(program, False, whole.model.name)
    followed = places.follow(program, cutting.image_axes(program))
    total = flops.of_steps(program, program.needed(program.results)).flops
    listed = (
        _layer(program, scores, name, values, followed, total)
        for name, values in cutting.named(program).items()
        if jnp.issubdtype(program.types[values[0]].dtype, jnp.floating)
    )
    return Layers(listed)


def _layer(
    program: Program,
    scores: Scores,
    name: str,
    values: tuple[int, ...],
    followed: dict[int, places.Axes],
    total: float,
) -> Layer:
    value, calls = values[0], len(values)
    layout = layouts.found(program.types[value].shape, followed.get(value))
    reached = program.reached_from({value})
    steps = (step for step in program.needed(program.results) if not reached.isdisjoint(step.outputs))
    behind = flops.of_steps(program, (step for step in steps if value not in step.outputs)).flops
    return Layer(
        name,
        program.types[value].shape,
        layout.grid if layout else None,
        is_used=scores.value in reached,
        is_bottleneck=calls == 1 and cutting.is_bottleneck(program, value, scores),
        can_be_cut=calls == 1 and cutting.can_be_cut(program, value, scores, followed),
        calls=calls,
        behind=behind / total if total else 0.0,
    )
