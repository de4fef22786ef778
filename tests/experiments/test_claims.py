"""Verdicts follow from intervals alone, and pages say them."""

import page
import pytest
from claims import FAILS, HOLDS, UNKNOWN, Claim

from galore.evaluation.statistics import Estimate

NAN = float("nan")


@pytest.mark.parametrize(
    ("estimate", "verdict"),
    [
        (Estimate(0.1, 0.05, 0.2, 9), HOLDS),
        (Estimate(-0.1, -0.2, -0.05, 9), FAILS),
        (Estimate(0.1, -0.05, 0.2, 9), UNKNOWN),
        (Estimate(0.0, 0.0, 0.0, 9), UNKNOWN),
        (Estimate(0.1, NAN, NAN, 1), UNKNOWN),
        (None, UNKNOWN),
    ],
)
def test_verdict(estimate, verdict):
    assert Claim("Red is better.", "ours", "AUROC", estimate).verdict == verdict


def test_claims_are_read_back_as_written(tmp_path):
    claims = [Claim("One.", "ours", "n", Estimate(0.1, NAN, NAN, 1)), Claim("Two.", "SCOUT", "n", None, "no student")]
    page.save_claims(claims, tmp_path / "claims.json")
    again = page.load_claims(tmp_path / "claims.json")
    assert [str(claim) for claim in again] == [str(claim) for claim in claims]


def test_the_pages_markdown_becomes_html():
    text = "# Title\n\n**bold** <x> `code` [there](a.html)\n\n| a | b |\n|---|---|\n| does not hold | ![p](p.png) |\n"
    made = page.to_html(text, "Title")
    assert "<h1>Title</h1>" in made and "<b>bold</b> &lt;x&gt; <code>code</code>" in made
    assert '<td class="does-not-hold">does not hold</td>' in made and 'src="p.png"' in made
    assert made.count("<tr>") == 2


def test_pages_link_studies_and_show_every_claim(tmp_path):
    study = tmp_path / "birds"
    (study / "one").mkdir(parents=True)
    page.save_claims([Claim("It works.", "ours", "n", Estimate(0.1, 0.05, 0.2, 9))], study / "one" / "claims.json")
    (study / "one" / "table.md").write_text("# One\n\n| a |\n|---|\n| 1 |\n")
    (study / "order.json").write_text('["one"]')
    published = [{"source": "a paper", "columns": ["x"], "rows": [{"network": "VGG16", "measure": "m", "cells": [""]}]}]
    page.write_study(study, "birds", [{"name": "one", "title": "One", "published": published}], ["A line."])
    page.write_index(tmp_path)
    text, index = (study / "index.md").read_text(), (tmp_path / "index.md").read_text()
    assert "| holds | It works. | ours | n | 0.100 [0.050, 0.200] | 9 |" in text and "| VGG16 | m |  |" in text
    assert "[birds](birds/index.md)" in index and "holds: 0.100" in index
    assert 'href="birds/index.html"' in (tmp_path / "index.html").read_text()
