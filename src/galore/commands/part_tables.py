"""Find the parts by which the classes of labelled photos differ, for --rule part-tables of explain and stream.

galore part-tables PHOTOS --out parts.npz
galore part-tables CUB_200_2011 --model runs/birds --out parts.npz
galore part-tables PHOTOS --per-class 50 --out parts.npz
"""

import argparse

from galore.commands import fitting
from galore.commands.fitting import add_arguments

__all__ = ["add_arguments", "run"]


def run(args: argparse.Namespace) -> None:
    from galore import part_tables

    fitting.run(args, part_tables, "Comparing the classes")
