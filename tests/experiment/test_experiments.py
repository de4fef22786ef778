"""Experiments end to end at toy size, and all of them from one command."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest
import toys
from omegaconf import open_dict

from galore import counterparts, part_tables
from galore.errors import InputError
from galore.evaluation import queries, stability
from galore.evaluation.interventions import Interventions
from galore.evaluation.methods import BASELINES, ORACLE, Method, Rule, Score
from galore.experiment import config, inputs, runner, runs
from galore.experiment.table import Cell, Row, Table

reproduce = runner.load("reproduce")


@pytest.fixture
def on_toy(monkeypatch, toy):
    """Experiments see the toy test set instead of a trained network."""
    monkeypatch.setattr(inputs, "test_set", lambda config, **_: toy)
    monkeypatch.setattr(inputs, "hashes", lambda config: {})
    monkeypatch.setattr(inputs, "trainings", lambda config: {})


def written(name: str, cfg, folder: Path):
    experiment = runner.load(name)
    return experiment, runner.run(experiment, cfg, folder)


def test_discriminant_vs_attributive_end_to_end(on_toy, cfg, tmp_path):
    experiment, table = written("discriminant_vs_attributive", cfg, tmp_path)
    for user in ("beginner", "advanced"):
        rows = {method: table.find(Cell(method, "auroc", None, (("user", user),))) for method in BASELINES}
        assert None not in rows.values() and rows[ORACLE].estimate.value > 0.99
    # The toy's ground truth is random: nothing may look good.
    row = table.find(Cell(Method(Rule.ATTRIBUTIVE), "auroc", None, (("user", "beginner"),)))
    assert row.estimate.value == pytest.approx(0.5, abs=0.15)
    assert len(experiment.claims(table)) > 10
    there = {path.name for path in tmp_path.iterdir()}
    assert {
        "table.csv",
        "table.md",
        "claims.json",
        "provenance.json",
        "specificity.png",
        "specificity.svg",
        "precision_recall.svg",
    } <= there
    assert json.loads((tmp_path / "provenance.json").read_text())["seed"] == 0


def test_deliberative_difficulty_end_to_end_and_again_the_same(on_toy, cfg, tmp_path):
    experiment, table = written("deliberative_difficulty", cfg, tmp_path)
    methods = {row.cell.method for row in table.rows}
    assert {Method(Rule.CLASS_PAIR), *(Method(Rule.INSECURITY, score) for score in Score)} <= methods
    hardest = (("hardest by", "hesitancy"),)
    assert table.find(Cell(ORACLE, "auroc", None, hardest)).estimate.value == pytest.approx(1)
    assert table.summary().csv() == experiment.run(config.typed(cfg)).summary().csv()


def test_scenes_are_scored_by_pixels(monkeypatch, on_toy, cfg, tmp_path):
    scenes = toys.toy_test_set(scenes=True)
    monkeypatch.setattr(inputs, "test_set", lambda config, **_: scenes)
    _, table = written("discriminant_vs_attributive", cfg, tmp_path)
    users = (("user", "beginner"),)
    assert table.find(Cell(ORACLE, "auroc", None, users)).estimate.value == pytest.approx(1)
    for measure, region in (("iou", 0.1), ("mean iou", None), ("specificity", None)):
        assert table.find(Cell(Method(Rule.ATTRIBUTIVE), measure, region, users)) is not None


def with_banks(test_set):
    """Part tables and counterparts of the test images themselves, whose classes do not matter here."""
    F = test_set.run(test_set.images, 16)[0]
    given = (F, np.arange(len(F)) % 5, jax.random.key(0))
    fitted = {"tables": part_tables.fit(*given), "counterparts": counterparts.fit(*given)}
    return dataclasses.replace(test_set, **fitted)


def test_answering_end_to_end(monkeypatch, on_toy, cfg, tmp_path):
    """The toy's decisions hang on nothing that was drawn, so that half of its parts flip them, and others look so."""
    toy = toys.toy_test_set()
    asked = queries.beginner(toy, 0)
    drawn = np.zeros_like(asked.truth)
    drawn[:, :2] = True
    known = Interventions(asked._replace(truth=drawn), ~drawn, np.full(len(drawn), 2))
    experiment = runner.load("answering")
    monkeypatch.setattr(inputs, "with_part_tables", lambda config, test_set: with_banks(test_set))
    monkeypatch.setattr(experiment, "_interventions", lambda config, test_set: known)
    table = runner.run(experiment, cfg, tmp_path)
    for measure in ("specificity", "flipped", "flipped against look-alike"):
        assert {row.cell.method.rule for row in table.select(measure)} >= set(experiment.RULES)
        assert table.find(Cell(ORACLE, measure)).estimate.value > 0.95
    assert len(experiment.claims(table)) == 15 and any("Spearman" in remark for remark in table.remarks)
    monkeypatch.setattr(experiment, "_interventions", lambda config, test_set: None)
    assert len(experiment.claims(experiment.run(config.typed(cfg)))) == 5


def test_answering_sanity_end_to_end(monkeypatch, on_toy, cfg, tmp_path):
    experiment, margin = runner.load("answering_sanity"), stability.MARGIN

    def wide(config, test_set, rows):
        images = np.pad(test_set.images[rows], ((0, 0), (margin, margin), (margin, margin), (0, 0)))
        parts = jax.tree.map(lambda leaf: leaf[rows], test_set.annotations)
        wider = dataclasses.replace(parts, size=images.shape[1:3])
        cut = {name: getattr(test_set, name)[rows] for name in ("labels", "logits", "image_ids", "student")}
        return dataclasses.replace(test_set, images=images, annotations=wider, **cut)

    monkeypatch.setattr(inputs, "with_part_tables", lambda config, test_set: with_banks(test_set))
    monkeypatch.setattr(inputs, "with_margin", wide)
    monkeypatch.setattr(experiment, "SHUFFLED", (0.25, 1.0))
    monkeypatch.setattr(part_tables, "STARTS", 1)
    table = runner.run(experiment, cfg, tmp_path)
    for measure in ("deletion", "insertion", stability.CORRELATION):
        assert {row.cell.method.rule for row in table.select(measure)} >= set(experiment.RULES)
    stages = [Cell(Method(Rule.MARGIN), "correlation", None, (("randomised", stage),)) for stage in ("25%", "100%")]
    assert table.find(stages[0]).estimate.value > table.find(stages[1]).estimate.value
    assert len(experiment.claims(table)) == 20
    assert {"deletion.png", "insertion.png", "randomisation.png"} <= {path.name for path in tmp_path.iterdir()}
    of_scenes = Table(
        tuple(row for row in table.rows if "shift" not in row.cell.measure and "piou" not in row.cell.measure)
    )
    assert len(experiment.claims(of_scenes)) == 12


def test_every_experiment_has_a_title_options_claims_and_figures():
    names = set(config.flat(config.plain(config.compose([]))))
    for name in reproduce.EXPERIMENTS:
        module = runner.load(name)
        assert module.TITLE and all(callable(getattr(module, part)) for part in ("run", "claims", "draw"))
        for option in module.OPTIONS:
            assert any(known == option or known.startswith(f"{option}.") for known in names), option
        assert module.__doc__.partition("\n")[0].endswith((".", "?")) and f"experiments/{name}.py" in module.__doc__


@pytest.fixture
def study(on_toy, cfg, tmp_path, monkeypatch):
    """reproduce.py in a folder of its own, with two experiments that take no time and need no training."""
    for name in reproduce.EXPERIMENTS:
        runner.load(name)
    monkeypatch.setattr(config, "ROOT", tmp_path)
    monkeypatch.setattr(reproduce, "train", lambda options, at_once: {})
    monkeypatch.setattr(config, "compose", lambda overrides, name="config": cfg)
    for name in ("deliberative_layer", "gallery"):
        monkeypatch.setattr(runner.load(name), "run", lambda config: small_table())
        monkeypatch.setattr(runner.load(name), "draw", lambda table: {})
    return tmp_path


def small_table() -> Table:
    return Table((Row(Cell(Method(Rule.ATTRIBUTIVE), "auroc", None, (("layer", "conv4"),)), np.ones((1, 4))),))


def test_reproduce_runs_each_experiment_once_and_keeps_what_is_on_the_page(study, monkeypatch, capsys):
    reproduce.main(["only=deliberative_layer", "name=toy", "workers=1"])
    page = (study / "results" / "toy" / "index.md").read_text()
    assert "Layers in deliberative" in page and "seeds 0," in page and "minutes, training not included" in page
    monkeypatch.setattr(runner.load("deliberative_layer"), "run", lambda config: pytest.fail("ran again"))
    reproduce.main(["only=deliberative_layer,gallery", "name=toy", "workers=1"])
    assert "deliberative_layer, seed 0: was finished" in capsys.readouterr().out
    reproduce.main(["only=gallery", "name=toy", "workers=1"])
    page = (study / "results" / "toy" / "index.html").read_text()
    assert "Layers in deliberative" in page and "Gallery" in page


def test_reproduce_does_not_take_other_options_or_another_experiment_for_what_is_finished(study, cfg):
    reproduce.main(["only=gallery", "name=toy", "workers=1"])
    with open_dict(cfg):
        cfg.explanation.batch_size = 4
    with pytest.raises(InputError, match=r"seed-0/gallery was finished with explanation.batch_size=16; name another"):
        reproduce.main(["only=gallery", "name=toy", "workers=1"])
    cfg.explanation.batch_size = 16
    folder = study / "outputs" / "reproduce" / "toy" / "seed-0"
    (folder / "gallery").rename(folder / "deliberative_layer")
    with pytest.raises(InputError, match=r"deliberative_layer is a run of gallery, expected one of deliberative_layer"):
        reproduce.main(["only=deliberative_layer", "name=toy", "workers=1"])
    assert runs.is_finished(folder / "deliberative_layer")


@pytest.mark.robust("options")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["only=galery"], "no such experiment; the closest are gallery, answering"),
        (["dataset=synthetic_scenes", "only=part_iou_vs_region"], "synthetic_scenes has no annotated parts"),
        (["dataset=cub", "only=true_counterfactual"], "cub cannot be drawn again"),
        (["only=deliberative_network"], "name several trainings in explanation.checkpoints"),
        (["onyl=gallery"], "unknown option 'onyl'; the closest .*only"),
        (["seed=one"], "seed=one: expected numbers"),
        (["workers=none"], "workers=none: expected a number from 1 to 64"),
        (["workers=0"], "workers=0: expected a number from 1 to 64"),
        (["hydra/launcher=joblib"], "hydra/launcher=joblib belongs to setting=papers"),
        (["data=here"], "data=here belongs to setting=papers"),
        (["setting=paper", "data=here"], "no such setting, there is setting=papers"),
        (["setting=papers"], "setting=papers needs data=DIR"),
        (["setting=papers", "rehearsal=true", "data=here"], "rehearsal=true draws its own data"),
        (["setting=papers", "rehearsal=yes"], "rehearsal=yes: expected true or false"),
        (["setting=papers", "data=here", "model=resnet50"], "setting=papers does not take model=resnet50"),
        (["setting=papers", "data=here", "name=mine"], "setting=papers does not take name="),
        (
            ["setting=papers", "data=.", "study=ade20k-alexnet", "only=recommendation"],
            "none of the studies has such data",
        ),
        (["setting=papers", "data=here", "only=answering"], "setting=papers leaves it out"),
        (["setting=papers", "data=here", "study=cub-resnet5"], "no such study; the closest .* cub-resnet50"),
        (["only=gallery", "explanation.top=3"], "this study does not use explanation.top"),
    ],
)
def test_reproduce_refuses_what_cannot_be_made_before_it_trains(monkeypatch, given, said):
    monkeypatch.setattr(reproduce, "train", lambda options, at_once: pytest.fail("trained"))
    with pytest.raises(InputError, match=said):
        reproduce.main(given)
