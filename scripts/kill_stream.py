"""Kills a stream with SIGKILL at random moments, again and again, until it has finished, and compares what it wrote.

    python scripts/kill_stream.py PHOTOS --kills 20

After every kill all shards that are there must be whole; at the end all numbers must be those of a run that nobody
disturbed, bit for bit. The network is a small one with random weights. About 5 s a kill, most of it to start Python.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import galore
from galore import models, stream


def main() -> int:
    """The program; exit code 1 where a shard was damaged or a number differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a folder of photos")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        models.save_safetensors(galore.load("small_cnn", weights=None, classes=20), folder / "net.safetensors")
        subprocess.run(command(arguments.data, folder, "undisturbed"), check=True, capture_output=True)
        expected = stream.read(folder / "undisturbed")
        for kill in range(arguments.kills):
            target = (kill + 1) * expected.shards // (arguments.kills + 1)
            there = kill_when(command(arguments.data, folder, "killed"), folder / "killed", target, rng.random() * 0.2)
            print(f"killed with {there} of {expected.shards} shards, all of them whole", flush=True)
        subprocess.run(command(arguments.data, folder, "killed"), check=True, capture_output=True)
        same = equal(expected, stream.read(folder / "killed"))
    print("the numbers are the same, bit for bit" if same else "the numbers DIFFER")
    return int(not same)


def command(data: Path, folder: Path, out: str) -> list[str]:
    """The stream, in shards small enough that many kills hit it at work."""
    network = ("--model", "small_cnn", "--weights", str(folder / "net.safetensors"))
    sizes = ("--batch", "8", "--shard", "16")
    return [sys.executable, "-m", "galore.cli", "stream", str(data), "--out", str(folder / out), *network, *sizes]


def kill_when(command: list[str], out: Path, shards: int, wait: float) -> int:
    """Starts a run, kills it a moment after it has written so many shards, and reads all that is there."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list(out.glob("shard-*.npz"))) < shards:
        time.sleep(0.002)
    time.sleep(wait)
    process.kill()
    process.wait()
    run = stream.read(out)
    return sum(bool(run.shard(number)) for number in run.finished())


def equal(first: stream.Folder, second: stream.Folder) -> bool:
    """Whether two runs hold the same shards."""

    def same(number: int) -> bool:
        ours, theirs = first.shard(number), second.shard(number)
        return ours.keys() == theirs.keys() and all(
            np.array_equal(ours[name], theirs[name], equal_nan=ours[name].dtype.kind == "f") for name in ours
        )

    return first.finished() == second.finished() and all(map(same, first.finished()))


if __name__ == "__main__":
    sys.exit(main())
