"""What the deliberative experiments share: insecurities of the most difficult images, judged at shared parts."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import subjects
from claims import Claim
from table import Table, rows_of

from galore.confidence import softmax_score
from galore.evaluation import judging, questions, rules
from galore.evaluation.subject import Subject


def hardest(cfg: Any, subject: Subject) -> np.ndarray:
    """The most difficult test images by hesitancy, 100 as in the authors' code."""
    hesitancy = 1 - np.asarray(softmax_score(jnp.asarray(subject.logits)))
    return questions.difficult(subject, cfg.explanation.difficult, hesitancy)


def not_judged(subject: Subject, rows: np.ndarray) -> dict[str, int]:
    """Why the other images do not count."""
    return {"not among the most difficult": len(subject) - len(rows)}


def table(cfg: Any, subject: Subject | None = None, **options: Any) -> Table:
    """Judges the insecurities that `rules.deliberations(**options)` makes, with labels for every row if given."""
    subject = subject or subjects.subject(cfg)
    labels = options.pop("labels", {})
    rows = hardest(cfg, subject)
    chosen = {"top": cfg.explanation.top, "keep": cfg.explanation.keep}
    methods = rules.deliberations(subjects.attribution(cfg), **chosen, **options)
    judged, _ = judging.judge_deliberative(subject, rows, methods, cfg.seed, cfg.explanation.batch_size)
    left_out = not_judged(subject, rows)
    return Table(rows_of(judged, rows, len(subject), left_out=left_out, **labels), subjects.remarks(subject))


def better(table: Table, text: str, source: str, first: str, second: str, **labels: str) -> Claim:
    """The claim that one method's AUROC is larger than another's."""
    pair = ({**labels, "method": first}, {**labels, "method": second})
    number = f"AUROC, {first} minus {second}"
    return Claim(text, source, number, table.difference("auroc", *pair), "one of the two is missing here")
