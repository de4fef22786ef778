"""Experiments end to end at toy size, and every configuration composed."""

import importlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import build
import collect
import hydra
import numpy as np
import pytest
import reproduce
import running
import spelling
import subjects
from hydra import compose, initialize_config_dir
from omegaconf import open_dict
from table import Row, Table

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


def written(name: str, cfg, folder: Path):
    experiment = importlib.import_module(name)
    found = experiment.run(cfg)
    running.write(experiment, cfg, found, folder)
    return experiment, found


def test_discriminant_vs_attributive_end_to_end(on_toy, cfg, tmp_path):
    experiment, found = written("discriminant_vs_attributive", cfg, tmp_path)
    for user in ("beginner", "advanced"):
        assert found.find("auroc", user=user, method="oracle").estimate.mean > 0.99
        for baseline in ("random map", "centred Gaussian", "whole object", "oracle"):
            assert found.find("auroc", user=user, method=baseline) is not None
    # The toy's ground truth is random: nothing may look good.
    assert found.find("auroc", user="beginner", method="a").estimate.mean == pytest.approx(0.5, abs=0.15)
    assert len(experiment.claims(found)) > 10
    there = {path.name for path in tmp_path.iterdir()}
    assert {"table.csv", "table.md", "claims.md", "provenance.json", "auroc.png", "precision_recall.png"} <= there
    assert json.loads((tmp_path / "provenance.json").read_text())["seed"] == 0
    assert str(ROOT) not in "".join(path.read_text() for path in tmp_path.glob("*.[jm]*"))


def test_deliberative_difficulty_end_to_end_and_again_the_same(on_toy, cfg, tmp_path):
    experiment, found = written("deliberative_difficulty", cfg, tmp_path)
    assert {"none", "hesitancy", "entropy", "hardness"} <= {row.labels["method"] for row in found.rows}
    assert found.find("auroc", method="oracle").estimate.mean == 1
    assert found.csv() == experiment.run(cfg).csv()


@pytest.mark.slow
def test_scenes_are_judged_by_pixels(monkeypatch, cfg, tmp_path):
    """About 12 s, most of it compilation."""
    subject = toy_subject(scenes=True)
    monkeypatch.setattr(subjects, "subject", lambda cfg, **_: subject)
    monkeypatch.setattr(subjects, "hashes", lambda cfg: {})
    _, found = written("discriminant_vs_attributive", cfg, tmp_path)
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
        spelling.check([argument])


def test_known_options_pass():
    spelling.check(["seed=0,1,2", "model=resnet50", "explanation.top=3", "-m", "hydra.sweep.dir=x"])


def test_parts_are_asked_for_before_any_work(cfg):
    cfg.dataset.kind = "ade20k"
    with pytest.raises(InputError, match="no annotated parts"):
        subjects.subject(cfg, needs_parts=True)


def options(*given: str):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", overrides=list(given))


def test_a_missing_checkpoint_is_named_with_how_to_train_it():
    with pytest.raises(InputError, match=r"nowhere/at-all does not exist; train it with python experiments/train\.py"):
        subjects.subject(options("model.checkpoint=nowhere/at-all"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ["dataset=synthetic_scenes", "dataset.classes=2"],
            "on 3 other classes than the 2 of synthetic_scenes",
        ),
        (["dataset.seed=1"], "on 3 other classes than the 3 of synthetic_birds"),
        (["confidence=easiness"], "confidence=easiness needs a hardness predictor"),
        (["explanation.difficult=0"], "explanation.difficult=0: expected a whole number of at least 1"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_before_anything_is_drawn_or_decoded(
    run, tmp_path, monkeypatch, given, said
):
    monkeypatch.setattr(subjects, "_subject", lambda *_: pytest.fail("went to work"))
    cfg = options(*run, "seed=0", *given, f"dataset.root={tmp_path}/not-drawn")
    with pytest.raises(InputError, match=said):
        subjects.subject(cfg)
    assert not (tmp_path / "not-drawn").exists()


def test_the_last_of_several_layers_and_networks_is_checked_before_work_on_the_first(run, tmp_path, monkeypatch):
    monkeypatch.setattr(subjects, "subject", lambda *_, **__: pytest.fail("went to work"))
    both = f"explanation.checkpoints=[{tmp_path}/run-0,{tmp_path}/run-1]"
    for given, said in ((both, "run-1 does not exist"), ("explanation.layers=[conv4,conv9]", "unknown layer 'conv9'")):
        for name in ("deliberative_layer", "recommendation"):
            with pytest.raises(InputError, match=said):
                importlib.import_module(name).run(options(*run, "seed=0", given))


@pytest.mark.parametrize("kind", ["synthetic_birds", "synthetic_scenes"])
def test_the_classes_of_invented_data_are_known_before_they_are_drawn(tmp_path, kind):
    cfg = options(f"dataset={kind}", "dataset.classes=4", "dataset.per_class=2", f"dataset.root={tmp_path}/drawn")
    cfg.dataset.size = 32
    assert build.invented_classes(cfg.dataset) == tuple(build.dataset(cfg.dataset).class_names)


@pytest.mark.parametrize(
    ("logits", "student", "paths", "said"),
    [
        ([[9, 0], [9, 0]], [1, 1], ["a.jpg", "c.jpg"], "other test images"),
        ([[0, 9], [0, 9]], [0, 0], ["a.jpg", "b.jpg"], "gets none of the 2 test images right"),
        ([[9, 0], [9, 0]], [0, 0], ["a.jpg", "b.jpg"], "the student of .* is wrong on none that count"),
        ([[9, 0], [9, 0]], [1, 1], ["a.jpg", "b.jpg"], "no class that .*'s student says has a test image"),
    ],
)
def test_questions_that_nothing_can_answer_are_refused_before_images_are_read(tmp_path, logits, student, paths, said):
    np.savez(tmp_path / "predictions.npz", paths=paths, labels=[0, 0], logits=logits, student=student)
    test = SimpleNamespace(paths=("a.jpg", "b.jpg"), name="two birds")
    with pytest.raises(InputError, match=said):
        subjects._student(tmp_path, test)


@pytest.fixture
def study(on_toy, cfg, tmp_path, monkeypatch):
    """reproduce.py in a folder of its own, with two experiments that take no time and need no training."""
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(reproduce, "train", lambda cfg, overrides: None)
    monkeypatch.setattr(reproduce, "compose", lambda overrides: cfg)
    for name in ("deliberative_layer", "gallery"):
        monkeypatch.setattr(importlib.import_module(name), "run", lambda cfg: small_table())
    return tmp_path


def small_table() -> Table:
    return Table((Row({"layer": "conv4", "method": "a"}, "auroc", np.ones((1, 4))),))


def test_reproduce_runs_each_experiment_once_and_keeps_what_is_on_the_page(study, monkeypatch, capsys):
    reproduce.main(["only=deliberative_layer", "name=toy"])
    page = (study / "results" / "toy" / "index.md").read_text()
    assert "Layers in deliberative" in page and "seeds 0," in page and "minutes, training not included" in page
    monkeypatch.setattr(importlib.import_module("deliberative_layer"), "run", lambda cfg: pytest.fail("ran again"))
    reproduce.main(["only=deliberative_layer,gallery", "name=toy"])
    assert "deliberative_layer, seed 0: was finished" in capsys.readouterr().out
    reproduce.main(["only=gallery", "name=toy"])
    page = (study / "results" / "toy" / "index.html").read_text()
    assert "Layers in deliberative" in page and "Gallery" in page


def test_reproduce_does_not_take_other_options_for_what_is_finished(study, cfg, monkeypatch):
    reproduce.main(["only=gallery", "name=toy"])
    with open_dict(cfg):
        cfg.explanation.top = 4
    with pytest.raises(InputError, match=r"seed-0/gallery was finished with explanation.top=5; name another study"):
        reproduce.main(["only=gallery", "name=toy"])
    cfg.explanation.top = 5
    monkeypatch.setattr(subjects, "hashes", lambda cfg: {"run": "one training"})
    reproduce.main(["only=gallery", "name=other"])
    monkeypatch.setattr(subjects, "hashes", lambda cfg: {"run": "another training"})
    with pytest.raises(InputError, match="was finished with run as it was then;"):
        reproduce.main(["only=gallery", "name=other"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["only=galery"], "no such experiment; the closest is gallery"),
        (["dataset=synthetic_scenes", "only=part_iou_vs_region"], "synthetic_scenes has no annotated parts"),
        (["dataset=cub", "only=true_counterfactual"], "cub cannot be drawn again"),
        (["only=deliberative_network"], "name several trainings in explanation.checkpoints"),
        (["onyl=gallery"], "unknown option 'onyl'; the closest .*only"),
        (["seed=one"], "seed=one: expected numbers"),
    ],
)
def test_reproduce_refuses_what_cannot_be_made_before_it_trains(monkeypatch, given, said):
    monkeypatch.setattr(reproduce, "train", lambda cfg, overrides: pytest.fail("trained"))
    with pytest.raises(InputError, match=said):
        reproduce.main(given)


def test_collect_joins_seeds_and_keeps_experiments_apart(on_toy, cfg, tmp_path):
    running.write(importlib.import_module("deliberative_layer"), cfg, small_table(), tmp_path / "0")
    for name, seed in (("1", 1), ("again", 1), ("other", 0)):
        shutil.copytree(tmp_path / "0", tmp_path / name)
        options = (tmp_path / name / "choices.yaml").read_text()
        assert "checkpoint: outputs/training/${dataset.name}-${model.name}-seed${train.seed}" in options
        (tmp_path / name / "choices.yaml").write_text(options.replace("\nseed: 0\n", f"\nseed: {seed}\n"))
    made = (tmp_path / "other" / "provenance.json").read_text()
    (tmp_path / "other" / "provenance.json").write_text(made.replace("deliberative_layer", "sanity"))
    (tmp_path / "2" / ".hydra").mkdir(parents=True)
    (tmp_path / "2" / ".hydra" / "config.yaml").touch()
    joined, missing = collect.collect([tmp_path])
    found = {row.labels["experiment"]: len(row.values) for row in joined.select("auroc", method="a")}
    assert found == {"deliberative_layer": 2, "sanity": 1}
    assert [path.name for path in missing] == ["2"]
    with pytest.raises(InputError, match="no table"):
        collect.collect([tmp_path / "2"])


def test_paths_of_this_machine_are_cut_down():
    found = running.portable({"root": str(ROOT / "data" / "x"), "other": "/somewhere/else", "n": [np.pi]})
    assert found == {"root": "data/x", "other": "else", "n": [np.pi]}
