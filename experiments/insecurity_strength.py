"""Are strong insecurities more often right? Pearson correlation of an insecurity's strength with its precision.

    python experiments/insecurity_strength.py dataset=synthetic_birds model=small_cnn

A figure of GALORE: the insecurities of all images at all region sizes together. The strength of an insecurity at a size
is the mean of its map over the largest cells, so many that they are that share. Both strength and precision fall as
regions grow, so beside it stands the correlation at regions of 10 % alone.

Cost: 9 s on two cores after deliberative_difficulty, which compiles the same. Expect correlations of 0.14 to 0.28 over
all region sizes and of 0.20 to 0.38 at 10 % on invented birds.
"""

from galore import program

program.guard(__name__)

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from galore.evaluation.evaluate import Scores
from galore.evaluation.methods import Score
from galore.evaluation.metrics import FRACTIONS
from galore.experiment import inputs, insecurities, plots, runner
from galore.experiment.claims import Claim, Source
from galore.experiment.config import Config
from galore.experiment.insecurities import HARDEST, difficulty
from galore.experiment.table import Cell, Table, rows_of

TITLE = "Strength and precision of insecurities"
OPTIONS = insecurities.OPTIONS
REGION = 0.1
POOLED = "correlation of strength and precision"
FIXED = f"correlation of strength and precision, regions of {REGION:.0%}"


def run(config: Config) -> Table:
    """One row per difficulty score: the AUROC of its maps, and the correlation over all insecurities of all images."""
    test_set = inputs.test_set(config, needs_parts=True)
    rows = ()
    for score, scored in insecurities.by_score(config, test_set):
        hardest = {HARDEST: score.difficulty}
        rows += rows_of(scored.only("auroc"), test_set, hardest)
        rows += rows_of(_correlated(scored), test_set, hardest)
    return Table(rows, inputs.remarks(test_set))


def claims(table: Table) -> list[Claim]:
    """Strength is worth something."""
    number, missing = "Pearson correlation, all region sizes", "there is no hardness predictor"
    return [
        Claim(
            f"Stronger insecurities have a higher precision ({score.difficulty}).",
            Source.GALORE,
            number,
            Cell(difficulty(score), POOLED, None, ((HARDEST, score.difficulty),)),
            missing,
            headline=score is Score.SOFTMAX,
        )
        for score in Score
    ]


def draw(table: Table) -> dict:
    """The correlations."""
    words = "Pearson correlation of strength and precision, all region sizes"
    return {"correlation": plots.dots(table, POOLED, chance=0.0, words=words)}


def _correlated(scored: Scores) -> Scores:
    """The correlations, by the chosen table of attributes and by the other one where there is one."""
    own, *other = (
        {method: _correlations(each, place) for method, each in scored.insecurities.items()}
        for place in range(1 if scored.other_table is None else 2)
    )
    return Scores(scored.queries, own, by_other_table=other[0] if other else {}, other_table=scored.other_table)


def _correlations(each: Mapping[str, np.ndarray], place: int) -> dict[str, np.ndarray]:
    """Of one method's insecurities by one table: pooled over all region sizes, and at one of them."""
    precision = each["precision"][:, :, place]
    return {
        POOLED: pearson_pseudovalues(each["strengths"], precision),
        FIXED: pearson_pseudovalues(each["strength"], precision[..., FRACTIONS.index(REGION)]),
    }


def pearson_pseudovalues(
    strength: Float[np.ndarray, "images ..."], precision: Float[np.ndarray, "images ..."]
) -> Float[np.ndarray, "images"]:
    """Jackknife pseudo-values of the correlation over all pairs of numbers of all images, of which both are known.

    As `galore.statistics.jackknife_pseudovalues`, and fast for many pairs: leaving an image out subtracts its sums.

    Args:
        strength: any number of them per image; NaN where an insecurity has none.
        precision: as many.

    Returns:
        One value per image; NaN where an image has no pair, or nothing is defined.
    """
    x, y = (values.reshape(len(values), -1).astype(float) for values in (strength, precision))
    known = ~(np.isnan(x) | np.isnan(y))
    x, y = (np.where(known, _standardised(values, known), 0) for values in (x, y))
    sums = np.stack([some.sum(1) for some in (known, x, y, x * x, y * y, x * y)])
    whole, counting = sums.sum(1, keepdims=True), known.any(1)
    values = counting.sum() * _pearson(whole) - (counting.sum() - 1) * _pearson(whole - sums)
    return np.where(counting, values, np.nan)


def _standardised(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Shifted and scaled, which correlations do not see, so that sums of squares keep their digits."""
    some = values[known]
    if some.size == 0 or np.ptp(some) == 0:
        return np.zeros_like(values)
    return (values - some.mean()) / some.std()


def _pearson(sums: Float[np.ndarray, "6 n"]) -> Float[np.ndarray, "n"]:
    """From the sums of 1, x, y, x^2, y^2 and x y; NaN where fewer than three pairs count or one side is constant."""
    count, x, y, xx, yy, xy = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        varying_x, varying_y = count * xx - x * x, count * yy - y * y
        # What rounding leaves of a constant is no variance.
        is_defined = (count >= 3) & (np.minimum(varying_x, varying_y) > 1e-12 * count * count)
        return np.where(is_defined, (count * xy - x * y) / np.sqrt(varying_x * varying_y), np.nan)


if __name__ == "__main__":
    runner.main(__file__)
