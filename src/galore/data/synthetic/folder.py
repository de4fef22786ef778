"""What the synthetic data sets share: drawing in several processes, and the file that a folder follows from."""

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from galore import foreign, processes
from galore.errors import InputError

HEADER = "galore.json"
"""Beside the annotations: the numbers that everything else follows from."""

Result = TypeVar("Result")


def draw_all(
    draw: Callable[[int], Result], count: int, workers: int, on_images: Callable[[int], object] | None = None
) -> list[Result]:
    """Draws images 1..count, in any order, and returns what is known of them in order.

    Args:
        draw: draws one image and writes its files; with several workers it must be picklable.
        count: how many images.
        workers: how many processes; 1 draws in this one.
        on_images: told how many images are done, now and then.
    """
    chunks = [range(first, min(first + 25, count + 1)) for first in range(1, count + 1, 25)]
    drawn: dict[int, Result] = {}

    for part in processes.results(functools.partial(_draw_chunk, draw), chunks, workers):
        drawn.update(part)
        if on_images is not None:
            on_images(len(drawn))
    return [drawn[image_id] for image_id in range(1, count + 1)]


def _draw_chunk(draw: Callable[[int], Result], image_ids: range) -> dict[int, Result]:
    return {image_id: draw(image_id) for image_id in image_ids}


def check_numbers(what: str, numbers: dict[str, object], limits: dict[str, tuple[int, int]]) -> None:
    """Raises InputError for the first number that is not a whole one within its limits."""
    for name, (low, high) in limits.items():
        value = numbers[name]
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            words = name.replace("_", "-")
            raise InputError(f"{what}: {words} is {value!r}, expected a whole number from {low} to {high}")


def write_header(folder: Path, format_name: str, version: int, numbers: dict[str, int]) -> None:
    """Writes down what the folder was drawn from."""
    text = json.dumps({"format": format_name, "version": version} | numbers, indent=2)
    (folder / HEADER).write_text(text + "\n", encoding="utf-8")


def read_header(root: Path, format_name: str, version: int, numbers: type, command: str) -> Any:
    """Reads what `write_header` wrote into the dataclass `numbers`.

    Raises:
        InputError: the file is missing, damaged, of another format or of another version.
    """
    path = root / HEADER
    hint = f"expected a folder made by `galore {command}`"
    if not path.exists():
        raise InputError(f"{foreign.text(path)} is missing, {hint}")
    header = foreign.json_file(path, Any, hint.removeprefix("expected "))
    if not isinstance(header, dict) or header.get("format") != format_name:
        raise InputError(f"{foreign.text(path)} is not of the format {format_name!r}, {hint}")
    if header.get("version") != version:
        found = foreign.text(header.get("version"), 60)
        raise InputError(f"{foreign.text(path)} is of version {found}, expected {version}: make the folder again")
    names = [field.name for field in dataclasses.fields(numbers)]
    if missing := [name for name in names if name not in header]:
        raise InputError(f"{path} lacks {', '.join(missing)}, {hint}")
    return numbers(**{name: header[name] for name in names})
