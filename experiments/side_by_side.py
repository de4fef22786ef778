"""Where do discriminant maps and exhaustive search point in the same two pictures? SCOUT, figures 5 and 6.

    python experiments/side_by_side.py dataset=synthetic_birds model=small_cnn

The image asked about and an image of the counter class, each with its region, by both methods; below them what tells
the two classes apart, in words. The images are drawn by the seed, not chosen.

Cost: 15 s on two cores with the small CNN.
"""

from galore import program

program.guard(__name__)

import jax.numpy as jnp
import numpy as np

from galore.evaluation import metrics
from galore.evaluation.evaluate import Scores
from galore.evaluation.methods import Method, Rule, counterfactual_maps
from galore.evaluation.queries import Queries
from galore.evaluation.test_set import TestSet
from galore.experiment import inputs, pictures, runner, search_baseline
from galore.experiment.claims import Claim
from galore.experiment.config import Config
from galore.experiment.pictures import Pairs
from galore.experiment.search_baseline import ABOVE_ZERO
from galore.experiment.table import Table, rows_of
from galore.regions import largest_fraction

TITLE = "Discriminant maps and exhaustive search, side by side"
OPTIONS = ("attribution", "confidence", "explanation.batch_size")
COUNT = 3
CELLS = 4
"""How large the enlarged cell of the search is, and hence every region."""


def run(config: Config) -> Table:
    """The scores of the regions that are shown, and the pictures."""
    test_set, dataset = inputs.test_set(config), inputs.dataset(config.dataset)
    height, width = search_baseline.map_shape(test_set)
    size = min(metrics.FRACTIONS, key=lambda fraction: abs(fraction - CELLS / (height * width)))
    method = Method(Rule.DISCRIMINANT, config.score_with(test_set.predictor), config.attribution)
    rows, drawn = (), {}
    for user_queries in inputs.users(config, test_set):
        shown = user_queries.sample(COUNT, config.seed)
        cells = search_baseline.first_edits(test_set, shown, config.explanation.batch_size)
        by_search = search_baseline.cell_maps(cells, (height, width))
        both = ((method, _maps(test_set, shown, method), size), (Method(Rule.SEARCH), by_search, ABOVE_ZERO))
        scored = {
            one: search_baseline.score_regions(test_set, shown, maps[:, 0], maps[:, 1], shown.truth, region)
            for one, maps, region in both
        }
        rows += rows_of(Scores(shown, scored), test_set, {"user": shown.user})
        pairs = [_pairs(one, np.asarray(largest_fraction(maps, region, test_set.size))) for one, maps, region in both]
        drawn[shown.user] = pictures.side_by_side(test_set, shown, pairs, dataset)
    remark = (
        f"Of the {COUNT} images a user that are shown. The search's region is the cell that its first edit exchanges, "
        f"enlarged bilinearly; that of the map is as large, {size:.1%} of the image."
    )
    return Table(rows, (*inputs.remarks(test_set), remark), drawn)


def claims(table: Table) -> list[Claim]:
    """Pictures prove nothing."""
    return []


def draw(table: Table) -> dict:
    """The pictures."""
    return table.pictures


def _maps(test_set: TestSet, shown: Queries, method: Method) -> jnp.ndarray:
    """[k, 2, h, w]: of the images asked about, and of the counter images with the classes exchanged."""
    rows, first = np.append(shown.rows, shown.counter_rows), np.append(shown.predicted, shown.counter)
    second = np.append(shown.counter, shown.predicted)
    images, y, c = (jnp.asarray(some) for some in (test_set.inputs(rows), first, second[:, None]))
    (against,) = counterfactual_maps((method,), test_set.net, test_set.predictor, images, y, c)
    maps = against[:, 0]
    return jnp.stack([maps[: len(shown.rows)], maps[len(shown.rows) :]], axis=1)


def _pairs(method: Method, regions: np.ndarray) -> Pairs:
    """The regions [k, 2, H, W] with what they say."""
    if method.rule is Rule.SEARCH:
        legend = "Exhaustive search: the exchange of two cells that makes the other class most probable."
        captions = ("replace this piece …", "… by this one of {c}")
        return Pairs("Exhaustive search", captions, legend, regions[:, 0], regions[:, 1])
    legend = "Discriminant map: what speaks for the class of the photo and not for the other one."
    captions = ("this speaks for {y}", "this speaks for {c}")
    return Pairs("Discriminant map", captions, legend, regions[:, 0], regions[:, 1])


if __name__ == "__main__":
    runner.main(__file__)
