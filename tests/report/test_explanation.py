import dataclasses
from html.parser import HTMLParser

import answers
import jax
import numpy as np
import pytest
from matplotlib import pyplot as plt
from PIL import Image

import galore
from galore import InputError, plotting, provenance
from galore.report import record


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


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("part-tables", "shows parts by which red thing and blue thing differ"),
        ("counterparts", "speaks for red thing, measured against what blue thing would show there"),
    ],
)
def test_by_what_was_fitted_the_record_says_by_which(explained, rule, said):
    fitted, name = answers.FITTED[rule](*range(6)), rule.replace("-", "_")
    photo, given = explained.answer.photo.path, {name: fitted}
    found = galore.explain_photo(answers.tiny_network(), photo, "blue", rule=rule, **given)
    assert found.answer.methods[name] == provenance.params_sha256(fitted)
    assert explained.answer.methods[name] is None
    assert repr(found).splitlines()[2].startswith(f"The lit region {said}")


@pytest.mark.parametrize("kind", ["PIL", "array"])
def test_a_photo_in_memory_is_explained_as_its_file_is(explained, kind):
    with Image.open(explained.answer.photo.path) as image:
        given = image if kind == "PIL" else np.asarray(image)
        answer = galore.explain_photo(answers.tiny_network(), given, "blue").answer
    np.testing.assert_array_equal(answer.why_not.finding.map, explained.answer.why_not.finding.map)
    assert (answer.photo.name, answer.provenance["options"]["image"]) == ("image", "image")


def test_it_plots_all_three_answers_or_one_with_its_maps_or_one_picture_into_axes(explained):
    assert len(explained.plot().axes) == 4
    assert len(explained.plot("attributive").axes) == 3
    own, axes = plt.subplots()
    assert explained.plot("deliberative", ax=axes) is axes and axes.images
    plt.close(own)


@pytest.mark.parametrize("suffix", [".pdf", ".svg", ".png", ".html", ".json", ".npz"])
def test_it_is_saved_as_its_name_says_in_place_of_what_was_there(tmp_path, explained, suffix):
    path = tmp_path / f"figure{suffix}"
    path.write_text("old")
    explained.save(path)
    begins = {
        ".pdf": b"%PDF",
        ".svg": b"<?xml",
        ".png": b"\x89PNG",
        ".html": b"<!doctype",
        ".json": b"{",
        ".npz": b"PK",
    }
    assert path.read_bytes().startswith(begins[suffix])
    assert list(tmp_path.iterdir()) == [path]


def test_the_saved_numbers_and_maps_are_those_of_the_report(tmp_path, explained):
    explained.save(tmp_path / "one.json")
    explained.save(tmp_path / "one.npz")
    record.save(explained.answer, tmp_path)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "explanation.json").read_bytes()
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "maps.npz").read_bytes()


def test_an_interrupted_save_keeps_what_was_there(tmp_path, explained, monkeypatch):
    (tmp_path / "figure.pdf").write_text("old")
    monkeypatch.setattr(plotting, "save", lambda figure, path: path.write_text("half") and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        explained.save(tmp_path / "figure.pdf")
    assert (tmp_path / "figure.pdf").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["figure", "figure.tiff", "figure.pdf.txt"])
def test_another_ending_is_one_sentence(tmp_path, explained, name):
    with pytest.raises(InputError, match=r"expected a name that ends in \.pdf, \.png, \.svg, \.html, \.json or \.npz"):
        explained.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"attribution": "lime"}, "attribution 'lime': expected gradient"),
        ({"confidence": "entropy"}, "confidence 'entropy'"),
        ({"rule": "product"}, "rule 'product'"),
        ({"rule": "part-tables"}, "belong together"),
        ({"part_tables": lambda: answers.tables(0, 1, 2)}, "belong together"),
        ({"rule": "counterparts", "part_tables": lambda: answers.tables(0, 1, 2)}, "belong together"),
        ({"counterparts": lambda: answers.counterparts_of(0, 1)}, "belong together"),
        ({"rule": "part-tables", "part_tables": "parts.npz"}, "belong together"),
        ({"fraction": 1.5}, "fraction=1.5"),
        ({"top": 1}, "top=1"),
        ({"why_not": "jay"}, "no class is called"),
        ({"why_not": 77}, "class 77 does not exist"),
        ({"image": np.zeros((40, 40, 3))}, "image of type ndarray, float64"),
        ({"image": np.zeros((2, 40, 40, 3), np.uint8)}, "expected the path of a photo"),
        ({"counter_image": 3}, "counter image of type int"),
    ],
)
def test_what_cannot_be_is_one_sentence(explained, arguments, said, without_shape_types):
    arguments = {name: value() if callable(value) else value for name, value in arguments.items()}
    given = {"net": answers.tiny_network(), "image": explained.answer.photo.path} | arguments
    with pytest.raises(InputError, match=said):
        galore.explain_photo(**given)


class Elements(HTMLParser):
    """The tags of a piece of HTML with their attributes, and those that are open at its end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_notebook_gets_html_that_needs_nothing_and_disturbs_nothing(explained):
    html = Elements(explained._repr_html_())
    assert not html.open
    tags = {tag for tag, _ in html.found}
    assert not tags & {"script", "style", "link", "iframe"}
    assert not any({"id", "class"} & attributes.keys() for _, attributes in html.found)
    pictures = [attributes for tag, attributes in html.found if tag == "img"]
    assert len(pictures) >= 4 and all(one["alt"] and one["src"].startswith("data:") for one in pictures)
    # Neither a colour nor a background of its own, so that it is read in the dark.
    assert not any("color" in attributes.get("style", "") for _, attributes in html.found)


def test_names_from_outside_are_text(tmp_path):
    names = ("<b>red</b>", '"><script>alert(1)</script>', "c", "d", "e", "f")
    net = dataclasses.replace(answers.tiny_network(), class_names=names)
    html = galore.explain_photo(net, answers.write_photo(tmp_path / "<i>x.png"), 1)._repr_html_()
    assert not {tag for tag, _ in Elements(html).found} & {"b", "script", "i"}
