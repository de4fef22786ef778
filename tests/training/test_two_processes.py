import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from galore.experiment import config, runner

train = runner.load("train")
ROOT = Path(__file__).resolve().parents[2]
OPTIONS = (
    "dataset=synthetic_birds", "dataset.classes=3", "dataset.per_class=15", "dataset.size=32", "model=small_cnn_narrow",
    "train=authors", "train.epochs=2", "train.batch_size=16", "train.first_stage.epochs=1",
    "train.first_stage.batch_size=8", "train.hardness_widths=[6,4]", "train.students=[]",
)  # fmt: skip


def options(folder):
    return (*OPTIONS, f"dataset.root={folder.parent / 'birds'}", f"model.checkpoint={folder}")


def start(folder, *hosts):
    """The program in a process of its own, with four virtual devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "experiments/train.py", *options(folder), *hosts]
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(processes):
    """What they printed."""
    printed = []
    for process in processes:
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        printed.append(out)
    return printed


@pytest.mark.slow
def test_two_processes_of_four_devices_each_train_and_predict_as_one_process_with_one(tmp_path):
    """Two starts of the program, about 40 s: both stages, incomplete batches, the test images."""
    alone, together = tmp_path / "alone", tmp_path / "together"
    train.train(config.compose(options(alone), "training"), alone)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"hosts.coordinator=localhost:{free.getsockname()[1]}"
    printed = ended([start(together, address, "hosts.count=2", f"hosts.index={index}") for index in range(2)])
    # Gloo, through which CPUs speak, prints lines of its own.
    assert ["test accuracy" in out for out in printed] == [True, False]
    for name in ("first_stage", "."):
        lines = [(folder / name / "metrics.jsonl").read_text().splitlines() for folder in (alone, together)]
        losses = [[json.loads(line)["loss"] for line in some] for some in lines]
        np.testing.assert_allclose(losses[1], losses[0], atol=1e-5)
    found, expected = np.load(together / "predictions.npz"), np.load(alone / "predictions.npz")
    for name in ("logits", "hardness"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)
