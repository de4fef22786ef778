"""Every kind of page that galore writes, for everybody: no violation of axe-core's rules, no request to anybody, at the
widths of a desk and of a phone, light and dark. About 20 seconds, most of them to make the pages."""

import accessibility
import answers
import driver
import invented_lessons
import invented_results
import invented_stream
import pytest
from accessibility import DESK, PHONE, SCHEMES

from galore import stream
from galore.report import page as report
from galore.teach import build

OPEN = "document.querySelectorAll('details').forEach(one => one.open = true)"


def written_report(folder, has_example):
    (folder / "index.html").write_text(report.page(answers.answer(folder, has_example)), encoding="utf-8")
    return folder / "index.html"


def lesson_page(folder, make):
    made = make(folder / "images")
    build.write(made, folder / "images", folder / "made")
    return folder / "made" / "page" / "index.html"


def gallery(folder):
    made = invented_stream.write(folder / "stream", 230)
    return stream.save_gallery(made, invented_stream.CLASSES)


# Every page, by a name, as a function of an empty folder that gives the page's path.
PAGES = {
    "report": lambda folder: written_report(folder, True),
    "report without a counter photo": lambda folder: written_report(folder, False),
    "gallery": gallery,
    "gallery, last page": lambda folder: gallery(folder).with_name("page-0003.html"),
    "results": lambda folder: invented_results.pages_of(folder, drawn=[]) / "index.html",
    "study": lambda folder: (
        invented_results.pages_of(folder, drawn=["synthetic_scenes-small_cnn"])
        / "synthetic_scenes-small_cnn"
        / "index.html"
    ),
    "lesson": lambda folder: lesson_page(folder, invented_lessons.lesson),
    "agreement": lambda folder: lesson_page(folder, invented_lessons.agreement),
}


@pytest.fixture(scope="module")
def axe():
    return accessibility.axe()


@pytest.fixture(scope="module")
def browser(axe):
    with driver.started(keeps_requests=True) as started:
        yield started


@pytest.fixture(scope="module", params=PAGES)
def address(request, tmp_path_factory):
    return PAGES[request.param](tmp_path_factory.mktemp("page")).as_uri()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_everybody_can_use_it_and_it_asks_nobody(browser, axe, address, width, scheme):
    accessibility.asked(browser)
    accessibility.look(browser, address, width, scheme)
    browser.execute_script(OPEN)
    assert accessibility.violations(browser, axe) == []
    assert accessibility.outside(browser, address) == []
    assert driver.errors(browser) == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("make", [invented_lessons.lesson, invented_lessons.agreement])
def test_every_step_of_an_experiment(browser, axe, tmp_path, make, scheme):
    address = lesson_page(tmp_path, make).as_uri()
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
