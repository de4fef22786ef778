"""The papers' claims and what our numbers say about them: holds, does not hold, cannot tell."""

import dataclasses

import numpy as np

from galore.evaluation.statistics import Estimate

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "cannot tell"


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
