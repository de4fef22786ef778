"""What docs/site/ adds to Sphinx; that the site builds without a warning is looked at by `make docs`."""

import importlib.util

import guide
import pytest

pytest.importorskip("latex2mathml")
SPEC = importlib.util.spec_from_file_location("dialect", guide.DOCS / "site" / "dialect.py")
dialect = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(dialect)


def docstring(text, what="function"):
    lines = text.splitlines()
    dialect.plain_docstring(None, what, "name", None, None, lines)
    return "\n".join(lines)


@pytest.mark.parametrize(
    "ours, theirs",
    [
        ("a * b, |r & G|", r"a \* b, \|r & G\|"),
        ("a *single* example of `*batch h w`", "a *single* example of `*batch h w`"),
        ("`functools.partial`s of them", r"`functools.partial`\ s of them"),
    ],
)
def test_docstrings_mean_what_they_say(ours, theirs):
    assert docstring(ours) == theirs


def test_an_indented_block_of_a_module_is_shown_as_it_is():
    assert docstring("Three maps.\n\n    one  a(h_y)", "module") == "Three maps.\n\n::\n\n    one  a(h_y)"


def test_shapes_stand_as_in_the_source():
    given = "(F: Float[jaxlib._jax.Array, 'h w d'])"
    assert dialect.short_types(None, "", "", None, None, given, None) == ("(F: Float[Array, 'h w d'])", None)


def test_pages_are_mended_once(tmp_path):
    page = tmp_path / "index.html"
    page.write_text('<p role="heading">Start</p><pre>code</pre>')
    app = type("App", (), {"outdir": tmp_path, "builder": type("Builder", (), {"name": "html"})})
    for _ in range(2):
        dialect.accessible(app, None)
        assert page.read_text() == '<p role="heading" aria-level="2">Start</p><pre tabindex="0">code</pre>'
