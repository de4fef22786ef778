"""What our pages and docstrings say in their own way, told to Sphinx: formulas, anchors, backticks and shapes."""

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.transforms import SphinxTransform

ANCHOR = re.compile(r'<a id="([\w-]+)">')
CODE = re.compile(r"(``.+?``|`[^`\n]+`)")


class Anchors(SphinxTransform):
    """`<a id="name"></a>` can be linked to, as a heading can."""

    default_priority = 800  # before MyST looks for what `[](#name)` means

    def apply(self, **_: Any) -> None:
        slugs = getattr(self.document, "myst_slugs", {})
        for node in self.document.findall(nodes.raw):
            for name in ANCHOR.findall(node.astext()):
                slugs[name] = (node.line or 0, name, name)


def inline_formula(writer: Any, node: nodes.math) -> None:
    """As MathML, which browsers draw and screen readers read by themselves: no script, no fonts from elsewhere."""
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def formula(writer: Any, node: nodes.math_block) -> None:
    """Likewise, on a line of its own."""
    writer.body.append(f'<div class="formula" tabindex="0">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def plain_docstring(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Docstrings know backticks, indented blocks and *stress*; other stars, and bars, mean themselves."""
    text = "\n".join(lines)
    if what == "module":
        text = re.sub(r"\n\n(?=    \S)", "\n\n::\n\n", text)
    pieces = CODE.split(text)
    pieces[::2] = (re.sub(r"(?<!\w)(\*\w+\*)|([*|])", _escaped, piece) for piece in pieces[::2])
    lines[:] = re.sub(r"(?<=[^\s`]`)(?=\w)", r"\\ ", "".join(pieces)).splitlines()


def _escaped(found: re.Match[str]) -> str:
    return found[1] or f"\\{found[2]}"


def short_types(app: Any, what: str, name: str, thing: Any, options: Any, given: str, returned: str) -> tuple:
    """`Float[Array, "h w"]` as it stands in the source."""
    return tuple(
        text and text.replace("jaxlib._jax.Array", "Array").replace("numpy.ndarray", "ndarray")
        for text in (given, returned)
    )


ACCESSIBLE = (
    ('role="heading"', 'role="heading" aria-level="2"'),  # the captions of the list of pages
    ("<pre>", '<pre tabindex="0">'),  # what scrolls can be scrolled by keys
    ('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper'),
    ('<aside class="sidebar-drawer', '<aside aria-label="All pages" class="sidebar-drawer'),
    ('<aside class="toc-drawer', '<aside aria-label="On this page" class="toc-drawer'),
    ('<th class="head"><p></p></th>', '<td class="head"></td>'),  # above a column that says what its rows are
)
"""What the theme leaves out for keyboards and screen readers, as axe-core finds it."""


def accessible(app: Any, exception: Exception | None) -> None:
    """Adds it to every page."""
    pages = app.outdir.rglob("*.html") if app.builder.name == "html" and exception is None else ()
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for given, better in ACCESSIBLE:
            text = text if better in text else text.replace(given, better)
        page.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (inline_formula, None), (formula, None))
    app.add_transform(Anchors)
    app.connect("autodoc-process-docstring", plain_docstring, priority=100)  # before napoleon
    app.connect("autodoc-process-signature", short_types)
    app.connect("build-finished", accessible)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
