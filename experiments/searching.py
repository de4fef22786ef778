"""The exhaustive-search rows of `counterfactual_vs_search`."""

from typing import Any

from table import Row

from galore.evaluation.questions import Questions
from galore.evaluation.subject import Subject

NAME = "exhaustive search"


def rows(subject: Subject, asked: Questions, cfg: Any) -> tuple[Row, ...]:
    """None yet: the search is not part of this version."""
    return ()


def remarks() -> tuple[str, ...]:
    """Why there is no row."""
    return ("The row of exhaustive search is empty: it was not run.",)
