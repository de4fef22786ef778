import importlib.util
import json
import sys
from pathlib import Path

import hydra
import numpy as np
import pytest

import galore
from galore.errors import InputError
from galore.training import checkpoint

ROOT = Path(__file__).resolve().parents[2]


def load(name, folder="experiments"):
    """A program's module, though its folder is no package."""
    sys.path.insert(0, str(ROOT / "experiments"))
    try:
        spec = importlib.util.spec_from_file_location(name, ROOT / folder / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(ROOT / "experiments"))


train = load("train")


def options(*overrides):
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return hydra.compose("training", overrides=list(overrides))


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
    return cfg, folder, train.run(cfg, folder)


def test_a_run_leaves_a_network_to_explain_and_everything_that_was_asked(trained):
    cfg, folder, result = trained
    for name in ("metrics.jsonl", "predictions.npz", "result.json", "config.yaml", "training.png", "calibration.png"):
        assert (folder / name).stat().st_size > 0
    net = galore.load(str(folder))
    assert len(net.class_names) == 3
    found = train.build.predictions(cfg)
    dataset = train.build.test_part(train.build.dataset(cfg.dataset))
    assert found["paths"].tolist() == list(dataset.paths) and (found["labels"] == dataset.labels).all()
    images = np.stack([net.preprocessing.apply(galore.data.photo.read_image(dataset.image_path(i))) for i in range(4)])
    import jax

    np.testing.assert_allclose(jax.vmap(net)(images)[1], found["logits"][:4], atol=1e-4)
    predictor = train.build.predictor(cfg)
    hardness = 1 - jax.vmap(lambda F: predictor.head(predictor.params, F))(jax.vmap(net)(images)[0])
    np.testing.assert_allclose(hardness, found["hardness"][:4], atol=1e-5)
    assert {"accuracy", "student_accuracy", "hardness_spearman", "hardness_auroc_of_errors"} <= set(result)
    assert train.line(result).startswith("test accuracy 0.")
    assert set(found["beginner"]) <= {0, 1, 2} and set(found["student"]) <= {0, 1, 2}


def test_the_same_command_again_changes_nothing(trained):
    cfg, folder, result = trained
    before = checkpoint.read_header(folder)
    again = train.run(cfg, folder)
    assert checkpoint.read_header(folder)["params_sha256"] == before["params_sha256"]
    assert again["accuracy"] == result["accuracy"]


def test_frozen_layers_stay_and_a_joint_predictor_is_kept(tmp_path, birds):
    cfg = options(
        *SMALL, f"dataset.root={birds}", f"model.checkpoint={tmp_path}", "train=last_stage", "train.from_layer=conv2",
        "train.epochs=1", "train.views=2", "train.hardness=joint", "train.students=[]",
    )  # fmt: skip
    train.run(cfg, tmp_path)
    from galore.training import architectures

    start, end = architectures.random_params("small_cnn_narrow", 3, 0), checkpoint.load_params(tmp_path)
    moved = {name.split(".")[0] for name in start if not np.array_equal(start[name], end[name])}
    assert moved == {"conv3", "conv4", "bn3", "bn4", "fc"}
    assert checkpoint.read_description(tmp_path).predictor_layer == "conv4"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.learning_rate=fast", "learning_rate 'fast': expected a number above 0"),
        ("train.hardness=hard", "train.hardness=hard: expected one of none, held_out"),
        ("train.epochs=0", "train.epochs=0: expected a whole number"),
        ("train.validation=0", "held_out needs held-out images"),
        ("model.name=smal_cnn", "unknown network 'smal_cnn'.*the closest"),
        ("model.layer=conv9", "unknown layer 'conv9'"),
    ],
)
def test_bad_options_are_one_clear_sentence(tmp_path, birds, trained, override, message):
    cfg = options(*SMALL, f"dataset.root={birds}", f"model.checkpoint={tmp_path}", override)
    with pytest.raises(InputError, match=message):
        train.run(cfg, tmp_path)


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
        train.fitting.check_dataset(change(train.build.dataset(cfg.dataset)))


def test_every_configuration_composes():
    for group in ("dataset", "model", "train", "experiment"):
        for file in (ROOT / "conf" / group).glob("*.yaml"):
            cfg = options(f"{group}={file.stem}")
            assert cfg.model.checkpoint and cfg.train.learning_rate > 0


@pytest.mark.slow
def test_a_run_killed_at_a_random_moment_ends_with_the_same_bits(tmp_path):
    """Three processes, about 40 s; scripts/kill_and_resume.py does the same at 20 moments."""
    script = load("kill_and_resume", "scripts")
    steps, expected = script.uninterrupted(tmp_path)
    run = tmp_path / "killed"
    assert 0 < script.kill_when(run, steps // 3, 0.05) < steps
    script.subprocess.run(script.command(run), check=True, capture_output=True)
    assert script.hashes(run) == expected
    assert json.loads((run / "result.json").read_text())["test_images"] == 32
