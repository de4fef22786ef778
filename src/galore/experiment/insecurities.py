"""What the deliberative experiments share: the insecurities of the most difficult images, scored at shared parts."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np

from galore.confidence import softmax_score
from galore.evaluation import queries
from galore.evaluation.evaluate import evaluate
from galore.evaluation.methods import AttributionSetting, Method, Rule, Score, insecurities, scores
from galore.evaluation.queries import HardImages
from galore.evaluation.test_set import TestSet
from galore.experiment import inputs
from galore.experiment.config import Config
from galore.experiment.table import NO_LABELS, Table, rows_of

OPTIONS = ("attribution", "explanation.top", "explanation.keep", "explanation.difficult", "explanation.batch_size")
"""The options that `hard_images` and `table` use."""
NO_DIFFICULTY = Method(Rule.CLASS_PAIR)


def difficulty(score: Score, attribution: AttributionSetting | None = None) -> Method:
    """Insecurities by a difficulty score, and by an attribution of it."""
    return Method(Rule.INSECURITY, score, None, attribution)


def hard_images(config: Config, test_set: TestSet) -> HardImages:
    """The most difficult test images by hesitancy, 100 as in the authors' code."""
    hesitancy = 1 - np.asarray(softmax_score(jnp.asarray(test_set.logits)))
    options = config.explanation
    return queries.hardest(test_set, options.difficult, hesitancy, options.top, options.keep)


def methods(
    config: Config,
    test_set: TestSet,
    some: Sequence[Score] = tuple(Score),
    score_attributions: Sequence[AttributionSetting | None] = (None,),
) -> tuple[Method, ...]:
    """Without difficulty, and by each of some difficulty scores that there is, by each attribution of it."""
    there = [score for score in scores(test_set.predictor) if score in some]
    return insecurities(config.attribution, there, score_attributions)


def table(
    config: Config,
    test_set: TestSet,
    some: Sequence[Score] = tuple(Score),
    score_attributions: Sequence[AttributionSetting | None] = (None,),
    labels: Mapping[str, str] = NO_LABELS,
) -> Table:
    """Scores the insecurities of `methods`, with labels for every row if given."""
    compared = methods(config, test_set, some, score_attributions)
    hard = hard_images(config, test_set)
    scored = evaluate(test_set, hard, compared, config.seed, config.explanation.batch_size)
    return Table(rows_of(scored, test_set, labels), inputs.remarks(test_set))
