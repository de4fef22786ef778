import os

import pytest

from galore import InputError, atomic


def test_a_folder_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "deep" / "out"
    with atomic.folder(target) as unfinished:
        (unfinished / "a.txt").write_text("a")
        assert not target.exists()
    assert (target / "a.txt").read_text() == "a"
    assert list(target.parent.iterdir()) == [target]


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), atomic.folder(tmp_path / "out") as unfinished:
        (unfinished / "a.txt").write_text("a")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_what_was_there_before(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "a.txt").write_text("before")
    with pytest.raises(RuntimeError), atomic.folder(target, overwrite=True) as unfinished:
        (unfinished / "a.txt").write_text("after")
        raise RuntimeError
    assert (target / "a.txt").read_text() == "before"


def test_overwriting_replaces_namesakes_and_keeps_the_rest(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "a.txt").write_text("before")
    (target / "mine.txt").write_text("mine")
    with atomic.folder(target, overwrite=True) as unfinished:
        (unfinished / "a.txt").write_text("after")
        (unfinished / "figures").mkdir()
        (unfinished / "figures" / "b.txt").write_text("b")
    assert (target / "a.txt").read_text() == "after"
    assert (target / "mine.txt").read_text() == "mine"
    assert (target / "figures" / "b.txt").read_text() == "b"


@pytest.mark.robust("outputs")
def test_a_folder_with_something_in_it_is_refused_unless_asked(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty"), atomic.folder(tmp_path):
        pass


@pytest.mark.robust("outputs")
def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="is a file"), atomic.folder(tmp_path / "out", overwrite=True):
        pass
    with pytest.raises(InputError, match="cannot create"), atomic.folder(tmp_path / "out" / "deeper"):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_place_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot write"), atomic.folder(tmp_path / "out"):
        pass


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    target = tmp_path / "a.json"
    with atomic.file(target) as unfinished:
        unfinished.write_text("1")
    with pytest.raises(RuntimeError), atomic.file(target) as unfinished:
        unfinished.write_text("2")
        raise RuntimeError
    assert target.read_text() == "1"
    assert list(tmp_path.iterdir()) == [target]
