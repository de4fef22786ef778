"""Kills a training run with SIGKILL at random moments, resumes it, and compares its end with an uninterrupted run's.

    python scripts/kill_and_resume.py --moments 20

Every number of the final checkpoint, parameters and optimiser, must be the same bit for bit. About 20 s a moment on two
cores, most of it starting Python.
"""

from galore import program

program.guard(__name__)

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = (
    "experiment=synthetic_birds_fast", "dataset.classes=4", "dataset.per_class=20", "dataset.size=32",
    "model.name=small_cnn_narrow", "train.epochs=4", "train.batch_size=8", "train.evaluate_every=2",
    "train.early_size=null", "train.save_every=3", "train.hardness=none", "train.students=[]",
)  # fmt: skip


def main() -> int:
    """The program; exit code 1 where a resumed run ended differently."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=20, help="how many runs are killed")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        steps, expected = uninterrupted(folder)
        failures = 0
        for moment in range(arguments.moments):
            run = folder / f"killed-{moment}"
            at, wait = rng.randrange(1, steps), rng.random() * 0.2
            killed_at = kill_when(run, at, wait)
            subprocess.run(command(run), check=True, capture_output=True)
            same = hashes(run) == expected
            failures += not same
            print(f"killed after batch {killed_at} of {steps}: {'the same bits' if same else 'DIFFERENT'}", flush=True)
    print(f"{arguments.moments - failures} of {arguments.moments} resumed runs end with the same bits")
    return int(failures > 0)


def uninterrupted(folder: Path) -> tuple[int, tuple[str, str]]:
    """Trains to the end; the number of batches and the hashes of the last checkpoint."""
    run = folder / "uninterrupted"
    subprocess.run(command(run), check=True, capture_output=True)
    return json.loads((run / "checkpoints" / "last" / "header.json").read_text())["step"], hashes(run)


def kill_when(run: Path, batch: int, wait: float) -> int:
    """Starts a run and kills it a moment after the given batch; returns how many batches it had recorded."""
    process = subprocess.Popen(command(run), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and recorded(run) < batch:
        time.sleep(0.002)
    time.sleep(wait)
    process.kill()
    process.wait()
    return recorded(run)


def recorded(run: Path) -> int:
    """How many batches are in the run's metrics."""
    file = run / "metrics.jsonl"
    return file.read_text().count('"loss": ') if file.exists() else 0


def command(run: Path) -> list[str]:
    """The training, in a folder of its own, the birds shared by all."""
    data = run.parent / "birds"
    program = str(ROOT / "experiments" / "train.py")
    return [sys.executable, program, *OPTIONS, f"model.checkpoint={run}", f"dataset.root={data}"]


def hashes(run: Path) -> tuple[str, str]:
    """Of the parameters and the optimiser at the end."""
    header = json.loads((run / "checkpoints" / "last" / "header.json").read_text())
    return header["params_sha256"], header["optimiser_sha256"]


if __name__ == "__main__":
    sys.exit(program.ended("error", main))
