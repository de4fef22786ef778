"""Which classes of a data set a person means."""

import pytest

from galore import InputError
from galore.data import tables

DIGITS = ("0", "1", "10", "2")
CRANES = ("Crane", "Heron", "Crane")


@pytest.mark.robust("names and indices")
@pytest.mark.parametrize(("word", "names"), [("1", DIGITS), ("2", DIGITS), (1, DIGITS), ("1-2", ("0", "1-2", "3"))])
def test_a_number_that_is_another_class_of_this_name_is_refused_with_both_readings(word, names):
    with pytest.raises(InputError, match=r"may be a name or numbers: write name:.* or number:"):
        tables.select(word, names)


@pytest.mark.robust("names and indices")
@pytest.mark.parametrize(
    ("word", "names", "positions"),
    [
        ("name:1", DIGITS, [1]),
        ("number:1", DIGITS, [0]),
        ("3,number:1-2", DIGITS, [0, 1, 2]),
        ("1", ("1", "2"), [0]),
        ("name:1", ("name:1", "1"), [0]),
    ],
)
def test_a_prefix_says_whether_a_number_or_a_name_is_meant(word, names, positions):
    assert tables.select(word, names) == positions


@pytest.mark.robust("names and indices")
@pytest.mark.parametrize("word", ["0", "number:9", "number:x", "9" * 5000, "1-" + "9" * 5000, "name:", "3-1"])
def test_what_no_class_is_called_or_numbered_is_refused(word):
    with pytest.raises(InputError, match=r"expected numbers from 1 to 3|there is no class"):
        tables.select(word, CRANES)


@pytest.mark.robust("names and indices")
def test_a_name_of_two_classes_is_refused_with_their_numbers():
    with pytest.raises(InputError, match="2 classes are called 'crane', select them by their numbers: 1, 3"):
        tables.select("crane", CRANES)
