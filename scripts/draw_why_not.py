"""Draws the picture on top of README: two invented birds, and what tells one species from the other.

    python scripts/draw_why_not.py

Takes the network and the birds of `make demo`. The birds are drawn anew and larger than those that it was trained on;
which two they are was chosen by hand, so that the eye finds the difference. results/ has pictures drawn by lot.
"""

from galore import program

program.guard(__name__)

import sys
from pathlib import Path

import galore
from galore import plotting
from galore.data.synthetic import birds
from galore.report import figures

ROOT = Path(__file__).resolve().parents[1]
NETWORK = ROOT / "outputs/training/synthetic_birds-small_cnn-seed0"
BIRDS = ROOT / "data/synthetic_birds-20x150-96px-seed0"
QUERY, COUNTER = 1662, 1512
"""Of images.txt."""
SIZE = 384


def main(picture: Path = ROOT / "docs" / "why_not.png") -> None:
    """Draws it."""
    net, drawn = galore.load(NETWORK), birds.read(BIRDS)
    query, counter = (drawn.draw(number, size=SIZE).image for number in (QUERY, COUNTER))
    asked = net.class_names[drawn.class_number(COUNTER) - 1]
    plotting.save(figures.pair(galore.explain_photo(net, query, asked, counter).answer), picture)


if __name__ == "__main__":
    sys.exit(program.ended("error", lambda: main(*map(Path, sys.argv[1:]))))
