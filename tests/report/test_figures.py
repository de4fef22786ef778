import dataclasses

import answers
import numpy as np
import pytest
from PIL import Image

from galore.report import figures, words


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    return answers.answer(tmp_path_factory.mktemp("report"))


@pytest.mark.parametrize("counter", [True, False])
def test_the_figures_are_written(tmp_path, counter):
    names = ("attributive.png", "deliberative.png", "counterfactual.png", *(["pair.png"] if counter else []))
    assert figures.save(answers.answer(tmp_path, counter), tmp_path) == names
    for name in names:
        assert np.asarray(Image.open(tmp_path / name).convert("L")).std() > 10


def test_a_figure_says_the_question_and_the_resolution_and_shows_the_values(answer):
    figure = figures.attributive(answer)
    texts = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    assert "What speaks for red thing?" in texts
    assert any("4 × 4 cells" in text for text in texts)
    assert words.amount(float(answer.attributive.map.max())) in texts


@pytest.mark.parametrize("formats", [(".pdf", ".svg"), (".svg",)])
def test_figures_come_in_the_formats_that_are_asked_for(answer, tmp_path, formats):
    names = figures.save(answer, tmp_path, formats)
    assert len(names) == 4 * len(formats)
    assert all((tmp_path / name).stat().st_size > 1000 for name in names)


def test_a_counter_photo_that_the_network_takes_for_something_else_is_captioned_so(answer):
    example = dataclasses.replace(answer.why_not.example, prediction=answer.candidates[0])
    why_not = dataclasses.replace(answer.why_not, example=example)
    said = figures.pair(dataclasses.replace(answer, why_not=why_not)).axes[1].get_title().replace("\n", " ")
    assert "blue.png, which the network takes for red thing" in said
    assert "which the network takes" not in figures.pair(answer).axes[1].get_title()


def test_the_maps_of_query_and_counter_photo_share_one_scale(answer):
    pair = answer.why_not.finding.map, answer.why_not.example.finding.map
    bars = [axis.child_axes[0] for axis in figures.counterfactual(answer).axes if axis.child_axes]
    ends = [[text.get_text() for text in bar.texts] for bar in bars]
    assert ends == 2 * [[words.amount(float(end)) for end in (np.min(pair), np.max(pair))]]


def test_without_insecurities_the_figure_says_so(answer):
    figure = figures.deliberative(dataclasses.replace(answer, insecurities=()))
    assert figure.axes[0].get_title() == "no insecurity was found"


def test_names_are_no_formulas(answer, tmp_path):
    odd = dataclasses.replace(answer.candidates[0], name=r"a $\frac{1 price")
    figures.save(dataclasses.replace(answer, candidates=(odd, *answer.candidates[1:])), tmp_path)
