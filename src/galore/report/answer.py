"""What a report tells: plain numbers and pictures, ready to be printed, drawn or written."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from galore import foreign, representation

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Photo:
    """A photo as the reader knows it, and the part of it that the network saw.

    Attributes:
        path: the file, as the person named it.
        sha256: of the file's bytes.
        pixels: the whole photo, upright.
        window: the part that the network saw: x0, y0, x1, y1 in pixels of `pixels`.
        view: that part, large enough to look at.
    """

    path: str
    sha256: str
    pixels: UInt8[np.ndarray, "height width 3"]
    window: Box
    view: UInt8[np.ndarray, "size_y size_x 3"]

    __repr__ = representation.fields

    @property
    def name(self) -> str:
        """The file's name without its folder, as it may be shown."""
        return foreign.name(Path(self.path).name)


@dataclass(frozen=True)
class Candidate:
    """A class that the network considers for a photo."""

    index: int
    name: str
    logit: float
    probability: float


@dataclass(frozen=True)
class Finding:
    """A map and what is read off it.

    Attributes:
        key: the map's name in maps.npz.
        map: the raw values, as attributed.
        packed: the region, eight pixels a byte, since a report may have thousands (see `np.packbits`).
        boxes: around the region's connected parts, largest part first, in pixels of the whole photo: x0, y0, x1, y1.
        covered: the share of the view that the region really covers.
    """

    key: str
    map: Float[np.ndarray, "h w"]
    packed: UInt8[np.ndarray, "size_y bytes_x"]
    boxes: tuple[Box, ...]
    covered: float

    __repr__ = representation.fields

    @property
    def region(self) -> Bool[np.ndarray, "size_y size_x"]:
        """The largest fraction of the smoothed map, in pixels of the photo's view; empty for a constant map."""
        return np.unpackbits(self.packed, axis=-1).astype(bool)


@dataclass(frozen=True)
class Insecurity:
    """A region that the network finds hard, and the two classes between which it hesitates there."""

    first: Candidate
    second: Candidate
    strength: float
    finding: Finding

    __repr__ = representation.fields


@dataclass(frozen=True)
class CounterPhoto:
    """A photo of the counter class, with what it has that the explained photo lacks."""

    photo: Photo
    finding: Finding
    prediction: Candidate

    __repr__ = representation.fields


@dataclass(frozen=True)
class WhyNot:
    """Why the predicted class and not the counter class.

    Attributes:
        counter: the counter class, with its logit and probability on the explained photo.
        named: whether the person named the class; otherwise it is the runner-up.
        finding: what speaks for the prediction and not for the counter class.
        example: the photo of the counter class, when one was given.
    """

    counter: Candidate
    named: bool
    finding: Finding
    example: CounterPhoto | None

    __repr__ = representation.fields


@dataclass(frozen=True)
class Answer:
    """The answers to the three questions about one photo.

    Attributes:
        candidates: the most probable classes, best first; the first one is the prediction.
        confidence: the value of the confidence score, from 0 to 1.
        insecurities: strongest first.
        methods: the choices made, by their names on the command line: model, layer, attribution, confidence, fraction.
        notes: what a reader must know before trusting the pictures, one sentence each.
        more_maps: the maps behind the explanations (of the classes and of the confidence), by their key in maps.npz.
        provenance: what made this, as plain data.
    """

    photo: Photo
    candidates: tuple[Candidate, ...]
    confidence: float
    attributive: Finding
    insecurities: tuple[Insecurity, ...]
    why_not: WhyNot
    methods: dict[str, Any]
    notes: tuple[str, ...] = ()
    more_maps: dict[str, Float[np.ndarray, "h w"]] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    __repr__ = representation.fields

    @property
    def prediction(self) -> Candidate:
        return self.candidates[0]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding, in the order of the questions."""
        example = self.why_not.example
        return (
            self.attributive,
            *(insecurity.finding for insecurity in self.insecurities),
            self.why_not.finding,
            *([example.finding] if example else []),
        )

    @property
    def maps(self) -> dict[str, Float[np.ndarray, "h w"]]:
        """Every map by its key: those of the explanations, then those behind them."""
        return {finding.key: finding.map for finding in self.findings} | self.more_maps
