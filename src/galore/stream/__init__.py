"""A whole folder of photos explained in one go: decode, forward, explain, write, rank, at the speed of the device.

    import galore
    from galore import stream

    net = galore.load("efficientnet_lite0")
    stream.run(net, "PHOTOS", "OUT", stream.discriminant)    # carries on where an earlier run was stopped
    done = stream.read("OUT")                                # at any time, also while it runs
    rows, maps = done.column("maps")
    for ranked in stream.hardest(done, 10):
        print(ranked.image, ranked.difficulty)

`galore stream` does the same. The format of the folder is described in `galore.stream.folder`.
"""

from galore.stream.answers import (
    attributive,
    both,
    by_counterparts,
    by_part_tables,
    deliberative,
    discriminant,
    margin,
    standardised,
)
from galore.stream.folder import Folder, read
from galore.stream.gallery import save as save_gallery
from galore.stream.pipeline import run
from galore.stream.ranking import Ranked, hardest, save_ranking

__all__ = [
    "Folder",
    "Ranked",
    "attributive",
    "both",
    "by_counterparts",
    "by_part_tables",
    "deliberative",
    "discriminant",
    "hardest",
    "margin",
    "read",
    "run",
    "save_gallery",
    "save_ranking",
    "standardised",
]
