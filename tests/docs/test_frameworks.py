"""The page of each framework runs as printed; those of frameworks that are not installed are skipped."""

import guide
import pytest

PAGES = sorted((guide.DOCS / "frameworks").glob("*.md"))
NEEDED = {
    "equinox": ("equinox",),
    "functions": ("flatbuffers",),  # for programs that are written
    "haiku": ("haiku",),
    "keras": ("keras",),
    "onnx": ("onnx", "jaxonnxruntime"),
    "torch": ("torch", "torchax"),
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_runs_and_prints_what_it_shows(page, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")  # Keras asks when it is imported
    for package in NEEDED.get(page.stem, ()):
        pytest.importorskip(package)
    guide.run(page)


def test_the_guide_leads_to_every_page():
    guide_itself = (guide.DOCS / "other_models.md").read_text(encoding="utf-8")
    assert [page.stem for page in PAGES if f"(frameworks/{page.name})" not in guide_itself] == []
