"""Which axes of a value are the image's height and width, followed from the image through a program.

Convolutions, pooling, transposing, flattening into tokens, class tokens put in front and windows cut out and put
together again are followed by rules; where an operation has none, its results are unknown and the caller has to say.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from galore.cutting.program import Known, Operand, Program, Step
from galore.head_program import ELEMENTWISE

CLOSED = frozenset(
    {
        "call_exported",
        "cond",
        "custom_jvp_call",
        "custom_vjp_call",
        "custom_vmap_call",
        "ffi_call",
        "pure_callback",
        "scan",
        "shard_map",
        "while",
    }
)
"""Operations that are not looked into."""

Letter = Literal["H", "W", ""]


class Factor(NamedTuple):
    """A part of an axis: `size` places along the height or width (or neither), `stride` apart."""

    letter: Letter
    stride: int
    size: int


class Axis(NamedTuple):
    """An axis as its factors, the slowest first, between other entries (class tokens, say) `before` and `after`."""

    factors: tuple[Factor, ...]
    before: int = 0
    after: int = 0

    @property
    def size(self) -> int:
        return self.before + math.prod(factor.size for factor in self.factors) + self.after

    @property
    def letters(self) -> str:
        return "".join(factor.letter for factor in self.factors)

    @property
    def is_known(self) -> bool:
        return bool(self.letters)


Axes = tuple[Axis, ...]


def other(size: int) -> Axis:
    """An axis that is neither height nor width."""
    return Axis((Factor("", 1, size),) if size != 1 else ())


def along(letter: Letter, size: int) -> Axis:
    """The whole height or width."""
    return Axis((Factor(letter, 1, size),))


def follow(program: Program, image_axes: Axes) -> dict[int, Axes]:
    """The axes of every value of a program, as far as they can be followed.

    Args:
        program: the model.
        image_axes: those of the image.

    Returns:
        Axes by value; values in which neither height nor width is known are left out.
    """
    axes = {program.image: image_axes}

    def shape(operand: Operand) -> tuple[int, ...]:
        return np.shape(operand.value) if isinstance(operand, Known) else program.types[operand].shape

    for step in program.steps:
        known = [axes.get(operand) if isinstance(operand, int) else None for operand in step.inputs]
        if not any(known):
            continue
        shapes = [shape(operand) for operand in step.inputs]
        rule = _RULES.get(step.primitive.name, _unknown)
        for number, output in enumerate(step.outputs):
            found = rule(step, known, shapes, program.types[output].shape, number)
            if not _is_placed(found) and step.primitive.name in CLOSED:
                found = guessed(program.types[output].shape)
            if found is not None and _is_placed(found):
                axes[output] = found
    return axes


def _is_placed(axes: Axes | None) -> bool:
    return axes is not None and any(axis.is_known for axis in axes)


def guessed(shape: tuple[int, ...]) -> Axes | None:
    """Of what comes out of a closed operation: two axes of equal size beside one of another; None: anything else."""
    long = [axis for axis, size in enumerate(shape) if size > 1]
    sizes = [shape[axis] for axis in long]
    if len(long) != 3 or sizes[0] == sizes[2] or sizes[1] not in (sizes[0], sizes[2]):
        return None
    height = long[0] if sizes[0] == sizes[1] else long[1]
    result = list(map(other, shape))
    result[height], result[height + 1] = along("H", shape[height]), along("W", shape[height + 1])
    return tuple(result)


def see_locations(program: Program, value: int, target: Operand, axes: dict[int, Axes]) -> bool:
    """Whether a target depends on the places of a value, and not only on tokens cut out beside them.

    Args:
        program: the model.
        value: whose axes are known.
        target: what may depend on it.
        axes: see `follow`.
    """
    behind = program.reached_from({value})
    for step in program.needed([target], given={value}):
        values = {n: operand for n, operand in enumerate(step.inputs) if isinstance(operand, int)}
        placed = {n: axes[value] for n, value in values.items() if value in behind and value in axes}
        if any(axis.is_known for n in placed for axis in _summed(step, n, placed[n])):
            return True
        if not placed or any(output in axes for output in step.outputs):
            continue
        if step.primitive.name != "slice" or not _beside_the_places(step, placed[0]):
            return True
    return target in axes


def _summed(step: Step, operand: int, axes: Axes) -> list[Axis]:
    """The axes of an operand over which a step sums: attention mixes tokens and returns as many."""
    if step.primitive.name != "dot_general":
        return []
    return [axes[axis] for axis in step.parameters["dimension_numbers"][0][operand]]


def _beside_the_places(step: Step, axes: Axes) -> bool:
    """Whether a slice takes nothing but entries before or behind the places of an axis."""
    starts, stops = step.parameters["start_indices"], step.parameters["limit_indices"]
    return any(
        axis.is_known and (stop <= axis.before or start >= axis.size - axis.after)
        for axis, start, stop in zip(axes, starts, stops, strict=True)
    )


Rule = Callable[[Step, Sequence[Axes | None], Sequence[tuple[int, ...]], tuple[int, ...], int], Axes | None]


def _same_shape(step: Step, known: Sequence[Axes | None], shapes: Any, output: tuple[int, ...], _: int) -> Axes | None:
    """What works entry by entry, or carries an array along; axes of one entry may stand beside longer ones."""
    result = [other(size) for size in output]
    for axes, shape in zip(known, shapes, strict=True):
        if (
            axes is None
            or len(shape) != len(output)
            or any(a not in (1, b) for a, b in zip(shape, output, strict=True))
        ):
            continue
        for number, axis in enumerate(axes):
            if axis.is_known and axis.size == output[number]:
                result[number] = axis
    return tuple(result)


def _unknown(*_: Any) -> Axes | None:
    """Of an operation that may put anything anywhere."""
    return None


def _resized(axis: Axis, size: int) -> Axis:
    """An axis after a window went along it."""
    if axis.size == size:
        return axis
    whole = len(axis.factors) == 1 and not axis.before and not axis.after
    return along(axis.factors[0].letter, size) if whole else other(size)


def _windows(step: Step, known: Sequence[Axes | None], shapes: Any, output: tuple[int, ...], _: int) -> Axes | None:
    return None if known[0] is None else tuple(map(_resized, known[0], output))


def _convolution(step: Step, known: Sequence[Axes | None], shapes: Any, output: tuple[int, ...], _: int) -> Axes | None:
    if known[0] is None:
        return None
    spec, result = step.parameters["dimension_numbers"], [other(size) for size in output]
    for position, (before, after) in enumerate(zip(spec.lhs_spec, spec.out_spec, strict=True)):
        if position != 1:  # batch, channels, and the places
            result[after] = _resized(known[0][before], output[after])
    return tuple(result)


def _transpose(step: Step, known: Sequence[Axes | None], *_: Any) -> Axes | None:
    return known[0] and tuple(known[0][axis] for axis in step.parameters["permutation"])


def _without(parameter: str) -> Rule:
    """Of an operation after which some axes, those of a parameter, are gone."""
    return lambda step, known, *_: (
        known[0] and tuple(axis for number, axis in enumerate(known[0]) if number not in step.parameters[parameter])
    )


def _broadcast(step: Step, known: Sequence[Axes | None], shapes: Any, output: tuple[int, ...], _: int) -> Axes | None:
    if known[0] is None:
        return None
    result = [other(size) for size in output]
    for axis, target in zip(known[0], step.parameters["broadcast_dimensions"], strict=True):
        result[target] = axis if axis.size == output[target] else other(output[target])
    return tuple(result)


def _product(step: Step, known: Sequence[Axes | None], shapes: Any, output: tuple[int, ...], _: int) -> Axes | None:
    contracted, batched = step.parameters["dimension_numbers"]
    sides = [axes or tuple(map(other, shape)) for axes, shape in zip(known, shapes, strict=True)]
    free = [
        axis
        for side, gone, shared in zip(sides, contracted, batched, strict=True)
        for number, axis in enumerate(side)
        if number not in gone and number not in shared
    ]
    shared = (max(pair, key=lambda axis: axis.is_known) for pair in zip(*_picked(sides, batched), strict=True))
    return (*shared, *free)


def _picked(sides: Sequence[Axes], batched: Any) -> list[list[Axis]]:
    return [[side[axis] for axis in numbers] for side, numbers in zip(sides, batched, strict=True)]


def _reshape(step: Step, known: Sequence[Axes | None], shapes: Any, output: tuple[int, ...], _: int) -> Axes | None:
    """Axes that are merged and cut apart keep their factors."""
    if known[0] is None or 0 in output:
        return None
    waiting, result, spare = [axis for axis in known[0] if axis.size != 1], [], ()
    for size in output:
        if size == 1:
            result.append(other(1))
            continue
        if not spare and waiting and (waiting[0].before or waiting[0].after):
            if waiting[0].size != size:
                return None
            result.append(waiting.pop(0))
            continue
        factors: tuple[Factor, ...] = ()
        while math.prod(f.size for f in factors) != size:
            if not spare:
                if not waiting or waiting[0].before or waiting[0].after:
                    return None
                spare = waiting.pop(0).factors
            taken = _taken(spare[0], size // math.prod(f.size for f in factors))
            if taken is None:
                return None
            factors, spare = (*factors, taken[0]), (*taken[1], *spare[1:])
        result.append(Axis(_coalesced(factors)))
    return tuple(result)


def _taken(factor: Factor, size: int) -> tuple[Factor, tuple[Factor, ...]] | None:
    """The slowest part of a factor, of at most a size, and what is left of it."""
    if size < 1:
        return None
    if size % factor.size == 0:
        return factor, ()
    if factor.size % size:
        return None
    rest = factor.size // size
    return Factor(factor.letter, factor.stride * rest, size), (Factor(factor.letter, factor.stride, rest),)


def _coalesced(factors: Sequence[Factor]) -> tuple[Factor, ...]:
    """Neighbours that are one run of places become one factor."""
    result: list[Factor] = []
    for factor in factors:
        last = result[-1] if result else None
        if last and last.letter == factor.letter and (not factor.letter or last.stride == factor.stride * factor.size):
            result[-1] = Factor(factor.letter, factor.stride, last.size * factor.size)
        else:
            result.append(factor)
    return tuple(result)


def _cut_out(axis: Axis, start: int, stop: int) -> Axis:
    """Some neighbouring entries of an axis."""
    if (start, stop) == (0, axis.size):
        return axis
    inner_stop = axis.size - axis.after
    if start <= axis.before and stop >= inner_stop:
        return Axis(axis.factors, axis.before - start, stop - inner_stop)
    if start >= axis.before and stop <= inner_stop and len(axis.factors) == 1 and axis.is_known:
        return Axis((axis.factors[0]._replace(size=stop - start),)) if stop - start > 1 else other(1)
    return other(stop - start)


def _slice(step: Step, known: Sequence[Axes | None], shapes: Any, output: tuple[int, ...], _: int) -> Axes | None:
    if known[0] is None:
        return None
    given = step.parameters
    strides = given["strides"] or (1,) * len(output)
    return tuple(
        _cut_out(axis, start, stop) if stride == 1 else _resized(axis, size)
        for axis, start, stop, stride, size in zip(
            known[0], given["start_indices"], given["limit_indices"], strides, output, strict=True
        )
    )


def _dynamic_slice(step: Step, known: Sequence[Axes | None], shapes: Any, output: Any, _: int) -> Axes | None:
    starts = [operand.value if isinstance(operand, Known) else None for operand in step.inputs[1:]]
    if known[0] is None:
        return None
    return tuple(
        axis if axis.size == size else other(size) if start is None else _cut_out(axis, int(start), int(start) + size)
        for axis, start, size in zip(known[0], starts, output, strict=True)
    )


def _split(step: Step, known: Sequence[Axes | None], shapes: Any, output: Any, number: int) -> Axes | None:
    if known[0] is None:
        return None
    sizes, along_axis = step.parameters["sizes"], step.parameters["axis"]
    start = sum(sizes[:number])
    pieces = list(known[0])
    pieces[along_axis] = _cut_out(pieces[along_axis], start, start + sizes[number])
    return tuple(pieces)


def _concatenate(step: Step, known: Sequence[Axes | None], shapes: Any, output: Any, _: int) -> Axes | None:
    dimension = step.parameters["dimension"]
    parts = [axes or tuple(map(other, shape)) for axes, shape in zip(known, shapes, strict=True)]
    result = [next((axis for axis in each if axis.is_known), each[0]) for each in zip(*parts, strict=True)]
    result[dimension] = _joined([part[dimension] for part in parts])
    return tuple(result)


def _joined(parts: Sequence[Axis]) -> Axis:
    """Axes one behind the other: tokens without a place around those that have one, or pieces of the height."""
    size = sum(part.size for part in parts)
    placed = [number for number, part in enumerate(parts) if part.is_known]
    letters = {parts[number].letters for number in placed}
    if len(letters) == 1 and len(next(iter(letters))) == 1:
        return along(parts[placed[0]].factors[0].letter, size)
    if len(placed) != 1:
        return other(size)
    (number,) = placed
    before, after = (sum(part.size for part in some) for some in (parts[:number], parts[number + 1 :]))
    return Axis(parts[number].factors, parts[number].before + before, parts[number].after + after)


ENTRY_BY_ENTRY = ELEMENTWISE | {
    "add_any",
    "atan2",
    "cbrt",
    "ceil",
    "convert_element_type",
    "copy",
    "cos",
    "erf_inv",
    "erfc",
    "exp2",
    "floor",
    "name",
    "optimization_barrier",
    "reduce_precision",
    "rem",
    "round",
    "sin",
    "tan",
}
"""Operations after which every entry is where it was."""

_RULES: dict[str, Rule] = {
    **dict.fromkeys(ENTRY_BY_ENTRY | CLOSED, _same_shape),
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "conv_general_dilated": _convolution,
    "dot_general": _product,
    "dynamic_slice": _dynamic_slice,
    "reshape": _reshape,
    "slice": _slice,
    "split": _split,
    "squeeze": _without("dimensions"),
    "transpose": _transpose,
    **dict.fromkeys(("argmax", "argmin", "reduce_max", "reduce_min", "reduce_prod", "reduce_sum"), _without("axes")),
    **dict.fromkeys(("pad", "reduce_window", "reduce_window_max", "reduce_window_min", "reduce_window_sum"), _windows),
}
