"""The papers' claims and what our numbers say about them: holds, does not hold, cannot tell."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from galore.evaluation.statistics import Estimate

VERDICTS = HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "cannot tell"


@dataclasses.dataclass(frozen=True)
class Claim:
    """A statement that is true where a number is above zero.

    Attributes:
        text: the statement.
        source: the paper, or "ours".
        number: what `estimate` is: "AUROC of D minus AUROC of a".
        estimate: None: it could not be measured.
        why: why it could not be measured.
    """

    text: str
    source: str
    number: str
    estimate: Estimate | None
    why: str = ""

    @property
    def verdict(self) -> str:
        """By the 95 % interval: above zero, below zero, or neither."""
        if self.estimate is None or np.isnan(self.estimate.low):
            return UNKNOWN
        return HOLDS if self.estimate.low > 0 else FAILS if self.estimate.high < 0 else UNKNOWN


def save(claims: list[Claim], path: Path) -> None:
    """Writes the claims as data."""
    rows = [
        {**dataclasses.asdict(claim), "estimate": claim.estimate and _plain(claim.estimate), "verdict": claim.verdict}
        for claim in claims
    ]
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> list[Claim]:
    """Reads what `save` wrote."""
    made = []
    for row in json.loads(path.read_text(encoding="utf-8")):
        row.pop("verdict")
        numbers = row.pop("estimate")
        if numbers is None:
            made.append(Claim(estimate=None, **row))
            continue
        mean, low, high = (np.nan if x is None else x for x in numbers[:3])
        made.append(Claim(estimate=Estimate(mean, low, high, numbers[3]), **row))
    return made


def _plain(estimate: Estimate) -> list[float | int | None]:
    return [None if isinstance(x, float) and np.isnan(x) else x for x in estimate]
