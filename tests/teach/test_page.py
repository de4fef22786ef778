"""The page in headless Chromium: the whole protocol, by three learners; skipped where there is no browser.

Costs about 20 seconds on two cores.
"""

import contextlib
import functools
import hashlib
import http.server
import json
import shutil
import threading
import time

import pytest

from galore.teach import build, lesson, results, seal, seen

CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
if CHROMIUM is None or DRIVER is None:
    pytest.skip("no chromium, or no chromedriver, on the PATH", allow_module_level=True)
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"):
        options.add_argument(argument)
    options.add_argument("--disable-background-networking")
    options.add_argument("--disable-component-update")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(lesson_sheet, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lesson") / "made"
    build.write(lesson_sheet, images, folder)
    return folder / "page"


def resize(browser, width: int, height: int):
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def section(browser) -> str:
    """The section that can be seen, once it can be used."""
    script = """
        const seen = [...document.querySelectorAll("section")].filter((one) => !one.hidden);
        const buttons = [...document.querySelectorAll(".answers button")];
        const waiting = buttons.some((one) => one.offsetParent && one.disabled);
        return seen.length === 1 && !waiting ? seen[0].id : "";"""
    return until(lambda: browser.execute_script(script))


def until(found):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        value = found()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError("the page did not get there in 20 seconds")


def visit(browser, address: str):
    """Opens a page for a learner who is faster than people: nobody has to wait before a step can be left."""
    browser.get(address)
    browser.execute_script("pause = 0")


def click(browser, selector: str):
    browser.find_element(By.CSS_SELECTOR, selector).click()


def press(browser, key: str):
    ActionChains(browser).send_keys(key).perform()


def place_in(browser) -> list[int]:
    """How far the learner is."""
    return browser.execute_script("return [state.position, state.answers.length]")


def wide(browser) -> int:
    return browser.execute_script("return document.documentElement.scrollWidth")


def take(browser, answer, proceed=None) -> list[str]:
    """Goes through the page to its end; returns the sections that were seen."""
    seen, given = [], 0
    proceed = proceed or (lambda name: click(browser, "#begin" if name == "intro" else "#next"))
    while (name := section(browser)) != "finish":
        seen.append(name)
        before = place_in(browser)
        if name == "question":
            answer(given)
            given += 1
        else:
            proceed(name)
        until(lambda before=before: place_in(browser) != before)
        until(lambda: not browser.execute_script("return busy"))
        assert wide(browser) <= browser.execute_script("return innerWidth")
    return seen


def scores(browser) -> list[str]:
    until(lambda: browser.find_elements(By.CSS_SELECTOR, ".score"))
    return [row.text.replace("\n", " ") for row in browser.find_elements(By.CSS_SELECTOR, ".score")]


def result(browser, tmp_path):
    path = tmp_path / f"{time.monotonic_ns()}.json"
    path.write_text(browser.find_element(By.CSS_SELECTOR, "#finish pre").get_attribute("textContent"))
    return path


def truths(sheet, place) -> list[str]:
    by_id = {trial.id: trial.truth for trial in sheet.trials}
    return [by_id[id] for id in sheet.orders[place.order]]


@contextlib.contextmanager
def served(folder):
    """A plain static server, whose log counts what was asked for."""
    asked = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format, *values):
            pass

        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def do_POST(self):
            asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        server.shutdown()


def test_three_learners_take_the_whole_protocol(browser, page, lesson_sheet, tmp_path):
    """From a file: one on a desk with the mouse, one with the keyboard alone who reloads, one on a phone."""
    address = (page / "index.html").as_uri()
    files = []

    place = lesson_sheet.places[0]
    truth = truths(lesson_sheet, place)
    resize(browser, 1200, 800)
    visit(browser, f"{address}?code={place.code}")
    click(browser, "#start")
    seen = take(browser, lambda n: click(browser, f'[data-answer="{truth[n]}"]'))
    assert seen.count("question") == 11
    assert seen.count("feedback") == 3
    assert scores(browser) == ["First try 4 of 4", "Last try 4 of 4"]
    assert "A was Rusty Bird" in browser.find_element(By.CSS_SELECTOR, ".result").text
    files.append(result(browser, tmp_path))

    place = lesson_sheet.places[1]
    truth = truths(lesson_sheet, place)
    visit(browser, f"{address}?code={place.code}")
    for _ in range(6):
        if browser.execute_script("return document.activeElement.id") == "start":
            break
        press(browser, Keys.TAB)
    press(browser, Keys.ENTER)

    def by_key(n):
        if n == 5:
            browser.refresh()
            browser.execute_script("pause = 0")
            assert section(browser) == "question"
        press(browser, "d" if n < 4 else {"A": "b", "B": "a"}[truth[n]] if n < 7 else truth[n].lower())

    take(browser, by_key, proceed=lambda name: press(browser, Keys.ENTER))
    assert scores(browser) == ["First try 0 of 4", "Last try 4 of 4"]
    files.append(result(browser, tmp_path))
    browser.refresh()
    assert section(browser) == "finish"
    assert scores(browser) == ["First try 0 of 4", "Last try 4 of 4"]

    resize(browser, 360, 640)
    place = lesson_sheet.places[2]
    truth = truths(lesson_sheet, place)
    visit(browser, address)
    browser.find_element(By.ID, "code").send_keys("nonsense")
    click(browser, "#start")
    assert "unknown" in browser.find_element(By.ID, "code-problem").text
    browser.find_element(By.ID, "code").clear()
    browser.find_element(By.ID, "code").send_keys(place.code.upper(), Keys.ENTER)
    take(browser, lambda n: click(browser, f'[data-answer="{"A" if n < 7 else truth[n]}"]'))
    assert scores(browser)[1] == "Last try 4 of 4"
    files.append(result(browser, tmp_path))

    found, refusals = results.join(lesson_sheet, files)
    assert refusals == []
    assert [result.condition for result in found] == [place.condition for place in lesson_sheet.places[:3]]
    assert found[1].answers[:4] == ("?",) * 4
    assert [answer["interrupted"] for answer in json.loads(files[1].read_text())["answers"]] == [0] * 5 + [1] + [0] * 5
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("condition", ["counterfactual", "attributive", "random", "whole"])
def test_each_condition_lights_what_the_sheet_says(browser, page, lesson_sheet, condition):
    resize(browser, 1200, 800)
    place = next(place for place in lesson_sheet.places[4:] if place.condition == condition)
    truth = truths(lesson_sheet, place)
    visit(browser, f"{(page / 'index.html').as_uri()}?code={place.code}")
    click(browser, "#start")
    # Straight to the first question of the training.
    browser.execute_script(
        "state.position = 6; state.answers = experiment.orders[state.order].slice(0, 4).map("
        "(trial) => ({ trial, answer: 'A', milliseconds: 1, interrupted: 0, studied: 0 })); render()"
    )
    assert section(browser) == "question"
    press(browser, {"A": "b", "B": "a"}[truth[4]])
    until(lambda: browser.find_elements(By.CSS_SELECTOR, "#feedback .picture"))
    trial = next(trial for trial in lesson_sheet.trials if trial.id == lesson_sheet.orders[place.order][4])
    sources = [one.get_attribute("src").split("/")[-1] for one in browser.find_elements(By.CSS_SELECTOR, ".pair img")]
    assert sources == [f"{trial.picture}.jpg", f"{trial.counter}.jpg"]
    drawn = [one.get_attribute("d") for one in browser.find_elements(By.CSS_SELECTOR, ".pair .edge")]
    assert drawn == [region.outline for region in trial.lit[condition] if region.outline]
    assert len(browser.find_elements(By.CSS_SELECTOR, ".pair .mark")) == (2 if condition == "counterfactual" else 0)
    assert f"this is {truth[4]}" in browser.find_element(By.CSS_SELECTOR, "#feedback h1").text
    assert browser.get_log("browser") == []


def test_from_a_server_without_storage_the_page_asks_for_nothing_else_and_hands_in(
    browser, agree_sheet, images, tmp_path, changed
):
    resize(browser, 360, 640)
    with served(tmp_path / "made" / "page") as (address, asked):
        posting = changed(agree_sheet, post_to=f"{address}take")
        build.write(posting, images, tmp_path / "made")
        broken = "Object.defineProperty(window, 'localStorage', { get() { throw new Error('none'); } });"
        hook = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": broken})
        visit(browser, address)
        assert browser.find_element(By.ID, "storage").is_displayed()
        click(browser, "#start")
        take(browser, lambda n: click(browser, '[data-answer="?"]'))
        click(browser, "#send")
        until(lambda: "Sent" in browser.find_element(By.ID, "sent").text)
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", hook)
    (sent,) = (entry for entry in asked if entry.startswith("{"))
    expected = {"/", *(f"/images/{picture.id}.jpg" for picture in posting.pictures)}
    assert {entry for entry in asked if not entry.startswith("{")} == expected
    (tmp_path / "sent.json").write_text(sent)
    (found,), refusals = results.join(posting, [tmp_path / "sent.json"])
    assert refusals == []
    assert set(found.answers) == {"?"}
    assert browser.get_log("browser") == []


def test_the_page_hashes_and_unseals_as_python_does(browser, page):
    visit(browser, (page / "index.html").as_uri())
    texts = ["", "abc", "é" * 31, "x" * 55, "y" * 56, "z" * 200]
    script = "return arguments[0].map((text) => hex(sha256(utf8(text))))"
    assert browser.execute_script(script, texts) == [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    sealed = seal.seal({"truth": "B", "names": ["né"]}, "salt", 25_000)
    opened = browser.execute_async_script(
        "const done = arguments[arguments.length - 1]; unseal(arguments[0], 'salt', 25000).then(done)", sealed
    )
    assert opened == {"truth": "B", "names": ["né"]}


def test_it_can_be_read_and_operated_by_everybody(browser, page, lesson_sheet):
    """Names for every control and picture, sizes for fingers, and contrast for weak eyes."""
    resize(browser, 360, 640)
    visit(browser, f"{(page / 'index.html').as_uri()}?code={lesson_sheet.places[9].code}")
    assert browser.execute_script("return document.documentElement.lang") == "en"
    click(browser, "#start")
    click(browser, "#begin")
    section(browser)
    group = browser.find_element(By.CSS_SELECTOR, ".answers")
    assert browser.find_element(By.ID, group.get_attribute("aria-labelledby")).text == "A or B?"
    assert browser.find_element(By.CSS_SELECTOR, ".stage img").get_attribute("alt") == "Picture 1 of 4"
    assert browser.switch_to.active_element.get_attribute("id") == "asked"
    for button in group.find_elements(By.CSS_SELECTOR, "button"):
        assert button.accessible_name in ("A", "B", "Don’t know")
        assert min(button.size.values()) >= 43
        assert button.location["y"] + button.size["height"] <= 640
        assert contrast(button, browser) >= 4.5
    assert contrast(browser.find_element(By.CSS_SELECTOR, ".count"), browser) >= 4.5
    assert browser.get_log("browser") == []


def contrast(element, browser) -> float:
    """The contrast ratio of WCAG 2.1 between an element's text and what lies behind it."""
    colours = browser.execute_script(
        """const style = getComputedStyle(arguments[0]);
        let behind = arguments[0];
        while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
        return [style.color, getComputedStyle(behind).backgroundColor]
            .map((text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number))""",
        element,
    )

    def luminance(colour):
        linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted(luminance(colour) for colour in colours)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Brewer_Blackbird", "Rusty_Blackbird"),
        pytest.param("Crested_Auklet", "Parakeet_Auklet", marks=pytest.mark.slow),
    ],
)
def test_real_birds_make_a_light_page_that_is_soon_ready(browser, shared_data, fitted, tmp_path, first, second):
    """The network is a stand-in that gets every image right; what counts here are the pictures.

    About 5 seconds a pair on two idle cores.
    """
    dataset = seen.read(shared_data / "CUB_200_2011", [first, second])
    made = lesson.make(fitted(dataset), dataset, (0, 1), lesson.Choices(subject="birds"))
    build.write(made, dataset.root / "images", tmp_path / "made")
    files = [path for path in (tmp_path / "made" / "page").rglob("*") if path.is_file()]
    assert len(files) == 61
    assert sum(path.stat().st_size for path in files) < 6e6
    resize(browser, 1200, 800)
    visit(browser, (tmp_path / "made" / "page" / "index.html").as_uri())
    assert section(browser) == "welcome"
    ready = browser.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd")
    # It is ready in a third of a second; the bound leaves room for a machine that does other things.
    assert ready < 2000
    click(browser, "#start")
    click(browser, "#begin")
    section(browser)
    assert browser.execute_script("return document.querySelector('.stage img').naturalWidth") > 200
    assert browser.get_log("browser") == []
