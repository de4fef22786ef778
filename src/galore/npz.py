"""The arrays of an .npz archive that somebody else may have written.

A few bytes of such an archive may stand for any number of zeros, and a header of a hundred bytes for any shape. So
nothing that it declares is believed, and nothing allocated, before it is compared with the size of the file.
"""

import contextlib
import math
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

LEAST, TIMES = 256 * 2**20, 100
"""What all arrays together may take: so many bytes in any case, or so many times the size of the file. Tables of
which most is missing are compressed to a sixtieth."""

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Those of numpy; others may ask for gigabytes before the first byte."""


@dataclass(frozen=True)
class Arrays(Mapping[str, np.ndarray]):
    """The arrays by their names; each is read when it is asked for."""

    archive: zipfile.ZipFile
    members: Mapping[str, zipfile.ZipInfo]

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __getitem__(self, name: str) -> np.ndarray:
        info = self.members[name]
        with self.archive.open(info) as file:
            shape, _, dtype = _HEADERS[npy.read_magic(file)](file)
            needed, there = math.prod(shape) * dtype.itemsize, info.file_size - file.tell()
        if needed != there or dtype.itemsize == 0:
            raise ValueError(f"an array of the shape {shape} and {dtype} has {there} bytes")
        with self.archive.open(info) as file:
            return npy.read_array(file, allow_pickle=False)


@contextlib.contextmanager
def opened(file: BinaryIO) -> Iterator[Arrays]:
    """The arrays of an archive, for as long as the block lasts.

    Args:
        file: opened for reading, on a disk.

    Raises:
        Exception: it is damaged (whatever zipfile, zlib and numpy raise, which they do not document), holds objects,
            or is far larger than its file; also when an array of it is asked for.
    """
    allowed = max(LEAST, TIMES * os.fstat(file.fileno()).st_size)
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        if (needed := sum(info.file_size for info in infos)) > allowed:
            raise ValueError(f"its arrays take {needed} bytes, expected at most {allowed} of a file of this size")
        if any(info.compress_type not in _COMPRESSIONS for info in infos):
            raise ValueError("it is compressed in a way that numpy does not know")
        yield Arrays(archive, {info.filename.removesuffix(".npy"): info for info in infos})
