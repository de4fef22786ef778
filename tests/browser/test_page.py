"""The page in a real browser, at the widths of a desk and of a phone; skipped where there is no Chromium."""

import io

import answers
import driver
import pytest
from PIL import Image

from galore.report import page

DESK, PHONE = 1200, 360
MEASURED = """
    const root = document.documentElement, pictures = [...document.images];
    const text = [...document.querySelectorAll("p, li, dd, figcaption, h1, h2, h3")];
    return {
        wide: root.scrollWidth, inside: root.clientWidth,
        broken: pictures.filter((one) => !one.complete || one.naturalWidth === 0).length, pictures: pictures.length,
        outside: text.filter((one) => one.getBoundingClientRect().right > innerWidth + 1).length,
        small: text.filter((one) => parseFloat(getComputedStyle(one).fontSize) < 12).length,
        columns: getComputedStyle(document.querySelector(".pair")).gridTemplateColumns.split(" ").length,
        styled: getComputedStyle(document.body).fontFamily.includes("system-ui"),
    }"""


@pytest.fixture(scope="module", params=[True, False], ids=["with a counter photo", "without one"])
def report(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    path = folder / "explanation.html"
    path.write_text(page.page(answers.answer(folder, request.param)), encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_the_page_fits_its_window_without_scrolling_sideways(browser, report, width):
    driver.resize(browser, width, 800)
    browser.get(report)
    found = browser.execute_script(MEASURED)
    assert width - 16 < found["inside"] <= width  # but for a scroll bar
    assert found["wide"] <= found["inside"]
    assert found["outside"] == 0
    assert found["small"] == 0
    assert found["styled"]
    assert found["broken"] == 0 and found["pictures"] >= 8
    assert found["columns"] == (1 if width == PHONE else 2)


def test_the_browser_has_nothing_to_complain_about(browser, report):
    """A refused style, picture or script would be a message on the console."""
    browser.get(report)
    assert driver.errors(browser) == []


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_a_screenshot_shows_text_and_pictures(browser, report, width):
    driver.resize(browser, width, 2000)
    browser.get(report)
    picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    assert picture.size == (width, 2000)
    assert len(picture.getcolors(maxcolors=width * 2000) or ()) > 500
