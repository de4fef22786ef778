"""What a stream writes: a folder that can be read while it grows, with nothing but JSON and numpy.

    run.json             what was asked of which network, how many images and shards, and what made it
    images.txt           row k of the run is the image in line k + 1, relative to the folder of the photos
    shard-000000.npz     the columns of the first `shard_size` rows, shard-000001.npz those of the next ones, ...
    ranking.csv          at the end: the images, the most difficult first
    thumbnails/          small pictures of what was explained, see `galore.stream.thumbnails`
    gallery/             at the end: pages to look at, see `galore.stream.gallery`

A shard appears whole or not at all, and is never changed. So a shard that is there is finished: a run that was stopped
resumes with those that are missing, and several processes may share the work. The columns are those of the explanation
(see `galore.stream.answers`) and three more: "explained", false where a row has no explanation (its numbers are NaN or
-1), "problems", the reasons of those rows, in their order, and "sha256", of the bytes of the photo's file.
"""

import errno
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from jaxtyping import Int, Shaped

from galore import atomic, foreign, npz
from galore.errors import InputError

DESCRIPTION, IMAGES = "run.json", "images.txt"
HostColumns = dict[str, Shaped[np.ndarray, "..."]]


class DamagedShard(InputError):
    """A shard that was read and holds no answers: it can be made again. One that cannot be read may be whole."""


@dataclass(frozen=True)
class Folder:
    """A run on disk, finished or not.

    Attributes:
        root: the folder.
        images: how many there are.
        shard_size: rows of a shard; the last one may have fewer.
        settings: what was computed by which network.
    """

    root: Path
    images: int
    shard_size: int
    settings: Mapping[str, Any]

    @property
    def shards(self) -> int:
        """How many there will be."""
        return -(-self.images // self.shard_size)

    def path(self, shard: int) -> Path:
        """Where a shard is, or will be."""
        return self.root / f"shard-{shard:06d}.npz"

    def rows(self, shard: int) -> Int[np.ndarray, " n"]:
        """The rows of a shard."""
        return np.arange(shard * self.shard_size, min((shard + 1) * self.shard_size, self.images))

    def finished(self) -> list[int]:
        """The shards that are there, in order."""
        there = {entry.name for entry in os.scandir(self.root)}
        return [shard for shard in range(self.shards) if self.path(shard).name in there]

    def image_paths(self) -> list[str]:
        """The images of all rows."""
        listing = foreign.read_bytes(self.root / IMAGES, "the list of the images")
        images = listing.decode("utf-8", "surrogateescape").splitlines()
        if len(images) != self.images:
            raise InputError(f"{self.root / IMAGES} lists {len(images)} images, expected {self.images}")
        return images

    def shard(self, number: int) -> HostColumns:
        """The columns of a finished shard.

        Raises:
            DamagedShard: it is damaged.
            InputError: it is not there, or cannot be opened.
        """
        columns = self._load(number)
        rows, explained = len(self.rows(number)), columns.get("explained")
        if (
            explained is None
            or explained.shape != (rows,)
            or explained.dtype != bool
            or any(values.shape[:1] != (rows,) for name, values in columns.items() if name != "problems")
            or np.shape(columns.get("problems", ())) != (rows - explained.sum(),)
            or columns.get("sha256", explained).shape[1:] != (32,)
        ):
            raise DamagedShard(f"{self.path(number)} is damaged: its columns do not fit its {rows} images")
        return columns

    def _load(self, number: int, *names: str) -> HostColumns:
        """Some columns of a shard, or all; the others are not read."""
        if not self.path(number).exists():
            raise InputError(f"{self.root} has no shard {number} yet")
        with foreign.open_regular(self.path(number), "a shard of a stream") as file:
            try:
                with npz.opened(file) as columns:
                    known = list(columns)
                    loaded = {name: columns[name] for name in names or known if name in known}
            except MemoryError:
                raise
            except Exception as error:
                if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                    # The disk's trouble; EINVAL comes of a damaged file's offsets.
                    raise InputError(f"cannot read {self.path(number)}: {error.strerror}") from error
                # Whatever zipfile, zlib and numpy raise on a damaged file, which they do not document.
                raise DamagedShard(f"{self.path(number)} is damaged") from error
        absent = [name for name in names if name not in loaded]
        if absent:
            raise InputError(f"{self.root} has no column {absent[0]!r}, expected one of {', '.join(known)}")
        return loaded

    def column(self, name: str) -> tuple[Int[np.ndarray, " n"], Shaped[np.ndarray, "n ..."]]:
        """One column of all rows that are explained so far.

        Args:
            name: of the column.

        Returns:
            The rows and their values.

        Raises:
            InputError: there is no such column, or nothing is finished.
        """
        rows, values = [], []
        for number in self.finished():
            columns = self._load(number, name, "explained")
            rows.append(self.rows(number)[columns["explained"]])
            values.append(columns[name][columns["explained"]])
        if not rows:
            raise InputError(f"{self.root} has no finished shard yet")
        return np.concatenate(rows), np.concatenate(values)

    def problems(self) -> dict[int, str]:
        """Why rows of the finished shards have no explanation."""
        problems: dict[int, str] = {}
        for number in self.finished():
            columns = self._load(number, "explained", "problems")
            without = self.rows(number)[~columns["explained"]]
            problems |= dict(zip(without.tolist(), columns["problems"].tolist(), strict=True))
        return problems

    def write(self, number: int, columns: HostColumns) -> None:
        """Makes a shard appear, whole and safe on the disk.

        Raises:
            InputError: the disk is full, or the folder cannot be written.
        """
        try:
            with atomic.file(self.path(number)) as unfinished, open(unfinished, "wb") as file:
                np.savez(file, **columns)  # pyright: ignore[reportArgumentType]
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(f"cannot write {self.path(number)}: {error.strerror or error}") from error


def read(root: str | Path) -> Folder:
    """Opens the folder of a run, at any time.

    Raises:
        InputError: it is no such folder.
    """
    root = Path(root)
    described = _described(root)
    return Folder(root, described.images, described.shard_size, described.asked)


@dataclass(frozen=True)
class _Description:
    """What run.json says, for as far as it is read."""

    images: int
    shard_size: Annotated[int, msgspec.Meta(ge=1)]
    asked: dict[str, Any]


def _described(root: Path) -> _Description:
    expected = "the description of streamed explanations"
    try:
        return foreign.json_file(root / DESCRIPTION, _Description, expected)
    except InputError as error:
        raise InputError(f"{root} holds no streamed explanations: {error}") from error


def begin(
    root: str | Path,
    images: Sequence[str],
    settings: Mapping[str, Any],
    shard_size: int,
    provenance: Mapping[str, Any] | None = None,
) -> Folder:
    """Makes the folder of a run, or finds the same run there.

    Args:
        root: the folder.
        images: their paths, in the order of the rows.
        settings: everything that the numbers depend on; a run with other ones is refused.
        shard_size: rows of a shard.
        provenance: what made the run, to be kept with it.

    Raises:
        InputError: the folder holds another run or other files, or cannot be written.
    """
    root = Path(root)
    if shard_size < 1:
        raise InputError(f"shards of {shard_size} images: expected at least 1")
    listing = "".join(f"{image}\n" for image in images).encode("utf-8", "surrogateescape")
    described = {
        "images": len(images),
        "images_sha256": hashlib.sha256(listing).hexdigest(),
        "shard_size": shard_size,
        "asked": dict(settings),
    }
    if os.path.exists(root / DESCRIPTION):
        _refuse_another_run(root, described)
        if _bytes_of(root / IMAGES) != listing:
            _write_listing(root, listing)
    else:
        _refuse_other_files(root)
        _write_listing(root, listing)
        with atomic.file(root / DESCRIPTION) as unfinished:
            text = json.dumps(described | {"provenance": dict(provenance or {})}, indent=1)
            unfinished.write_text(text + "\n", encoding="utf-8")
    return read(root)


def _bytes_of(path: Path) -> bytes | None:
    """What a file holds; None where it cannot be read."""
    try:
        return foreign.read_bytes(path, "the list of the images")
    except InputError:
        return None


def _write_listing(root: Path, listing: bytes) -> None:
    with atomic.file(root / IMAGES) as unfinished:
        unfinished.write_bytes(listing)


def _refuse_another_run(root: Path, described: dict[str, Any]) -> None:
    read(root)
    there = _flat(foreign.json_file(root / DESCRIPTION, dict[str, Any], "the description of streamed explanations"))
    wanted = _flat(json.loads(json.dumps(described)))
    for name in wanted | there:
        if there.get(name) != wanted.get(name):
            raise InputError(
                f"{root} holds another run, whose {name} is {there.get(name)} and not {wanted.get(name)}; "
                "name a new folder or remove this one"
            )


def _refuse_other_files(root: Path) -> None:
    """A folder may hold what a run leaves that was stopped before it had begun, and nothing else."""
    if os.path.exists(root) and not os.path.isdir(root):
        raise InputError(f"{root} is a file, expected a folder or a name that is free")
    if os.path.isdir(root) and any(path.name != IMAGES and not path.name.startswith(".") for path in root.iterdir()):
        raise InputError(f"{root} holds other files and no run to resume; name a new folder or remove this one")


def _flat(described: Mapping[str, Any]) -> dict[str, Any]:
    """What tells two runs apart, in one dictionary."""
    own = {name: value for name, value in described.items() if name not in ("asked", "provenance")}
    return own | dict(described["asked"])
