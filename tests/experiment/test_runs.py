"""Folders of runs: written whole, read by one loader, never overwritten, never taken for another run."""

import io
import json
import os
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from matplotlib import pyplot as plt
from omegaconf import open_dict

from galore.errors import InputError
from galore.evaluation.methods import Method, Rule
from galore.experiment import inputs, plots, runner, runs
from galore.experiment.claims import Claim, Source
from galore.experiment.config import ROOT
from galore.experiment.table import Cell, Row, Table

A = Cell(Method(Rule.ATTRIBUTIVE), "auroc", None, (("layer", "conv4"),))
CLAIM = Claim("It is positive.", Source.OURS, "AUROC", A)


def experiment(name: str = "one") -> ModuleType:
    module = ModuleType(name)
    parts = {"claims": lambda table: [CLAIM], "draw": plots.auroc, "OPTIONS": ("explanation.top",)}
    vars(module).update(NAME=name, TITLE=name.title(), **parts)
    return module


def small_table(value: float = 1.0) -> Table:
    return Table((Row(A, np.full((1, 4), value), classes=np.arange(4)),))


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr(inputs, "hashes", lambda config: {"run": "one training"})
    monkeypatch.setattr(inputs, "trainings", lambda config: {"run": "fast"})


@pytest.fixture
def finished(cfg, tmp_path) -> Path:
    runs.save(experiment(), cfg, small_table(), tmp_path / "one", 2.0)
    return tmp_path / "one"


def test_a_run_is_read_back_with_the_options_that_acted(finished):
    there = {path.name for path in finished.iterdir()}
    for_people, as_data = (
        {"table.csv", "table.md", "claims.md", "auroc.png", "auroc.svg"},
        {"claims.json", "rows.json", "values.npz"},
    )
    assert there == for_people | as_data | {"options.yaml", "provenance.json"}
    said = "- **cannot tell** It is positive. (ours) AUROC: 1.000 [1.000, 1.000] (1 training, a verdict needs 3)\n"
    assert (finished / "claims.md").read_text() == said
    run = runs.load(finished, "one")
    assert run.table.summary().csv() == small_table().summary().csv()
    assert run.options["explanation.top"] == 5 and "explanation.keep" not in run.options
    assert run.options["model.checkpoint"] == "outputs/training/${dataset.name}-${model.name}-seed${train.seed}"
    assert run.provenance["seconds"] == 2.0 and run.provenance["options"]["explanation"] == {"top": 5}
    assert "attribution" not in run.provenance["options"] and run.provenance["seed"] == 0
    assert str(ROOT) not in "".join(path.read_text() for path in finished.glob("*.[jmy]*"))


@pytest.mark.robust("outputs")
def test_a_finished_run_is_never_overwritten(finished, cfg):
    before = (finished / "table.csv").read_bytes()
    with pytest.raises(InputError, match="one holds a finished run; name another folder"):
        runs.save(experiment(), cfg, small_table(0.0), finished, 1.0)
    assert (finished / "table.csv").read_bytes() == before


def test_what_is_no_run_or_of_another_experiment_or_format_is_refused(finished, tmp_path):
    with pytest.raises(InputError, match="one is a run of one, expected one of two"):
        runs.load(finished, "two")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty is no finished run of an experiment"):
        runs.load(tmp_path / "empty")
    (finished / "provenance.json").write_text('{"seed": 0}')
    with pytest.raises(InputError, match=r"provenance.json is not the provenance of one run"):
        runs.load(finished)


def test_other_options_or_another_training_are_not_taken_for_what_is_finished(finished, cfg, monkeypatch):
    runs.check_same(finished, experiment(), cfg)
    with open_dict(cfg):
        cfg.explanation.keep = 4
    runs.check_same(finished, experiment(), cfg)  # it does not act
    cfg.explanation.top = 4
    with pytest.raises(InputError, match=r"one was finished with explanation.top=5; name another study"):
        runs.check_same(finished, experiment(), cfg)
    cfg.explanation.top = 5
    monkeypatch.setattr(inputs, "hashes", lambda config: {"run": "another training"})
    with pytest.raises(InputError, match="was finished with run as it was then;"):
        runs.check_same(finished, experiment(), cfg)
    with pytest.raises(InputError, match="is a run of one, expected one of two"):
        runs.check_same(finished, experiment("two"), cfg)


def test_seeds_are_joined_and_read_back(finished, cfg, tmp_path):
    runs.save(experiment(), cfg, small_table(0.5), tmp_path / "again", 3.0)
    joined = runs.join(experiment(), [finished, tmp_path / "again"], tmp_path / "joined", with_pictures=True)
    assert joined.numbers.rows[0].by_seed == (1.0, 0.5) and list(joined.pictures) == ["auroc.svg"]
    assert joined.results[0].estimate.value == 0.75 and len(joined.provenances) == 2
    again = runs.load_joined(tmp_path / "joined")
    assert again.numbers == joined.numbers and str(again.results) == str(joined.results)
    assert not (tmp_path / "joined" / "values.npz").exists()


def test_figures_are_svg_and_png_and_say_what_they_show_and_empty_ones_are_not_saved(tmp_path):
    drawn = plots.auroc(small_table())
    for name, figure in drawn.items():
        runs.save_figure(figure, tmp_path / name, "One", f"The {name} of <it>.")
    assert {path.name for path in tmp_path.iterdir()} == {"auroc.png", "auroc.svg"}
    svg = (tmp_path / "auroc.svg").read_text()
    assert "The auroc of &lt;it&gt;." in svg and ">attributive</text>" in svg
    assert runs._pictures(tmp_path) == {"auroc.svg": "The auroc of <it>."}
    runs.save_figure(plots.auroc(small_table())["auroc"], tmp_path / "auroc", "One", "The auroc of <it>.")
    assert (tmp_path / "auroc.svg").read_text() == svg


def test_photos_are_png_on_pages_and_pdf_and_svg_for_papers(tmp_path):
    figure, axis = plt.subplots()
    axis.imshow(np.zeros((2, 2)))
    runs.save_figure(figure, tmp_path / "photo", "Photos", "A photo.")
    assert runs._pictures(tmp_path) == {"photo.png": "A photo."}
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", "photo.pdf", "photo.svg"}


def test_what_the_paper_judges_by_is_seen_first(tmp_path):
    for name in ("auroc", "a", "specificity"):
        runs.save_figure(plots.auroc(small_table())["auroc"], tmp_path / name, "One", name)
    assert list(runs._pictures(tmp_path).values()) == ["specificity", "auroc", "a"]


def test_collect_joins_seeds_and_keeps_experiments_apart(finished, tmp_path, capsys):
    collect = runner.load("collect")
    for name, seed in (("1", 1), ("again", 1), ("other", 0)):
        shutil.copytree(finished, tmp_path / name)
        text = (tmp_path / name / "options.yaml").read_text()
        (tmp_path / name / "options.yaml").write_text(text.replace("\nseed: 0\n", f"\nseed: {seed}\n"))
    origin = json.loads((tmp_path / "other" / "provenance.json").read_text()) | {"experiment": "sanity"}
    (tmp_path / "other" / "provenance.json").write_text(json.dumps(origin))
    (tmp_path / "2" / ".hydra").mkdir(parents=True)
    (tmp_path / "2" / ".hydra" / "config.yaml").touch()
    joined, missing, _ = collect.collect([tmp_path])
    assert {row.cell.label("experiment"): len(row.values) for row in joined.select("auroc")} == {"one": 2, "sanity": 1}
    assert [path.name for path in missing] == ["2"]
    with pytest.raises(InputError, match="no table"):
        collect.collect([tmp_path / "2"])
    out = tmp_path / "out"
    assert collect.main([str(tmp_path), "--out", str(out)]) == 0 and (out / "table.csv").exists()
    assert collect.main([str(tmp_path), "--out", str(out)]) == 2 and "not empty" in capsys.readouterr().err


def npz(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


ALIASES = b"a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + b"".join(
    b"%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n" % (k, k, *[k - 1] * 8) for k in range(ord("b"), ord("z"))
)
DAMAGE = {
    "options with aliases that never end": ("options.yaml", ALIASES),
    "options with one alias": ("options.yaml", b"a: &x 1\nseed: *x\n"),
    "options that are a list": ("options.yaml", b"- 1\n- 2\n"),
    "options that are a text": ("options.yaml", b"seed"),
    "options that are empty": ("options.yaml", b""),
    "options without a seed": ("options.yaml", b"a: 1\n"),
    "options with a tag": ("options.yaml", b"seed: !!python/object/apply:os.system ['true']\n"),
    "options that are no YAML": ("options.yaml", b"{[\n"),
    "options nested 100000 deep": ("options.yaml", b"[" * 100_000),
    "options with a broken interpolation": ("options.yaml", b"seed: ${\n"),
    "options of binary": ("options.yaml", b"\x00\xff\xfe"),
    "a provenance that is a list": ("provenance.json", b"[]"),
    "a provenance of numbers": ("provenance.json", b'{"experiment": 5, "options": {}, "files": {}}'),
    "a provenance with files that are none": ("provenance.json", b'{"experiment": "a", "options": {}, "files": [1]}'),
    "a provenance that was cut off": ("provenance.json", b'{"experiment": "o'),
    "a provenance nested 100000 deep": ("provenance.json", b"[" * 100_000),
    "a provenance with a number of 5000 digits": ("provenance.json", b'{"experiment": ' + b"9" * 5000 + b"}"),
    "rows that are no JSON": ("rows.json", b"rows"),
    "rows that are a list": ("rows.json", b"[]"),
    "rows of another format": ("rows.json", b'{"format": "\x1b[2J", "version": 1}'),
    "rows that are numbers": ("rows.json", b"5"),
    "rows that lack the method": ("rows.json", lambda content: content.replace(b'"method"', b'"methods"')),
    "rows of an unknown rule": ("rows.json", lambda content: content.replace(b'"ATTRIBUTIVE"', b'"GUESSING"')),
    "rows of a wrong type": ("rows.json", lambda content: content.replace(b'"rows": [', b'"rows": [5, ')),
    "rows that were cut off": ("rows.json", lambda content: content[: len(content) // 2]),
    "more rows than values": ("rows.json", lambda content: content.replace(b'"rows": [', b'"rows": [null, ')),
    "values that are no archive": ("values.npz", b"PK"),
    "values that were cut off": ("values.npz", lambda content: content[: len(content) // 2]),
    "values of objects": ("values.npz", npz(**{"0": np.array([{}, None], dtype=object)})),
    "values without rows": ("values.npz", npz(other=np.zeros(3))),
    "values that are empty": ("values.npz", b""),
}


def damage(folder: Path, what: str) -> None:
    name, content = DAMAGE[what]
    file = folder / name
    file.write_bytes(content(file.read_bytes()) if callable(content) else content)


@pytest.mark.robust("tables")
@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_run_is_one_sentence(what, finished):
    damage(finished, what)
    with pytest.raises(InputError) as caught:
        runs.load(finished)
    assert str(finished) in str(caught.value) and str(caught.value).isprintable() and len(str(caught.value)) < 1100


@pytest.mark.robust("tables")
@pytest.mark.parametrize("name", ["options.yaml", "provenance.json", "rows.json", "values.npz"])
def test_a_named_pipe_in_a_run_is_not_waited_for(name, finished):
    (finished / name).unlink()
    os.mkfifo(finished / name)
    with pytest.raises(InputError, match=f"{name} is no regular file"):
        runs.load(finished)


@pytest.mark.robust("tables")
def test_a_damaged_run_does_not_end_a_collection(finished, tmp_path, capsys):
    for index, what in enumerate(DAMAGE):
        shutil.copytree(finished, tmp_path / f"damaged {index}")
        damage(tmp_path / f"damaged {index}", what)
    collect = runner.load("collect")
    joined, missing, damaged = collect.collect([tmp_path])
    assert len(joined.rows) == 1 and not missing and len(damaged) == len(DAMAGE)
    assert collect.main([str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("left out: ") for line in said) == len(DAMAGE)
    assert said[-1] == f"{len(DAMAGE)} of the runs could not be read and are left out"
    shutil.rmtree(finished)
    assert collect.main([str(tmp_path)]) == 2
