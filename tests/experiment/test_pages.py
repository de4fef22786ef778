"""Pages say what the numbers say, put each claim where its verdicts do, and can be used by everybody."""

import dataclasses
import re
from html.parser import HTMLParser

import invented_results as invented
import numpy as np
import pytest
from matplotlib import colors
from matplotlib.backends.backend_agg import FigureCanvasAgg

from galore.errors import InputError
from galore.evaluation.ground_truth import AttributeTable
from galore.evaluation.methods import Method, Rule
from galore.experiment import document, forest, pages, studies
from galore.experiment.claims import MARGINS, Paper, Result, Source, Verdict
from galore.experiment.document import Fold, Group, Page
from galore.experiment.pages import Section
from galore.experiment.plots import contrast
from galore.experiment.runs import Joined
from galore.experiment.studies import Entry, Fate, Judged, StudyResults
from galore.experiment.table import Cell, Row, Table
from galore.statistics import Estimate, Inference

NAN = float("nan")


def inference(value: float, error: float = 0.01, trainings: int = 5) -> Inference:
    estimate = Estimate(value, value - 2 * error, value + 2 * error, 400)
    return Inference(estimate, error, 50.0, trainings, 20, 80)


def result(value: float | None = 0.1, text: str = "It works.", source: Source = Source.GALORE, **more) -> Result:
    given = {"margin": 0.02} | more
    return Result(text, source, "AUROC, this minus that", None if value is None else inference(value), **given)


def joined(name: str, *results: Result, rows: tuple[Row, ...] = ()) -> Joined:
    origins = [invented.origin("cub-efficientnet_lite0", seed) for seed in (0, 3)]
    return Joined(name, Table(rows).summary(), list(results), origins, {"auroc.svg": "One. Dots: means."})


def entry(**values: float | None) -> Entry:
    """One claim, with what studies measured."""
    all_studies = [StudyResults(name, (joined("one", result(value)),)) for name, value in values.items()]
    (found,) = studies.entries(all_studies)
    return found


@pytest.fixture(scope="module")
def results(invented_pages):
    return invented_pages


def test_a_study_shows_every_claim_table_and_figure_and_where_they_come_from(tmp_path):
    published = [{"source": "a paper", "columns": ["x"], "rows": [{"network": "VGG16", "measure": "m", "cells": [""]}]}]
    row = Row(Cell(Method(Rule.ATTRIBUTIVE), "auroc"), np.ones((2, 4)), classes=np.arange(4))
    claim = result(0.1, other=inference(0.05), baselines=(("above", "random map"), ("like", "whole object")))
    section = Section("One", "Is it one?", published, joined("one", claim, rows=(row,)))
    pages.write_study(tmp_path / "cub-small_cnn", "cub-small_cnn", [section], ["A line."])
    text = (tmp_path / "cub-small_cnn" / "index.md").read_text()
    told = (
        "| ✓ holds | [It works.](#one) (GALORE) | AUROC, this minus that | 0.100 [0.080, 0.120] | 0.050 [0.030, 0.070] "
    )
    told += "| 5 trainings, 20 classes, 80 images | 0.02 | above the random map; like the whole object |  |"
    assert told in text and "| VGG16 | m |  |" in text and text.startswith("# Results: CUB, small CNN\n")
    assert "Is it one? (`experiments/one.py`, seed 0, 3)" in text and "| a | 1.000 [1.000, 1.000] | 8 |" in text
    assert "![One. Dots: means.](one/auroc.svg)" in text and "(one/auroc.png)" in text and "A line." in text
    assert "Data set cub, seeds 0, 3, trained networks cub-efficientnet_lite0-seed0" in text and "2.0 minutes" in text
    assert "Code 0123456789ab;" in text and '<a id="one"></a>\n\n### One' in text
    assert (tmp_path / "cub-small_cnn" / "order.json").read_text() == '["one"]\n'


def test_our_numbers_stand_below_those_that_were_published_of_such_a_network(tmp_path):
    def row(rule, measure, value, user="beginner", region=None):
        return Row(Cell(Method(rule), measure, region, (("user", user),)), np.full((2, 4), value), classes=np.arange(4))

    rows = (
        row(Rule.SEARCH, "precision", 0.6), row(Rule.DISCRIMINANT, "precision", 0.7),
        row(Rule.SEARCH, "piou", 0.2, "advanced"), row(Rule.SEARCH, "images per second", 50.0),
        row(Rule.SEARCH_BY_HEAD, "images per second", 3.0),
    )  # fmt: skip
    own = joined("counterfactual_vs_search", rows=rows)
    own = dataclasses.replace(
        own,
        provenances=[one | {"options": one["options"] | {"model": {"name": "vgg16_bn"}}} for one in own.provenances],
    )
    section = Section("Search", "Is it better?", pages.published("counterfactual_vs_search"), own)
    pages.write_study(tmp_path / "cub-vgg16_bn", "cub-vgg16_bn", [section], [])
    text = (tmp_path / "cub-vgg16_bn" / "index.md").read_text()
    assert text.startswith("# Results: CUB, VGG16-BN\n")
    published = "| VGG16 | precision | 0.76 (0.01) | 0.84 (0.01) | 0.56 |  |\n"
    assert f"{published}| ours, VGG16-BN | precision | 0.600 [0.600, 0.600] | 0.700 [0.700, 0.700] |  |  |" in text
    assert "| ours, VGG16-BN | PIoU |  |  | 0.200 [0.200, 0.200] |  |" in text
    assert "| ours, VGG16-BN | images per second | 3.000 [3.000, 3.000] |" in text
    assert text.count("| ours, ") == 4 and "| ResNet-50 | recall | 0.03 (0.01) |" in text


def test_every_published_number_says_where_ours_stands():
    for name in ("counterfactual_vs_search", "part_iou_vs_region", "counterfactual_edits"):
        for published in pages.published(name):
            assert len(published["ours"]) == len(published["columns"])
            assert all(Rule[place["rule"]] and place["user"] in ("beginner", "advanced") for place in published["ours"])
            assert all(row["models"] and len(row["cells"]) == len(published["columns"]) for row in published["rows"])


def test_the_index_puts_studies_side_by_side(results):
    index = (results / "index.md").read_text()
    assert "[CUB, EfficientNet-Lite0](cub-efficientnet_lite0/index.md)" in index
    assert "(synthetic_birds-small_cnn/index.md#counterfactual_vs_search)" in index
    for paper in Paper:
        assert (f"### {paper.value}: " in index) == (paper is not Paper.HARDNESS)
    page = (results / "index.html").read_text()
    assert 'href="synthetic_birds-small_cnn/index.html#counterfactual_vs_search"' in page and "index.md" not in page
    assert {"headline.svg", "headline.png", "index.md", "index.html"} < {path.name for path in results.iterdir()}


def test_markdown_and_html_show_the_same_numbers(results):
    for folder in (results, results / "cub-efficientnet_lite0"):
        there = [
            re.findall(r"-?\d\.\d+ \[[-\d., ]+\]", (folder / f"index.{kind}").read_text()) for kind in ("md", "html")
        ]
        of_tables = there[1][len(there[1]) - len(there[0]) :]
        assert there[0] == of_tables and len(there[0]) > 50


def test_studies_are_read_back_and_older_results_are_refused(results, tmp_path):
    loaded = pages.load_studies(results)
    assert [study.name for study in loaded] == sorted(invented.STUDIES)
    assert loaded[0].title == "CUB, EfficientNet-Lite0"
    assert [one.experiment for one in loaded[0].experiments] == list(invented.TITLES)
    assert loaded[0].experiments[0].pictures["specificity.svg"].startswith("Discriminant against attributive maps.")
    folder = tmp_path / "old" / "one"
    folder.mkdir(parents=True)
    (tmp_path / "old" / "order.json").write_text('["one"]')
    (folder / "provenance.json").write_text("[]")
    (folder / "rows.json").write_text('{"format": "galore table", "version": 2, "rows": []}')
    with pytest.raises(InputError, match=r"has the format 'galore table', version 2, expected .* run again"):
        pages.load_studies(tmp_path)


@pytest.mark.parametrize(
    ("values", "fate", "said"),
    [
        ({"a": 0.5, "b": 0.4}, Fate.HELD, "holds everywhere (a; b)"),
        ({"a": 0.5, "b": 0.015}, Fate.HELD, "holds on a"),
        ({"a": 0.5}, Fate.HELD, "holds on a"),
        ({"a": -0.5, "b": None}, Fate.FAILED, "does not hold on a"),
        ({"a": 0.5, "b": -0.5}, Fate.DIFFERS, "holds on a; does not hold on b"),
        ({"a": 0.001, "b": None}, Fate.NO_DIFFERENCE, "no difference that matters on a"),
        ({"a": 0.015, "b": None}, Fate.UNKNOWN, ""),
    ],
)
def test_each_claim_stands_where_its_verdicts_put_it(values, fate, said):
    one = entry(**values)
    assert studies.fate(one) is fate
    text = pages.fates([one, dataclasses.replace(one, source=Source.OURS, text="Ours.")])
    assert text.startswith("Of the papers' 1 claims") and "Ours." not in text and f"**{fate.value}: 1**" in text
    assert text.endswith(f"It works. (GALORE{': ' if said else ''}{said})")
    assert ("everywhere" in text) == ("everywhere (" in text)


def test_a_claim_by_both_tables_can_depend_on_the_ground_truth():
    study = StudyResults("a", (joined("one", result(0.1, other=inference(-0.1))),))
    (found,) = studies.entries([study])
    assert studies.fate(found) is Fate.DEPENDS and studies.said(found.by_study["a"]) == "⇄ depends on the ground truth"


def test_verdicts_are_those_of_all_claims_of_a_paper_in_a_study_whatever_experiment_makes_them():
    borderline = [result(0.0235, text=f"{k}") for k in range(4)]  # p is about 0.02 each
    together = studies.entries([StudyResults("a", tuple(joined(f"{k}", one) for k, one in enumerate(borderline)))])
    assert [one.by_study["a"].verdict for one in together] == [Verdict.UNKNOWN] * 4
    assert {studies.reason(one.by_study["a"]) for one in together} == {"not after Holm's correction"}
    alone = studies.entries([StudyResults("a", (joined("0", borderline[0]),))])
    assert alone[0].by_study["a"].verdict is Verdict.HOLDS


@pytest.mark.parametrize("error", [0.2, 0.01, 1e-3, 1e-4, 2e-5])
@pytest.mark.parametrize("ratio", [-4.0, -2.001, 2.0001, 2.5, 30.0])
def test_no_verdict_contradicts_the_interval_beside_it(error, ratio):
    one = Result("It works.", Source.GALORE, "n", inference(ratio * error, error))
    (found,) = studies.entries([StudyResults("a", (joined("one", one),))])
    judged = found.by_study["a"]
    low, high = map(float, re.findall(r"-?[\d.]+", studies.number(judged))[1:])
    assert not (judged.verdict is Verdict.HOLDS and low <= 0) and not (judged.verdict is Verdict.FAILS and high >= 0)
    assert not (one.estimate.low > 1e-6 and low == 0) and not (one.estimate.high < -1e-6 and high == 0)


def test_what_has_no_verdict_says_why():
    few = Judged(Result("x", Source.GALORE, "n", inference(0.5, trainings=1)), Verdict.UNKNOWN)
    assert studies.reason(few) == "1 training, a verdict needs 3" and studies.number(few) == "0.500 [0.480, 0.520]"
    missing = Judged(result(None, why="there is no student"), Verdict.UNKNOWN)
    assert (studies.reason(missing), studies.number(missing)) == ("there is no student", "not measured")
    open_ = Judged(result(0.015), Verdict.UNKNOWN)
    assert studies.reason(open_) == ""


def test_timings_have_a_unit_and_count_rounds():
    rounds = Inference(Estimate(20.5, 19.04, 21.0, 45), NAN, NAN, 5, 0, 0)
    one = Result("x", Source.GALORE, "n", rounds, is_timing=True)
    assert studies.shown(rounds, one) == "20.5 [19.0, 21.0] times" and studies.counted(rounds, one) == "45 rounds"


def test_published_tables_have_as_many_cells_as_columns():
    for experiment in ("counterfactual_vs_search", "part_iou_vs_region", "counterfactual_edits"):
        (table,) = pages.published(experiment)
        assert table["rows"] and all(len(row["cells"]) == len(table["columns"]) for row in table["rows"])
    assert pages.published("gallery") == []


def test_the_page_says_what_every_margin_is(results):
    text = (results / "index.md").read_text()
    for measure, margin in MARGINS.items():
        assert re.search(rf"{margin:g} of [^;]*{re.escape(measure)}", text), measure
    for word in ("Holm, 1979", "other trainings of the network", "two tables of which attributes"):
        assert word in text


def test_numbers_by_both_tables_of_attributes_stand_side_by_side():
    cells = [
        Cell(Method(Rule.MARGIN), m, None, (), t)
        for t in (None, AttributeTable.NEURIPS)
        for m in ("specificity", "auroc")
    ]
    text = Table(tuple(Row(cell, np.ones((1, 3))) for cell in cells)).summary().markdown()
    head = "| method | specificity | specificity, NeurIPS table | AUROC | AUROC, NeurIPS table | counted |"
    assert text.splitlines()[0] == head and len(text.splitlines()) == 3


def test_the_forest_has_a_line_for_every_study_of_every_headline_claim(results):
    loaded = pages.load_studies(results)
    some = studies.headlines(studies.entries(loaded))
    for layout in (forest.WIDE, forest.NARROW):
        figure = forest.forest(some, layout)
        words = [text.get_text() for text in figure.axes[0].texts]
        for study in loaded:
            assert words.count(study.title) == sum(study.title in one.by_study for one in some)
        numbers = [studies.number(judged) for one in some for judged in one.by_study.values()]
        assert [word for word in words if word in numbers] == numbers
        linked = [text for text in figure.axes[0].texts if text.get_url()]
        assert [text.get_url() for text in linked] == [f"#{one.experiment}" for one in some]
        assert [text.get_text().replace("\n", " ") for text in linked] == [one.text for one in some]
        renderer = FigureCanvasAgg(figure).get_renderer()
        right = max(text.get_window_extent(renderer).x1 for text in figure.axes[0].texts) / figure.dpi
        assert right <= layout.width + 0.02


def test_the_axis_of_the_forest_holds_every_interval_up_to_its_limit():
    assert forest._limits([entry(a=0.1, b=-0.05)]) == pytest.approx((-0.07 - 0.0076, 0.12 + 0.0076))
    assert forest._limits([entry(a=5.0, b=-0.5)]) == (-forest.LIMIT, forest.LIMIT)
    assert forest._limits([entry(a=None)])[1] > 0


def test_a_page_without_headlines_has_no_figure(tmp_path):
    section = Section("One", "Is it one?", [], joined("one", result(0.1)))
    pages.write_study(tmp_path / "a", "a", [section], [])
    assert not (tmp_path / "a" / "headline.svg").exists() and "<svg" not in (tmp_path / "a" / "index.html").read_text()


def test_markdown_becomes_html_that_runs_nothing_and_colours_verdicts_with_their_words():
    body = "**bold** <x> [there](a/index.md#b)\n\n| a | b |\n|---|---|\n| ✗ does not hold | ![p](p.png) |\n"
    html = document.to_html(Page("<T>", "Lead.", None, (Group("G", (Fold("f", 'F "x"', body),)),)))
    assert "<h1>&lt;T&gt;</h1>" in html and "<strong>bold</strong> &lt;x&gt;" in html
    assert '<td class="does-not-hold"><span class=verdict>✗ does not hold</span></td>' in html
    assert 'href="a/index.html#b"' in html and 'aria-label="Table 1: F &quot;x&quot;"' in html
    assert document.table(["a"], [["x|y"]]).endswith("| x\\|y |")


class Checker(HTMLParser):
    """What can be said of a page without a browser: names, headings, landmarks, labels."""

    def __init__(self, text: str):
        super().__init__()
        self.ids, self.links, self.headings, self.labels, self.pictures, self.tags = [], [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append((tag, found))
        self.ids += [found["id"]] if "id" in found else []
        if tag == "a":
            self.links.append(found.get("href", ""))
        if re.fullmatch(r"h\d", tag):
            self.headings.append(int(tag[1]))
        if found.get("role") == "region":
            self.labels.append(found.get("aria-label"))
            assert found.get("tabindex") == "0"
        if tag == "img":
            self.pictures.append(found.get("alt", ""))


@pytest.mark.parametrize("place", [".", "cub-efficientnet_lite0"])
def test_the_page_is_made_for_everybody(results, place):
    page = Checker((results / place / "index.html").read_text())
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert page.headings[0] == 1 and page.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(page.headings, page.headings[1:]))
    assert len(page.labels) == len(set(page.labels)) and all(page.labels)
    assert all(alt.endswith(".") and " " in alt for alt in page.pictures)
    assert [tag for tag, _ in page.tags].count("main") == 1 and ("html", {"lang": "en"}) in page.tags
    assert page.links[0] == "#main" and [t for t, _ in page.tags].count("table") <= len(page.labels)
    for link in (link for link in page.links if not link.startswith("#")):
        path, _, anchor = link.partition("#")
        assert (results / place / path).exists(), link
        assert not anchor or f'id="{anchor}"' in (results / place / path).read_text()


def test_colours_of_verdicts_and_studies_can_be_read():
    for colour in (*forest.COLOURS.values(), *(colour for _, colour in forest.MARKS), forest.FAINT):
        assert contrast(colors.to_rgb(colour), (1.0, 1.0, 1.0)) >= 4.5
    for shade in re.findall(r"\.[\w-]+\{background:(#\w+)\}", document.STYLE):
        assert contrast(colors.to_rgb("#222"), colors.to_rgb(shade)) >= 4.5
    assert len({shape for shape, _ in forest.MARKS}) == len(forest.MARKS) and len(set(studies.SYMBOLS.values())) == 5
