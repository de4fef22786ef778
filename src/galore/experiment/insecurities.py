"""What the deliberative experiments share: the insecurities of the most difficult images, scored at shared parts.

As in the authors' code, every difficulty score is judged on the images that are hardest by that score. Insecurities
without a difficulty map are judged on each of these sets, so that what a map adds is paired; two scores are compared by
their means, since their images differ.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.figure import Figure

from galore import batching
from galore.confidence import Predictor
from galore.evaluation import queries
from galore.evaluation.evaluate import MEAN_IOU, PRECISION_AT_RECALL, Scores, evaluate
from galore.evaluation.methods import AttributionSetting, Method, Rule, Score, insecurities, scores
from galore.evaluation.queries import HardImages
from galore.evaluation.test_set import TestSet
from galore.experiment import inputs, plots
from galore.experiment.claims import Claim, Difference, Source
from galore.experiment.config import Config
from galore.experiment.table import NO_LABELS, Cell, Table, rows_of
from galore.network import Network

OPTIONS = ("attribution", "explanation.top", "explanation.keep", "explanation.difficult", "explanation.batch_size")
"""The options that `hard_images` and `table` use."""
NO_DIFFICULTY = Method(Rule.CLASS_PAIR)
HARDEST = "hardest by"
"""The label that says by which score the images of a row are the hardest."""


def difficulty(score: Score, attribution: AttributionSetting | None = None) -> Method:
    """Insecurities by a difficulty score, and by an attribution of it."""
    return Method(Rule.INSECURITY, score, None, attribution)


def difficulties(test_set: TestSet, batch_size: int) -> dict[Score, Float[np.ndarray, " n"]]:
    """How hard each test image is by each score that there is, 1 - s(x)."""
    logits, predictor = jnp.asarray(test_set.logits), test_set.predictor
    hard = {
        score: 1 - np.asarray(jax.vmap(score.confidence(None))(logits))  # type: ignore[arg-type]
        for score in scores(None)
    }
    if predictor is not None:
        batch_of = lambda rows: test_set.inputs(rows)  # noqa: E731
        easiness = batching.run(
            lambda images: _easiness(test_set.net, predictor, images), batch_of, len(test_set), batch_size, "easiness"
        )
        hard[Score.EASINESS] = 1 - np.asarray(easiness)
    return hard


def hard_images(config: Config, test_set: TestSet, score: Score = Score.SOFTMAX) -> HardImages:
    """The test images that are hardest by a score, 100 as in the authors' code."""
    options = config.explanation
    by = difficulties(test_set, options.batch_size)[score]
    return queries.hardest(test_set, options.difficult, by, options.top, options.keep)


def by_score(
    config: Config,
    test_set: TestSet,
    some: Sequence[Score] = tuple(Score),
    score_attributions: Sequence[AttributionSetting | None] = (None,),
    scoring: Callable[[HardImages, tuple[Method, ...]], Scores] | None = None,
) -> Iterator[tuple[Score, Scores]]:
    """For each score that there is, what insecurities score on its hardest images: those without a difficulty map, and
    by each attribution of this score.

    Args:
        config, test_set: what is evaluated.
        some: the scores.
        score_attributions: of each score.
        scoring: of methods on hard images; None: `evaluate`.
    """
    there = [score for score in scores(test_set.predictor) if score in some]
    # All methods on each set of images, so that one program is compiled for all sets.
    compared = insecurities(config.attribution, there, score_attributions)
    for score in there:
        hard = hard_images(config, test_set, score)
        if scoring is None:
            scored = evaluate(test_set, hard, compared, config.seed, config.explanation.batch_size)
        else:
            scored = scoring(hard, compared)
        yield score, scored.of([method for method in scored.by_method if method.score in (None, score)])


def table(
    config: Config,
    test_set: TestSet,
    some: Sequence[Score] = tuple(Score),
    score_attributions: Sequence[AttributionSetting | None] = (None,),
    labels: Mapping[str, str] = NO_LABELS,
) -> Table:
    """Insecurities of each score, by each attribution of it and without it, scored on the score's hardest images."""
    rows = ()
    for score, scored in by_score(config, test_set, some, score_attributions):
        rows += rows_of(scored, test_set, {**labels, HARDEST: score.difficulty})
    return Table(rows, inputs.remarks(test_set))


def cell(table: Table, method: Method, score: Score, labels: Mapping[str, str] = NO_LABELS) -> Cell:
    """Where the papers' measure of insecurities on a score's hardest images stands."""
    return Cell(method, primary(table), None, tuple({**labels, HARDEST: score.difficulty}.items()))


def primary(table: Table) -> str:
    """The papers' measure: precision at equal recall of parts, the mean IoU of objects."""
    return PRECISION_AT_RECALL if table.select(PRECISION_AT_RECALL) else MEAN_IOU


def better(text: str, source: Source, first: Cell, second: Cell, **more: Any) -> Claim:
    """The claim that one cell is larger than another; unpaired where they are about other images."""
    paired = first.label(HARDEST) == second.label(HARDEST)
    number = f"{first.number}, {first.method.label} minus {second.method.label}"
    number += "" if paired else " (each on its own hardest images)"
    return Claim(text, source, number, Difference(first, second, paired), "one of the two is missing here", **more)


def draw(table: Table) -> dict[str, Figure]:
    """The papers' measure of every method, and its curves."""
    return {"primary": plots.dots(table, primary(table), chance=None)} | plots.region_curves(table)


@jax.jit
def _easiness(net: Network, predictor: Predictor, images: Float[Array, "B H W c"]) -> Float[Array, " B"]:
    def one(image: Array) -> Array:
        own = predictor.features
        F = net.activation(image) if own is None else own(predictor.params, image)
        return jnp.asarray(predictor.head(predictor.params, F), jnp.float32).reshape(())

    return jax.vmap(one)(images)
