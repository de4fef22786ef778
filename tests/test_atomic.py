import contextlib
import errno
import gc
import os
import shutil
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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


def start_writer(code: str, place: Path) -> subprocess.Popen:
    """A program that writes `place` and says so when it has begun; it goes on until it is killed."""
    program = (
        f"import sys, time\nfrom pathlib import Path\nfrom galore import atomic\nplace = Path({str(place)!r})\n{code}"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"begun\n"
    return process


WRITES_A_FOLDER = """
with atomic.folder(place, overwrite=True) as unfinished:
    (unfinished / "half.txt").write_text("half")
    print("begun", flush=True)
    time.sleep(60)
"""
WRITES_A_FILE = """
with atomic.file(place) as unfinished:
    unfinished.write_text("half")
    print("begun", flush=True)
    time.sleep(60)
"""
WRITES_A_GROWING_FOLDER = """
with atomic.writer(place):
    print("begun", flush=True)
    time.sleep(60)
"""


@pytest.mark.robust("outputs")
@pytest.mark.parametrize(
    "write",
    [atomic.file, atomic.folder, lambda place: atomic.folder(place, overwrite=True), atomic.writer, atomic.turn],
    ids=["a file", "a folder", "a folder again", "a folder that grows", "in turn"],
)
def test_a_system_without_locks_writes_too_and_leaves_what_others_may_be_writing(tmp_path, monkeypatch, write):
    """Windows has no fcntl. Without a lock nobody knows whether a temporary file's writer is dead, and it stays."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    theirs = tmp_path / ".out.unfinished-1234"
    theirs.write_text("half")
    with write(tmp_path / "out") as unfinished:
        if unfinished is not None:
            (unfinished / "a.txt" if unfinished.is_dir() else unfinished).write_text("whole")
    assert theirs.read_text() == "half"
    assert {path.name for path in tmp_path.iterdir()} <= {"out", theirs.name}


def test_every_part_that_writes_is_there_without_what_only_unix_has():
    program = """
import sys
sys.modules["fcntl"] = sys.modules["resource"] = None
from galore import atomic, cli, program
from galore.commands import explain
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.robust("writers")
@pytest.mark.parametrize(
    ("code", "write"),
    [
        pytest.param(WRITES_A_FOLDER, lambda place: atomic.folder(place, overwrite=True), id="a folder"),
        pytest.param(WRITES_A_FOLDER, atomic.folder, id="a new folder"),
        pytest.param(WRITES_A_GROWING_FOLDER, atomic.writer, id="a folder that grows"),
    ],
)
def test_a_second_writer_is_refused_until_the_first_is_dead_and_cleans_up_after_it(tmp_path, code, write):
    process = start_writer(code, tmp_path / "out")
    with pytest.raises(InputError, match="is being written by another program"), write(tmp_path / "out"):
        pass
    process.kill(), process.wait()
    with write(tmp_path / "out"):
        pass
    assert [path for path in tmp_path.rglob("*") if path.name != "out"] == []


def test_a_killed_writer_of_a_file_leaves_nothing_after_the_next_and_a_living_one_is_left_alone(tmp_path):
    killed, living = (start_writer(WRITES_A_FILE, tmp_path / "a.txt") for _ in range(2))
    killed.kill(), killed.wait()
    assert len(list(tmp_path.iterdir())) == 2
    with atomic.file(tmp_path / "a.txt") as unfinished:
        unfinished.write_text("whole")
    assert len(list(tmp_path.iterdir())) == 2 and (tmp_path / "a.txt").read_text() == "whole"
    living.kill(), living.wait()
    atomic.remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.txt"]


def test_those_who_share_write_together_and_nobody_else(tmp_path):
    together = (atomic.writer(tmp_path, shared=True), atomic.writer(tmp_path, shared=True))
    with together[0], together[1], pytest.raises(InputError, match="being written"), atomic.writer(tmp_path):
        pass
    with atomic.writer(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_files_of_others_that_look_alike_are_no_leftovers(tmp_path):
    mine = [tmp_path / ".a.txt.bak", tmp_path / ".a.txt", tmp_path / "b.unfinished-1"]
    for path in mine:
        path.write_text("mine")
    with atomic.file(tmp_path / "a.txt") as unfinished:
        unfinished.write_text("")
    atomic.remove_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([*mine, tmp_path / "a.txt"])


def report(place: Path, words: str, *names: str) -> None:
    place.mkdir(exist_ok=True)
    for name in names or ("a.txt", "b.txt"):
        (place / name).write_text(words)


class Killed(BaseException):
    pass


@pytest.mark.robust("interruption")
@pytest.mark.parametrize("others", [(), ("mine.txt",)], ids=["a report alone", "a report among other files"])
@pytest.mark.parametrize("can_exchange", [True, False])
@pytest.mark.parametrize("stop", range(8))
def test_a_stop_while_a_folder_is_replaced_leaves_one_report_after_the_next_run(
    tmp_path, monkeypatch, others, can_exchange, stop
):
    """Stops after each of the moves, without any cleaning up, as SIGKILL does."""
    place, moves = tmp_path / "out", []
    report(place, "before"), report(place, "mine", *others or ("a.txt",))
    report(place, "before")
    if not can_exchange:
        monkeypatch.setattr(atomic.ctypes, "CDLL", lambda name: object())

    def until_then(act, is_move=False):
        def acts(*arguments, **options):
            if len(moves) == stop:
                raise Killed
            moves.extend([arguments] * is_move)
            return act(*arguments, **options)

        return acts

    with monkeypatch.context() as patch:
        for name in ("rename", "replace"):
            patch.setattr(Path, name, until_then(getattr(Path, name), is_move=True))
        for owner, name in ((Path, "unlink"), (Path, "rmdir"), (shutil, "rmtree")):
            patch.setattr(owner, name, until_then(getattr(owner, name)))
        with contextlib.suppress(Killed), atomic.folder(place, overwrite=True) as unfinished:
            report(unfinished, "after")
    gc.collect()  # the stopped writer's lock goes with its process
    with contextlib.suppress(RuntimeError), atomic.folder(place, overwrite=True):
        raise RuntimeError  # the next run takes care of what it finds, whatever becomes of itself
    assert {(place / name).read_text() for name in ("a.txt", "b.txt")} in ({"before"}, {"after"})
    assert [(place / name).read_text() for name in others] == ["mine" for _ in others]
    assert {path.name for path in place.iterdir()} == {"a.txt", "b.txt", *others}
    assert list(tmp_path.iterdir()) == [place]


def test_a_report_that_holds_nothing_else_is_replaced_in_one_move(tmp_path):
    report(tmp_path / "out", "before")
    before = (tmp_path / "out").stat().st_ino
    with atomic.folder(tmp_path / "out", overwrite=True) as unfinished:
        report(unfinished, "after", "a.txt", "b.txt", "c.txt")
    assert (tmp_path / "out").stat().st_ino != before and (tmp_path / "out" / "a.txt").read_text() == "after"


@pytest.mark.robust("outputs")
@pytest.mark.parametrize("there", [(), ("a.txt",), ("mine.txt",)], ids=["empty", "an older report", "other files"])
@pytest.mark.parametrize("kind", ["mount point", "working folder", "link"])
def test_a_folder_that_must_stay_itself_is_written_into(tmp_path, monkeypatch, there, kind):
    place = target = tmp_path / "volume"
    place.mkdir()
    report(place, "before", *there) if there else None
    before = place.stat().st_ino
    if kind == "mount point":
        monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == place)
    elif kind == "working folder":
        monkeypatch.chdir(place)
        target = Path(".")
    else:
        target = tmp_path / "link"
        target.symlink_to(place)
    with atomic.folder(target, overwrite=True) as unfinished:
        report(unfinished, "after", "a.txt", "b.txt")
    assert {path.name for path in place.iterdir()} == {"a.txt", "b.txt", *there}
    assert (place / "a.txt").read_text() == "after"
    assert kind == "link" or place.stat().st_ino == before
    assert {path.name for path in tmp_path.iterdir()} == {"volume"} | ({"link"} if kind == "link" else set())


def test_a_link_to_a_file_stays_one(tmp_path):
    (tmp_path / "link.txt").symlink_to(tmp_path / "deep.txt")
    with atomic.file(tmp_path / "link.txt") as unfinished:
        unfinished.write_text("a")
    assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "deep.txt").read_text() == "a"


NAMES = [
    "run [a]*?",
    "back\\slash",
    "a space",
    " ",
    "Zoë",
    "caf\udce9",
    "-rf",
    "%s{}$HOME",
    "x" * 255,
    "é" * 127,
    "new\nline",
]


@pytest.mark.robust("paths")
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_legal_name_can_be_written(tmp_path, name):
    with atomic.folder(tmp_path / name) as unfinished:
        report(unfinished, "a")
    with atomic.file(tmp_path / name / name) as unfinished:
        unfinished.write_text("b")
    with atomic.folder(tmp_path / name, overwrite=True) as unfinished:
        report(unfinished, "c")
    assert sorted(os.listdir(tmp_path / name)) == sorted(["a.txt", "b.txt", name])
    assert os.listdir(tmp_path) == [name]


@pytest.mark.robust("outputs")
@pytest.mark.parametrize(
    "name", ["x" * 256, "é" * 128, "/".join(["x" * 250] * 20), "a\0b"], ids=lambda name: str(len(name))
)
@pytest.mark.parametrize("write", [atomic.file, atomic.folder, atomic.writer])
def test_a_name_that_cannot_be_written_is_refused_before_the_work(tmp_path, name, write):
    with pytest.raises(InputError, match="cannot"), write(tmp_path / name):
        raise AssertionError("the work began")


@pytest.mark.robust("outputs")
@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_a_file_is_not_written_over_what_is_no_file(tmp_path, kind):
    (tmp_path / "a").mkdir() if kind == "folder" else os.mkfifo(tmp_path / "a")
    with pytest.raises(InputError, match="is no file"), atomic.file(tmp_path / "a"):
        raise AssertionError("the work began")


def zip_that_does_not_fit(path):
    with zipfile.ZipFile(path, "w") as file, file.open("a", "w"):
        raise OSError(errno.ENOSPC, "No space left on device")


def library_that_hides_it(path):
    raise ValueError("SafetensorError: I/O error: No space left on device (os error 28)")


def quota(path):
    raise OSError(errno.EDQUOT, "Disk quota exceeded")


@pytest.mark.robust("outputs")
@pytest.mark.parametrize("work", [zip_that_does_not_fit, library_that_hides_it, quota])
@pytest.mark.parametrize(
    "write", [atomic.file, lambda path: atomic.folder(path, overwrite=True)], ids=["file", "folder"]
)
def test_a_full_disk_is_one_sentence_and_keeps_what_was_there(tmp_path, work, write):
    with write(tmp_path / "out") as unfinished:
        (unfinished / "a").write_text("before") if unfinished.is_dir() else unfinished.write_text("before")
    words = r"no space is left on the disk for .*out; what was there before is kept"
    with pytest.raises(InputError, match=words), write(tmp_path / "out") as unfinished:
        work(unfinished / "a" if unfinished.is_dir() else unfinished)
    out = tmp_path / "out"
    assert (out / "a" if out.is_dir() else out).read_text() == "before" and list(tmp_path.iterdir()) == [out]


def test_another_mistake_is_not_called_a_full_disk(tmp_path):
    with pytest.raises(FileNotFoundError), atomic.folder(tmp_path / "out"):
        (tmp_path / "photo.jpg").read_bytes()


def test_those_who_need_the_same_output_wait_for_the_one_who_makes_it(tmp_path):
    made, inside = [], []

    def need(number):
        with atomic.turn(tmp_path / "out"):
            inside.append(number)
            assert len(inside) == 1
            if not (tmp_path / "out").exists():
                with atomic.folder(tmp_path / "out"):
                    time.sleep(0.05)
                made.append(number)
            inside.remove(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(need, range(8)))
    assert len(made) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
