"""The section of the report that answers back, in headless Chromium: its maps and pictures are those that Python makes,
and everybody can use it. About 25 seconds, most of them to compile the explanations."""

import base64
import dataclasses
import functools
import io
import json

import answers
import driver
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from galore import explain, overlay, regions
from galore.data.cub import PartPoint
from galore.report import build, page

METHODS = ("gradient", "grad-cam", "integrated-gradients")
HOSTILE = '</script><img src=x onerror="alert(1)">\'"&amp;\u202e\x1b[31m`${alert(2)}'
ANSWERED = "document.getElementById('ask').scrollIntoView(); return performance.getEntriesByName('answered').length"
MAPS = "return data.questions.map((one) => data.methods.map((method) => [...explanation(one, method)]))"


@functools.cache
def answer_by(rule, folder, also=METHODS[1:]):
    return answers.answer(folder, rule=rule, also=also)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def answer(folder):
    return answer_by("discriminant", folder)


def open_page(browser, folder, answer, width=1280):
    path = folder / "explanation.html"
    path.write_text(page.page(answer), encoding="utf-8", errors="replace")
    driver.resize(browser, width, 900)
    browser.get(path.as_uri())
    driver.until(lambda: browser.execute_script(ANSWERED))
    return path


@pytest.fixture
def opened(browser, folder, answer):
    open_page(browser, folder, answer)
    return browser


def said(browser, name):
    return browser.execute_script("return document.getElementById(arguments[0]).textContent", name)


def choose(browser, name, text):
    from selenium.webdriver.support.select import Select

    Select(driver.one(browser, f"#{name}")).select_by_visible_text(text)


def drawn(browser, name):
    """The pixels of a canvas."""
    uri = browser.execute_script("return document.getElementById(arguments[0]).toDataURL()", name)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGB"))


@functools.cache
def asking(kind, method):
    """(net, images, first class, second class) -> an explanation, compiled once for all photos and classes."""
    by = build.ATTRIBUTIONS[method]
    fitted = answers.FITTED[kind](*range(len(answers.NAMES))) if kind in answers.FITTED else None
    ask = {
        "attributive": lambda net, x, first, _: explain.attributive(net, x, first, **by),
        "discriminant": lambda net, x, *classes: explain.discriminant(net, x, *classes, **by),
        "deliberative": lambda net, x, *_: explain.deliberative(net, x, 4, **by),
        "margin": lambda net, x, *classes: explain.margin(net, x, *classes, **by),
        "standardised": lambda net, x, *classes: explain.standardised(net, x, *classes, **by),
        "part-tables": lambda net, x, *classes: explain.by_part_tables(net, x, fitted, *classes),
        "counterparts": lambda net, x, *classes: explain.by_counterparts(net, x, fitted, *classes),
    }
    return jax.jit(ask[kind])


def expected_map(net, photo, question, method):
    """The map that the library gives, asked anew."""
    x = jnp.asarray(net.preprocessing.apply(answers.pixels(photo)))[None]
    first, second = (*question["classes"], 0)[:2]
    found = asking(question["kind"], method)(net, x, first, second)
    if question["kind"] != "deliberative":
        return found.maps[0]
    pairs = [set(pair) for pair in np.asarray(found.pairs[0]).tolist()]
    return found.maps[0, pairs.index({first, second})]


@pytest.mark.parametrize(
    ("rule", "methods"),
    [
        ("discriminant", METHODS),
        ("margin", METHODS),
        ("standardised", METHODS[:2]),
        ("part-tables", METHODS[:1]),
        ("counterparts", METHODS[:1]),
    ],
)
def test_every_answer_is_that_of_galore_explain(browser, folder, rule, methods):
    answer, net = answer_by(rule, folder, methods[1:]), answers.tiny_network()
    open_page(browser, folder, answer)
    photos = answer.photo.path, answer.why_not.example.photo.path
    questions = browser.execute_script("return data.questions")
    assert {question["kind"] for question in questions} == {"attributive", "deliberative", rule}
    for question, by_method in zip(questions, browser.execute_script(MAPS), strict=True):
        close = {
            "rtol": 1e-5,
            "atol": 1e-9 if rule in ("discriminant", "margin") else 1e-3,
        }  # quotients of small numbers
        for method, found in zip(methods, by_method, strict=True):
            expected = np.asarray(expected_map(net, photos[question["photo"]], question, method))
            np.testing.assert_allclose(found, expected.ravel(), **close, err_msg=str(question))


def test_by_the_stored_maps_products_are_exact(opened, answer):
    """The three formulas in float32, in numpy: not a bit is different."""
    stored, questions = answer.maps, opened.execute_script("return data.questions")
    found = [np.array(maps[0], np.float32) for maps in opened.execute_script(MAPS)]
    for question, shown in zip(questions, found, strict=True):
        prefix = "counter_" if question["photo"] else ""
        maps = [stored[f"{prefix}class_{index}"] for index in question["classes"]]
        expected = {
            "attributive": lambda y: y,
            "discriminant": lambda y, c: y * (c.max() - c) * stored[f"{prefix}confidence"],  # noqa: B023
            "deliberative": lambda a, b: a * b * stored["difficulty"],
        }[question["kind"]](*maps)
        np.testing.assert_array_equal(shown, expected.ravel())


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 0.99])
def test_the_region_is_that_of_python(opened, answer, fraction):
    script = "return [...largestFraction(values, sorted, arguments[0])].join('')"
    found = np.array(list(opened.execute_script(script, fraction)), int).reshape(build.VIEW, build.VIEW)
    smooth = regions.smoothed(jnp.asarray(answer.why_not.finding.map), found.shape)
    assert (found != np.asarray(regions.largest(smooth, fraction))).mean() < 1e-3
    if fraction == 0.1:
        assert (found != answer.why_not.finding.region).mean() < 1e-3


def test_the_pictures_are_those_of_python(opened, answer):
    """The same photo, which JPEG changed, under the same light and colours; a pixel's line may lie beside it."""
    uri = opened.execute_script("return data.photos[0].picture")
    photo = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))
    finding = answer.why_not.finding
    for name, expected in (
        ("lit", overlay.lit(photo, finding.region, finding.map.shape)),
        ("heat", overlay.heat(photo, finding.map)),
    ):
        different = np.abs(drawn(opened, name).astype(int) - expected).max(-1)
        assert (different > 6).mean() < 2e-3, name


def test_another_class_size_and_attribution_are_asked_about_by_keyboard(opened, answer):
    from selenium.webdriver.common.keys import Keys

    assert said(opened, "lit-said").startswith("Lit: the 10\u202f% of the picture")
    before, range_before = drawn(opened, "lit"), said(opened, "highest")
    choose(opened, "question", "Why red thing and not green thing?")
    assert said(opened, "highest") != range_before
    driver.one(opened, "#size").send_keys(Keys.ARROW_RIGHT * 5)
    assert said(opened, "size-said") == "15\u202f%" and said(opened, "lit-said").startswith("Lit: the 15\u202f%")
    assert driver.one(opened, "#size").get_attribute("aria-valuetext") == "15\u202f%"
    assert driver.one(opened, "#lit").get_attribute("aria-label").startswith("red.png, what speaks for red thing")
    assert (drawn(opened, "lit") != before).any()
    before = drawn(opened, "heat")
    driver.one(opened, "#opacity").send_keys(Keys.HOME)
    assert said(opened, "opacity-said") == "0\u202f%" and (drawn(opened, "heat") != before).any()
    range_before = said(opened, "highest")
    choose(opened, "method", "grad-cam")
    assert said(opened, "highest") != range_before
    choose(opened, "question", "Why blue thing and not red thing?")
    assert driver.one(opened, "#lit").get_attribute("aria-label").startswith("blue.png, ")
    assert driver.errors(opened) == []


def test_a_cell_tells_its_value_to_a_pointer_and_to_the_keyboard(opened, answer):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    values = answer.why_not.finding.map
    row, column = np.unravel_index(values.argmax(), values.shape)
    describe = lambda y, x: f"Row {y + 1}, column {x + 1}: {values[y, x]:.3g}, number "  # noqa: E731
    heat = driver.one(opened, "#heat")
    assert driver.one(opened, "#cell").get_attribute("aria-live") == "polite"
    assert said(opened, "cell").startswith("Point at a cell")
    opened.execute_script("arguments[0].focus()", heat)
    assert said(opened, "cell") == f"{describe(row, column)}1 of 16"
    for key, (down, right) in {Keys.ARROW_DOWN: (1, 0), Keys.ARROW_RIGHT: (0, 1), Keys.ARROW_UP: (-1, 0)}.items():
        driver.press(opened, key)
        row, column = min(max(row + down, 0), 3), min(max(column + right, 0), 3)
        assert said(opened, "cell").startswith(describe(row, column))
    driver.press(opened, Keys.HOME)
    assert said(opened, "cell").endswith("number 1 of 16")
    opened.execute_script("arguments[0].blur()", heat)
    side = heat.rect["width"]
    ActionChains(opened).move_to_element_with_offset(heat, -0.375 * side, 0.375 * side).perform()
    assert said(opened, "cell").startswith(describe(3, 0))


def test_parts_are_named_where_they_are_known(browser, folder, answer):
    region, (x0, y0, x1, _) = answer.why_not.finding.region, answer.photo.window
    scale = (x1 - x0) / build.VIEW
    y, x = np.argwhere(region)[region.sum() // 2]
    parts = PartPoint("beak", x0 + (x + 0.5) * scale, y0 + (y + 0.5) * scale), PartPoint("tail", x0, y0)
    open_page(browser, folder, dataclasses.replace(answer, photo=dataclasses.replace(answer.photo, parts=parts)))
    assert said(browser, "lit-said") == "Lit: the 10\u202f% of the picture with the highest values: beak."
    cell = f"choose(cellAt({(x + 0.5) / build.VIEW}, {(y + 0.5) / build.VIEW}))"
    browser.execute_script(cell)
    assert said(browser, "cell").endswith("(beak)")


def test_the_keyboard_reaches_every_control_and_sees_where_it_is(opened):
    from selenium.webdriver.common.keys import Keys

    reached, outlines = [], []
    opened.execute_script("window.scrollTo(0, 0)")
    for _ in range(12):
        driver.press(opened, Keys.TAB)
        active = opened.switch_to.active_element
        reached.append(active.get_attribute("id"))
        outlines.append(active.value_of_css_property("outline-style"))
    assert [name for name in reached if name][:5] == ["question", "method", "size", "heat", "opacity"]
    assert "none" not in outlines[: reached.index("opacity") + 1]


def test_without_a_script_it_reads_as_a_page_without_controls(browser, folder, answer):
    path = folder / "explanation.html"
    path.write_text(page.page(answer), encoding="utf-8")
    visible = "return [...document.querySelectorAll(arguments[0])].filter((one) => one.checkVisibility()).length"
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(path.as_uri())
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert browser.execute_script(visible, "select, input, canvas, #ask") == 0
    assert browser.execute_script(visible, "section") == 5


def test_print_has_no_controls_and_cuts_nothing_off(opened):
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    driver.resize(opened, 720, 900)
    try:
        found = opened.execute_script("""
            const seen = (name) => [...document.querySelectorAll(name)].filter((one) => one.checkVisibility());
            return [seen("select, input, canvas").length, document.documentElement.scrollWidth,
                seen("img").filter((one) => one.getBoundingClientRect().right > innerWidth).length,
                seen("footer td").length]""")
    finally:
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    controls, wide, outside, rows = found
    assert controls == 0 and wide <= 720 and outside == 0 and rows > 5


def test_names_from_outside_are_text_in_controls_and_readouts(browser, tmp_path):
    names = tuple(f"{HOSTILE} {index}" for index in range(len(answers.NAMES)))
    net = dataclasses.replace(answers.tiny_network(), class_names=names)
    red = answers.write_photo(tmp_path / ("<b onclick=x>'\"&\u202e.png"))
    found = build.build(net, red, answers.compile_explanations(), answers.METHODS)
    open_page(browser, tmp_path, found)
    shown = found.prediction.name
    assert "</script>" in shown and "\u202e" not in shown and "\x1b" not in shown
    options = browser.execute_script("return [...document.querySelectorAll('option')].map((one) => one.textContent)")
    assert options[0] == f"What speaks for {shown}?"
    choose(browser, "question", options[0].strip())
    assert (
        driver.one(browser, "#lit")
        .get_attribute("aria-label")
        .startswith(f"{found.photo.name}, what speaks for {shown}.")
    )
    assert (
        browser.execute_script("return document.querySelectorAll('[onerror], [onclick], body b, img[src=x]').length")
        == 0
    )
    assert driver.errors(browser) == []


def test_amounts_are_written_as_python_writes_them(opened):
    values = [0.0, 1.0, -2.5, 0.00391, 1e-4, 9.9999e-5, 1.2345e-9, 999.4, 999.6, 1234.5, -6.02e23, 0.1, 100.0, 12.0]
    assert opened.execute_script("return arguments[0].map(amount)", values) == [f"{value:.3g}" for value in values]


def test_the_page_is_small_and_soon_ready(opened, folder):
    """On two idle cores it is ready in a fifth of a second; a machine that is busy gets more."""
    assert (folder / "explanation.html").stat().st_size < 1.5e6
    assert opened.execute_script("return performance.getEntriesByName('ready')[0].startTime") < 3000


def test_what_the_script_reads_is_json(opened):
    assert json.loads(said(opened, "data"))["side"] == build.VIEW
