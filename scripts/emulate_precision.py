"""How far maps lie from float64's on devices that are not here: `python scripts/emulate_precision.py PHOTOS`.

Every product of an explanation is computed as the device would, on numbers rounded here: TF32 of NVIDIA GPUs, one pass
of bfloat16 on TPUs ("default"), three ("high"), and galore's "mixed". Sums, and products that galore asks to be exact
(`precision="highest"`), are float32; depthwise convolutions too, which are no products of matrices on CPUs.
"""

from galore import program

program.guard(__name__)

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import galore
from galore import atomic
from galore.benchmark import measure, precision
from galore.data import photo
from galore.head_program import bind
from galore.network import Network
from galore.precision import Precision, Product

WORKS = ("forward", "attributive", "grad-cam", "deliberative", "discriminant")
TRAINED = "efficientnet_lite0"
"""The one network whose weights are a package; the others' are drawn by a rule."""


def rounded(number: Any, bits: int) -> Any:
    """With an 8-bit exponent and so many bits of mantissa."""
    return jax.lax.reduce_precision(number, exponent_bits=8, mantissa_bits=bits)


def once(equation: Any, operands: Sequence[Any]) -> Any:
    """The product as it stands in the program."""
    return bind(equation.primitive, equation.params, list(operands))[0]


def one_pass(bits: int) -> Product:
    """Products of rounded numbers."""
    return lambda equation, operands: once(equation, [rounded(one, bits) for one in operands])


def three_passes(equation: Any, operands: Sequence[Any]) -> Any:
    """Of the two numbers of bfloat16 that make sixteen bits of each, less the product of the smaller ones."""
    product, (left, right) = one_pass(7), operands
    left_rest, right_rest = (one - rounded(one, 7) for one in operands)
    small = product(equation, (left, right_rest)) + product(equation, (left_rest, right))
    return product(equation, (left, right)) + small


def everywhere(product: Product) -> dict[str, Product]:
    """Of matrices and in convolutions, but where the program asks for exact ones."""

    def unless_exact(equation: Any, operands: Sequence[Any]) -> Any:
        is_exact = equation.params["precision"] == (jax.lax.Precision.HIGHEST,) * 2
        return (once if is_exact else product)(equation, operands)

    return {"dot_general": unless_exact, "conv_general_dilated": unless_exact}


EMULATED: dict[str, tuple[Precision, dict[str, Product] | None]] = {
    "highest": (Precision.HIGHEST, None),
    "high, TPU": (Precision.DEFAULT, everywhere(three_passes)),
    "default and high, NVIDIA (TF32)": (Precision.DEFAULT, everywhere(one_pass(10))),
    "default, TPU": (Precision.DEFAULT, everywhere(one_pass(7))),
    "mixed": (Precision.MIXED, None),
}


def network(name: str) -> Network:
    """With ImageNet's weights where a package has them."""
    return galore.load(name) if name == TRAINED else measure.network(name, None, 1000)


def photos(paths: Sequence[Path]) -> np.ndarray:
    """Prepared as all these networks take them, [B, 224, 224, 3]."""
    preprocessing = galore.load(TRAINED).preprocessing
    assert preprocessing is not None
    return np.stack([preprocessing.apply(photo.read_image(path)) for path in paths]).astype(np.float32)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path, help="photos")
    parser.add_argument("--networks", nargs="+", default=[TRAINED, "resnet50", "vgg16_bn"], metavar="NAME")
    parser.add_argument("--out", type=Path, help="a JSON file for the errors")
    options = parser.parse_args(arguments)
    return program.ended("error", lambda: report(options.photos, options.networks, options.out))


def report(paths: Sequence[Path], names: Sequence[str], out: Path | None) -> int:
    """Prints the errors of each network, precision and work, and writes them."""
    given = {"photos": photos(paths), "noise": precision.noise(224)}
    found: dict[str, Any] = {}
    for name in names:
        net = network(name)
        for kind, images in given.items():
            exact = precision.reference(net, WORKS, images)
            for called, (setting, products) in EMULATED.items():
                errors = precision.errors(exact, setting, products)
                found.setdefault(name, {}).setdefault(kind, {})[called] = errors
                print(f"{name}, {kind}, {called}:", ", ".join(f"{work} {error:.1e}" for work, error in errors.items()))
    if out:
        with atomic.file(out) as path:
            path.write_text(json.dumps({"photos": len(paths), "errors": found}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
