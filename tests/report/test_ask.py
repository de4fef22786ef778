import base64
import dataclasses
import json
import re

import answers
import numpy as np
import pytest

from galore.data.cub import PartPoint
from galore.report import ask

HOSTILE = "</script><script>alert(1)</script><!-- \"' \u202egpj.\x1b[31m & \\"


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    return answers.answer(tmp_path_factory.mktemp("photos"), also=("grad-cam",))


def stored(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


def test_every_map_that_a_question_needs_is_stored_as_it_is(answer):
    data = ask.data(answer)
    assert data["methods"] == ["gradient", "grad-cam"] and data["grid"] == (4, 4)
    for question in data["questions"]:
        factors = {"attributive": [], "deliberative": ["difficulty"], "discriminant": ["confidence"]}[question["kind"]]
        for method in ("", "grad-cam_"):
            prefix = ("counter_" if question["photo"] else "") + method
            for key in [*factors, *(f"class_{index}" for index in question["classes"])]:
                np.testing.assert_array_equal(stored(data["maps"][prefix + key]), answer.maps[prefix + key].ravel())


def test_every_question_of_the_page_can_be_asked(answer):
    texts = [question.text for question in ask.questions(answer)]
    assert "What speaks for red thing?" in texts and "Why red thing and not green thing?" in texts
    assert texts[-1] == "Why blue thing and not red thing?" and len(set(texts)) == len(texts)
    section = ask.section(answer)
    assert section.count("<option selected>") == 1 and "<option selected>Why red thing and not blue thing?<" in section


def test_a_class_that_was_named_can_be_asked_about_though_it_is_no_candidate(tmp_path):
    answer = answers.answer(tmp_path, top=2)
    assert [q.classes for q in ask.questions(answer) if q.kind == "discriminant" and q.photo == 0] == [(0, 1), (0, 2)]


@pytest.mark.parametrize(("side", "classes"), [(4, 5), (56, 5), (112, 2), (224, 2)])
def test_fine_maps_of_many_classes_leave_the_page_small(answer, side, classes):
    fine = np.zeros((side, side), np.float32)
    changed = dataclasses.replace(
        answer,
        attributive=dataclasses.replace(answer.attributive, map=fine),
        more_maps={key: fine for key in answer.more_maps if not key.startswith("counter_")},
    )
    assert len([q for q in ask.questions(changed) if q.kind == "attributive"]) == classes
    in_page = ask.data(dataclasses.replace(changed, why_not=dataclasses.replace(changed.why_not, example=None)))
    assert len(json.dumps(in_page)) < 1.3e6


def test_names_end_no_script(answer):
    changed = dataclasses.replace(
        answer,
        photo=dataclasses.replace(answer.photo, path=f"{HOSTILE}.png"),
        candidates=(dataclasses.replace(answer.candidates[0], name=HOSTILE), *answer.candidates[1:]),
    )
    html = ask.section(changed)
    assert html.count("<script") == html.count("</script") == 1
    text = re.search(r'id="data">(.*)</script>', html, re.DOTALL).group(1)
    assert "<" not in text
    assert json.loads(text)["questions"][0]["text"] == f"What speaks for {HOSTILE}?"


def test_parts_are_where_the_network_saw_them(answer):
    x0, y0, x1, y1 = answer.photo.window
    parts = (("beak", (x0 + x1) / 2, y0 + (y1 - y0) / 4), ("tail", x1 + 1, y0))
    photo = dataclasses.replace(answer.photo, parts=tuple(PartPoint(*part) for part in parts))
    assert ask.data(dataclasses.replace(answer, photo=photo))["photos"][0]["parts"] == [("beak", 0.5, 0.25)]
