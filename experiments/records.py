"""The metrics of a training run as JSON lines: one record a step and a validation, none of them twice."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hosts

from galore import atomic
from galore.training import header


@contextlib.contextmanager
def writer(file: Path, checkpoints: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Opens the file to write on; what a killed run wrote after its last checkpoint is dropped, and comes again.

    Args:
        file: of the records.
        checkpoints: the folder of the checkpoints.

    Yields:
        A function that writes one record; only the first of several processes does.
    """
    if not hosts.is_first():
        yield lambda record: None
        return
    last = checkpoints / "last"
    step = header.read_header(last)["step"] if last.exists() else 0
    kept = [record for record in read(file) if record["step"] <= step]
    with atomic.file(file) as unfinished:
        unfinished.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")
    with open(file, "a", encoding="utf-8") as log:

        def write(record: dict[str, Any]) -> None:
            log.write(json.dumps(record) + "\n")
            log.flush()

        yield write


def read(file: Path) -> list[dict[str, Any]]:
    """The records of a file, without a last line that was cut off; none where there is no file."""
    if not file.exists():
        return []
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found
