"""Forward pass and discriminant explanation beside torch and Captum: same machine, weights, images and minute.

    pip install torch torchvision captum          # in an environment that also has galore
    python scripts/against_torch.py               # about 8 minutes on 2 cores; writes docs/against_torch.json and .md
    python scripts/against_torch.py --networks vgg16 --batch 1       # renews these rows alone

Workloads take turns, round after round. Each turn begins with a call that is not timed: torch's threads go on spinning
for some milliseconds after a call, and would be charged to whoever comes next.
"""

from galore import program

program.guard(__name__)

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

import galore
from galore import atomic, models
from galore.benchmark import against_torch, workloads
from galore.benchmark.timing import interleaved

sys.path.insert(0, str(Path(__file__).resolve().parent))
import make_reference_numbers

PAGE = Path(__file__).resolve().parents[1] / "docs" / "against_torch.md"
NETWORKS = [name for name in models.names() if name != "small_cnn"]
OURS = {"forward": "forward", "discriminant": "discriminant"}
THEIRS = {"eager": "torch eager: forward", "compiled": "torch compiled: forward", "captum": "captum: discriminant"}
INTRODUCTION = """# Beside torch and Captum

Milliseconds a batch of 224 x 224 images in float32, the median of the rounds; ratios are medians of the ratios within
each round, with the smallest and the largest in brackets. *Discriminant* is the whole explanation: three maps, their
product, the logits and the prediction. *Captum* is the same three maps by its layer gradient x activation, and their
product. Written by `scripts/against_torch.py`; renew it there.
"""

REST = """## What the rest is

Measured with torch 2.13.0 and jax 0.10.2, batch 8, on a busy machine: trust shares more than milliseconds.

- *Memory.* XLA takes the temporary memory of a program anew at each call, in one piece; glibc returns pieces of more
  than 32 MiB to the system at once, which then clears every page again: 13,700 of them for ResNet-18, 19,000 for
  EfficientNet-Lite0, 33,700 for ResNet-50, 35, 35 to 42 and 58 to 94 ms of one core. torch takes memory operation by
  operation, in smaller pieces (its pages were not counted). Programs and the `galore` command now keep theirs, and
  none of it is left; in a program of your own call `galore.program.keep_memory()` before jax is imported. The table
  above was measured before that.
- *Convolutions.* Alone, on one core, those of ResNet-18 take 303 ms by ours, 345 ms by plain XLA convolutions and 260
  ms by torch's oneDNN with channels last. Ours are behind at 3 x 3 with stride 2 (11.4, 12.4, 13.6 ms against 8.5,
  8.3, 9.6), at 14 x 14 locations (20.5 against 14.9) and at 56 x 56 (19.3 against 14.7), where XLA's kernels reach 68
  to 96 GFLOP/s and oneDNN's 96 to 126; level at 7 x 7, and ahead at 28 x 28, where Winograd's method is used (14.6
  against 16.2). Whether that pays at 14 x 14 for eight images was not measured: for one the transform of the kernel
  outweighs the gain, and a network of single examples does not know how many `vmap` makes of them.
- *Elementwise operations.* In EfficientNet-Lite0 the two dearest operations are the first convolution and one of 1 x
  1, a quarter of the time; bounds, padding and shifted products of the depthwise convolutions follow.

Not closed: the convolutions. Another library's kernels, or choosing a method by the batch, would make the networks
harder to read and would leave the accelerators' path.
"""


def measure(name: str, batch: int, rounds: int) -> dict:
    """One row of the table: seconds of every round by workload."""
    net = galore.load(name, weights=None)
    builders = {"efficientnet_lite0": make_reference_numbers.lite0}
    ours = workloads.build(net, list(OURS.values()), batch, "float32")
    wanted = OURS | THEIRS
    everything = ours + against_torch.build(net, batch, builders)
    chosen = [workload for workload in everything if workload.name in wanted.values()]
    seconds = interleaved(chosen, rounds, warm_up=0, repeats=2)
    by_name = {workload.name: column.tolist() for workload, column in zip(chosen, seconds.T, strict=True)}
    return {"network": name, "batch": batch, "seconds": {key: by_name[full] for key, full in wanted.items()}}


def machine() -> str:
    """What the numbers were measured on, in one line."""
    cpu = Path("/proc/cpuinfo")
    models_ = [line.split(":")[1].strip() for line in cpu.read_text().splitlines() if line.startswith("model name")]
    packages = ", ".join(f"{package} {version(package)}" for package in ("jax", "flax", "torch", "captum"))
    return f"{os.cpu_count()} cores of {models_[0] if models_ else platform.processor()}; {packages}"


def ratio(row: dict, above: str, below: str) -> str:
    values = np.array(row["seconds"][above]) / np.array(row["seconds"][below])
    return f"{np.median(values):.2f} ({values.min():.2f} - {values.max():.2f})"


def page(rows: Sequence[dict], where: str) -> str:
    """The table in Markdown."""
    heads = ["network", "batch", "forward", "torch eager", "compiled", "forward / eager", "forward / compiled"]
    heads += ["discriminant", "Captum", "Captum / discriminant"]
    lines = [" | ".join(heads), " | ".join(["---"] * 2 + ["---:"] * (len(heads) - 2))]
    for row in rows:
        ms = {name: f"{1000 * np.median(seconds):.1f}" for name, seconds in row["seconds"].items()}
        cells = [row["network"], str(row["batch"]), ms["forward"], ms["eager"], ms["compiled"]]
        cells += [ratio(row, "forward", "eager"), ratio(row, "forward", "compiled"), ms["discriminant"], ms["captum"]]
        lines.append(" | ".join([*cells, ratio(row, "captum", "discriminant")]))
    rounds = len(rows[0]["seconds"]["forward"])
    table = "\n".join(f"| {line} |" for line in lines)
    return f"{INTRODUCTION}\n{table}\n\nMeasured on {where}; {rounds} rounds.\n\n{REST}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS, metavar="NAME")
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8], metavar="N")
    parser.add_argument("--rounds", type=int, default=7, metavar="N")
    args = parser.parse_args()
    numbers = PAGE.with_suffix(".json")
    old = json.loads(numbers.read_text())["rows"] if numbers.exists() else []
    rows = {(row["network"], row["batch"]): row for row in old}
    for name in args.networks:
        for batch in args.batch:
            rows[name, batch] = measure(name, batch, args.rounds)
            ordered = sorted(rows.values(), key=lambda row: (NETWORKS.index(row["network"]), row["batch"]))
            with atomic.file(numbers) as temporary:
                temporary.write_text(json.dumps({"machine": machine(), "rows": ordered}) + "\n", encoding="utf-8")
            with atomic.file(PAGE) as temporary:
                temporary.write_text(page(ordered, machine()), encoding="utf-8")
            print(page([rows[name, batch]], machine()).split("\n\n")[2].splitlines()[-1], flush=True)


if __name__ == "__main__":
    sys.exit(program.ended("error", main))
