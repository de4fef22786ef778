"""Drives the teaching page in headless Chromium, as a learner would."""

import contextlib
import functools
import http.server
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from galore.teach.sheet import Place, Sheet

CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
OPTIONS = ("headless=new", "no-sandbox", "disable-gpu", "no-first-run", "disable-sync")
QUIET = ("disable-background-networking", "disable-component-update")

STATE = """
    if (document.readyState !== "complete") return ["", [], 0];
    const seen = [...document.querySelectorAll("section")].filter((one) => !one.hidden);
    const waiting = [...document.querySelectorAll(".answers button")].some((one) => one.offsetParent && one.disabled);
    const place = state ? [state.position, state.answers.length] : [];
    const tooWide = document.documentElement.scrollWidth - innerWidth;
    return [seen.length === 1 && !waiting && !busy ? seen[0].id : "", place, tooWide]"""
"""The section that can be seen, once it can be used; the step and the number of answers; what does not fit sideways."""

JUMP = """
    const order = experiment.orders[state.order], given = order.slice(0, arguments[1]);
    state.position = arguments[0];
    state.answers = given.map((trial) => ({ trial, answer: "A", milliseconds: 1, interrupted: 0, studied: 0 }));
    render();"""
"""To a step and a number of answers, all of them A."""

PATIENCE = 60
"""Seconds to wait for the page: much more than it ever needs, for machines that are busy."""


@contextlib.contextmanager
def started(keeps_requests: bool = False) -> Iterator[Any]:
    """A browser whose console is recorded, and if wanted what its pages ask for."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no chromium, or no chromedriver, on the PATH")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for name in (*OPTIONS, *QUIET):
        options.add_argument(f"--{name}")
    recorded = ("browser", "performance") if keeps_requests else ("browser",)
    options.set_capability("goog:loggingPrefs", dict.fromkeys(recorded, "ALL"))
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield browser
    finally:
        browser.quit()


@contextlib.contextmanager
def without_storage(browser) -> Iterator[None]:
    """Pages that are opened meanwhile find a browser that keeps nothing."""
    broken = "Object.defineProperty(window, 'localStorage', { get() { throw new Error('none'); } });"
    hook = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": broken})
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", hook)


def resize(browser, width: int, height: int) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def visit(browser, address: str) -> None:
    """Opens a page for a learner who is faster than people: nobody has to wait before a step can be left."""
    browser.get(address)
    browser.execute_script("pause = 0")


def section(browser) -> str:
    """The section that can be seen, once it can be used."""
    return until(lambda: browser.execute_script(STATE)[0])


def reach(browser, name: str) -> None:
    """Waits for a section that can be used."""
    until(lambda: browser.execute_script(STATE)[0] == name)


def until(found: Callable[[], Any]) -> Any:
    """What is found, as soon as it is something."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        value = found()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"the page did not get there in {PATIENCE} seconds")


def one(browser, selector: str):
    return browser.find_element("css selector", selector)


def click(browser, selector: str) -> None:
    one(browser, selector).click()


def press(browser, key: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).send_keys(key).perform()


def reply(browser, yes: bool) -> None:
    """Answers the question of a dialog, as soon as it is there."""
    from selenium.webdriver.support import expected_conditions
    from selenium.webdriver.support.wait import WebDriverWait

    dialog = WebDriverWait(browser, PATIENCE).until(expected_conditions.alert_is_present())
    dialog.accept() if yes else dialog.dismiss()


def truths(sheet: Sheet, place: Place) -> list[str]:
    """The right answers, in the order in which a learner is asked."""
    by_id = {trial.id: trial.truth for trial in sheet.trials}
    return [by_id[id] for id in sheet.orders[place.order]]


def wrong(truth: str) -> str:
    """The other answer."""
    return {"A": "B", "B": "A"}[truth]


def take(browser, answer: Callable[[int], None], proceed: Callable[[str], None] | None = None) -> list[str]:
    """Goes through the page to its end, in which nothing is wider than the screen.

    Args:
        browser: at any step.
        answer: gives the answer to a question, by its number.
        proceed: leaves an introduction ("intro") or a reply ("feedback").

    Returns:
        The sections that were seen.
    """
    seen, given, last = [], 0, None
    proceed = proceed or (lambda name: click(browser, "#begin" if name == "intro" else "#next"))

    def next_step() -> tuple[str, list[int]] | None:
        name, place, too_wide = browser.execute_script(STATE)
        assert too_wide <= 0
        return (name, place) if name and (name, place) != last else None

    while True:
        last = until(next_step)
        if last[0] == "finish":
            return seen
        seen.append(last[0])
        if last[0] == "question":
            answer(given)
            given += 1
        else:
            proceed(last[0])


def scores(browser) -> list[str]:
    """The learner's own result."""
    rows = until(lambda: browser.find_elements("css selector", ".score"))
    return [row.text.replace("\n", " ") for row in rows]


def result(browser, folder: Path) -> Path:
    """The file that the learner would hand in."""
    path = folder / f"{time.monotonic_ns()}.json"
    path.write_text(one(browser, "#finish pre").get_attribute("textContent"))
    return path


def errors(browser) -> list[str]:
    """What the console says, but for a reply that a test refuses on purpose."""
    return [entry["message"] for entry in browser.get_log("browser")]


@contextlib.contextmanager
def served(folder: Path, replies: Iterator[int] | None = None) -> Iterator[tuple[str, list[str]]]:
    """A plain static server that also takes results; yields its address and everything that was asked of it.

    Args:
        folder: what it serves; it need not be there yet.
        replies: the status of each reply to a result; 200 without one.
    """
    asked: list[str] = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format, *values):
            pass

        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def do_POST(self):
            asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(next(replies) if replies else 200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        server.shutdown()
        server.server_close()


def is_result(entry: str) -> bool:
    """Whether what a server was asked is a result."""
    return entry.startswith("{") and json.loads(entry)["format"] == "galore-result"
