"""Are the maps explanations at all? Deletion, insertion, and randomisation of the network from its output down.

    python experiments/sanity.py dataset=synthetic_birds model=small_cnn

Deletion and insertion: the probability of the prediction while the map's largest pixels are blurred, or brought back
into a blurred image; the area under the curve. Randomisation: Spearman's correlation of the map with the one of the
same network after more and more of its parameters were shuffled; a map that survives it is no explanation.
"""

import dataclasses
from collections import OrderedDict

import figures
import jax
import jax.numpy as jnp
import numpy as np
import running
import subjects
from claims import Claim
from table import Row, Table, rows_of, spread

from galore.evaluation import faithfulness, judging, questions, rules
from galore.evaluation.judging import DiscriminantMethods
from galore.evaluation.questions import Questions
from galore.evaluation.statistics import bootstrap
from galore.evaluation.subject import Subject, in_batches

TITLE = "Sanity: deletion, insertion, randomised parameters"
FRACTIONS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
STAGES = 4
PROBABILITY = "probability of the prediction"
STAGE_WORDS = ("share of the parameters shuffled, from the output down", "Spearman's correlation with the map before")


def run(cfg) -> Table:
    """One row per map for the curves' areas, one per map and stage for the randomisation."""
    subject = subjects.subject(cfg)
    asked = questions.beginner(subject, cfg.seed)
    some = np.sort(np.random.default_rng(cfg.seed).permutation(len(asked.rows))[: cfg.explanation.edited_images])
    asked = asked._replace(
        rows=asked.rows[some],
        predicted=asked.predicted[some],
        counter=asked.counter[some],
        counter_rows=asked.counter_rows[some],
        left_out=asked.left_out | {"not drawn": len(asked.rows) - len(some)},
    )
    methods = rules.best_discriminant(subjects.attribution(cfg), cfg.confidence.score)
    rows = _edited(cfg, subject, asked, methods) + _randomised(cfg, subject, asked, methods)
    return Table(rows, subjects.remarks(subject))


def _edited(cfg, subject: Subject, asked: Questions, methods: DiscriminantMethods) -> tuple[Row, ...]:
    """The areas under the deletion and insertion curves, and the curves."""
    keys = jax.random.split(jax.random.key(cfg.seed), len(asked.rows))
    arguments = (asked.predicted, asked.counter, subject.discriminant[asked.predicted, asked.counter], keys)

    def edited(net, predictor, images, notes, y, c, truth, keys):
        maps = methods(net, predictor, images, y, c)
        maps |= judging.baseline_maps(notes, keys, truth, maps)
        one = jax.vmap(lambda image, map_, predicted: _curves(net, image, map_, predicted))
        return OrderedDict((name, one(images, map_, y)) for name, map_ in maps.items())

    found = in_batches(edited, subject, asked.rows, *arguments, batch_size=cfg.explanation.batch_size)
    rows: tuple[Row, ...] = ()
    for name, curves in found.items():
        areas = {measure: np.asarray(faithfulness.area(curve, FRACTIONS)) for measure, curve in curves.items()}
        rows += rows_of({name: areas}, asked.rows, len(subject), left_out=asked.left_out)
        for measure, curve in curves.items():
            values = spread(curve, asked.rows, len(subject))[None]
            rows += (Row({"method": name}, f"{measure} curve", values, asked.left_out),)
    return rows


def _randomised(cfg, subject: Subject, asked: Questions, methods: DiscriminantMethods) -> tuple[Row, ...]:
    """The correlation of each map with the one of the same network, more and more of it randomised."""

    def only_maps(net, predictor, images, notes, y, c):
        return OrderedDict(methods(net, predictor, images, y, c))

    arguments, batch_size = (asked.rows, asked.predicted, asked.counter), cfg.explanation.batch_size
    order = faithfulness.order_of_use(subject.net, jnp.asarray(subject.inputs(asked.rows[:1])[0]))[::-1]
    correlation = jax.jit(jax.vmap(faithfulness.rank_correlation))
    original = in_batches(only_maps, subject, *arguments, batch_size=batch_size)
    rows = []
    for stage in range(1, STAGES + 1):
        share = stage / STAGES
        net = faithfulness.randomise(subject.net, set(order[: round(share * len(order))]), jax.random.key(cfg.seed))
        changed = in_batches(only_maps, dataclasses.replace(subject, net=net), *arguments, batch_size=batch_size)
        for name, maps in changed.items():
            found = np.asarray(correlation(jnp.asarray(original[name]), jnp.asarray(maps)))
            labels = {"method": name, "randomised": f"{share:.0%}"}
            rows.append(Row(labels, "correlation", spread(found, asked.rows, len(subject))[None], asked.left_out))
    return tuple(rows)


def claims(table: Table) -> list[Claim]:
    """Explanations follow the network."""
    made = []
    for row in table.select("correlation", randomised="100%"):
        text = f"Randomising the network changes the map: {row.labels['method']}."
        made.append(
            Claim(text, "ours; Adebayo et al., 2018", "0.5 minus Spearman's correlation", bootstrap(0.5 - row.values))
        )
    names = [row.labels["method"] for row in table.select("deletion")][:3]
    for name in names:
        for measure, sign in (("deletion", -1), ("insertion", 1)):
            estimate = table.difference(measure, {"method": name}, {"method": "random map"})
            if estimate is not None and sign < 0:
                estimate = estimate._replace(mean=-estimate.mean, low=-estimate.high, high=-estimate.low)
            text = f"{measure.capitalize()} by the map is better than at random: {name}."
            made.append(Claim(text, "ours; Petsiuk et al., 2018", f"area of the {measure} curve, gain", estimate))
    return made


def draw(table: Table) -> dict:
    """The curves, and the correlation over the stages."""
    edits = {"deletion": "blurred, % of the image", "insertion": "brought back, % of the image"}
    drawn = {
        name: figures.curves(table, f"{name} curve", ("largest pixels of the map " + along, PROBABILITY), FRACTIONS)
        for name, along in edits.items()
    }
    return drawn | {"randomisation": figures.lines(table, "correlation", "randomised", STAGE_WORDS)}


def _curves(net, image, map, predicted):
    def probability(x):
        return jax.nn.softmax(net(x)[1])[predicted]

    blank = faithfulness.blurred(image)
    deletion = faithfulness.replacement_curve(probability, image, blank, map, FRACTIONS)
    insertion = faithfulness.replacement_curve(probability, blank, image, map, FRACTIONS)
    return {"deletion": deletion, "insertion": insertion}


if __name__ == "__main__":
    running.main(__file__)
