"""Every kind of page that galore writes, for everybody: no violation of axe-core's rules, no request to anybody, at the
widths of a desk and of a phone, light and dark. About 20 seconds, most of them to make the pages."""

import functools
import subprocess
import sys

import accessibility
import answers
import driver
import guide
import invented_lessons
import invented_stream
import pytest
from accessibility import DESK, PHONE, SCHEMES

from galore import stream
from galore.report import page as report
from galore.teach import build

OPEN = "document.querySelectorAll('details').forEach(one => one.open = true)"


def write_report(folder, has_example):
    (folder / "explanation.html").write_text(report.page(answers.answer(folder, has_example)), encoding="utf-8")


def write_experiment(folder, make):
    build.write(make(folder / "images"), folder / "images", folder / "made")


def write_site(folder):
    """The front page of the documentation alone, without its notebooks."""
    pytest.importorskip("sphinx")
    only = ("-D", "include_patterns=docs/index.md", "-D", "nb_execution_mode=off")
    command = [sys.executable, "-m", "sphinx", "-q", "-c", guide.DOCS / "site", *only, guide.DOCS.parent, folder]
    subprocess.run(command, check=True, capture_output=True)


# What writes pages into an empty folder, and the pages that are looked at.
WRITERS = {
    "report": lambda folder: write_report(folder, True),
    "report without a counter photo": lambda folder: write_report(folder, False),
    "gallery": lambda folder: stream.save_gallery(invented_stream.write(folder, 230), invented_stream.CLASSES),
    "lesson": lambda folder: write_experiment(folder, invented_lessons.lesson),
    "agreement": lambda folder: write_experiment(folder, invented_lessons.agreement),
    "site": write_site,
}
PAGES = [
    ("report", "explanation.html"),
    ("report without a counter photo", "explanation.html"),
    ("gallery", "gallery/index.html"),
    ("gallery", "gallery/page-0003.html"),
    ("results", "index.html"),
    ("results", "cub-efficientnet_lite0/index.html"),
    ("lesson", "made/page/index.html"),
    ("agreement", "made/page/index.html"),
    ("site", "docs/index.html"),
]


@pytest.fixture(scope="module")
def axe():
    return accessibility.axe()


@pytest.fixture(scope="module")
def browser(axe):
    with driver.started(keeps_requests=True) as started:
        yield started


@pytest.fixture(scope="module")
def written(invented_pages, tmp_path_factory):
    """The folder of a writer's pages, which are written once."""

    @functools.cache
    def write(name):
        if name == "results":
            return invented_pages
        folder = tmp_path_factory.mktemp("pages")
        WRITERS[name](folder)
        return folder

    return write


@pytest.fixture(params=PAGES, ids=" ".join)
def address(request, written):
    writer, page = request.param
    return (written(writer) / page).as_uri()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_everybody_can_use_it_and_it_asks_nobody(browser, axe, address, width, scheme):
    accessibility.asked(browser)
    accessibility.look(browser, address, width, scheme)
    if width == DESK:  # what is folded looks alike on both, and takes most of the time
        browser.execute_script(OPEN)
    assert accessibility.violations(browser, axe) == []
    assert accessibility.outside(browser, address) == []
    assert driver.errors(browser) == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", ["lesson", "agreement"])
def test_every_step_of_an_experiment(browser, axe, written, kind, scheme):
    address = (written(kind) / "made" / "page" / "index.html").as_uri()
    accessibility.look(browser, address, PHONE, scheme)
    seen = []

    def looked(name):
        if name not in seen:
            seen.append(name)
            assert accessibility.violations(browser, axe) == [], name

    def answer(number):
        looked("question")
        driver.click(browser, '[data-answer="A"]')

    def proceed(name):
        looked(name)
        driver.click(browser, "#begin" if name == "intro" else "#next")

    browser.execute_script("localStorage.clear()")
    driver.visit(browser, address)
    driver.click(browser, "#start")
    driver.take(browser, answer, proceed)
    looked("finish")
    assert {"intro", "question", "finish"} <= set(seen)
    assert accessibility.outside(browser, address) == []


def test_what_is_checked_is_found(browser, axe, tmp_path):
    """A page with one of everything: letters too pale, a picture without words, and a request to somebody."""
    (tmp_path / "bad.html").write_text(
        "<!doctype html><html lang=en><title>Bad</title><main><h1>Bad</h1><p style='color:#aaa'>pale</p>"
        "<img src='http://127.0.0.1:9/one.png'></main>"
    )
    address = (tmp_path / "bad.html").as_uri()
    accessibility.asked(browser)
    accessibility.look(browser, address, DESK, "light")
    found = [one.split(":")[0] for one in accessibility.violations(browser, axe)]
    assert sorted(found) == ["color-contrast", "image-alt"]
    assert accessibility.outside(browser, address) == ["http://127.0.0.1:9/one.png"]
    driver.errors(browser)
