import base64
import dataclasses
import html
import io
import itertools
import json
import re

import pytest
from PIL import Image
from unseal import unseal

from galore.errors import InputError
from galore.teach import build, seal
from galore.teach import sheet as sheets


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_same_sheet_gives_the_same_bytes(lesson_sheet, agree_sheet, images, tmp_path):
    for made in (lesson_sheet, agree_sheet):
        build.write(made, images, tmp_path / made.kind / "1")
        build.write(made, images, tmp_path / made.kind / "2")
        assert files(tmp_path / made.kind / "1") == files(tmp_path / made.kind / "2")


def test_nothing_in_the_published_folder_gives_an_answer_away(lesson_sheet, images, tmp_path):
    build.write(lesson_sheet, images, tmp_path / "made")
    page = tmp_path / "made" / "page"
    text = (page / "index.html").read_text()
    experiment = json.loads(re.search(r'id="experiment">(.*?)</script>', text, re.S)[1])
    # Whatever is stored in base64 is looked at too.
    opened = text + "".join(
        base64.b64decode(value).decode("latin1") for value in re.findall(r'"([A-Za-z0-9+/=]{40,})"', text)
    )
    secrets = [*lesson_sheet.conditions, *lesson_sheet.classes, "Rusty", "Plain", '"A"', '"B"', 'truth"', "eye"]
    data = opened[opened.index('id="experiment">') :].split("</script>")[0] + opened[len(text) :]
    assert [word for word in secrets if word in data.replace('"labels":["A","B"]', "").replace('"truth":"', "")] == []
    assert not any(
        str(picture.label) + "." in name for picture in lesson_sheet.pictures for name in experiment["pictures"]
    )
    for entry in experiment["trials"].values():
        assert set(entry) <= {"picture", "sealed"}
        assert len({len(sealed) for sealed in entry.get("sealed", {}).values()}) <= 1
    for image in (page / "images").iterdir():
        assert re.fullmatch(r"[0-9a-f]{10}\.jpg", image.name)
        with Image.open(image) as opened_image:
            assert not opened_image.getexif()
            assert set(opened_image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_the_page_holds_every_truth_under_its_seal(lesson_sheet):
    content = build.content(lesson_sheet)
    opened = unseal(content["truth"], lesson_sheet.experiment, seal.RESULT_ROUNDS)
    assert opened["answers"] == {trial.id: trial.truth for trial in lesson_sheet.trials if not trial.counter}
    trial = next(trial for trial in lesson_sheet.trials if trial.counter)
    number = lesson_sheet.conditions.index("counterfactual") + 1
    salt = f"{lesson_sheet.experiment} {trial.id} {number}"
    feedback = unseal(content["trials"][trial.id]["sealed"][str(number)], salt, seal.FEEDBACK_ROUNDS)
    assert feedback["truth"] == trial.truth
    assert feedback["counter"] == trial.counter
    assert feedback["lit"][0]["marks"] == [{"name": "eye", "x": 0.3, "y": 0.3, "number": 1}]


def test_the_agreement_page_holds_no_truth_and_shows_nothing_but_the_piece(agree_sheet, images):
    assert build.content(agree_sheet)["truth"] == ""
    trial = agree_sheet.trials[0]
    shown = next(picture for picture in agree_sheet.pictures if picture.id == trial.picture)
    data = build.jpeg(shown, images, 160, trial.shown)
    with Image.open(io.BytesIO(data)) as piece:
        assert all(abs(value - build.HIDDEN) < 6 for value in piece.getpixel((150, 150)))
        assert piece.size == (160, 160)


def test_the_links_name_no_condition(lesson_sheet):
    lines = build.links(lesson_sheet).splitlines()
    assert len(lines) == len(lesson_sheet.places)
    assert all(re.fullmatch(r"\?code=[2-9a-z]{5}", line) for line in lines)


def test_the_page_may_reach_nothing_but_the_address_for_results(lesson_sheet):
    assert "connect-src 'none'" in html.unescape(build.page(lesson_sheet))
    posting = dataclasses.replace(lesson_sheet, post_to="https://example.org/take?x=1")
    assert "connect-src https://example.org;" in html.unescape(build.page(posting))
    assert not re.search(r'(?:src|href)="(?!data:)[^"]*//', build.page(posting))


def test_a_changed_image_is_refused_and_nothing_is_written(lesson_sheet, images, tmp_path):
    first = dataclasses.replace(lesson_sheet.pictures[0], sha256="0" * 64)
    wrong = dataclasses.replace(lesson_sheet, pictures=(first, *lesson_sheet.pictures[1:]))
    with pytest.raises(InputError, match="not the image that the sheet was made from"):
        build.write(wrong, images, tmp_path / "made")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("field", "name"),
    [("path", ""), *itertools.product(("id", "path"), ("../../../x", "/tmp/x", "a/../../x"))],
)
def test_a_sheet_that_names_a_file_outside_its_folder_is_refused(lesson_sheet, images, tmp_path, field, name):
    first, *others = lesson_sheet.pictures
    wrong = dataclasses.replace(lesson_sheet, pictures=(dataclasses.replace(first, **{field: name}), *others))
    with pytest.raises(InputError, match="the sheet names"):
        build.write(wrong, images, tmp_path / "made")
    assert list(tmp_path.rglob("x*")) == [] and not (tmp_path / "made").exists()


HOSTILE = ["\x1b]0;title\x07", "</script><script>alert(1)</script>", "a\u202eb", "x" * 10**5, "half \ud800", "$\\frac$"]


@pytest.mark.robust("texts that are shown")
@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name[:12]))
def test_names_of_classes_parts_and_people_are_short_and_only_texts_on_the_page(lesson_sheet, tmp_path, name):
    marked = sheets.LitRegion("", (sheets.Mark(name, 0.5, 0.5),))
    trials = [
        dataclasses.replace(trial, lit=dict.fromkeys(trial.lit, (marked, marked))) for trial in lesson_sheet.trials
    ]
    made = dataclasses.replace(
        lesson_sheet,
        **{"classes": (name, "Plain"), "labels": (name, "B"), "subject": name, "contact": name, "consent": name},
        trials=tuple(trials),
    )
    sheets.write(made, tmp_path / "sheet.json")
    assert sheets.read(tmp_path / "sheet.json") == made
    page = build.page(made)
    page.encode("utf-8")
    assert page.count("<script") == build.page(lesson_sheet).count("<script") and "\x1b" not in page
    content = build.content(made)
    trial = next(trial for trial in made.trials if trial.counter)
    lit = unseal(content["trials"][trial.id]["sealed"]["1"], f"{made.experiment} {trial.id} 1", seal.FEEDBACK_ROUNDS)
    shown = [content["subject"], content["labels"][0], content["contact"], *content["consent"]]
    shown += [lit["lit"][0]["marks"][0]["name"]]
    shown += unseal(content["truth"], made.experiment, seal.RESULT_ROUNDS)["names"]
    assert all(text.isprintable() and len(text) < 10_000 for text in shown)
