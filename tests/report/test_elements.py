import re
from html.parser import HTMLParser

import numpy as np

from galore.report import elements

RED = np.full((6, 8, 3), (250, 0, 0), np.uint8)


def attributes(html: str, tag: str) -> dict[str, str]:
    """What the first such tag says of itself."""
    found = []
    parser = HTMLParser()
    parser.handle_starttag = parser.handle_startendtag = lambda name, given: found.append((name, dict(given)))
    parser.feed(html)
    return next(given for name, given in found if name == tag)


def test_a_picture_has_its_size_and_words_that_are_no_markup():
    image = attributes(elements.image(RED, 'a "red" <b>thing</b>'), "img")
    assert (image["width"], image["height"]) == ("8", "6")
    assert image["alt"] == 'a "red" <b>thing</b>'
    assert image["src"].startswith("data:image/jpeg;base64,")


def test_a_figure_keeps_the_markup_of_its_caption():
    html = elements.figure(RED, "red", "<strong>Red.</strong>")
    assert html.endswith("<figcaption><strong>Red.</strong></figcaption></figure>")


def test_a_bar_is_as_long_as_its_share_and_never_leaves_its_track():
    lengths = [re.findall(r'width="([\d.]+)"', elements.bar(share))[-1] for share in (-1.0, 0.0, 0.254, 1.0, 7.0)]
    assert lengths == ["0.00", "0.00", "25.40", "100.00", "100.00"]


def test_a_table_escapes_its_cells_and_marks_numbers():
    html = elements.table("A & B", ("Name", "Sum"), [("<i>x</i>", "1"), ("y", "2")])
    assert "<caption>A &amp; B</caption>" in html
    assert '<tr><td>&lt;i&gt;x&lt;/i&gt;</td><td class="number">1</td></tr>' in html
    assert html.count("<tr>") == 3 and html.count("</tr>") == 3


def test_options_stay_in_one_piece():
    assert elements.with_options("use --why-not <X>") == "use <code>--why-not</code> &lt;X&gt;"
