"""Are the maps explanations at all? Deletion, insertion, and randomisation of the network from its output down.

    python experiments/sanity.py dataset=synthetic_birds model=small_cnn

Petsiuk et al., BMVC 2018: the probability of the prediction while the map's largest pixels are blurred, or brought back
into a blurred image; the area under the curve. Adebayo et al., NeurIPS 2018: Spearman's correlation of the map with the
one of the same network after more and more of its parameters were shuffled; a map that survives it is no explanation.

Cost: 40 s on two cores. Expect, for a on invented birds, a deletion area of 0.12 and an insertion area of 0.67 (random
maps: 0.38 both).
"""

from galore import program

program.guard(__name__)

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from galore.evaluation import faithfulness, queries
from galore.evaluation.evaluate import Batch, Model, Scores, maps_of, over_batches, with_baselines
from galore.evaluation.methods import BASELINES, RANDOM, Method, main_rules
from galore.evaluation.queries import Queries
from galore.evaluation.test_set import TestSet
from galore.experiment import inputs, plots, runner
from galore.experiment.claims import Claim, Difference, Source
from galore.experiment.config import Config
from galore.experiment.table import Cell, Row, Table, rows_of, spread

TITLE = "Sanity: deletion, insertion, randomised parameters"
OPTIONS = ("attribution", "confidence", "explanation.edited_images", "explanation.batch_size")
FRACTIONS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
STAGES = 4
PROBABILITY = "probability of the prediction"
STAGE_WORDS = ("share of the parameters shuffled, from the output down", "Spearman's correlation with the map before")


def run(config: Config) -> Table:
    """One row per map for the curves' areas, one per map and stage for the randomisation."""
    test_set = inputs.test_set(config)
    user_queries = queries.beginner(test_set, config.seed).sample(config.explanation.edited_images, config.seed)
    methods = main_rules(config.attribution, config.score_with(test_set.predictor))
    rows = _edited(config, test_set, user_queries, methods) + _randomised(config, test_set, user_queries, methods)
    return Table(rows, inputs.remarks(test_set))


def _edited(config: Config, test_set: TestSet, user_queries: Queries, methods: tuple[Method, ...]) -> tuple[Row, ...]:
    """The areas under the deletion and insertion curves, and the curves."""

    @jax.jit
    def program(model: Model, batch: Batch) -> list[dict[str, Any]]:
        one = jax.vmap(lambda image, map_, y: _curves(model.net, image, map_, y))
        maps = with_baselines(maps_of(methods, model, batch), batch)
        return [one(batch.images, map_, batch.predicted) for map_ in maps]

    curves = over_batches(program, test_set, user_queries, config.seed, config.explanation.batch_size)
    rows: tuple[Row, ...] = ()
    for method, some in zip((*methods, *BASELINES), curves):
        areas = {measure: np.asarray(faithfulness.area(curve, FRACTIONS)) for measure, curve in some.items()}
        rows += rows_of(Scores(user_queries, {method: areas}), test_set)
        for measure, curve in some.items():
            cell = Cell(method.without_shared, f"{measure} curve")
            by_image = spread(curve, user_queries.rows, len(test_set))[None]
            rows += (Row(cell, by_image, user_queries.left_out, test_set.labels),)
    return rows


def _randomised(
    config: Config, test_set: TestSet, user_queries: Queries, methods: tuple[Method, ...]
) -> tuple[Row, ...]:
    """The correlation of each map with the one of the same network, more and more of it randomised."""
    maps_by = jax.jit(lambda model, batch: maps_of(methods, model, batch))
    order = faithfulness.order_of_use(test_set.net, jnp.asarray(test_set.inputs(user_queries.rows[:1])[0]))[::-1]
    correlation = jax.jit(jax.vmap(faithfulness.rank_correlation))
    original = over_batches(maps_by, test_set, user_queries, config.seed, config.explanation.batch_size)
    rows = ()
    for stage in range(1, STAGES + 1):
        share = stage / STAGES
        shuffled = set(order[: round(share * len(order))])
        net = faithfulness.randomise(test_set.net, shuffled, jax.random.key(config.seed))
        randomised = dataclasses.replace(test_set, net=net)
        changed = over_batches(maps_by, randomised, user_queries, config.seed, config.explanation.batch_size)
        for method, before, after in zip(methods, original, changed):
            values = {"correlation": np.asarray(correlation(jnp.asarray(before), jnp.asarray(after)))}
            rows += rows_of(Scores(user_queries, {method: values}), test_set, {"randomised": f"{share:.0%}"})
    return rows


def claims(table: Table) -> list[Claim]:
    """Explanations follow the network."""
    stated = []
    for row in table.select("correlation", {"randomised": "100%"}):
        text = f"Randomising the network changes the map: {row.cell.method.label}."
        number = "0.5 minus Spearman's correlation"
        stated.append(Claim(text, Source.OURS_ADEBAYO, number, Difference(0.5, row.cell)))
    for method in [row.cell.method for row in table.select("deletion")][:3]:
        for measure in ("deletion", "insertion"):
            text = f"{measure.capitalize()} by the map is better than at random: {method.label}."
            gain = Difference(Cell(method, measure), Cell(RANDOM, measure))
            number, is_reversed = f"area of the {measure} curve, gain", measure == "deletion"
            stated.append(Claim(text, Source.OURS_PETSIUK, number, gain, is_reversed=is_reversed))
    return stated


def draw(table: Table) -> dict:
    """The curves, and the correlation over the stages."""
    edits = {"deletion": "blurred, % of the image", "insertion": "brought back, % of the image"}
    drawn = {
        name: plots.curves(table, f"{name} curve", ("largest pixels of the map " + along, PROBABILITY), FRACTIONS)
        for name, along in edits.items()
    }
    return drawn | {"randomisation": plots.lines(table, "correlation", "randomised", STAGE_WORDS)}


def _curves(net: Any, image: Any, map_: Any, predicted: Any) -> dict[str, Any]:
    def probability(x: Any) -> Any:
        return jax.nn.softmax(net(x)[1])[predicted]

    blank = faithfulness.blurred(image)
    deletion = faithfulness.replacement_curve(probability, image, blank, map_, FRACTIONS)
    insertion = faithfulness.replacement_curve(probability, blank, image, map_, FRACTIONS)
    return {"deletion": deletion, "insertion": insertion}


if __name__ == "__main__":
    runner.main(__file__)
