"""One grammar of numbers for every table of a data set."""

import os
import time

import numpy as np
import pytest

from galore import InputError
from galore.data import tables

RIGHT = {
    "1 2": [1, 2], "-1.5 +2.": [-1.5, 2], ".5 0.25": [0.5, 0.25], "1e3 1E-2": [1000, 0.01], "007 0": [7, 0],
    "1\t2": [1, 2], "  1   2  ": [1, 2], "1 2\r": [1, 2],
    "0.1000000000000000055511151231257827 2": [0.1, 2],
}  # fmt: skip
WRONG = [
    "1_0 2", "1 2_000", "0x10 2", "1 inf", "nan 2", "1 -Infinity", "1,5 2", "1 2 3", "1", "a b", "1 2j", "\u0663 2",
    "\uff11 2", "1\u00a02", "1\u20032", "1 1e999", "1 -1e400", "1 e5", "1 .", "1 +", "- 2", "1 --2", "1 1e", "1 1e+",
    "1 1.2.3", "True 2", "1 2#", "# 1 2", "1 '2'", "9" * 5000 + " 2", "1 0." + "1" * 5000, "1 1e" + "9" * 5000,
    "\x1b[2J 1", "1\x002", "1;2", "\u2212" + "1 2",
]  # fmt: skip


@pytest.mark.parametrize("line, values", RIGHT.items())
def test_decimal_numbers_are_read(line, values, tmp_path):
    (tmp_path / "t.txt").write_text(f"3 4\n{line}\n")
    np.testing.assert_array_equal(tables.numbers(tmp_path / "t.txt", 2, "two numbers"), [[3, 4], values])


@pytest.mark.robust("tables")
@pytest.mark.parametrize("line", WRONG, ids=lambda line: ascii(line)[:20])
def test_everything_else_is_refused_with_its_line(line, tmp_path):
    (tmp_path / "t.txt").write_text(f"3 4\n{line}\n5 6\n")
    with pytest.raises(InputError, match=r"t\.txt, line 2: expected two numbers, found") as caught:
        tables.numbers(tmp_path / "t.txt", 2, "two numbers")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


@pytest.mark.robust("tables")
@pytest.mark.parametrize(
    "first",
    ["1_0", "\u0663", "\u00b2", "9" * 5000, "+1", "-1", "1.0", "1e3", "0x1", "", "nan"],
    ids=lambda text: ascii(text)[:12],
)
def test_the_number_of_a_name_is_a_whole_one_of_few_digits(first, tmp_path):
    (tmp_path / "t.txt").write_text(f"1 Finch\n{first} Gull\n")
    with pytest.raises(InputError, match=r"t\.txt, line 2: expected a number and a name"):
        tables.names(tmp_path / "t.txt", "a number and a name")


@pytest.mark.robust("tables")
@pytest.mark.parametrize("word", ["\u0663", "1-\u0663", "9" * 5000, "1-" + "9" * 5000, "1_0", "\x1b[2J", "x" * 10**6])
def test_a_class_that_is_no_number_and_no_name_is_refused(word):
    with pytest.raises(InputError) as caught:
        tables.select(word, ("Finch", "Gull"))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


@pytest.mark.robust("tables")
def test_a_named_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "t.txt")
    with pytest.raises(InputError, match="no regular file"):
        tables.lines(tmp_path / "t.txt", "numbers")


def test_a_million_numbers_are_read_soon(tmp_path):
    (tmp_path / "t.txt").write_text("1 2.5 -3e-1 4\n" * 250_000)
    started = time.process_time()
    assert tables.numbers(tmp_path / "t.txt", 4, "four numbers").shape == (250_000, 4)
    assert time.process_time() - started < 4
