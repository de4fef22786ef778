"""The server of a laboratory: it shows the page, keeps results, and refuses everything else."""

import json
import socket
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from galore.errors import InputError
from galore.teach import build, results
from scripts import take_results


@pytest.fixture
def lab(lesson_sheet, images, tmp_path):
    build.write(lesson_sheet, images, tmp_path / "made")
    serving = take_results.server(tmp_path / "made", tmp_path / "into", "127.0.0.1", 0)
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{serving.server_port}/"
    serving.shutdown()
    serving.server_close()


def send(address: str, body: bytes) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body)) as reply:
            assert reply.headers["Access-Control-Allow-Origin"] == "*"
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_page_is_served_and_the_sheet_is_not(lab):
    with urllib.request.urlopen(lab) as reply:
        assert b"experiment" in reply.read()
    for beside in ("sheet.json", "../sheet.json", "%2e%2e/sheet.json"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(lab + beside)


def test_results_are_kept_once_and_what_differs_is_kept_beside_them(lab, lesson_sheet, result_file, tmp_path):
    first = result_file(lesson_sheet, lambda phase, truth: truth).read_bytes()
    other = result_file(lesson_sheet, lambda phase, truth: "?").read_bytes()
    assert [send(lab, body) for body in (first, first, other)] == [200, 200, 200]
    files = sorted((tmp_path / "into").iterdir(), key=lambda file: len(file.name))
    assert [file.name for file in files] == [f"galore-{lesson_sheet.experiment}-l1{end}.json" for end in ("", "-2")]
    assert [file.read_bytes() for file in files] == [first, other]
    found, refusals = results.join(lesson_sheet, files)
    assert len(found) == len(refusals) == 1


def test_what_is_no_result_is_refused_and_not_kept(lab, lesson_sheet, result_file, tmp_path):
    body = json.loads(result_file(lesson_sheet, lambda phase, truth: truth).read_text())
    edited = json.dumps(body | {"learner": "../evil"}).encode()
    for wrong, status in ((b"", 400), (b"{", 400), (edited, 400), (b"x" * (results.LARGEST + 1), 413)):
        assert send(lab, wrong) == status
    assert not (tmp_path / "into").exists()


def test_a_folder_without_an_experiment_and_a_port_that_is_taken_are_named(lab, tmp_path):
    with pytest.raises(InputError, match="does not exist, expected the sheet"):
        take_results.server(tmp_path / "nothing", tmp_path, "127.0.0.1", 0)
    with pytest.raises(InputError, match="cannot listen at 127"):
        take_results.server(tmp_path / "made", tmp_path, "127.0.0.1", int(lab.rsplit(":")[-1].strip("/")))


@pytest.mark.robust("results server")
def test_no_kept_file_is_written_again_after_one_was_moved_away(lab, lesson_sheet, result_file, tmp_path):
    answers = ("A", "B", "?")
    bodies = [result_file(lesson_sheet, lambda phase, truth, given=given: given).read_bytes() for given in answers]
    assert [send(lab, body) for body in bodies[:2]] == [200, 200]
    name = f"galore-{lesson_sheet.experiment}-l1"
    (tmp_path / "into" / f"{name}.json").rename(tmp_path / "moved.json")
    assert send(lab, bodies[2]) == 200
    assert (tmp_path / "into" / f"{name}-2.json").read_bytes() == bodies[1]
    assert (tmp_path / "into" / f"{name}.json").read_bytes() == bodies[2]


def ask(lab: str, request: bytes) -> bytes:
    """The first line of the reply to some bytes."""
    host, port = lab.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(request)
        return connection.makefile("rb").readline()


ODD = {
    "an unknown method": b"BREW / HTTP/1.1\r\n\r\n",
    "no length": b"POST / HTTP/1.1\r\n\r\n",
    "a negative length": b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    "a length in other digits": "POST / HTTP/1.1\r\nContent-Length: \u00b2\r\n\r\n".encode("latin-1"),
    "an endless length": b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "a path that no file can have": b"GET /%00 HTTP/1.1\r\n\r\n",
    "such a path for its head": b"HEAD /%00 HTTP/1.1\r\n\r\n",
    "a very long path": b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n",
    "a path that leaves": b"GET /../sheet.json HTTP/1.1\r\n\r\n",
    "a line without end": b"GET /" + b"a" * 70_000,
    "another protocol": b"GET / HTTP/9.9\r\n\r\n",
    "no protocol": b"\x16\x03\x01 hello there you\r\n\r\n",
    "a header without end": b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 200 + b"\r\n",
    "a list of the images": b"GET /images/ HTTP/1.1\r\n\r\n",
}


@pytest.mark.robust("results server")
@pytest.mark.parametrize("request_", ODD.values(), ids=ODD.keys())
def test_an_odd_request_is_answered_as_the_clients_mistake(lab, request_, capfd):
    assert b" 4" in ask(lab, request_)[:13]
    assert capfd.readouterr().err == ""


@pytest.mark.robust("results server")
def test_200_learners_of_whom_20_misbehave(lab, lesson_sheet, result_file, tmp_path, monkeypatch, capfd):
    """Those stop in the middle, send nothing, or leave at once; nobody waits for them, and they are cut off."""
    monkeypatch.setattr(take_results.Page, "timeout", 0.5)
    host, port = lab.split("/")[2].split(":")
    head = b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n"
    stuck = [socket.create_connection((host, int(port))) for _ in range(20)]
    for number, connection in enumerate(stuck):
        connection.sendall((head + b"{", b"POST /", head, b"")[number % 4])
        if number % 5 == 0:
            connection.close()
    answers = [[("A", "B", "?")[k // 3**place % 3] for place in range(5)] for k in range(180)]

    def body(given: list[str]) -> bytes:
        position = iter(range(10**6))
        return result_file(lesson_sheet, lambda phase, truth: given[next(position) % 5]).read_bytes()

    bodies = list(map(body, answers))
    with ThreadPoolExecutor(30) as learners:
        assert set(learners.map(lambda one: send(lab, one), bodies)) == {200}
    kept = {file.read_bytes() for file in (tmp_path / "into").iterdir()}
    assert kept == set(bodies) and len(kept) > 100
    for connection in stuck:
        if connection.fileno() >= 0:
            connection.settimeout(5)
            assert not connection.makefile("rb").read().startswith(b"HTTP/1.0 2")
            connection.close()
    assert "Traceback" not in capfd.readouterr().err
