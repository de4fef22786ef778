from hypothesis import given
from hypothesis import strategies as st

from galore.teach import seal


@given(value=st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=40)), salt=st.text(max_size=9))
def test_what_was_sealed_comes_back(value, salt):
    assert seal.unseal(seal.seal(value, salt, 3), salt, 3) == value


def test_another_salt_or_number_of_rounds_opens_nothing():
    sealed = seal.seal({"truth": "A"}, "salt", 10)
    for salt, rounds in (("salt", 9), ("other", 10)):
        try:
            opened = seal.unseal(sealed, salt, rounds)
        except ValueError:
            opened = None
        assert opened != {"truth": "A"}


def test_seals_of_different_answers_are_as_long():
    assert len(seal.seal({"truth": "A", "marks": []}, "x", 1)) == len(
        seal.seal({"truth": "B", "marks": ["eye"]}, "y", 1)
    )
