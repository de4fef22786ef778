import dataclasses

import answers
import numpy as np
import pytest
from PIL import Image

from galore.report import figures


@pytest.mark.parametrize("counter", [True, False])
def test_the_figures_are_written(tmp_path, counter):
    names = ("attributive.png", "deliberative.png", "counterfactual.png", *(["pair.png"] if counter else []))
    assert figures.save(answers.answer(tmp_path, counter), tmp_path) == names
    for name in names:
        assert np.asarray(Image.open(tmp_path / name).convert("L")).std() > 10


def test_a_figure_says_the_question_and_the_resolution_and_shows_the_values(tmp_path):
    answer = answers.answer(tmp_path)
    figure = figures.attributive(answer)
    texts = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    assert "What speaks for red thing?" in texts
    assert any("4 × 4 cells" in text for text in texts)
    assert f"{answer.attributive.map.max():.2g}" in texts


def test_without_insecurities_the_figure_says_so(tmp_path):
    figure = figures.deliberative(dataclasses.replace(answers.answer(tmp_path), insecurities=()))
    assert figure.axes[0].get_title() == "no insecurity was found"


def test_names_are_no_formulas(tmp_path):
    answer = answers.answer(tmp_path)
    odd = dataclasses.replace(answer.candidates[0], name=r"a $\frac{1 price")
    figures.save(dataclasses.replace(answer, candidates=(odd, *answer.candidates[1:])), tmp_path)
