import pytest

from galore import InputError, class_names

NAMES = (
    "tench",
    "tiger cat",
    "Egyptian_Mau",
    "tiger shark",
    "espresso",
    "espresso machine",
    "crane",
    "crane",
    "concatenated",
)


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("2", 2),
        ("tiger cat", 1),
        ("TIGER  CAT", 1),
        ("Egyptian Mau", 2),
        ("egyptian_mau", 2),
        ("egypt", 2),
        ("shark", 3),
    ],
)
def test_a_class_is_found_by_index_by_name_and_by_a_part_of_its_name(text, index):
    assert class_names.find(text, NAMES) == index


def test_a_whole_name_comes_before_a_part_of_another():
    assert class_names.find("espresso", NAMES) == 4


def test_a_whole_word_comes_before_letters_inside_a_word():
    assert class_names.find("cat", NAMES) == 1


@pytest.mark.robust("names and indices")
def test_an_ambiguous_part_lists_what_it_fits():
    with pytest.raises(InputError, match=r'"tiger" fits 2 classes.*tiger cat \(1\), tiger shark \(3\)'):
        class_names.find("tiger", NAMES)


@pytest.mark.robust("names and indices")
def test_a_name_that_two_classes_share_needs_an_index():
    with pytest.raises(InputError, match=r"crane \(6\), crane \(7\)"):
        class_names.find("crane", NAMES)


@pytest.mark.robust("names and indices")
def test_an_unknown_name_gets_the_closest():
    with pytest.raises(InputError, match=r"the closest .*tench"):
        class_names.find("tensh", NAMES)


@pytest.mark.robust("names and indices")
@pytest.mark.parametrize("text", ["9", "-1", "1000", "9" * 5000, "index:9", "index:", "index:crane", "name:9"])
def test_an_index_outside_the_range_is_refused(text):
    with pytest.raises(InputError, match=r"from 0 to 8|no class is called"):
        class_names.find(text, NAMES)


DIGITS = tuple(sorted(map(str, range(12))))  # "0", "1", "10", "11", "2", ...


@pytest.mark.robust("names and indices")
@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("10", DIGITS),
        ("2", DIGITS),
        (" 2 ", DIGITS),
        ("1", ("0001", "0002")),
        ("2", ("class 1", "class 2", "class 3")),
        ("0", ("zero", "0", "0")),
    ],
)
def test_a_number_that_is_an_index_and_the_name_of_another_class_is_refused_with_both_readings(text, names):
    with pytest.raises(InputError, match=r"is the index of the class .* and also names .*: write index:\d+ or name:"):
        class_names.find(text, names)


@pytest.mark.robust("names and indices")
@pytest.mark.parametrize(
    ("text", "names", "index"),
    [
        ("name:10", DIGITS, 2),
        ("index:10", DIGITS, 10),
        ("1", DIGITS, 1),
        ("20", ("10", "20"), 1),
        ("0", ("10", "20"), 0),
        ("-1", ("-1", "1"), 0),
        ("\N{ARABIC-INDIC DIGIT ONE}", ("zero", "one", "\N{ARABIC-INDIC DIGIT ONE}"), 2),
        ("index:1", ("index:1", "other"), 0),
        ("name:egyptian mau", NAMES, 2),
    ],
)
def test_a_name_that_exists_wins_and_prefixes_say_which_is_meant(text, names, index):
    assert class_names.find(text, names) == index


@pytest.mark.robust("names and indices")
@pytest.mark.parametrize("count", [2, 11, 13])
def test_names_are_as_many_as_logits(count):
    class_names.check_count(DIGITS, 12, "the network")
    class_names.check_count((), 12, "the network")
    with pytest.raises(InputError, match=f"the network has {count} class names and 12 logits"):
        class_names.check_count((*DIGITS, "one more")[:count], 12, "the network")


@pytest.mark.robust("names and indices")
@pytest.mark.parametrize("text", ["", "  ", "_"])
def test_an_empty_name_is_refused(text):
    with pytest.raises(InputError, match="empty"):
        class_names.find(text, NAMES)


def test_labels_are_readable_and_tell_classes_of_one_name_apart():
    assert class_names.label(2, NAMES) == "Egyptian Mau"
    assert [class_names.label(index, NAMES) for index in (6, 7)] == ["crane (6)", "crane (7)"]
