import os

import pytest

from galore import cli


@pytest.mark.robust("special files")
@pytest.mark.parametrize("kind", ["a pipe", "a folder", "nothing", "bytes", "a device"])
def test_a_consent_that_is_no_text_is_refused_at_once(tmp_path, capsys, kind):
    place = tmp_path / "consent.txt"
    if kind == "a pipe":
        os.mkfifo(place)
    elif kind == "a folder":
        place.mkdir()
    elif kind == "bytes":
        place.write_bytes(b"\xff\xfe")
    elif kind == "a device":
        place.symlink_to("/dev/zero")
    given = ["--model", "none", "--classes", "a", "b", "--out", str(tmp_path / "out"), "--consent", str(place)]
    assert cli.main(["teach", str(tmp_path), *given]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "consent" in said and not (tmp_path / "out").exists()
