"""The server of a laboratory: it shows the page, keeps results, and refuses everything else."""

import json
import threading
import urllib.error
import urllib.request

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
    for wrong in (b"", b"{", edited, b"x" * (results.LARGEST + 1)):
        assert send(lab, wrong) == 400
    assert not (tmp_path / "into").exists()


def test_a_folder_without_an_experiment_and_a_port_that_is_taken_are_named(lab, tmp_path):
    with pytest.raises(InputError, match="cannot read the sheet"):
        take_results.server(tmp_path / "nothing", tmp_path, "127.0.0.1", 0)
    with pytest.raises(InputError, match="cannot listen at 127"):
        take_results.server(tmp_path / "made", tmp_path, "127.0.0.1", int(lab.rsplit(":")[-1].strip("/")))
