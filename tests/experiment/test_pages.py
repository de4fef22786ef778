"""Pages say what the numbers say, and put each claim where its verdicts do."""

import numpy as np
import pytest

from galore.evaluation.methods import Method, Rule, Score
from galore.experiment import claims, pages
from galore.experiment.claims import Result, Source
from galore.experiment.pages import Section, Study
from galore.experiment.runs import Joined
from galore.experiment.table import Cell, Row, Table, TableSummary
from galore.statistics import Estimate

ORIGIN = {
    "seconds": 60.0,
    "options": {"dataset": {"name": "birds"}},
    "files": {"birds-cnn-seed0": "abc", "test images of birds": "def"},
    "training": {"birds-cnn-seed0": "fast"},
    "git": {"commit": "0123456789abcdef", "dirty": True},
    "device": "cpu",
}
WORKS = Result("It works.", Source.OURS, "n", Estimate(0.1, 0.05, 0.2, 9))


def joined(name: str, *results: Result, rows: tuple[Row, ...] = ()) -> Joined:
    origins = [ORIGIN | {"seed": seed} for seed in (0, 3)]
    return Joined(name, Table(rows).summary(), list(results), origins, ("auroc.png",))


def test_the_pages_markdown_becomes_html():
    text = "# Title\n\n**bold** <x> `code` [there](a.html)\n\n| a | b |\n|---|---|\n| does not hold | ![p](p.png) |\n"
    html = pages.to_html(text, "Title")
    assert "<h1>Title</h1>" in html and "<strong>bold</strong> &lt;x&gt; <code>code</code>" in html
    assert '<td class="does-not-hold">does not hold</td>' in html and 'src="p.png"' in html
    assert html.count("<tr>") == 2


def test_a_study_shows_every_claim_table_and_picture_and_where_they_come_from(tmp_path):
    published = [{"source": "a paper", "columns": ["x"], "rows": [{"network": "VGG16", "measure": "m", "cells": [""]}]}]
    row = Row(Cell(Method(Rule.ATTRIBUTIVE), "auroc"), np.ones((2, 4)))
    section = Section("One", "Is it one?", published, joined("one", WORKS, rows=(row,)))
    pages.write_study(tmp_path / "birds", "birds", [section], ["A line."])
    text = (tmp_path / "birds" / "index.md").read_text()
    assert "| holds | It works. | ours | n | 0.100 [0.050, 0.200] | 9 |" in text and "| VGG16 | m |  |" in text
    assert "Is it one? (`experiments/one.py`, seed 0, 3)" in text and "| a | 1.000 [1.000, 1.000] | 8 |" in text
    assert "![auroc of one](one/auroc.png)" in text and "A line." in text
    assert "Data set birds, seeds 0, 3, trained networks birds-cnn-seed0 (train=fast), on cpu: 2.0 minutes" in text
    assert "Code 0123456789ab with local changes" in text
    assert (tmp_path / "birds" / "order.json").read_text() == '["one"]\n'


def test_the_index_puts_studies_side_by_side(tmp_path):
    studies = [Study("birds", (joined("one", WORKS),)), Study("scenes", (joined("two"),))]
    pages.write_index(tmp_path, studies, {"one": "The first", "two": "The second"})
    index = (tmp_path / "index.md").read_text()
    assert "[birds](birds/index.md)" in index and "| It works. | ours | holds: 0.100 [0.050, 0.200] |  |" in index
    assert 'href="birds/index.html"' in (tmp_path / "index.html").read_text()
    assert "| The first | 1 hold |  |" in index and "The second" not in index


def test_studies_are_read_back(tmp_path):
    folder = tmp_path / "birds" / "one"
    folder.mkdir(parents=True)
    TableSummary(()).save(folder / "rows.json")
    claims.save([WORKS], folder / "claims.json")
    (folder / "provenance.json").write_text("[]")
    (folder / "auroc.png").touch()
    (tmp_path / "birds" / "order.json").write_text('["one"]')
    (study,) = pages.load_studies(tmp_path)
    assert study.name == "birds" and str(study.experiments[0].results) == str([WORKS])
    assert study.experiments[0].pictures == ("auroc.png",)


def results_of(*means: float) -> dict[str, Result]:
    """One claim in several studies, its interval around these means."""
    estimates = [Estimate(mean, mean - 0.1, mean + 0.1, 9) for mean in means]
    return {f"study {k}": Result("It works.", Source.GALORE, "n", estimate) for k, estimate in enumerate(estimates)}


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
def test_each_claim_stands_where_its_verdicts_put_it(means, title, where):
    ours = {("Ours.", Source.OURS_PETSIUK): results_of(0.5)}
    text = "\n".join(pages.verdicts({("It works.", Source.GALORE): results_of(*means)} | ours))
    assert text.startswith("Of the papers' 1 claims") and "Ours." not in text
    assert text.count("**") == 2 and f"**{title}**" in text and where in text


def test_the_headline_shows_the_main_maps_of_every_study_and_user():
    user = (("user", "beginner"),)
    rows = (
        Row(Cell(Method(Rule.DISCRIMINANT, Score.SOFTMAX), "auroc", None, user), np.full((1, 5), 0.6)),
        Row(Cell(Method(Rule.ATTRIBUTIVE), "recall", 0.05, user), np.full((1, 5), 0.1)),
    )
    lines = pages.headline([Study("birds", (joined("discriminant_vs_attributive", rows=rows),)), Study("other", ())])
    assert lines[0] == "| AUROC | birds, beginner |" and lines[2] == "| attributive map a |  |"
    assert lines[3] == "| discriminant map a * comp(b) * s | 0.600 [0.600, 0.600] |"


def test_the_recommendation_is_that_of_its_experiment_alone():
    studies = [Study("birds", (joined("one", WORKS), joined("recommendation", WORKS)))]
    assert pages.recommended(studies) == ["- birds: It works. **holds** (n: 0.100 [0.050, 0.200])"]
