"""How much memory one joint step of the papers' training takes, at full width, 224 pixels, 200 classes.

    python scripts/measure_training_memory.py vgg16_bn --batch 8 --run        # 6 minutes and 8 GB on one core
    python scripts/measure_training_memory.py resnet50 --batch 8 --run --compute bfloat16
    python scripts/measure_training_memory.py resnet50 --batch 4 8            # what XLA plans, of which a line is made
    python scripts/measure_training_memory.py resnet18 --alone --batch 32 --compute bfloat16 --tpu v5e:2x2

`--run` takes one step and says the peak of the process, the compiler included. What XLA plans besides the state is
given for each batch size, and the line through the last two is drawn to 128 images. `--tpu` has XLA plan for a TPU that
need not be there, by the compiler in `pip install libtpu`: CPUs compute bfloat16 by way of float32, so that a plan for
them does not show what it saves.
"""

from galore import program

program.guard(__name__)

import argparse
import os
import resource
import sys
import time
from typing import Any

import jax
import numpy as np
from jax.experimental import topologies

from galore import foreign
from galore.errors import InputError
from galore.experiment import config
from galore.options import from_mapping
from galore.training import architectures, classifier, task
from galore.training.config import ModelConfig, TrainConfig
from galore.training.loop import State, Step

CLASSES = tuple(f"class {number}" for number in range(200))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=architectures.names())
    parser.add_argument("--batch", type=int, nargs="+", default=[8], help="how many images")
    parser.add_argument("--compute", choices=("float32", "bfloat16"), default="float32", help="%(default)s")
    parser.add_argument("--alone", action="store_true", help="the first stage, without the predictor")
    parser.add_argument("--tpu", metavar="TOPOLOGY", help="plan for one chip of this TPU, such as v5e:2x2")
    parser.add_argument("--run", action="store_true", help="take a step as well")
    arguments = parser.parse_args()
    if arguments.tpu and arguments.run:
        parser.error("--run takes a step on this machine, --tpu only plans for another")
    where = chip(arguments.tpu) if arguments.tpu else None
    options = config.plain(config.compose(["train=authors", f"train.compute={arguments.compute}"]))["train"]
    state, step = beginning(from_mapping(TrainConfig, options), arguments.network, is_joint=not arguments.alone)
    held, last = sum(leaf.nbytes for leaf in jax.tree.leaves(state)), arguments.batch[-1]
    print(f"{arguments.network}, {arguments.compute}: the state {gigabytes(held)}", flush=True)
    planned = {size: plan(state, step, size, arguments.run and size == last, where) for size in arguments.batch}
    if len(planned) > 1:
        (few, less), (many, more) = list(planned.items())[-2:]
        image = (more - less) / (many - few)
        print(
            f"{image / 1e6:.0f} MB an image; 128 images: {gigabytes(held + less + (128 - few) * image)} and the program"
        )
    return 0


def beginning(train: TrainConfig, network: str, is_joint: bool) -> tuple[State, Step]:
    """The state and the step of a training that has not begun, from random parameters."""
    description, params = task.start(train, ModelConfig(network), CLASSES)
    module, pixels = architectures.module(network, len(CLASSES)), np.zeros((1, 224, 224, 3), np.uint8)
    nothing = np.zeros(1, np.int64)
    made = task.Task(train, description, module, params, None, pixels, nothing, nothing, lambda rows: None, "")  # pyright: ignore
    return classifier.beginning(made, is_joint, steps=100, per_epoch=10)


def chip(topology: str) -> jax.sharding.Sharding:
    """One chip of a TPU, to compile for; in minutes rather than as well as it can be done.

    Raises:
        InputError: there is no such TPU, or no compiler for it.
    """
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # else it asks the network what machine this is
    jax.config.update("jax_platforms", "cpu")
    for effort in ("jax_exec_time_optimization_effort", "jax_memory_fitting_effort"):
        jax.config.update(effort, -1.0)
    try:
        return jax.sharding.SingleDeviceSharding(topologies.get_topology_desc(topology, "tpu").devices[0])
    except (RuntimeError, ValueError) as error:
        why = foreign.text(error, 160)
        raise InputError(f"--tpu {topology}: cannot compile for it, is libtpu installed? {why}") from error


def plan(state: State, step: Step, size: int, is_run: bool, where: jax.sharding.Sharding | None) -> int:
    """Compiles the step for a batch of this size, and takes it where asked; the bytes that XLA plans beside it."""
    generator = np.random.default_rng(0)
    batch = {
        "image": generator.integers(0, 256, (size, 224, 224, 3), np.uint8),
        "label": generator.integers(0, len(CLASSES), size),
        "valid": np.ones(size, bool),
    }
    began = time.perf_counter()
    shapes: Any = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where), (state, batch)
    )
    compiled = jax.jit(step, donate_argnums=0).lower(*shapes).compile()
    planned, moved = (
        getattr(compiled.memory_analysis(), "temp_size_in_bytes", 0),
        (compiled.cost_analysis() or {}).get("bytes accessed", 0),
    )
    print(
        f"batch {size}: XLA plans {gigabytes(planned)} and to move {gigabytes(moved)}; compiled in "
        f"{time.perf_counter() - began:.0f} s",
        flush=True,
    )
    if is_run:
        began = time.perf_counter()
        _, metrics = compiled(state, batch)
        loss = float(metrics["loss"])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(f"a step in {time.perf_counter() - began:.0f} s, loss {loss:.2f}; peak of the process {gigabytes(peak)}")
    return planned


def gigabytes(count: float) -> str:
    return f"{count / 1e9:.2f} GB"


if __name__ == "__main__":
    sys.exit(program.ended("error", main))
