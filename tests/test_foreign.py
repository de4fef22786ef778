"""What comes from outside is opened, parsed and shown in one way each."""

import dataclasses
import json
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from galore import foreign
from galore.errors import InputError


@dataclasses.dataclass
class Point:
    x: float
    name: str


@pytest.mark.robust("texts that are shown")
@given(st.text(st.characters(codec=None), max_size=2000))
def test_a_shown_text_is_short_and_obeyed_by_no_terminal(value):
    shown = foreign.text(value)
    assert len(shown) < 200 * 11
    assert "\n" not in shown and "\x1b" not in shown
    assert shown.encode("utf-8", "strict").decode() == shown


@pytest.mark.robust("texts that are shown")
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("indigo bunting", "indigo bunting"),
        ("Zaunkönig \N{BIRD}", "Zaunkönig \N{BIRD}"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("photo\udcff.png", "photo\\udcff.png"),
        ("gpj\u202exe.jpg", "gpj\\u202exe.jpg"),
        ("two\nlines", "two lines"),
        ("1\u202f000", "1 000"),
    ],
)
def test_a_name_is_shown_with_escapes_for_what_cannot_be_seen(value, shown):
    assert foreign.text(value) == shown


@pytest.mark.robust("texts that are shown")
def test_the_message_of_an_error_is_as_harmless_as_the_names_in_it():
    message = str(InputError(f"there is no class {'a' * 1_000_000}\x1b[2J"))
    assert len(message) < 1100 and "\x1b" not in message


@pytest.mark.robust("special files")
def test_pipes_devices_folders_and_missing_files_are_answered_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path / "pipe", "/dev/zero", tmp_path, tmp_path / "none", tmp_path / "loop", "a\0b", "x" * 5000):
        with pytest.raises(InputError, match=r"expected a table|cannot read"):
            foreign.read_bytes(path, "a table")


@pytest.mark.robust("special files")
def test_a_file_that_is_larger_than_allowed_is_not_read(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    assert foreign.read_bytes(tmp_path / "file", "a number", largest=5) == b"12345"
    with pytest.raises(InputError, match="has 5 bytes, expected a number, at most 4"):
        foreign.read_bytes(tmp_path / "file", "a number", largest=4)


def test_json_arrives_as_the_type_that_was_asked_for(tmp_path):
    (tmp_path / "point.json").write_text('{"x": 2, "name": "beak"}')
    assert foreign.json_file(tmp_path / "point.json", Point, "a point") == Point(2.0, "beak")


@pytest.mark.robust("tables")
@pytest.mark.parametrize(
    "content",
    [
        b'{"x": "2", "name": "beak"}',
        b'{"x": 2}',
        b"[]",
        b"null",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"x": ' + b"9" * 5000 + b', "name": ""}',
    ],
)
def test_json_that_is_something_else_is_one_sentence(content):
    with pytest.raises(InputError, match=r"^the header"):
        foreign.json_text(content, Point, "the header", "a point")


def test_numbers_that_json_does_not_have_are_read_as_we_write_them():
    assert foreign.json_text(json.dumps({"x": float("inf")}), dict[str, float], "it", "numbers") == {"x": float("inf")}


@pytest.mark.robust("tables")
@pytest.mark.parametrize("content", ["a: &a [1]\nb: [*a, *a]", "a: [", "\x00", "a: !!python/object:os.system x"])
def test_yaml_with_aliases_or_objects_is_refused(tmp_path, content):
    (tmp_path / "options.yaml").write_text(content)
    with pytest.raises(InputError, match=r"options\.yaml"):
        foreign.yaml_file(tmp_path / "options.yaml", "options")


def test_yaml_is_plain_data(tmp_path):
    (tmp_path / "options.yaml").write_text("seed: 1\nlist: [a, b]\n")
    found: Any = foreign.yaml_file(tmp_path / "options.yaml", "options")
    assert found == {"seed": 1, "list": ["a", "b"]}


@pytest.mark.robust("texts that are shown")
@pytest.mark.parametrize(
    "name",
    ["../../../x", "a/../../x", "..", "/etc/passwd", "", ".", "a\0b", "//x", "a/.."],
    ids=repr,
)
def test_a_name_from_a_file_stays_below_its_folder(tmp_path, name):
    with pytest.raises(InputError, match="expected a path that stays below"):
        foreign.inside(tmp_path, name, "the sheet")


@pytest.mark.parametrize("name", ["a.jpg", "001.Albatross/a b.jpg", "..a/b..jpg", "caf\udce9.png", "a\\..\\b", "-rf"])
def test_an_ordinary_name_from_a_file_is_taken(tmp_path, name):
    assert foreign.inside(tmp_path, name, "the sheet") == tmp_path / name


@pytest.mark.robust("texts that are shown")
@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1+2", "@SUM(1)", "'=1"])
def test_no_name_is_a_formula_in_a_table(name):
    assert foreign.cell(name) == f"'{name}"


@pytest.mark.parametrize("name", ["a.jpg", "a=b", "2-3.png", "Zoë/é.png"])
def test_an_ordinary_name_in_a_table_stays_as_it_is(name):
    assert foreign.cell(name) == name


@pytest.mark.robust("texts that are shown")
@pytest.mark.parametrize(
    "name", ["x" * 100_000, "é" * 10**6, "\x1b]0;title\x07" * 1000], ids=["long", "longer", "escapes"]
)
def test_a_name_is_short_and_harmless_where_it_is_shown(name):
    shown = foreign.name(name)
    assert len(shown) < 500 and shown.isprintable()
