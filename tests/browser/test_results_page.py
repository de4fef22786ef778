"""The pages of results in headless Chromium, at the widths of a desk and of a phone. About 15 seconds, most of them to
draw invented results."""

import driver
import pytest

DESK, PHONE = 1280, 390

OPEN = "document.querySelectorAll('details').forEach(one => one.open = true)"
OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
OUTSIDE = """
    // Nothing that is read stands outside of the window, unless it lies in a region that scrolls.
    return [...document.querySelectorAll("p, li, summary, figcaption, h1, h2, svg, .scroll")]
        .filter(one => one.checkVisibility() && !one.closest(".scroll table"))
        .filter(one => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".scroll > *"))
        .map(one => one.outerHTML.slice(0, 80))"""
UNREACHABLE = """
    return [...document.querySelectorAll("*")]
        .filter(one => one.checkVisibility() && getComputedStyle(one).overflowX === "auto")
        .filter(one => one.scrollWidth > one.clientWidth && one.tabIndex !== 0)
        .map(one => one.outerHTML.slice(0, 80))"""
OVERLAPS = """
    // Letters of the figure that stand on other ones, in the fonts that this browser has.
    const boxes = [...document.querySelectorAll(".forest svg text")].filter(one => one.checkVisibility())
        .map(one => [one.textContent, one.getBoundingClientRect()]);
    return boxes.flatMap(([first, a], k) => boxes.slice(k + 1)
        .filter(([, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
                        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4)
        .map(([second]) => `${first} / ${second}`))"""
VISIBLE = "return document.querySelector(arguments[0]).checkVisibility()"


@pytest.fixture(scope="module")
def results(chromium, invented_pages):
    return invented_pages


@pytest.fixture(params=[".", "cub-efficientnet_lite0"], ids=["index", "study"])
def page(request, results):
    return (results / request.param / "index.html").as_uri()


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_nothing_overflows_and_every_letter_has_its_place(browser, page, width):
    driver.resize(browser, width, 900)
    browser.get(page)
    for script in ("", OPEN):
        browser.execute_script(script)
        assert browser.execute_script(OVERFLOW) == 0
        assert browser.execute_script(OUTSIDE) == [] and browser.execute_script(UNREACHABLE) == []
    assert browser.execute_script(OVERLAPS) == []
    shown = {kind: browser.execute_script(VISIBLE, f".{kind} svg") for kind in ("wide", "narrow")}
    assert shown == {"wide": width == DESK, "narrow": width == PHONE}
    assert driver.errors(browser) == []


def test_the_figure_is_on_the_first_screen_and_the_rest_is_folded(browser, page):
    driver.resize(browser, DESK, 900)
    browser.get(page)
    top = browser.execute_script("return document.querySelector('.wide svg').getBoundingClientRect().top")
    assert top < 400 and browser.execute_script("return document.querySelectorAll('details[open]').length") == 0


def test_a_claim_opens_its_table_and_so_does_an_address(browser, page):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    is_open = "return document.getElementById(arguments[0]).open"
    driver.resize(browser, DESK, 900)
    browser.get("about:blank")
    browser.get(f"{page}#deliberative_layer")
    assert browser.execute_script(is_open, "deliberative_layer")
    assert not browser.execute_script(is_open, "counterfactual_vs_search")
    link = browser.find_element(By.CSS_SELECTOR, ".wide a[href='#counterfactual_vs_search']")
    link.send_keys(Keys.ENTER)
    driver.until(lambda: browser.execute_script(is_open, "counterfactual_vs_search"))
    browser.execute_script("document.getElementById('counterfactual_vs_search').open = false")
    link.send_keys(Keys.ENTER)  # the address does not change
    driver.until(lambda: browser.execute_script(is_open, "counterfactual_vs_search"))


def test_the_keyboard_goes_past_everything_to_the_results(browser, page):
    from selenium.webdriver.common.keys import Keys

    browser.get(page)
    driver.press(browser, Keys.TAB)
    assert browser.execute_script("return document.activeElement.className") == "skip"
    assert browser.execute_script("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert browser.execute_script("return document.activeElement.getBoundingClientRect().left") >= 0


def test_figures_are_loaded_and_are_as_large_as_they_were_drawn_on_a_phone(browser, results):
    driver.resize(browser, PHONE, 900)
    browser.get((results / "cub-efficientnet_lite0" / "index.html").as_uri())
    browser.execute_script(OPEN + "; document.querySelectorAll('img').forEach(one => one.loading = 'eager')")
    driver.until(lambda: browser.execute_script("return [...document.images].every(one => one.complete)"))
    widths = browser.execute_script("return [...document.images].map(one => [one.naturalWidth, one.clientWidth])")
    assert len(widths) == 6 and all(natural == shown > 0 for natural, shown in widths)
