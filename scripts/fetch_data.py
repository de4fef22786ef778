"""Downloads the official archives of CUB-200-2011 and ADE20K (scene parsing) and unpacks them; or the weights that
torchvision publishes of a network.

    python scripts/fetch_data.py cub data
    python scripts/fetch_data.py ade20k data
    python scripts/fetch_data.py vgg16_bn weights

An interrupted download goes on where it stopped; an archive is unpacked only after its checksum was verified, and its
folder appears whole or not at all. Read the data sets' terms first: both are for non-commercial research.

pooch, which the package uses for weights, starts every download again from nothing, which is why this is plain urllib.
"""

from galore import program

program.guard(__name__)

import argparse
import hashlib
import http.client
import os
import re
import shutil
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from galore import atomic, foreign
from galore.errors import InputError
from galore.models.factory import ARCHITECTURES
from galore.models.published import Download

TIMEOUT = 60
"""Seconds without a byte."""
LARGEST = 16 << 30
"""Bytes of an archive; the official ones have about one gigabyte."""

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Archive:
    """An official download.

    Attributes:
        url: where it lies.
        checksum: "md5:..." or "sha1:...".
        folder: the folder that it unpacks to.
        beside: files of the archive that lie beside that folder and are moved into it: name -> place inside.
    """

    url: str
    checksum: str
    folder: str
    beside: tuple[tuple[str, str], ...] = ()


ARCHIVES = {
    # The MD5 sum is the one that public downloaders of this file verify (CaltechDATA record 65de6-vp158; 1.15 GB).
    "cub": Archive(
        "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
        "md5:97eceeb196236b17998738112f37df78",
        "CUB_200_2011",
        (("attributes.txt", "attributes/attributes.txt"),),
    ),
    # The site gives no checksum; this SHA-1 is the one that GluonCV and PyTorch-Encoding verify (0.97 GB).
    "ade20k": Archive(
        "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
        "sha1:219e1696abb36c8ba3a3afe7fb2f4b4606a897c7",
        "ADEChallengeData2016",
    ),
}

Progress = Callable[[int, int | None], None]


def fetch(archive: Archive, directory: Path, progress: Progress | None = None, keep: bool = False) -> Path:
    """Downloads an archive into a directory, verifies it and unpacks it there.

    Args:
        archive: what to download.
        directory: where the data set's folder appears.
        progress: told how many bytes there are, and of how many if the server says so.
        keep: whether the archive stays beside the folder.

    Returns:
        The data set's folder.

    Raises:
        InputError: the folder exists, the download fails, or the checksum differs.
    """
    target = directory / archive.folder
    if target.is_dir() and any(target.iterdir()):
        raise InputError(f"{target} is there already; remove it to fetch it again")
    file = directory / archive.url.rpartition("/")[2]
    download(archive.url, file, archive.checksum, progress)
    unpack(file, target, archive)
    if not keep:
        file.unlink()
    return target


def download(url: str, path: Path, checksum: str, progress: Progress | None = None) -> None:
    """Downloads a file to `path`, going on from `path`.part where an earlier attempt left one.

    Raises:
        InputError: the server cannot be reached or breaks off (what came stays for the next attempt), or the checksum
            differs (what came is removed).
    """
    if path.exists() and digest(path, checksum) == checksum:
        return
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            _receive(response, part, _begins_at(response, start, url), progress)
    except InputError:
        raise
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise InputError(f"{url} cannot be downloaded: {error.code} {error.reason}") from error
        # Nothing is left to send: an earlier attempt received all of it, which the checksum now judges.
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: of an address that is none
        why = foreign.text(error)
        raise InputError(f"the download of {url} broke off ({why}); run the same command again to go on") from error
    if not part.exists():
        raise InputError(f"{url} cannot be downloaded: the server says that nothing is there to send")
    found = digest(part, checksum)
    if found != checksum:
        part.unlink()
        raise InputError(f"{url} has the checksum {found}, expected {checksum}; what came was removed")
    os.replace(part, path)


def unpack(file: Path, target: Path, archive: Archive) -> None:
    """Unpacks an archive's folder to `target`, whole or not at all; nothing is written outside it.

    Raises:
        InputError: the archive cannot be read, or lacks the folder.
    """
    with atomic.folder(target) as unfinished:
        try:
            if zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as packed:
                    packed.extractall(unfinished)  # zipfile drops drive letters and ".." itself.
            else:
                with tarfile.open(file) as packed:
                    packed.extractall(unfinished, filter="data")
        except (OSError, zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
            raise InputError(f"{file} cannot be unpacked: {error}") from error
        inner = unfinished / archive.folder
        if not inner.is_dir():
            raise InputError(f"{file} does not hold the folder {archive.folder}")
        for name, place in archive.beside:
            if (unfinished / name).is_file():
                (inner / place).parent.mkdir(parents=True, exist_ok=True)
                os.replace(unfinished / name, inner / place)
        for path in unfinished.iterdir():
            if path != inner:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        # The folder itself moves up: its content takes the place of the folder that held it.
        for path in list(inner.iterdir()):
            os.replace(path, unfinished / path.name)
        if inner.is_dir() and not any(inner.iterdir()):
            inner.rmdir()


def digest(path: Path, checksum: str) -> str:
    """The checksum of a file by the same algorithm, written the same way."""
    algorithm = checksum.partition(":")[0]
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def _begins_at(response: http.client.HTTPResponse, start: int, url: str) -> int:
    """Where in the file what the server sends belongs: where it was asked to begin, or at the first byte.

    Raises:
        InputError: it sends another part, or a page for a person to read.
    """
    kind = response.headers.get_content_type()
    if kind == "text/html":
        raise InputError(f"{url} gives a page ({kind}) instead of an archive: open it in a browser to see what it says")
    if response.status == 200:
        return 0  # The server sends the whole file, whatever was asked for.
    sent = response.headers.get("Content-Range", f"bytes {start}-")
    if response.status != 206 or not sent.startswith(f"bytes {start}-"):
        raise InputError(f"{url} gives another part than was asked for ({response.status} {foreign.text(sent, 60)})")
    return start


def _receive(response: http.client.HTTPResponse, part: Path, start: int, progress: Progress | None) -> None:
    """Appends what comes, or begins anew where it starts at 0.

    Raises:
        HTTPException, OSError: it ends too early, or goes on beyond what no archive has.
    """
    length = response.headers.get("Content-Length")
    if length is not None and not re.fullmatch("[0-9]{1,15}", length):
        raise http.client.HTTPException(f"the length {foreign.text(length, 40)!r} is no number")
    total = start + int(length) if length is not None else None
    with part.open("ab" if start else "wb") as file:
        done = start
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            done += len(chunk)
            if done > LARGEST:
                raise http.client.HTTPException(f"it is larger than {LARGEST} bytes")
            if progress is not None:
                progress(done, total)
    if total is not None and done < total:
        raise http.client.IncompleteRead(b"", total - done)


def _show(done: int, total: int | None) -> None:
    share = f"{done / total:4.0%} of {total / 1e6:.0f} MB" if total else f"{done / 1e6:.0f} MB"
    print(f"\r{share}", end="", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Download a data set, or weights, from the official place and verify.")
    weights = {name: one.published for name, one in ARCHITECTURES.items() if isinstance(one.published, Download)}
    parser.add_argument("dataset", choices=[*sorted(ARCHIVES), *weights])
    parser.add_argument("directory", type=Path, help="where the data set's folder, or the file, appears")
    parser.add_argument("--keep", action="store_true", help="keep the archive after unpacking")
    args = parser.parse_args()
    if args.dataset in weights:
        url, sha256 = weights[args.dataset]
        file, told = args.directory / url.rpartition("/")[2], _show if sys.stderr.isatty() else None
        download(url, file, f"sha256:{sha256}", told)
        print(f"{file} is complete; use it with: weights={args.directory}")
        return
    folder = fetch(ARCHIVES[args.dataset], args.directory, _show if sys.stderr.isatty() else None, args.keep)
    print(f"{folder} is complete; look at it with: galore data check {folder} --out sheet.png")


if __name__ == "__main__":
    sys.exit(program.ended("fetch_data", main))
