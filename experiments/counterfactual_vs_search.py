"""Discriminant maps against exhaustive search for counterfactual regions: SCOUT, table 1.

    python experiments/counterfactual_vs_search.py dataset=synthetic_birds model=small_cnn

Recall, precision and PIoU of regions of one unit of the map, and images explained per second. All methods give regions
of the same size. The search makes one edit, hence one unit of the map on both images.

Cost: a minute on two cores. Expect about as many images a second by our search as by discriminant maps, and a tenth of
that by the search that runs the head on every candidate, the one of the paper.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from galore import explain
from galore.benchmark.timing import Workload, interleaved
from galore.evaluation import metrics, queries, search
from galore.evaluation.evaluate import Batch, Model, Scores, evaluate, over_batches, part_iou, part_iou_of_ranks
from galore.evaluation.methods import AttributionSetting, Method, Rule, main_rules
from galore.evaluation.queries import Queries
from galore.evaluation.test_set import Parts, TestSet
from galore.experiment import inputs, plots, runner
from galore.experiment.claims import Claim, Difference, Multiple, Source, better
from galore.experiment.config import Config
from galore.experiment.table import Cell, Row, Table, rows_of

TITLE = "Discriminant maps against exhaustive search"
OPTIONS = ("attribution", "confidence", "explanation.batch_size")
SEARCH, SEARCH_BY_HEAD = Method(Rule.SEARCH), Method(Rule.SEARCH_BY_HEAD)
SPEED = "images per second"
ROUNDS = 7
FASTER = 50
BEGINNER = (("user", "beginner"),)


def run(config: Config) -> Table:
    """One row per user and method."""
    test_set, batch_size = inputs.test_set(config, needs_parts=True), config.explanation.batch_size
    image = jnp.asarray(test_set.inputs(np.arange(1))[0])
    height, width, _ = jax.eval_shape(lambda net, x: net(x)[0], test_set.net, image).shape
    unit = min(metrics.FRACTIONS, key=lambda fraction: abs(fraction - 1 / (height * width)))
    methods = main_rules(config.attribution, config.score_with(test_set.predictor))
    rows = ()
    for user_queries in queries.users(test_set, config.seed):
        arguments = (test_set, user_queries, methods, config.seed, batch_size)
        scored, pairs = evaluate(*arguments), part_iou(*arguments)
        by_method = {
            method: _at_unit(measures, pairs.by_method[method]["piou"], metrics.FRACTIONS.index(unit))
            for method, measures in scored.by_method.items()
        }
        by_method[SEARCH] = score_search(test_set, user_queries, unit, batch_size)
        rows += rows_of(Scores(user_queries, by_method), len(test_set), {"user": user_queries.user})
    for method, rates in images_per_second(test_set, config.attribution, methods[1].without_shared, batch_size).items():
        rows += (Row(Cell(method, SPEED, labels=BEGINNER), rates[None]),)
    remark = (
        f"Regions have one unit of the {height} x {width} map, {unit:.1%} of the image. Images per second are of "
        "pairs, forward passes included, on the machine of the run. Both searches find the same edits: one uses "
        "the head's structure, the other is the one that SCOUT was compared with, in batches."
    )
    return Table(rows, (*inputs.remarks(test_set), remark))


def claims(table: Table) -> list[Claim]:
    """The headline of [SCOUT]: faster by far, and better."""
    ours = next(row.cell.method for row in table.rows if row.cell.method.rule is Rule.DISCRIMINANT)
    stated = []
    for user in ("beginner", "advanced"):
        for measure in ("recall", "precision", "PIoU"):
            text = f"Discriminant maps have a better {measure} than exhaustive search ({user} user)."
            number = f"{measure}, difference"
            stated.append(
                better(text, Source.SCOUT_TABLE_1, ours, SEARCH, measure, number=number, labels={"user": user})
            )
    fast, ours_search, slow = (Cell(method, SPEED, labels=BEGINNER) for method in (ours, SEARCH, SEARCH_BY_HEAD))
    text, number = "Discriminant maps are faster than exhaustive search.", "images per second, difference"
    stated.append(Claim(text, Source.SCOUT_TABLE_1, number, Difference(fast, ours_search)))
    text = f"Discriminant maps are {FASTER} times faster than the search that runs the head on every candidate."
    number = f"images per second, discriminant minus {FASTER} times the search's"
    return [*stated, Claim(text, Source.SCOUT_SECTION_5, number, Difference(fast, Multiple(FASTER, slow)))]


def draw(table: Table) -> dict:
    """What table 1 shows, the AUROC first."""
    return plots.auroc(table) | {name: plots.dots(table, name, chance=None) for name in ("recall", "precision", "PIoU")}


def score_search(test_set: TestSet, user_queries: Queries, unit: float, batch_size: int) -> dict[str, np.ndarray]:
    """The scores of the cells that the first edit exchanges, as regions of one unit of the map."""
    parts = test_set.annotations
    assert isinstance(parts, Parts)
    counter_images, place = np.unique(user_queries.counter_rows, return_inverse=True)
    activations = test_set.run(test_set.images[counter_images], batch_size)[0][place]

    def edits(*, chunk: int) -> np.ndarray:
        return over_batches(_first_edits(chunk), test_set, user_queries, 0, batch_size, activations)

    maps = jnp.asarray(search.halving(edits, chunk=1024))
    rank = jax.jit(jax.vmap(lambda map_, points: metrics.ranks(map_, points, test_set.size)))
    ranks, counter_ranks = (
        rank(maps[:, k], jnp.asarray(parts.points[rows]))
        for k, rows in enumerate((user_queries.rows, user_queries.counter_rows))
    )
    truth, visible = jnp.asarray(user_queries.truth), jnp.asarray(parts.visible[user_queries.rows], bool)
    curves = metrics.precision_recall(ranks, truth, visible, test_set.size, (unit,))
    common = part_iou_of_ranks(test_set, user_queries, ranks, counter_ranks, (unit,))
    measures = {"auroc": metrics.auroc(ranks, truth, visible), "recall": curves.recall[:, 0]}
    return {**measures, "precision": curves.precision[:, 0], "PIoU": common[:, 0]}  # type: ignore[return-value]


def _first_edits(chunk: int):
    """(model, batch, activations of the counter images) -> the edited cells as maps [B, 2, h, w]."""

    @jax.jit
    def program(model: Model, batch: Batch, others: Any) -> Any:
        F = jax.vmap(model.net)(batch.images)[0]
        first = functools.partial(search.exhaustive, model.net, chunk=chunk)
        pairs = (F, others, batch.counter, batch.predicted)
        cells = jax.lax.map(lambda pair: first(*pair[:3], predicted=pair[3]).cells[0], pairs)
        return jax.nn.one_hot(cells, F.shape[1] * F.shape[2]).reshape(len(F), 2, *F.shape[1:3])

    return program


def images_per_second(
    test_set: TestSet, attribution: AttributionSetting, ours: Method, batch_size: int
) -> dict[Method, np.ndarray]:
    """How many images of pairs a second, once compiled, in each of some rounds; both forward passes included."""
    images = jnp.asarray(test_set.inputs(np.arange(min(batch_size, len(test_set)))))
    counters = jnp.asarray((test_set.predicted[: len(images)] + 1) % test_set.logits.shape[1])

    @functools.partial(jax.jit, static_argnames="shortcuts")
    def search_pairs(net: Any, images: Any, counters: Any, shortcuts: bool) -> Any:
        F, others = jax.vmap(net)(images)[0], jax.vmap(net)(images[::-1])[0]
        return jax.lax.map(lambda pair: search.exhaustive(net, *pair, shortcuts=shortcuts).cells, (F, others, counters))

    pair = jax.jit(functools.partial(explain.counterfactual, attribution=attribution.function()))
    net, first, its_counter = test_set.net, images[:1], counters[:1]
    calls = {
        ours: (lambda: pair(net, images, counters, images), len(images)),
        SEARCH: (lambda: search_pairs(net, images, counters, shortcuts=True), len(images)),
        SEARCH_BY_HEAD: (lambda: search_pairs(net, first, its_counter, shortcuts=False), 1),
    }
    works = [Workload(m.label, lambda c=call: jax.block_until_ready(c()), count) for m, (call, count) in calls.items()]
    seconds = interleaved(works, ROUNDS)
    return {method: count / seconds[:, k] for k, (method, (_, count)) in enumerate(calls.items())}


def _at_unit(measures: dict[str, np.ndarray], piou: np.ndarray, unit: int) -> dict[str, np.ndarray]:
    """The numbers of a method at the region size of one unit of the map."""
    curves = {name: measures[name][:, unit] for name in ("recall", "precision")}
    return {"auroc": measures["auroc"], **curves, "PIoU": piou[:, unit]}


if __name__ == "__main__":
    runner.main(__file__)
