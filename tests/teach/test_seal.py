from hypothesis import given, settings
from hypothesis import strategies as st
from unseal import unseal

from galore.teach import seal


@settings(max_examples=30)
@given(value=st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=40)), salt=st.text(max_size=9))
def test_what_was_sealed_comes_back(value, salt):
    assert unseal(seal.seal(value, salt, 3), salt, 3) == value


def test_another_salt_or_number_of_rounds_opens_nothing():
    sealed = seal.seal({"truth": "A"}, "salt", 10)
    for salt, rounds in (("salt", 9), ("other", 10)):
        try:
            opened = unseal(sealed, salt, rounds)
        except ValueError:
            opened = None
        assert opened != {"truth": "A"}


def test_a_seal_is_filled_up_to_the_longest_of_its_kind():
    short, long = {"lit": ""}, {"lit": "M0 0" * 200}
    size = len(seal.plain(long))
    first, second = (seal.seal(value, "x", 1, size) for value in (short, long))
    assert len(first) == len(second)
    assert unseal(first, "x", 1) == short


def test_seals_of_different_answers_are_as_long():
    assert len(seal.seal({"truth": "A", "marks": []}, "x", 1)) == len(
        seal.seal({"truth": "B", "marks": ["eye"]}, "y", 1)
    )
