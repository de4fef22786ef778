"""The gallery in headless Chromium: sorted, filtered, by the keyboard, without a script. About 5 seconds."""

import accessibility
import driver
import invented_stream
import pytest
from accessibility import DESK, PHONE

from galore import stream

COUNT = 230
TEXTS = "return [...document.querySelectorAll('tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))"
NOT_SHOWN = "return [...document.images].filter(one => one.complete && !one.naturalWidth).length"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    made = invented_stream.write(tmp_path_factory.mktemp("stream") / "out", COUNT)
    return stream.save_gallery(made, invented_stream.CLASSES).as_uri()


@pytest.fixture
def rows(browser, address):
    """The rows of a page that was opened afresh, after something was done to it."""
    browser.get("about:blank")
    accessibility.look(browser, address, DESK, "light")
    yield lambda: browser.execute_script(TEXTS)
    assert browser.execute_script(NOT_SHOWN) == 0 and driver.errors(browser) == []


def shown(browser) -> str:
    return driver.one(browser, "#shown").text


def head(browser, name: str):
    return driver.one(browser, f"th[data-key={name}] button")


def until_shown(browser, words: str) -> None:
    driver.until(lambda: words in shown(browser))


def test_the_script_shows_what_the_page_shows(browser, address, rows):
    with_script = rows()
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(address)
        cells = browser.find_elements("css selector", "tbody tr:first-child > *, tbody tr:last-child > *")
        without = [cell.get_attribute("textContent") for cell in cells]
        assert not driver.one(browser, "#filters").is_displayed()
        driver.click(browser, "nav a[href='page-0003.html']")
        assert "Photos 201 to 230 of 230" in " ".join(shown(browser).split())
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert without == [*with_script[0], *with_script[-1]] and len(with_script) == 100
    browser.get(address)


def test_heads_sort_and_say_how(browser, rows):
    head(browser, "photo").click()
    driver.until(lambda: driver.one(browser, "th[data-key=photo]").get_attribute("aria-sort") == "ascending")
    names = [row[0] for row in rows()]
    assert names == sorted(names, key=str.lower) and len(names) == 100
    head(browser, "photo").click()
    driver.until(lambda: driver.one(browser, "th[data-key=photo]").get_attribute("aria-sort") == "descending")
    last = [row[0] for row in rows()]
    assert last == sorted(last, key=str.lower, reverse=True) and set(last) != set(names)
    head(browser, "confidence").click()
    driver.until(lambda: float(rows()[0][2][:-2]) < float(rows()[-1][2][:-2]))
    head(browser, "confidence").click()
    driver.until(lambda: float(rows()[0][2][:-2]) > float(rows()[-1][2][:-2]))


def test_filters_leave_what_fits(browser, rows):
    driver.one(browser, "[name=find]").send_keys("JAY 0001")
    until_shown(browser, "(230 in all)")
    assert rows() and all("jay" in " ".join(row).lower() and "0001" in " ".join(row) for row in rows())
    driver.click(browser, "[type=reset]")
    until_shown(browser, "1 to 100 of 230.")
    driver.one(browser, "[name=least]").send_keys("60")
    driver.one(browser, "[name=most]").send_keys("80")
    until_shown(browser, "(230 in all)")
    driver.until(lambda: all(60 <= float(row[2][:-2]) <= 80 for row in rows()) and rows())
    driver.click(browser, "[type=reset]")
    until_shown(browser, "1 to 100 of 230.")
    driver.one(browser, "[name=prediction]").send_keys("<b>grey")
    until_shown(browser, "(230 in all)")
    assert {row[1] for row in rows()} == {"<b>grey</b> wren"}
    driver.one(browser, "[name=find]").send_keys("nothing of the kind")
    until_shown(browser, "No photo is like that")


def test_the_address_keeps_it_and_back_goes_back(browser, address, rows):
    head(browser, "pair").click()
    driver.until(lambda: "sort=pair" in browser.current_url)
    driver.click(browser, "nav [aria-label='Page 2']")
    until_shown(browser, "101 to 200")
    kept, second = browser.current_url, rows()
    browser.back()
    until_shown(browser, "1 to 100")
    browser.get("about:blank")
    browser.get(kept)
    assert rows() == second
    browser.get("about:blank")
    browser.get(address.replace("index", "page-0003") + "#sort=constructor&page=-7&least=x")
    assert len(rows()) > 0 or "No photo" in shown(browser)


def test_hostile_names_are_texts(browser, rows):
    driver.one(browser, "[name=find]").send_keys("onerror")
    until_shown(browser, "1 to 1 of 1")
    assert '<img src=x onerror="alert(1)">\'&\\u202egpj.jpg' in rows()[0][0]
    assert browser.execute_script("return document.querySelectorAll('tbody img').length") == 1


def test_the_keyboard_is_enough(browser, rows):
    from selenium.webdriver.common.keys import Keys

    driver.press(browser, Keys.TAB)
    assert browser.execute_script("return document.activeElement.className") == "skip"
    driver.press(browser, Keys.ENTER)
    for _ in range(3):
        driver.press(browser, Keys.TAB)
    assert browser.execute_script("return document.activeElement.textContent") == "Confidence"
    driver.press(browser, Keys.ENTER)
    driver.until(lambda: driver.one(browser, "th[data-key=confidence]").get_attribute("aria-sort") == "descending")
    assert browser.execute_script("return document.activeElement.textContent") == "Confidence"


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_nothing_overflows(browser, address, width):
    accessibility.look(browser, address, width, "dark")
    assert browser.execute_script("return document.documentElement.scrollWidth - innerWidth") <= 0
    assert len(browser.execute_script(TEXTS)) == 100
