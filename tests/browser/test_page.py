"""The page in a real browser, at the widths of a desk and of a phone; skipped where there is no Chromium."""

import html
import json
import re
import shutil
import subprocess

import answers
import pytest
from PIL import Image

from galore.report import page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome on the PATH")

DESK, PHONE = 1200, 360


@pytest.fixture(scope="module", params=[True, False], ids=["with a counter photo", "without one"])
def report(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    path = folder / "explanation.html"
    path.write_text(page.page(answers.answer(folder, request.param)), encoding="utf-8")
    return path


def browse(path, folder, *options: str) -> str:
    """Opens a file in a browser without a window; returns what it prints, its console messages included."""
    try:
        done = run(path, folder / "profile", *options)
    except subprocess.TimeoutExpired:  # a browser on a busy machine sometimes never starts; it is given one more chance
        done = run(path, folder / "another profile", *options)
    return done.stdout + "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def run(path, profile, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        "--enable-logging=stderr",
        f"--user-data-dir={profile}",
        *options,
        path.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def measured(report, width: int, folder) -> dict[str, int]:
    """Lays the page out in a frame of the given width and measures it from outside, as the page allows no script."""
    frame = folder / "frame.html"
    inner = html.escape(report.read_text(encoding="utf-8"))
    frame.write_text(
        f"""<meta charset=utf-8><iframe id=f width={width} height=800 style="border:0" srcdoc="{inner}"></iframe>
<script>
f.onload = () => {{
  const d = f.contentDocument, root = d.documentElement;
  const pictures = [...d.images], text = [...d.querySelectorAll("p, li, dd, figcaption, h1, h2, h3")];
  document.body.dataset.measured = JSON.stringify({{
    wide: root.scrollWidth, inside: root.clientWidth, tall: root.scrollHeight,
    broken: pictures.filter(i => !i.complete || i.naturalWidth === 0).length, pictures: pictures.length,
    outside: text.filter(e => e.getBoundingClientRect().right > {width} + 1).length,
    small: text.filter(e => parseFloat(getComputedStyle(e).fontSize) < 12).length,
    columns: getComputedStyle(d.querySelector(".pair")).gridTemplateColumns.split(" ").length,
    styled: getComputedStyle(d.body).fontFamily.includes("system-ui") ? 1 : 0,
  }});
}}</script>""",
        encoding="utf-8",
    )
    found = re.search(r'data-measured="([^"]*)"', browse(frame, folder, "--dump-dom"))
    assert found, "the page did not load"
    return json.loads(html.unescape(found.group(1)))


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_the_page_fits_its_window_without_scrolling_sideways(report, width, tmp_path):
    found = measured(report, width, tmp_path)
    assert found["inside"] == width
    assert found["wide"] <= width
    assert found["outside"] == 0
    assert found["small"] == 0
    assert found["styled"] == 1
    assert found["broken"] == 0 and found["pictures"] >= 8
    assert found["columns"] == (1 if width == PHONE else 2)


def test_the_browser_has_nothing_to_complain_about(report, tmp_path):
    """A refused style, picture or script would be a message on the console."""
    assert "CONSOLE" not in browse(report, tmp_path, "--dump-dom")


@pytest.mark.parametrize("width", [DESK, 500])
def test_a_screenshot_shows_text_and_pictures(report, width, tmp_path):
    """Chromium makes no window narrower than 500 pixels; the width of a phone is measured above."""
    shot = tmp_path / "shot.png"
    browse(report, tmp_path, f"--screenshot={shot}", f"--window-size={width},2000")
    picture = Image.open(shot).convert("RGB")
    assert picture.size == (width, 2000)
    assert len(picture.getcolors(maxcolors=width * 2000) or ()) > 500
