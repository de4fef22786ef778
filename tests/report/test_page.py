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

    VOID = ("meta", "img", "rect", "br", "input")

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


def test_nothing_is_fetched_and_one_script_runs(html):
    elements = Elements(html)
    assert elements.named("script") == [{"type": "application/json", "id": "data"}, {}]
    assert not elements.named("link") and not elements.named("iframe")
    assert all(attributes["src"].startswith("data:image/jpeg;base64,") for attributes in elements.named("img"))
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttpRequest|sendBeacon|import\(", html)
    assert not any(name.startswith("on") or name == "style" for _, attributes in elements.found for name in attributes)


def test_the_security_policy_allows_the_style_and_the_script_that_are_there_and_nothing_else(html):
    policy = next(a["content"] for a in Elements(html).named("meta") if a.get("http-equiv"))
    for tag in ("style", "script"):
        content = re.search(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL).group(1)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_every_picture_says_what_it_shows_and_how_large_it_is(html):
    pictures = Elements(html).named("img")
    assert len(pictures) >= 1 + 3 + 1 + 5
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
    assert len(elements.named("script")) == 2 and not elements.named("b") and not elements.named("i")
    assert elements.open == []


def test_without_a_counter_photo_the_page_says_how_to_get_the_other_half(tmp_path):
    text = " ".join(Elements(page.page(answers.answer(tmp_path, counter=False))).text)
    assert "--counter-image PHOTO" in text
    assert "--why-not index:2" in text


def test_a_sure_photos_hesitation_is_one_sentence(answer):
    html = page.page(dataclasses.replace(answer, confidence=0.98))
    section = html.split("<section>")[2]
    assert "Of this photo the network is sure (its difficulty is 0.02, from 0 (sure) to 1 (lost))" in section
    assert "<img" not in section and section.count("<p>") == 1
    assert answer.insecurities[0].first.name in html[html.index("The numbers") :]


def test_insecurities_with_one_region_share_a_picture(answer):
    first, *others = answer.insecurities
    same = [dataclasses.replace(one, finding=first.finding, strength=first.strength / 2) for one in others[:1]]
    html = page.page(dataclasses.replace(answer, insecurities=(first, *same), confidence=0.5))
    section = html.split("<section>")[2]
    assert section.count("<img") == 1
    text = " ".join(" ".join(Elements("<section>" + section).text).split())
    for one in (first, *same):
        assert f"{one.first.name} or {one.second.name}" in text and f"{one.strength:.3g}" in text


def test_values_are_the_same_everywhere_and_maps_side_by_side_share_colours(answer):
    """No strength of 100 beside one of 0.00391."""
    shown, example = answer.why_not.finding.map, answer.why_not.example.finding.map
    html = page.page(answer)
    legends = re.findall(r'<span class="number">([^<]*)</span><img class="scale".*?<span class="number">([^<]*)<', html)
    own = answer.attributive.map
    expected = [(own.min(), own.max()), (min(shown.min(), example.min()), max(shown.max(), example.max()))]
    assert legends == [(f"{low:.3g}", f"{high:.3g}") for low, high in expected]
    strengths = re.findall(r'<span>Strength</span><span class="number">([^<]*)</span>', html)
    assert set(strengths) <= {f"{one.strength:.3g}" for one in answer.insecurities}


def test_a_counter_photo_that_is_taken_for_something_else_is_called_so(answer):
    example = dataclasses.replace(answer.why_not.example, prediction=answer.candidates[1])
    html = page.page(dataclasses.replace(answer, why_not=dataclasses.replace(answer.why_not, example=example)))
    assert "blue.png, which the network takes for green thing." in html.replace("_", " ")
    assert "a photo of blue thing." not in html


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
