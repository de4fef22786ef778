"""Verdicts follow from intervals alone, and pages say them."""

import claims as claims_
import page
import pytest
import summary
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
    claims_.save(claims, tmp_path / "claims.json")
    again = claims_.load(tmp_path / "claims.json")
    assert [str(claim) for claim in again] == [str(claim) for claim in claims]


def test_the_pages_markdown_becomes_html():
    text = "# Title\n\n**bold** <x> `code` [there](a.html)\n\n| a | b |\n|---|---|\n| does not hold | ![p](p.png) |\n"
    made = page.to_html(text, "Title")
    assert "<h1>Title</h1>" in made and "<strong>bold</strong> &lt;x&gt; <code>code</code>" in made
    assert '<td class="does-not-hold">does not hold</td>' in made and 'src="p.png"' in made
    assert made.count("<tr>") == 2


def test_pages_link_studies_and_show_every_claim(tmp_path):
    study = tmp_path / "birds"
    (study / "one").mkdir(parents=True)
    claims_.save([Claim("It works.", "ours", "n", Estimate(0.1, 0.05, 0.2, 9))], study / "one" / "claims.json")
    (study / "one" / "table.md").write_text("# One\n\n| a |\n|---|\n| 1 |\n")
    (study / "one" / "provenance.json").write_text('[{"seed": 0}, {"seed": 3}]')
    (study / "order.json").write_text('["one"]')
    published = [{"source": "a paper", "columns": ["x"], "rows": [{"network": "VGG16", "measure": "m", "cells": [""]}]}]
    page.write_study(
        study, "birds", [{"name": "one", "title": "One", "question": "Is it one?", "published": published}], ["A line."]
    )
    page.write_index(tmp_path, {"one": "The first"})
    text, index = (study / "index.md").read_text(), (tmp_path / "index.md").read_text()
    assert "| holds | It works. | ours | n | 0.100 [0.050, 0.200] | 9 |" in text and "| VGG16 | m |  |" in text
    assert "Is it one? (`experiments/one.py`, seed 0, 3)" in text
    assert "[birds](birds/index.md)" in index and "holds: 0.100" in index
    assert 'href="birds/index.html"' in (tmp_path / "index.html").read_text()
    assert "| The first | 1 hold |" in index


def found(*verdicts: float) -> dict[str, Claim]:
    """One claim in several studies, its interval around these means."""
    estimates = [Estimate(mean, mean - 0.1, mean + 0.1, 9) for mean in verdicts]
    return {f"study {k}": Claim("It works.", "SCOUT", "n", estimate) for k, estimate in enumerate(estimates)}


@pytest.mark.parametrize(
    ("means", "title", "where"),
    [
        ((0.5, 0.5), "Held", "everywhere"),
        ((0.5, 0.0), "Held", "study 0"),
        ((-0.5, 0.0), "Did not hold", "study 0"),
        ((0.5, -0.5), "Depends on the data", "Holds on study 0, not on study 1."),
        ((0.0, 0.0), "Cannot tell", "It works."),
    ],
)
def test_the_summary_puts_each_claim_where_its_verdicts_do(means, title, where):
    ours = {("Ours.", "ours; somebody"): found(0.5)}
    text = "\n".join(summary.verdicts({("It works.", "SCOUT"): found(*means)} | ours))
    assert text.startswith("Of the papers' 1 claims") and "Ours." not in text
    assert text.count("**") == 2 and f"**{title}**" in text and where in text


def test_the_headline_shows_the_main_maps_of_every_study_and_user(tmp_path):
    (tmp_path / "birds" / "discriminant_vs_attributive").mkdir(parents=True)
    rows = [
        "user,method,measure,mean,low,high",
        "beginner,a,auroc,0.6,0.5,0.7",
        "beginner,a,recall at 0.05,0.1,0.1,0.1",
    ]
    (tmp_path / "birds" / "discriminant_vs_attributive" / "table.csv").write_text("\n".join(rows) + "\n")
    lines = summary.headline([tmp_path / "birds", tmp_path / "other"])
    assert lines[0] == "| AUROC | birds, beginner |" and lines[2] == "| attributive map a | 0.600 [0.500, 0.700] |"
