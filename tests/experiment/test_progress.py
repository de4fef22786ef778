"""What programs show while they work."""

import io
import re

import pytest
from rich.console import Console

from galore.experiment import progress


def shown(monkeypatch, console: Console, **options) -> list[str]:
    """The lines that are drawn while a work of two parts goes on, without the signs that move the cursor."""
    monkeypatch.setattr(progress, "console", console)
    opened = []
    monkeypatch.setattr(progress, "Progress", lambda *a, **named: opened.append(Whole(*a, **named)) or opened[0])
    with progress.current("sanity", **options) as tell:
        for what, total in (("beginner user", 200), ("advanced user", 40), ("intervals and figures", 0)):
            for done in sorted({0, total // 2, total}):
                tell(what, done, total)
                [one.refresh() for one in opened]
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue()).replace("\r", "\n").splitlines()


class Whole(progress.Progress):
    """Draws when it is asked to, and not four times a second."""

    def __init__(self, *columns, **named):
        super().__init__(*columns, auto_refresh=False, **named)


@pytest.mark.parametrize("width", [50, 80])
def test_a_bar_says_what_is_done_and_how_much_on_one_line(monkeypatch, width):
    lines = shown(monkeypatch, Console(file=io.StringIO(), width=width, force_terminal=True))
    assert max(map(len, lines)) <= width
    bar = next(line for line in lines if "100/200" in line)
    assert bar.startswith("beginner user") and re.search(r"\d:\d\d", bar)
    assert any("beginner user, comp" in line and "0/200" in line for line in lines)  # compiling
    assert any("advanced user" in line and "40/40" in line for line in lines)
    assert lines[-1].strip() == ""  # it vanishes


@pytest.mark.parametrize("console", [{}, {"force_terminal": True}], ids=["a file", "a terminal of several processes"])
def test_lines_say_it_where_no_bar_can(monkeypatch, console):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0)
    lines = shown(monkeypatch, Console(file=io.StringIO(), width=50, **console), as_lines=bool(console))
    assert "sanity: beginner user, 100 of 200" in lines and lines[-1] == "sanity: intervals and figures"
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 60)
    assert shown(monkeypatch, Console(file=io.StringIO(), width=50, **console), as_lines=bool(console)) == []


def test_what_several_pieces_of_work_say_goes_to_stdout_and_the_bar_to_stderr(monkeypatch, capsys):
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    monkeypatch.setattr(progress, "console", console)
    with progress.whole("experiments", 2) as finished:
        finished(["sanity, seed 0: 40 s"])
        finished(["gallery, seed 0: 16 s"])
    assert capsys.readouterr().out == "sanity, seed 0: 40 s\ngallery, seed 0: 16 s\n"
    assert "experiments" in console.file.getvalue()
