import dataclasses
import json
import re
import runpy
import subprocess
from pathlib import Path

import jax
import numpy as np
import pytest

import galore
from galore.errors import InputError
from galore.experiment import config, inputs, runner
from galore.training import architectures, checkpoint, students, task
from galore.training.config import ModelConfig, TrainConfig

ROOT = Path(__file__).resolve().parents[2]

train = runner.load("train")


def options(*overrides):
    return config.compose(overrides, "training")


def predictions(folder):
    with np.load(folder / "predictions.npz") as arrays:
        return dict(arrays)


def the_test_part(cfg):
    whole = inputs.dataset(config.dataset(cfg))
    return whole.subset(~whole.is_training)


SMALL = (
    "experiment=synthetic_birds_fast", "dataset.classes=3", "dataset.per_class=15", "dataset.size=32",
    "model.name=small_cnn_narrow", "train.epochs=2", "train.batch_size=8", "train.early_size=null",
    "train.few_shot_epochs=1", "train.small_cnn_epochs=1", "train.shots=3",
)  # fmt: skip


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    return tmp_path_factory.mktemp("data") / "birds"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, birds):
    folder = tmp_path_factory.mktemp("run")
    cfg = options(*SMALL, f"dataset.root={birds}", f"model.checkpoint={folder}")
    return cfg, folder, train.train(cfg, folder)


def test_a_run_leaves_a_network_to_explain_and_everything_that_was_asked(trained):
    cfg, folder, result = trained
    for name in ("metrics.jsonl", "predictions.npz", "result.json", "config.yaml", "training.png", "calibration.png"):
        assert (folder / name).stat().st_size > 0
    net = galore.load(str(folder))
    assert len(net.class_names) == 3
    found, dataset = predictions(folder), the_test_part(cfg)
    assert found["paths"].tolist() == list(dataset.paths) and (found["labels"] == dataset.labels).all()
    images = np.stack([net.preprocessing.apply(galore.data.photo.read_image(dataset.image_path(i))) for i in range(4)])
    np.testing.assert_allclose(jax.vmap(net)(images)[1], found["logits"][:4], atol=1e-4)
    predictor = checkpoint.read(folder).predictor()
    hardness = 1 - jax.vmap(lambda F: predictor.head(predictor.params, F))(jax.vmap(net)(images)[0])
    np.testing.assert_allclose(hardness, found["hardness"][:4], atol=1e-5)
    assert {"accuracy", "student_accuracy", "hardness_spearman", "hardness_auroc_of_errors"} <= set(result)
    assert train.line(result).startswith("test accuracy 0.")
    for user in ("beginner", "student", "student_few_shot", "student_small_cnn"):
        assert set(found[user]) <= {0, 1, 2}
    assert {"student_few_shot_accuracy", "student_small_cnn_accuracy", "class_balanced_accuracy"} <= set(result)


def test_the_same_command_again_changes_nothing(trained):
    cfg, folder, result = trained
    before = checkpoint.read_header(folder)
    again = train.train(cfg, folder)
    assert checkpoint.read_header(folder)["params_sha256"] == before["params_sha256"]
    assert again["accuracy"] == result["accuracy"]


@pytest.mark.robust("resuming")
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.learning_rate=0.01", r"another training: train\.learning_rate is 0\.02 there and 0\.01 here"),
        ("train.validation=0.2", r"train\.validation is 0\.1 there and 0\.2 here"),
        ("model.name=small_cnn", "network is 'small_cnn_narrow' there and 'small_cnn' here"),
    ],
)
def test_another_training_is_refused_and_what_is_there_stays(trained, override, message):
    cfg, folder, _ = trained
    before = checkpoint.read_header(folder)
    other = options(*SMALL, f"dataset.root={cfg.dataset.root}", f"model.checkpoint={folder}", override)
    with pytest.raises(InputError, match=message):
        train.train(other, folder)
    assert checkpoint.read_header(folder) == before


def test_frozen_layers_stay_and_a_joint_predictor_has_its_own_trunk(tmp_path, birds):
    cfg = options(
        *SMALL, f"dataset.root={birds}", f"model.checkpoint={tmp_path}", "train=last_stage", "train.from_layer=conv2",
        "train.epochs=1", "train.views=2", "train.hardness=joint", "train.hardness_trunk=own", "train.students=[]",
    )  # fmt: skip
    train.train(cfg, tmp_path)

    end = checkpoint.load_params(tmp_path)
    start = architectures.random_params("small_cnn_narrow", 3, 0)
    start |= {f"hardness.trunk.{name}": value for name, value in start.items() if not name.startswith("fc")}
    moved = {name.rsplit(".", 1)[0] for name in start if not np.array_equal(start[name], end[name])}
    behind = {"conv3", "conv4", "bn3", "bn4"}
    assert moved == behind | {"fc"} | {f"hardness.trunk.{name}" for name in behind}

    predictor, dataset = checkpoint.read(tmp_path).predictor(), the_test_part(cfg)
    net = galore.load(str(tmp_path))
    image = jax.numpy.asarray(net.preprocessing.apply(galore.data.photo.read_image(dataset.image_path(0))))
    easiness = predictor.head(predictor.params, predictor.features(predictor.params, image))
    found = predictions(tmp_path)
    assert float(easiness) == pytest.approx(1 - found["hardness"][0], abs=1e-5)


def test_the_papers_training_in_small_is_two_stages_and_a_fine_tuned_student_and_is_resumed(tmp_path, birds):
    student = tmp_path / "shared" / "student"
    cfg = options(
        "dataset=synthetic_birds", "model=small_cnn_narrow", "train=authors", *SMALL[1:4], f"dataset.root={birds}",
        f"model.checkpoint={tmp_path}", "model.size=64", "train.alexnet_network=alexnet_narrow",
        "train.alexnet_weights=null", "train.epochs=1", "train.batch_size=16", "train.first_stage.epochs=2",
        "train.first_stage.batch_size=9", "train.hardness_widths=[6,4]", f"train.alexnet_folder={student}",
    )  # fmt: skip
    locks = set()
    result = train.train(cfg, tmp_path, lambda phase, *_: locks.add((phase, len([*student.parent.glob(".student*")]))))
    assert ("student, alexnet", 1) in locks and ("student, alexnet", 0) not in locks  # others wait meanwhile
    assert [path.name for path in student.parent.iterdir()] == ["student"]
    images = int(inputs.dataset(config.dataset(cfg)).is_training.sum())
    steps = {
        name: checkpoint.read_header(tmp_path / name / "checkpoints" / "last")["step"]
        for name in ("first_stage", ".", "shared/student")
    }
    assert steps == {"first_stage": 2 * -(-images // 9), ".": -(-images // 16), "shared/student": 2 * -(-images // 9)}
    assert set(result) >= {"student_alexnet_accuracy", "hardness_spearman"}
    assert not (tmp_path / "student_alexnet").exists()

    # The joint training starts from the first stage's end, the trunk of its predictor as well.
    typed, _ = train.configs(cfg)
    alone = checkpoint.load_params(tmp_path / "first_stage")
    rates = {"": typed.learning_rate, "hardness.trunk.": typed.predictor_learning_rate}
    end = checkpoint.load_params(tmp_path)
    for prefix, rate in rates.items():
        moved = np.abs(end[f"{prefix}conv1.kernel"] - alone["conv1.kernel"]).max()
        assert 0 < moved < 50 * rate * steps["."]
    assert checkpoint.read(tmp_path).description.preprocessing.mean == typed.pixel_mean
    assert train.train(cfg, tmp_path)["accuracy"] == result["accuracy"]

    # A training of another network finds the student, and takes none of other options for it.
    def student_of_another(config):
        told = []
        another = task.prepare(dataset, config, ModelConfig("small_cnn", size=64), lambda *_: None)
        found = students.train(another, dataset, test, tmp_path / "another", lambda *progress: told.append(progress))
        assert [progress for progress in told if "alexnet" in progress[0]] == []
        return found

    dataset = inputs.dataset(config.dataset(cfg))
    test = np.flatnonzero(~dataset.is_training)
    before = checkpoint.read_header(student)
    found = student_of_another(typed)["student_alexnet"]
    np.testing.assert_array_equal(found, predictions(tmp_path)["student_alexnet"])
    assert checkpoint.read_header(student) == before
    accuracy = json.loads((student / "result.json").read_text())["accuracy"]
    assert accuracy == result["student_alexnet_accuracy"]["value"] == np.mean(found == dataset.labels[test])
    with pytest.raises(InputError, match=r"shared/student.* is of another training: train\.learning_rate is 0\.001"):
        student_of_another(dataclasses.replace(typed, learning_rate=0.1))


@pytest.mark.robust("options")
@pytest.mark.parametrize(
    ("override", "because"),
    [
        ("train.views=2", "from_layer=null"),
        ("train.shots=3", r"students=\[small_cnn\]"),
        ("train.momentum=0.5", "optimiser=muon"),
    ],
)
def test_an_option_that_changes_nothing_is_refused(override, because):
    typed, _ = train.configs(options("train.students=[small_cnn]", override))
    with pytest.raises(InputError, match=rf"^{override.partition('=')[0]} changes nothing with train\.{because}$"):
        train.refuse_idle(typed, [override])
    train.refuse_idle(typed, ["train.epochs=2", "dataset=cub"])


@pytest.mark.parametrize("override", ["train.views=2", "train.early_share=0.5", "train.shots=3", "train.patience=2"])
def test_the_papers_training_has_no_options_that_change_nothing(override):
    with pytest.raises(InputError, match=f"unknown option '{override.partition('=')[0]}'"):
        config.check_names(["train=authors", override], "training")


@pytest.mark.robust("options")
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.learning_rate=fast", "train.learning_rate='fast': expected a number above 0"),
        ("train.hardness=hard", "train.hardness='hard': expected one of none, held_out"),
        ("train.epochs=0", "train.epochs=0: expected a whole number"),
        ("train.validation=0", "held_out needs held-out images"),
        ("train.hardness_trunk=own", "give train.hardness=joint"),
        ("train.students=[fewshot]", "train.students has 'fewshot'"),
        ("train.small_cnn_network=smal_cnn", "unknown network 'smal_cnn'"),
        ("model.name=smal_cnn", "unknown network 'smal_cnn'.*the closest"),
        ("model.layer=conv9", "unknown layer 'conv9'"),
    ],
)
def test_bad_options_are_one_clear_sentence(tmp_path, birds, trained, override, message):
    cfg = options(*SMALL, f"dataset.root={birds}", f"model.checkpoint={tmp_path}", override)
    with pytest.raises(InputError, match=message):
        train.train(cfg, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.subset(~d.is_training), "no training images"),
        (lambda d: d.subset(d.is_training), "no test images"),
        (lambda d: d.subset(~d.is_training | (d.labels == 0)), "training images of 1 class"),
    ],
)
def test_data_that_cannot_be_trained_on(trained, change, message):
    cfg, _, _ = trained
    with pytest.raises(InputError, match=message):
        train.run.check_dataset(change(inputs.dataset(config.dataset(cfg))))


@pytest.mark.parametrize("name", [file.stem for file in (ROOT / "conf" / "train").glob("*.yaml")])
def test_every_training_has_options_that_are_known_and_the_defaults_are_those_of_fast(name):
    typed, _ = train.configs(options(f"train={name}"))
    assert typed.name == name and (name != "fast" or typed == TrainConfig())


@pytest.mark.slow
def test_a_killed_run_ends_with_the_bits_of_one_that_a_parallel_launcher_started(tmp_path):
    """Three starts of the program, about 40 s; scripts/kill_and_resume.py kills at 20 moments."""
    script = runpy.run_path(str(ROOT / "scripts" / "kill_and_resume.py"))
    sweep = ("seed=0,1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "-m")
    launched = script["command"](tmp_path / "seed-${seed}")
    subprocess.run([*launched, *sweep], check=True, capture_output=True)
    run = tmp_path / "killed"
    steps = checkpoint.read_header(tmp_path / "seed-0" / "checkpoints" / "last")["step"]
    assert 0 < script["kill_when"](run, steps // 3, 0.05) < steps
    done = subprocess.run(script["command"](run), check=True, capture_output=True, text=True)
    assert script["hashes"](run) == script["hashes"](tmp_path / "seed-0") != script["hashes"](tmp_path / "seed-1")
    assert re.fullmatch(r"test accuracy [01]\.\d\d, \d+ s\n", done.stdout)
    recorded = [record["step"] for record in train.run.read_metrics(run / "metrics.jsonl") if "loss" in record]
    assert recorded == list(range(1, steps + 1))
