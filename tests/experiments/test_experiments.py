"""Experiments end to end at toy size, and every configuration composed."""

import importlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import collect
import hydra
import numpy as np
import pytest
import reproduce
import running
import subjects
from hydra import compose, initialize_config_dir

from galore.errors import InputError
from tests.experiments.conftest import ROOT, toy_subject

GROUPS = [
    f"{folder.name}={file.stem}"
    for folder in sorted((ROOT / "conf").iterdir())
    if folder.is_dir()
    for file in sorted(folder.glob("*.yaml"))
]


@pytest.fixture
def on_toy(monkeypatch, toy):
    """Experiments see the toy subject instead of a trained network."""
    monkeypatch.setattr(subjects, "subject", lambda cfg, **_: toy)
    monkeypatch.setattr(subjects, "hashes", lambda cfg: {})


def run(name: str, cfg, folder: Path):
    experiment = importlib.import_module(name)
    found = experiment.run(cfg)
    running.write(experiment, cfg, found, folder)
    return experiment, found


def test_discriminant_vs_attributive_end_to_end(on_toy, cfg, tmp_path):
    experiment, found = run("discriminant_vs_attributive", cfg, tmp_path)
    for user in ("beginner", "advanced"):
        assert found.find("auroc", user=user, method="oracle").estimate.mean > 0.99
        for baseline in ("random map", "centred Gaussian", "whole object", "oracle"):
            assert found.find("auroc", user=user, method=baseline) is not None
    # The toy's ground truth is random: nothing may look good.
    assert found.find("auroc", user="beginner", method="a").estimate.mean == pytest.approx(0.5, abs=0.15)
    assert len(experiment.claims(found)) > 10
    written = {path.name for path in tmp_path.iterdir()}
    assert {"table.csv", "table.md", "claims.md", "provenance.json", "auroc.png", "precision_recall.png"} <= written
    assert json.loads((tmp_path / "provenance.json").read_text())["seed"] == 0
    assert str(ROOT) not in "".join(path.read_text() for path in tmp_path.glob("*.[jm]*"))


def test_deliberative_difficulty_end_to_end_and_again_the_same(on_toy, cfg, tmp_path):
    experiment, found = run("deliberative_difficulty", cfg, tmp_path)
    assert {"none", "hesitancy", "entropy", "hardness"} <= {row.labels["method"] for row in found.rows}
    assert found.find("auroc", method="oracle").estimate.mean == 1
    assert found.csv() == experiment.run(cfg).csv()


@pytest.mark.slow
def test_scenes_are_judged_by_pixels(monkeypatch, cfg, tmp_path):
    """About 12 s, most of it compilation."""
    subject = toy_subject(scenes=True)
    monkeypatch.setattr(subjects, "subject", lambda cfg, **_: subject)
    monkeypatch.setattr(subjects, "hashes", lambda cfg: {})
    _, found = run("discriminant_vs_attributive", cfg, tmp_path)
    assert found.find("auroc", method="oracle").estimate.mean == 1
    assert found.find("iou at 0.05", method="a") is not None


@pytest.mark.parametrize("choice", GROUPS)
def test_every_configuration_composes(choice):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("config", overrides=[choice])
    assert cfg.model.name and cfg.dataset.name
    assert callable(hydra.utils.instantiate(cfg.attribution))


def test_every_experiment_has_a_title_claims_and_figures():
    for name in reproduce.EXPERIMENTS:
        module = importlib.import_module(name)
        assert module.TITLE and all(callable(getattr(module, part)) for part in ("run", "claims", "draw"))


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("explanation.toop=3", "explanation.top"),
        ("sed=1", "seed"),
        ("model=resnet5", "resnet50"),
        ("datset=cub", "dataset"),
    ],
)
def test_unknown_options_name_the_closest(argument, said):
    with pytest.raises(InputError, match=said):
        running.check_options([argument])


def test_known_options_pass():
    running.check_options(["seed=0,1,2", "model=resnet50", "explanation.top=3", "-m", "hydra.sweep.dir=x"])


def test_parts_are_asked_for_before_any_work(cfg):
    cfg.dataset.kind = "ade20k"
    with pytest.raises(InputError, match="no annotated parts"):
        subjects.subject(cfg, needs_parts=True)


def test_a_missing_checkpoint_is_named(cfg):
    cfg.model.checkpoint = "nowhere/at-all"
    with pytest.raises(InputError, match="nowhere"):
        subjects.subject(cfg)


@pytest.mark.parametrize(
    ("logits", "student", "paths", "said"),
    [
        ([[9, 0], [9, 0]], [1, 1], ["a.jpg", "c.jpg"], "other test images"),
        ([[0, 9], [0, 9]], [0, 0], ["a.jpg", "b.jpg"], "gets none of the 2 test images right"),
        ([[9, 0], [9, 0]], [0, 0], ["a.jpg", "b.jpg"], "no image counts for the advanced user"),
    ],
)
def test_questions_that_nothing_can_answer_are_refused_before_images_are_read(tmp_path, logits, student, paths, said):
    np.savez(tmp_path / "predictions.npz", paths=paths, labels=[0, 0], logits=logits, student=student)
    test = SimpleNamespace(paths=("a.jpg", "b.jpg"), name="two birds")
    with pytest.raises(InputError, match=said):
        subjects._student(tmp_path, test)


def test_reproduce_runs_each_experiment_once(on_toy, cfg, tmp_path, monkeypatch, capsys):
    experiment = importlib.import_module("deliberative_difficulty")
    reproduce.run_once(experiment, "deliberative_difficulty", cfg, tmp_path / "once")
    monkeypatch.setattr(experiment, "run", lambda cfg: pytest.fail("ran again"))
    reproduce.run_once(experiment, "deliberative_difficulty", cfg, tmp_path / "once")
    assert "was finished" in capsys.readouterr().out


def test_collect_joins_seeds_and_lists_what_failed(on_toy, cfg, tmp_path, monkeypatch):
    run("deliberative_difficulty", cfg, tmp_path / "0")
    shutil.copytree(tmp_path / "0", tmp_path / "1")
    options = json.loads((tmp_path / "1" / "provenance.json").read_text())
    options["options"]["seed"] = 1
    (tmp_path / "1" / "provenance.json").write_text(json.dumps(options))
    (tmp_path / "2" / ".hydra").mkdir(parents=True)
    (tmp_path / "2" / ".hydra" / "config.yaml").touch()
    joined, missing = collect.collect([tmp_path])
    assert joined.find("auroc", method="hesitancy").values.shape[0] == 2
    assert [path.name for path in missing] == ["2"]
    with pytest.raises(InputError, match="no table"):
        collect.collect([tmp_path / "2"])


def test_paths_of_this_machine_are_cut_down():
    found = running.portable({"root": str(ROOT / "data" / "x"), "other": "/somewhere/else", "n": [np.pi]})
    assert found == {"root": "data/x", "other": "else", "n": [np.pi]}
