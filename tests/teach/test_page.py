"""The page in headless Chromium: the whole protocol; skipped where there is no browser. About 15 seconds."""

import hashlib
import json

import driver
import pytest
from driver import click, one, press, reach, section, take, truths, until, visit, wrong

from galore.teach import build, results, seal

TAB, ENTER = "\ue004", "\ue007"


def test_three_learners_take_the_whole_protocol(browser, page, lesson_sheet, tmp_path):
    """From a file: one on a desk with the mouse, one with the keyboard alone who reloads, one on a phone."""
    address = (page / "index.html").as_uri()
    files = []

    place = lesson_sheet.places[0]
    truth = truths(lesson_sheet, place)
    visit(browser, f"{address}?code={place.code}")
    click(browser, "#start")
    seen = take(browser, lambda n: click(browser, f'[data-answer="{truth[n]}"]'))
    assert seen.count("question") == 11
    assert seen.count("feedback") == 3
    assert driver.scores(browser) == ["First try 4 of 4", "Last try 4 of 4"]
    assert "A was Rusty Bird" in one(browser, ".result").text
    files.append(driver.result(browser, tmp_path))

    place = lesson_sheet.places[1]
    truth = truths(lesson_sheet, place)
    visit(browser, f"{address}?code={place.code}")
    for _ in range(6):
        if browser.execute_script("return document.activeElement.id") == "start":
            break
        press(browser, TAB)
    press(browser, ENTER)

    def by_key(n):
        if n == 5:
            browser.refresh()
            browser.execute_script("pause = 0")
            assert section(browser) == "question"
        press(browser, "d" if n < 4 else wrong(truth[n]).lower() if n < 7 else truth[n].lower())

    take(browser, by_key, proceed=lambda name: press(browser, ENTER))
    assert driver.scores(browser) == ["First try 0 of 4", "Last try 4 of 4"]
    files.append(driver.result(browser, tmp_path))
    browser.refresh()
    assert section(browser) == "finish"
    assert driver.scores(browser) == ["First try 0 of 4", "Last try 4 of 4"]

    driver.resize(browser, 360, 640)
    place = lesson_sheet.places[2]
    truth = truths(lesson_sheet, place)
    visit(browser, address)
    for nonsense in ("nonsense", "constructor"):
        one(browser, "#code").clear()
        one(browser, "#code").send_keys(nonsense)
        click(browser, "#start")
        assert "unknown" in one(browser, "#code-problem").text
    one(browser, "#code").clear()
    one(browser, "#code").send_keys(place.code.upper(), ENTER)
    take(browser, lambda n: click(browser, f'[data-answer="{"A" if n < 7 else truth[n]}"]'))
    assert driver.scores(browser)[1] == "Last try 4 of 4"
    files.append(driver.result(browser, tmp_path))

    found, refusals = results.join(lesson_sheet, files)
    assert refusals == []
    assert [result.condition for result in found] == [place.condition for place in lesson_sheet.places[:3]]
    assert found[1].answers[:4] == ("?",) * 4
    assert found[1].interrupted == (False,) * 5 + (True,) + (False,) * 5
    assert [seconds > 0 for seconds in found[1].studied] == [False] * 4 + [True] * 3 + [False] * 4


@pytest.mark.parametrize("condition", ["counterfactual", "attributive", "random", "whole"])
def test_each_condition_lights_what_the_sheet_says(browser, page, lesson_sheet, condition):
    place = next(place for place in lesson_sheet.places[4:] if place.condition == condition)
    truth = truths(lesson_sheet, place)
    visit(browser, f"{(page / 'index.html').as_uri()}?code={place.code}")
    click(browser, "#start")
    # Straight to the first question of the training.
    browser.execute_script(driver.JUMP, 6, 4)
    assert section(browser) == "question"
    press(browser, wrong(truth[4]).lower())
    reach(browser, "feedback")
    trial = next(trial for trial in lesson_sheet.trials if trial.id == lesson_sheet.orders[place.order][4])
    script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.getAttribute(arguments[1]))"
    sources = [source.split("/")[-1] for source in browser.execute_script(script, ".pair img", "src")]
    assert sources == [f"{trial.picture}.jpg", f"{trial.counter}.jpg"]
    drawn = browser.execute_script(script, ".pair .edge", "d")
    assert drawn == [region.outline for region in trial.lit[condition] if region.outline]
    marks = browser.execute_script(script, ".pair .mark", "transform")
    assert marks == (["translate(300 300)", "translate(500 500)"] if condition == "counterfactual" else [])
    assert ("Look at the eye (1)." in one(browser, ".explanation").text) == (condition == "counterfactual")
    assert f"this is {truth[4]}" in one(browser, "#feedback h1").text


def test_from_a_server_without_storage_the_page_asks_for_nothing_else_and_hands_in(
    browser, agree_sheet, images, tmp_path, changed
):
    """The results go to another server, which does not take them at first."""
    driver.resize(browser, 360, 640)
    folder = tmp_path / "made" / "page"
    with (
        driver.served(folder) as (address, asked),
        driver.served(tmp_path, iter([500, 200])) as (taker, taken),
        driver.without_storage(browser),
    ):
        posting = changed(agree_sheet, post_to=f"{taker}take", consent="First words.\n\nLast words.")
        build.write(posting, images, tmp_path / "made")
        visit(browser, address)
        assert one(browser, "#storage").is_displayed()
        assert one(browser, "#consent").text.split("\n") == ["First words.", "Last words."]
        click(browser, "#start")
        take(browser, lambda n: press(browser, "c"))
        click(browser, "#send")
        until(lambda: "failed" in one(browser, "#sent").text)
        click(browser, "#send")
        until(lambda: "Sent." in one(browser, "#sent").text)
        needed = {"/", *(f"/images/{picture.id}.jpg" for picture in posting.pictures)}
        until(lambda: needed <= set(asked))
    assert set(asked) == needed
    first, sent = taken
    assert first == sent
    (tmp_path / "sent.json").write_text(sent)
    (found,), refusals = results.join(posting, [tmp_path / "sent.json"])
    assert refusals == []
    assert set(found.answers) == {"?"}
    (error,) = driver.errors(browser)
    assert "500" in error


def test_the_file_is_downloaded_as_it_is_shown(browser, agree_sheet, images, tmp_path):
    build.write(agree_sheet, images, tmp_path / "made")
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    visit(browser, (tmp_path / "made" / "page" / "index.html").as_uri())
    click(browser, "#start")
    take(browser, lambda n: press(browser, "b"))
    click(browser, "#download")
    shown = one(browser, "#finish pre").get_attribute("textContent")
    file = tmp_path / f"galore-{agree_sheet.experiment}-{json.loads(shown)['learner']}.json"
    until(lambda: file.exists() and file.read_text() == shown)
    (found,), refusals = results.join(agree_sheet, [file])
    assert refusals == []
    assert set(found.answers) == {"B"}


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


@pytest.mark.parametrize(
    "classes",
    [("009.Brewer_Blackbird", "011.Rusty_Blackbird"), ("005.Crested_Auklet", "007.Parakeet_Auklet")],
    ids=["blackbirds", "auklets"],
)
def test_sixty_photos_make_a_light_page_that_is_soon_ready(browser, shared_data, real_sheet, tmp_path, classes):
    build.write(real_sheet(*classes), shared_data / "CUB_200_2011" / "images", tmp_path / "made")
    files = [path for path in (tmp_path / "made" / "page").rglob("*") if path.is_file()]
    assert len(files) == 61
    assert sum(path.stat().st_size for path in files) < 6e6
    # Of several loads the quickest: whatever else the machine does delays some.
    assert min(milliseconds_to_load(browser, tmp_path / "made" / "page") for _ in range(5)) < 1000
    click(browser, "#start")
    click(browser, "#begin")
    section(browser)
    assert browser.execute_script("return document.querySelector('.stage img').naturalWidth") >= 160


def milliseconds_to_load(browser, page) -> float:
    visit(browser, (page / "index.html").as_uri())
    assert section(browser) == "welcome"
    return until(lambda: browser.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd"))
