import functools
import hashlib
import http.server
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from galore.errors import InputError
from scripts import fetch_data
from scripts.fetch_data import Archive

FILES = {
    "birds/images.txt": b"1 a.jpg\n",
    "birds/parts/parts.txt": b"1 beak\n",
    "attributes.txt": b"1 has_size::small\n",
}


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return buffer.getvalue()


class Server:
    """Serves bytes by name; breaks off after `limit` bytes; remembers which ranges were asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.limit: int | None = None
        self.ranges = True
        self.asked: list[str | None] = []
        handler = functools.partial(Handler, self)
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.http.server_port}"

    def archive(self, name: str, content: bytes, **changes: object) -> Archive:
        self.files["/" + name] = content
        checksum = "md5:" + hashlib.md5(content).hexdigest()
        fields = {"beside": (("attributes.txt", "attributes/attributes.txt"),), "checksum": checksum} | changes
        return Archive(url=f"{self.address}/{name}", folder="birds", **fields)  # pyright: ignore


class Handler(http.server.BaseHTTPRequestHandler):
    def __init__(self, server: Server, *rest: object) -> None:
        self.owner = server
        super().__init__(*rest)  # pyright: ignore

    def do_GET(self) -> None:
        owner, asked = self.owner, self.headers.get("Range")
        owner.asked.append(asked)
        content = owner.files.get(self.path)
        if content is None:
            return self.send_error(404)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and owner.ranges else 0
        if start >= len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: owner.limit])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


@pytest.mark.parametrize("name, pack", [("birds.tgz", tar_of), ("birds.zip", zip_of)])
def test_an_archive_arrives_verified_and_unpacked(server: Server, tmp_path: Path, name: str, pack):
    folder = fetch_data.fetch(server.archive(name, pack(FILES)), tmp_path / "data")
    assert (folder / "images.txt").read_bytes() == b"1 a.jpg\n"
    assert (folder / "parts" / "parts.txt").read_bytes() == b"1 beak\n"
    assert (folder / "attributes" / "attributes.txt").read_bytes() == b"1 has_size::small\n"
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["birds"]
    assert sorted(path.name for path in folder.iterdir()) == ["attributes", "images.txt", "parts"]


@pytest.mark.robust("downloads")
def test_a_broken_download_goes_on_where_it_stopped(server: Server, tmp_path: Path):
    content = tar_of(FILES)
    archive = server.archive("birds.tgz", content)
    server.limit = 100
    with pytest.raises(InputError, match=r"broke off.*run the same command again"):
        fetch_data.fetch(archive, tmp_path)
    assert (tmp_path / "birds.tgz.part").read_bytes() == content[:100]
    assert not (tmp_path / "birds").exists() and not (tmp_path / "birds.tgz").exists()
    server.limit = None
    fetch_data.fetch(archive, tmp_path)
    assert server.asked == [None, "bytes=100-"]
    assert (tmp_path / "birds" / "images.txt").exists()


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path):
    archive = server.archive("birds.tgz", tar_of(FILES))
    (tmp_path / "birds.tgz.part").write_bytes(b"the first bytes of something else")
    server.ranges = False
    fetch_data.fetch(archive, tmp_path)
    assert (tmp_path / "birds" / "images.txt").exists()


def test_a_download_that_is_complete_already_is_only_verified(server: Server, tmp_path: Path):
    content = tar_of(FILES)
    archive = server.archive("birds.tgz", content)
    (tmp_path / "birds.tgz.part").write_bytes(content)
    fetch_data.fetch(archive, tmp_path)
    assert (tmp_path / "birds" / "images.txt").exists()


@pytest.mark.robust("downloads")
def test_a_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path):
    archive = server.archive("birds.tgz", tar_of(FILES), checksum="sha1:" + "0" * 40)
    with pytest.raises(InputError, match="expected sha1:000"):
        fetch_data.fetch(archive, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.robust("downloads")
def test_an_archive_that_reaches_outside_is_refused(server: Server, tmp_path: Path):
    archive = server.archive("birds.tgz", tar_of(FILES | {"../../evil.txt": b"!"}))
    with pytest.raises(InputError, match="cannot be unpacked"):
        fetch_data.fetch(archive, tmp_path / "a" / "b")
    assert not list(tmp_path.rglob("evil.txt")) and not (tmp_path / "a" / "b" / "birds").exists()


@pytest.mark.robust("downloads")
def test_an_archive_of_something_else_is_refused(server: Server, tmp_path: Path):
    with pytest.raises(InputError, match="does not hold the folder birds"):
        fetch_data.fetch(server.archive("birds.tgz", tar_of({"cats/a.txt": b""})), tmp_path)
    assert not (tmp_path / "birds").exists()


def test_what_is_there_is_not_fetched_again(server: Server, tmp_path: Path):
    archive = server.archive("birds.tgz", tar_of(FILES))
    fetch_data.fetch(archive, tmp_path)
    with pytest.raises(InputError, match="is there already"):
        fetch_data.fetch(archive, tmp_path)
    assert len(server.asked) == 1


@pytest.mark.robust("downloads")
def test_a_missing_page_and_a_missing_server(server: Server, tmp_path: Path):
    archive = server.archive("birds.tgz", b"")
    server.files.clear()
    with pytest.raises(InputError, match="cannot be downloaded: 404"):
        fetch_data.fetch(archive, tmp_path)
    with pytest.raises(InputError, match="broke off"):
        fetch_data.download("http://127.0.0.1:9/birds.tgz", tmp_path / "x", archive.checksum)


def test_the_official_archives_are_complete_entries():
    for archive in fetch_data.ARCHIVES.values():
        algorithm, _, value = archive.checksum.partition(":")
        assert len(value) == 2 * hashlib.new(algorithm).digest_size
        assert archive.url.startswith("http") and archive.folder
