import answers
import pytest

from galore import cli, models
from galore.commands import demo
from galore.report import build, figures


def test_the_demo_explains_its_photos_and_says_where_the_reports_are_and_what_to_try_next(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(models, "load", lambda *_, **__: answers.tiny_network())
    monkeypatch.setattr(build, "asker", answers.asker)
    monkeypatch.setattr(figures, "DPI", 30)
    monkeypatch.setattr(demo, "EXAMPLES", tuple(example._replace(why_not="3") for example in demo.EXAMPLES))
    assert cli.main(["demo", "--out", str(tmp_path / "demo"), "--top", "4"]) == 0
    out = capsys.readouterr().out
    for example in demo.EXAMPLES:
        report = tmp_path / "demo" / example.folder / "explanation.html"
        assert report.is_file()
        assert str(report) in out
    assert "galore explain PHOTO.jpg" in out[out.index("explanation.html") :]


@pytest.mark.parametrize("example", demo.EXAMPLES)
def test_the_classes_that_the_demo_asks_about_exist(example):
    from galore import class_names
    from galore.models.published import imagenet_class_names

    assert class_names.find(example.why_not, imagenet_class_names()) in (285, 968)
