"""How much memory one joint step of the papers' training takes, at full width, 224 pixels, 200 classes.

    python scripts/measure_training_memory.py vgg16_bn --batch 8 --run        # 6 minutes and 8 GB on one core
    python scripts/measure_training_memory.py resnet50 --batch 8 --run --compute bfloat16
    python scripts/measure_training_memory.py resnet50 --batch 4 8            # what XLA plans, of which a line is made

`--run` takes one step and says the peak of the process, the compiler included. What XLA plans besides the state is
given for each batch size, and the line through the last two is drawn to 128 images.
"""

from galore import program

program.guard(__name__)

import argparse
import resource
import sys
import time

import jax
import numpy as np

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
    parser.add_argument("--run", action="store_true", help="take a step as well")
    arguments = parser.parse_args()
    options = config.plain(config.compose(["train=authors", f"train.compute={arguments.compute}"]))["train"]
    state, step = beginning(from_mapping(TrainConfig, options), arguments.network, is_joint=not arguments.alone)
    held, last = sum(leaf.nbytes for leaf in jax.tree.leaves(state)), arguments.batch[-1]
    print(f"{arguments.network}, {arguments.compute}: the state {gigabytes(held)}", flush=True)
    planned = {size: plan(state, step, size, arguments.run and size == last) for size in arguments.batch}
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


def plan(state: State, step: Step, size: int, is_run: bool) -> int:
    """Compiles the step for a batch of this size, and takes it where asked; the bytes that XLA plans beside it."""
    generator = np.random.default_rng(0)
    batch = {
        "image": generator.integers(0, 256, (size, 224, 224, 3), np.uint8),
        "label": generator.integers(0, len(CLASSES), size),
        "valid": np.ones(size, bool),
    }
    began = time.perf_counter()
    compiled = jax.jit(step, donate_argnums=0).lower(state, batch).compile()
    planned = getattr(compiled.memory_analysis(), "temp_size_in_bytes", 0)
    print(f"batch {size}: XLA plans {gigabytes(planned)}; compiled in {time.perf_counter() - began:.0f} s", flush=True)
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
