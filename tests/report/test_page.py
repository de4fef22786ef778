import base64
import dataclasses
import hashlib
import itertools
import re
from html.parser import HTMLParser

import answers
import pytest

from galore.report import page


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    return answers.answer(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def html(answer):
    return page.page(answer)


class Elements(HTMLParser):
    """Every tag with its attributes, the text, and whether each tag was closed in order."""

    VOID = ("meta", "img", "rect", "br")

    def __init__(self, text: str):
        super().__init__()
        self.found, self.open, self.text = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def named(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def test_every_tag_is_closed_in_order(html):
    assert Elements(html).open == []


def test_nothing_is_fetched_and_nothing_runs(html):
    elements = Elements(html)
    assert not elements.named("script") and not elements.named("link") and not elements.named("iframe")
    assert all(attributes["src"].startswith("data:image/jpeg;base64,") for attributes in elements.named("img"))
    assert not re.search(r"https?:|url\(|@import", html)
    assert not any(name.startswith("on") or name == "style" for _, attributes in elements.found for name in attributes)


def test_the_security_policy_allows_the_style_that_is_there_and_nothing_else(html):
    policy = next(a["content"] for a in Elements(html).named("meta") if a.get("http-equiv"))
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL).group(1)
    assert f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_every_picture_says_what_it_shows_and_how_large_it_is(html):
    pictures = Elements(html).named("img")
    assert len(pictures) >= 1 + 2 + 1 + 4
    for attributes in pictures:
        assert len(attributes["alt"]) > 10
        assert "width" in attributes or attributes["class"] == "scale"


def test_the_page_tells_classes_strengths_and_the_resolution(html, answer):
    text = " ".join(" ".join(Elements(html).text).split())
    for insecurity in answer.insecurities:
        assert f"{insecurity.first.name} or {insecurity.second.name}" in text
        assert f"{insecurity.strength:.3g}" in text
    assert "Why red thing and not blue thing?" in text
    assert "4 × 4 cells" in text
    assert "params sha256" in text


def test_headings_go_down_one_level_at_a_time(html):
    levels = [int(tag[1]) for tag, _ in Elements(html).found if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(following <= level + 1 for level, following in itertools.pairwise(levels))


def test_names_from_outside_are_text_and_not_markup(answer):
    evil = dataclasses.replace(answer.candidates[0], name='<script>alert("x")</script>')
    photo = dataclasses.replace(answer.photo, path='"><img src=x onerror=y>.png')
    changed = dataclasses.replace(
        answer, candidates=(evil, *answer.candidates[1:]), photo=photo, notes=("<b>note</b>",), provenance={"a": "<i>"}
    )
    elements = Elements(page.page(changed))
    assert not elements.named("script") and not elements.named("b") and not elements.named("i")
    assert elements.open == []


def test_without_a_counter_photo_the_page_says_how_to_get_the_other_half(tmp_path):
    text = " ".join(Elements(page.page(answers.answer(tmp_path, counter=False))).text)
    assert "--counter-image PHOTO" in text
    assert "--why-not index:2" in text


def test_notes_stand_above_the_explanations(answer):
    html = page.page(dataclasses.replace(answer, notes=("Mind this; --confidence helps.",)))
    assert html.index("Mind this; <code>--confidence</code> helps.") < html.index("1 · What supports it?")


def colour(name: str, style: str) -> tuple[float, float, float]:
    value = re.search(rf"--{name}: #(\w{{6}})", style).group(1)
    return tuple(int(value[i : i + 2], 16) for i in (0, 2, 4))


def contrast(first, second) -> float:
    """The contrast ratio of WCAG 2.2."""

    def luminance(rgb):
        linear = [v / 12.92 if (v := c / 255) <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for c in rgb]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    ("text", "ground", "least"),
    [
        ("ink", "paper", 7),
        ("ink", "card", 7),
        ("ink", "note", 7),
        ("soft", "paper", 4.5),
        ("soft", "card", 4.5),
        ("accent", "paper", 4.5),
        ("ink", "track", 7),
        ("bar", "track", 3),
        ("bar", "card", 3),
    ],
)
def test_text_and_bars_stand_out_in_light_and_dark(html, dark, text, ground, least):
    light_style, dark_style = re.findall(r":root \{(.*?)\}", html, re.DOTALL)
    style = dark_style if dark else light_style
    assert contrast(colour(text, style), colour(ground, style)) >= least
