"""Time every explanation on whatever device jax finds, against a forward pass and, on request, against torch.

    python scripts/benchmark.py --networks vgg16_bn resnet50 efficientnet_lite0     # about 5 minutes on 2 cores
    python scripts/benchmark.py --networks resnet50 --batch 1 8 --against torch --json bench.json --figure bench.png

The same as `galore bench` (see `galore bench --help`), except that it also knows EfficientNet-Lite0 in torch.
"""

from galore import program

program.guard(__name__)

import argparse
import sys
from pathlib import Path

from galore.commands import bench

sys.path.insert(0, str(Path(__file__).resolve().parent))
import make_reference_numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    bench.add_arguments(parser)
    bench.run(parser.parse_args(), {"efficientnet_lite0": make_reference_numbers.lite0})


if __name__ == "__main__":
    sys.exit(program.ended("benchmark", main))
