import contextlib
import dataclasses
import functools
import hashlib
import http.server
import io
import socket
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from galore.errors import InputError
from galore.models.published import Download
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


def status(line="HTTP/1.1 200 OK", body=b"", **headers):
    told = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"{line}\r\n{told}\r\n".encode() + body


REPLIES = {
    "nothing": b"",
    "garbage": b"\x00\x01\x02 this is no HTTP\r\n\r\n",
    "a greeting of another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "half a status line": b"HTTP/1.1 2",
    "half the headers": b"HTTP/1.1 200 OK\r\nContent-Le",
    "a status that is no number": status("HTTP/1.1 abc OK"),
    "status 999": status("HTTP/1.1 999 ?"),
    "no content": status("HTTP/1.1 204 No Content"),
    "forbidden": status("HTTP/1.1 403 Forbidden", Content_Length=0),
    "too many requests": status("HTTP/1.1 429 Too Many Requests", Content_Length=0),
    "server error with escapes": status("HTTP/1.1 500 \x1b]0;title\x07", Content_Length=0),
    "not satisfiable though nothing is there": status("HTTP/1.1 416 Range Not Satisfiable", Content_Length=0),
    "redirect to itself": status("HTTP/1.1 302 Found", Location="/birds.tgz", Content_Length=0),
    "redirect to a file": status("HTTP/1.1 302 Found", Location="file:///etc/passwd", Content_Length=0),
    "redirect to no address": status("HTTP/1.1 302 Found", Location="http://[", Content_Length=0),
    "redirect to a closed port": status("HTTP/1.1 301 Moved", Location="http://127.0.0.1:9/x", Content_Length=0),
    "redirect without a place": status("HTTP/1.1 302 Found", Content_Length=0),
    "negative length": status(body=b"abc", Content_Length=-5),
    "length in words": status(body=b"abc", Content_Length="many"),
    "length of 5000 digits": status(body=b"abc", Content_Length="9" * 5000),
    "length with underscores": status(body=b"abc", Content_Length="1_0"),
    "too short": status(body=b"abc", Content_Length=1000),
    "terabytes announced": status(body=b"abc", Content_Length=10**13),
    "longer than announced": status(body=b"abc" * 100, Content_Length=3),
    "chunks that are none": status(body=b"zz\r\nabc\r\n", Transfer_Encoding="chunked"),
    "chunk of 2^63": status(body=b"7fffffffffffffff\r\nabc", Transfer_Encoding="chunked"),
    "half a chunk": status(body=b"ff\r\nabc", Transfer_Encoding="chunked"),
    "a page": status(body=b"<html>log in</html>", Content_Type="text/html; charset=utf-8", Content_Length=19),
    "an empty archive": status(Content_Length=0),
    "a header of 100000 bytes": status(body=b"", X="a" * 100_000),
    "200 headers": status(**{f"X{index}": "a" for index in range(200)}),
    "another part": status("HTTP/1.1 206 Partial Content", b"abc", Content_Range="bytes 7-9/10", Content_Length=3),
}


@contextlib.contextmanager
def answering(reply: bytes):
    """A server that answers every request by these bytes and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection, contextlib.suppress(OSError):
                        connection.recv(65536)
                        connection.sendall(reply)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.robust("downloads")
@pytest.mark.parametrize("earlier", [None, b"the first bytes"], ids=["new", "resumed"])
@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
def test_an_odd_reply_is_one_sentence_and_unpacks_nothing(reply: bytes, earlier, tmp_path: Path):
    if earlier is not None:
        (tmp_path / "birds.tgz.part").write_bytes(earlier)
    with answering(reply) as address, pytest.raises(InputError) as caught:
        fetch_data.fetch(Archive(f"{address}/birds.tgz", "md5:" + "0" * 32, "birds"), tmp_path)
    assert "birds.tgz" in str(caught.value) and str(caught.value).isprintable() and len(str(caught.value)) < 1100
    assert not (tmp_path / "birds").exists() and not (tmp_path / "birds.tgz").exists()


@pytest.mark.robust("downloads")
def test_a_server_that_falls_silent_is_given_up(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(fetch_data, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listening, pytest.raises(InputError, match="timed out"):
        fetch_data.download(f"http://127.0.0.1:{listening.getsockname()[1]}/a", tmp_path / "a", "md5:0")


@pytest.mark.robust("downloads")
def test_a_page_instead_of_an_archive_says_so_and_keeps_what_came_before(tmp_path: Path):
    (tmp_path / "birds.tgz.part").write_bytes(b"the first bytes")
    with answering(REPLIES["a page"]) as address, pytest.raises(InputError, match=r"gives a page \(text/html\)"):
        fetch_data.download(f"{address}/birds.tgz", tmp_path / "birds.tgz", "md5:0")
    assert (tmp_path / "birds.tgz.part").read_bytes() == b"the first bytes"


def test_weights_of_a_network_come_by_its_name_and_are_verified(server: Server, tmp_path: Path, monkeypatch, capsys):
    content = b"weights"
    server.files["/alexnet-owt-7be5be79.pth"] = content
    known = dataclasses.replace(
        fetch_data.ARCHITECTURES["alexnet"],
        published=Download(f"{server.address}/alexnet-owt-7be5be79.pth", hashlib.sha256(content).hexdigest()),
    )
    monkeypatch.setitem(fetch_data.ARCHITECTURES, "alexnet", known)
    monkeypatch.setattr("sys.argv", ["fetch_data", "alexnet", str(tmp_path)])
    fetch_data.main()
    assert (tmp_path / "alexnet-owt-7be5be79.pth").read_bytes() == content
    assert f"weights={tmp_path}" in capsys.readouterr().out
    (tmp_path / "alexnet-owt-7be5be79.pth").unlink()
    server.files["/alexnet-owt-7be5be79.pth"] = b"something else"
    with pytest.raises(InputError, match="has the checksum"):
        fetch_data.main()


def test_the_official_archives_are_complete_entries():
    for archive in fetch_data.ARCHIVES.values():
        algorithm, _, value = archive.checksum.partition(":")
        assert len(value) == 2 * hashlib.new(algorithm).digest_size
        assert archive.url.startswith("http") and archive.folder
