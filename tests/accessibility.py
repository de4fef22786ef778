"""Whether everybody can use a page: axe-core's rules, at the widths of a desk and of a phone, light and dark; and
whether the page asks nobody for anything."""

import importlib.util
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import driver
import pytest

DESK, PHONE = 1280, 390
SCHEMES = ("light", "dark")

RUN = """
    const done = arguments[arguments.length - 1];
    axe.run({ resultTypes: ["violations"], preload: false }).then(
        (found) => done(found.violations.flatMap((rule) => rule.nodes.map((node) =>
            `${rule.id}: ${node.target.join(" ")}: ${node.failureSummary}`))),
        (error) => done([String(error)]))"""


def axe() -> str:
    """The script of axe-core, from a package that carries it; without it the test is skipped."""
    spec = importlib.util.find_spec("axe_playwright_python")  # found, not imported: that would take playwright
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("axe-core is not there: python -m pip install --no-deps axe-playwright-python")
    return (Path(spec.submodule_search_locations[0]) / "axe.min.js").read_text("utf-8")


def look(browser: Any, address: str, width: int, scheme: str) -> None:
    """Opens a page as wide as a screen, for who wants it light or dark."""
    driver.resize(browser, width, 900)
    preference = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [preference]})
    browser.get(address)


def violations(browser: Any, script: str) -> list[str]:
    """What axe-core finds on the page that is open, as it is now; a page's policy does not hold for this script."""
    browser.execute_script(script)
    return browser.execute_async_script(RUN)


def asked(browser: Any) -> list[str]:
    """Every address that a page asked for since the last call, answered or not; of a browser that keeps a record."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    return [address for address in sent if urlsplit(address).scheme not in ("data", "blob", "about")]


def outside(browser: Any, address: str) -> list[str]:
    """What was asked of anybody but the place that the page is from."""
    own = urlsplit(address)
    return [one for one in asked(browser) if urlsplit(one)[:2] != own[:2]]
