"""Do maps that follow the question pay for it elsewhere? Deletion, shifts, randomised parameters, pairs of images.

    python experiments/answering_sanity.py dataset=synthetic_birds model=small_cnn

Ours, by what others judge maps with. Each image is asked about the class that the network would say next. Deletion and
insertion (Petsiuk et al., BMVC 2018): the probability of the prediction among the two classes while the map's largest
pixels are blurred, or brought back. Shifts: Spearman's correlation of the maps of an image and of the image shifted by
up to 5 pixels. Randomisation (Adebayo et al., NeurIPS 2018): that with the map of the network whose parameters are
shuffled; part tables and counterparts are fitted again to what the shuffled network sees. Pairs (SCOUT): the PIoU of
the query's region and the counter image's. Scenes, which have no parts, have no shifts and no pairs.

Cost: two and a half minutes on one core; with EfficientNet-Lite0 on 25 species of CUB seven.
"""

from galore import program

program.guard(__name__)

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from galore.evaluation import faithfulness, queries, stability
from galore.evaluation.evaluate import Batch, Model, Scores, maps_of, over_batches, part_iou, with_baselines
from galore.evaluation.methods import ANSWERING, BASELINES, Method, Rule, Score
from galore.evaluation.queries import Queries
from galore.evaluation.test_set import Parts, TestSet
from galore.experiment import inputs, plots, runner
from galore.experiment.claims import Claim, Difference, Source
from galore.experiment.config import Config
from galore.experiment.table import Cell, Row, Table, rows_of

TITLE = "Answering: at whose cost?"
OPTIONS = ("attribution", "explanation.edited_images", "explanation.batch_size")
RULES = (Rule.ATTRIBUTIVE, Rule.DISCRIMINANT, Rule.MARGIN, Rule.ABSENCE, *ANSWERING)
FRACTIONS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
SHUFFLED = (0.25, 0.5, 0.75, 1.0)
PIOU, REGION = "piou, every image", 0.1
CORRELATION, STAGE = "correlation", "randomised"
STAGE_WORDS = ("share of the parameters shuffled, from the output down", "Spearman's correlation with the map before")
WORDS = {
    "deletion": "area under the curve of deletion, of the probability among the two classes (smaller is better)",
    "insertion": "area under the curve of insertion, of the probability among the two classes",
    stability.CORRELATION: "Spearman's correlation of the maps of an image and of the shifted image",
}
MARGIN = Method(Rule.MARGIN)


def run(config: Config) -> Table:
    """One row per map and measure; of the randomisation one per stage."""
    test_set = inputs.with_part_tables(config, inputs.test_set(config))
    # The least probable but all that are less so than the runner-up.
    runner_up = queries.least_probable(test_set, len(np.unique(test_set.labels)) - 2, config.seed)
    asked = runner_up.sample(config.explanation.edited_images, config.seed)
    with_score = {Rule.DISCRIMINANT: Score.SOFTMAX}
    methods = tuple(Method(rule, with_score.get(rule), config.attribution) for rule in RULES)
    given = (config, test_set, asked, methods)
    rows = _edited(*given) + _randomised(*given)
    if isinstance(test_set.annotations, Parts):
        options = (methods, config.seed, config.explanation.batch_size)
        wide = inputs.with_margin(config, test_set, asked.rows)
        rows += rows_of(stability.correlation_under_shift(wide, asked, *options), test_set)
        rows += rows_of(part_iou(test_set, asked, *options).only(PIOU), test_set, regions=(REGION,))
    return Table(rows, inputs.remarks(test_set))


def claims(table: Table) -> list[Claim]:
    """Ours: what follows the question better is worse nowhere else; and it follows the network."""
    stated = []
    for method in map(Method, ANSWERING):
        for measure, region in (("deletion", None), ("insertion", None), (stability.CORRELATION, None), (PIOU, REGION)):
            if table.select(measure):
                first, second = (Cell(one, measure, region) for one in (method, MARGIN))
                text = f"By {measure}, the map {method.words!r} does better than {MARGIN.words!r}."
                number = f"{measure}, {method.words} minus {MARGIN.words}"
                is_reversed = measure == "deletion"
                stated.append(Claim(text, Source.OURS, number, Difference(first, second), is_reversed=is_reversed))
        after = Cell(method, CORRELATION, None, ((STAGE, "100%"),))
        text = f"Randomising the network changes the map: {method.words}."
        stated.append(Claim(text, Source.OURS_ADEBAYO, "0.5 minus Spearman's correlation", Difference(0.5, after)))
    return stated


def draw(table: Table) -> dict:
    """Every measure that there is."""
    found = {
        name.replace(" ", "_"): plots.dots(table, name, chance=None, words=words)
        for name, words in WORDS.items()
        if table.select(name)
    }
    return found | {"randomisation": plots.lines(table, CORRELATION, STAGE, STAGE_WORDS)}


def _edited(config: Config, test_set: TestSet, asked: Queries, methods: tuple[Method, ...]) -> tuple[Row, ...]:
    """The areas under the curves of deletion and insertion."""

    @jax.jit
    def program(model: Model, batch: Batch) -> list[dict[str, Any]]:
        one = jax.vmap(functools.partial(_areas, model.net))
        maps = with_baselines(maps_of(methods, model, batch), batch)
        return [one(batch.images, map_, batch.predicted, batch.counter) for map_ in maps]

    areas = over_batches(program, test_set, asked, config.seed, config.explanation.batch_size)
    return rows_of(Scores(asked, dict(zip((*methods, *BASELINES), areas))), test_set)


def _areas(net: Any, image: Any, map_: Any, y: Any, c: Any) -> dict[str, Any]:
    def probability(x: Any) -> Any:
        logits = net(x)[1]
        return jax.nn.sigmoid(logits[y] - logits[c])

    blank = faithfulness.blurred(image)
    ways = {"deletion": (image, blank), "insertion": (blank, image)}
    curves = {
        name: faithfulness.replacement_curve(probability, start, end, map_, FRACTIONS)
        for name, (start, end) in ways.items()
    }
    return {name: faithfulness.area(curve, FRACTIONS) for name, curve in curves.items()}


def _randomised(config: Config, test_set: TestSet, asked: Queries, methods: tuple[Method, ...]) -> tuple[Row, ...]:
    """The correlation of each map with the one of the same network, more and more of it shuffled."""
    maps_by = jax.jit(lambda model, batch: maps_of(methods, model, batch))
    order = faithfulness.order_of_use(test_set.net, jnp.asarray(test_set.inputs(asked.rows[:1])[0]))[::-1]
    correlation = jax.jit(jax.vmap(faithfulness.rank_correlation))
    original = over_batches(maps_by, test_set, asked, config.seed, config.explanation.batch_size)
    rows: tuple[Row, ...] = ()
    for share in SHUFFLED:
        names = set(order[: round(share * len(order))])
        net = faithfulness.randomise(test_set.net, names, jax.random.key(config.seed))
        shuffled = inputs.with_part_tables(config, dataclasses.replace(test_set, net=net))
        changed = over_batches(maps_by, shuffled, asked, config.seed, config.explanation.batch_size)
        values = {
            method: {CORRELATION: np.asarray(correlation(jnp.asarray(before), jnp.asarray(after)))}
            for method, before, after in zip(methods, original, changed)
        }
        rows += rows_of(Scores(asked, values), test_set, {STAGE: f"{share:.0%}"})
    return rows


if __name__ == "__main__":
    runner.main(__file__)
