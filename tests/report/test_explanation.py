import answers
import jax
import numpy as np
import pytest
from PIL import Image

import galore


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    red, blue = answers.write_photo(folder / "red.png"), answers.write_photo(folder / "blue.png", (40, 60, 210))
    return galore.explain_photo(answers.tiny_network(), red, "blue", blue)


def test_the_repr_is_the_answer_in_three_lines(explained):
    first, second, third = repr(explained).splitlines()
    assert first.startswith("red.png: The network ") and "red thing" in first
    assert second.startswith("It hesitates most between")
    assert third.startswith("The lit region speaks for red thing and not for blue thing")


@pytest.fixture
def compilations():
    """What jax compiles from here on."""
    found = []

    def note(event: str, seconds: float, **_) -> None:
        found.extend([event] if "backend_compile" in event else [])

    jax.monitoring.register_event_duration_secs_listener(note)
    yield found
    jax.monitoring.unregister_event_duration_listener(note)


def test_another_photo_of_another_size_about_another_class_compiles_nothing(tmp_path, explained, compilations):
    other = answers.write_photo(tmp_path / "other.png", (200, 200, 30), (90, 70))
    galore.explain_photo(answers.tiny_network(), other, "blue", other)
    galore.explain_photo(answers.tiny_network(), other, 3)
    assert not compilations
    galore.explain_photo(answers.tiny_network(), other, 3, fraction=0.2)
    assert compilations


@pytest.mark.parametrize("kind", ["PIL", "array"])
def test_a_photo_in_memory_is_explained_as_its_file_is(explained, kind):
    with Image.open(explained.answer.photo.path) as image:
        given = image if kind == "PIL" else np.asarray(image)
        answer = galore.explain_photo(answers.tiny_network(), given, "blue").answer
    np.testing.assert_array_equal(answer.why_not.finding.map, explained.answer.why_not.finding.map)
    assert (answer.photo.name, answer.provenance["options"]["image"]) == ("image", "image")
