"""The page in headless Chromium: everybody can use it, and what people do by mistake costs nothing. About 6 seconds."""

import driver
import pytest
from driver import click, one, press, reach, section, take, truths, until, visit, wrong

from galore.teach import build

DARK_ENOUGH = 4.5
"""The contrast that WCAG 2.1 asks of text at level AA."""

TEXTS = """
    const rgba = (text) => text.match(/[\\d.]+/g).map(Number);
    const found = [];
    for (const element of document.querySelectorAll("body *")) {
        const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!own || !element.checkVisibility() || element.closest("svg, :disabled")) continue;
        let behind = element;
        while (rgba(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
        const style = getComputedStyle(element);
        found.push([element.textContent.trim(), rgba(style.color), rgba(getComputedStyle(behind).backgroundColor)]);
    }
    return found;"""


def contrast(first: list[float], second: list[float]) -> float:
    """The contrast ratio of WCAG 2.1."""

    def luminance(colour):
        linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def pale(browser) -> list[str]:
    """The words that can be seen and have too little contrast."""
    words = browser.execute_script(TEXTS)
    assert words
    return [text for text, ink, paper in words if contrast(ink, paper) < DARK_ENOUGH]


def test_black_on_white_has_the_largest_contrast():
    assert contrast([0, 0, 0], [255, 255, 255]) == pytest.approx(21)
    assert contrast([119, 119, 119], [255, 255, 255]) == pytest.approx(4.48, abs=0.01)


def test_every_word_of_every_step_can_be_read_by_weak_eyes(browser, page, lesson_sheet):
    driver.resize(browser, 360, 640)
    place = lesson_sheet.places[9]
    visit(browser, f"{(page / 'index.html').as_uri()}?code={place.code}")
    weak = pale(browser)
    click(browser, "#start")
    weak += pale(browser)
    click(browser, "#begin")
    section(browser)
    weak += pale(browser)
    browser.execute_script(driver.JUMP, 6, 4)
    first, second = truths(lesson_sheet, place)[4:6]
    for answer in (first, wrong(second)):
        reach(browser, "question")
        press(browser, answer.lower())
        reach(browser, "feedback")
        weak += pale(browser)
        press(browser, "\ue007")
    browser.execute_script(driver.JUMP, 14, 11)
    driver.scores(browser)
    assert weak + pale(browser) == []


@pytest.mark.parametrize(("width", "height"), [(320, 640), (360, 640), (640, 360), (1200, 800)])
def test_every_control_has_a_name_and_room_and_is_seen_at_once(browser, page, lesson_sheet, width, height):
    driver.resize(browser, width, height)
    visit(browser, f"{(page / 'index.html').as_uri()}?code={lesson_sheet.places[10].code}")
    assert browser.execute_script("return document.documentElement.lang") == "en"
    click(browser, "#start")
    click(browser, "#begin")
    section(browser)
    group = one(browser, ".answers")
    assert one(browser, f"#{group.get_attribute('aria-labelledby')}").text == "A or B?"
    assert one(browser, ".stage img").get_attribute("alt") == "Picture 1 of 4"
    assert browser.switch_to.active_element.get_attribute("id") == "asked"
    assert one(browser, "[role=status]").text.split("\n") == ["First try", "1 of 4"]
    assert browser.execute_script("return document.querySelector('progress').value") == pytest.approx(1 / 14)
    for button, name in zip(group.find_elements("css selector", "button"), ("A", "B", "Don’t know"), strict=True):
        assert button.accessible_name == name
        assert min(button.size.values()) >= 43
        assert button.location["y"] + button.size["height"] <= height
    click(browser, "#stop")
    driver.reply(browser, yes=True)


def test_a_second_tap_does_not_answer_the_next_question(browser, page, lesson_sheet):
    """The page waits for a moment; here it waits until the test says that the moment is over."""
    browser.get(f"{(page / 'index.html').as_uri()}?code={lesson_sheet.places[11].code}")
    assert browser.execute_script("return pause") == 300
    browser.execute_script("pause = 0")
    click(browser, "#start")
    click(browser, "#begin")
    assert section(browser) == "question"
    click(browser, '[data-answer="A"]')
    browser.execute_script("pause = 1e9")
    assert section(browser) == "question"
    click(browser, '[data-answer="A"]')
    assert browser.execute_script(driver.STATE)[1] == [2, 1]
    browser.execute_script("pause = 0")
    click(browser, '[data-answer="A"]')
    assert browser.execute_script(driver.STATE)[1] == [3, 2]


def test_only_one_of_two_tabs_goes_on(browser, page, lesson_sheet):
    address = f"{(page / 'index.html').as_uri()}?code={lesson_sheet.places[12].code}"
    visit(browser, address)
    first = browser.current_window_handle
    browser.switch_to.new_window("tab")
    visit(browser, address)
    click(browser, "#start")
    click(browser, "#begin")
    section(browser)
    press(browser, "a")
    second = browser.current_window_handle
    browser.switch_to.window(first)
    reach(browser, "elsewhere")
    click(browser, "#here")
    reach(browser, "question")
    assert browser.execute_script(driver.STATE)[1] == [2, 1]
    browser.switch_to.window(second)
    reach(browser, "elsewhere")
    browser.close()
    browser.switch_to.window(first)


def test_who_closes_the_page_loses_nothing_up_to_the_last_answer(browser, page, lesson_sheet):
    place = lesson_sheet.places[13]
    address = f"{(page / 'index.html').as_uri()}?code={place.code}"
    visit(browser, address)
    click(browser, "#start")
    click(browser, "#begin")
    assert section(browser) == "question"
    press(browser, "a")
    close_and_come_back(browser, address)
    assert section(browser) == "question"
    assert browser.execute_script(driver.STATE)[1] == [2, 1]
    browser.execute_script(driver.JUMP, 6, 4)
    reach(browser, "question")
    press(browser, wrong(truths(lesson_sheet, place)[4]).lower())
    close_and_come_back(browser, address)
    assert section(browser) == "feedback"
    assert browser.execute_script(driver.STATE)[1] == [6, 5]


def close_and_come_back(browser, address: str) -> None:
    closed = browser.current_window_handle
    browser.switch_to.new_window("tab")
    opened = browser.current_window_handle
    browser.switch_to.window(closed)
    browser.close()
    browser.switch_to.window(opened)
    visit(browser, address)


def test_who_stops_leaves_nothing_and_the_next_person_comes_without_the_code(browser, agree_sheet, images, tmp_path):
    build.write(agree_sheet, images, tmp_path / "made")
    address = (tmp_path / "made" / "page" / "index.html").as_uri()
    visit(browser, f"{address}?code={agree_sheet.places[0].code}")
    browser.execute_script("localStorage.clear()")
    click(browser, "#start")
    click(browser, "#begin")
    section(browser)
    press(browser, "a")
    click(browser, "#stop")
    driver.reply(browser, yes=False)
    assert browser.execute_script(driver.STATE)[1] == [2, 1]
    click(browser, "#stop")
    driver.reply(browser, yes=True)
    reach(browser, "welcome")
    assert browser.execute_script("return Object.keys(localStorage).includes(memory.key)") is False
    click(browser, "#start")
    take(browser, lambda n: press(browser, "a"))
    click(browser, "#again")
    driver.reply(browser, yes=True)
    until(lambda: browser.current_url == address)
    reach(browser, "welcome")
    assert one(browser, "#code").is_displayed()
    assert browser.execute_script("return Object.keys(localStorage).includes(memory.key)") is False


def test_the_keys_are_named_where_the_answers_are_not_letters(browser, lesson_sheet, images, tmp_path, changed):
    build.write(changed(lesson_sheet, labels=("Rusty Bird", "Plain Bird")), images, tmp_path / "made")
    visit(browser, (tmp_path / "made" / "page" / "index.html").as_uri())
    click(browser, "#start")
    click(browser, "#begin")
    section(browser)
    words = one(browser, "#question .keys").text.split()
    assert " ".join(words) == "Keys: A Rusty Bird B Plain Bird D Don’t know"
    assert one(browser, '[data-answer="B"]').get_attribute("aria-keyshortcuts") == "b"
