"""The images of a stream in the order of their difficulty."""

import csv
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from galore import atomic, foreign
from galore.stream.folder import Folder


class Ranked(NamedTuple):
    """An image and what ranks it."""

    row: int
    image: str
    predicted: int
    difficulty: float


def hardest(folder: Folder, count: int | None = None) -> list[Ranked]:
    """The explained images of the shards that are there, the most difficult first.

    Args:
        folder: of a run, finished or not.
        count: how many; None: all.

    Raises:
        InputError: nothing is finished yet.
    """
    return list(_ranked(folder, count))


def save_ranking(folder: Folder) -> None:
    """Writes ranking.csv into the folder: rank, row, image (see `foreign.cell`), predicted, difficulty."""
    with (
        atomic.file(folder.root / "ranking.csv") as unfinished,
        open(unfinished, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["rank", *Ranked._fields])
        for rank, ranked in enumerate(_ranked(folder, None), 1):
            writer.writerow([rank, *ranked._replace(image=foreign.cell(ranked.image))])


def _ranked(folder: Folder, count: int | None) -> Iterator[Ranked]:
    rows, difficulty = folder.column("difficulty")
    _, predicted = folder.column("predicted")
    images = folder.image_paths()
    for k in np.argsort(-difficulty, kind="stable")[:count]:
        yield Ranked(int(rows[k]), images[rows[k]], int(predicted[k]), float(difficulty[k]))
