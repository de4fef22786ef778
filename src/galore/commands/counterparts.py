"""Learn from labelled photos what each class would show in a place, for --rule counterparts of explain and stream.

galore counterparts PHOTOS --out counterparts.npz
galore counterparts CUB_200_2011 --model runs/birds --out counterparts.npz
galore counterparts PHOTOS --per-class 50 --out counterparts.npz
"""

import argparse

from galore.commands import fitting
from galore.commands.fitting import add_arguments

__all__ = ["add_arguments", "run"]


def run(args: argparse.Namespace) -> None:
    from galore import counterparts

    fitting.run(args, counterparts, "Learning what the classes show")
