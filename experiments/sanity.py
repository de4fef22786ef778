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
from table import Row, Table, rows_of

from galore.evaluation import faithfulness, questions, rules
from galore.evaluation.statistics import bootstrap
from galore.evaluation.subject import in_batches

TITLE = "Sanity: deletion, insertion, randomised parameters"
FRACTIONS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
STAGES = 4


def run(cfg) -> Table:
    """One row per map for the curves' areas, one per map and stage for the randomisation."""
    subject = subjects.subject(cfg)
    asked = questions.beginner(subject, cfg.seed)
    some = np.sort(np.random.default_rng(cfg.seed).permutation(len(asked.rows))[: cfg.explanation.edited_images])
    asked = asked._replace(rows=asked.rows[some], predicted=asked.predicted[some], counter=asked.counter[some])
    left_out = asked.left_out | {"not drawn": len(subject) - sum(asked.left_out.values()) - len(some)}
    methods = rules.best_discriminant(subjects.attribution(cfg), cfg.confidence.score)
    keys = jax.random.split(jax.random.key(cfg.seed), len(some))
    arguments = (asked.predicted, asked.counter, subject.discriminant[asked.predicted, asked.counter], keys)

    def areas(net, predictor, images, notes, y, c, truth, keys):
        maps = methods(net, predictor, images, y, c)
        shape = next(iter(maps.values())).shape[1:]
        maps |= jax.vmap(lambda n, k, t: n.baselines(k, t, shape))(notes, keys, truth)
        one = jax.vmap(lambda image, map_, predicted: _areas(net, image, map_, predicted))
        return OrderedDict((name, one(images, map_, y)) for name, map_ in maps.items())

    def only_maps(net, predictor, images, notes, y, c):
        return OrderedDict(methods(net, predictor, images, y, c))

    found = in_batches(areas, subject, asked.rows, *arguments, batch_size=cfg.explanation.batch_size)
    rows = rows_of(found, asked.rows, len(subject), left_out=left_out)

    order = faithfulness.order_of_use(subject.net, jnp.asarray(subject.inputs(asked.rows[:1])[0]))[::-1]
    correlation = jax.jit(jax.vmap(faithfulness.rank_correlation))
    original = in_batches(only_maps, subject, asked.rows, *arguments[:2])
    for stage in range(1, STAGES + 1):
        share = stage / STAGES
        net = faithfulness.randomise(subject.net, set(order[: round(share * len(order))]), jax.random.key(cfg.seed))
        changed = in_batches(only_maps, dataclasses.replace(subject, net=net), asked.rows, *arguments[:2])
        for name, maps in changed.items():
            values = np.full((1, len(subject)), np.nan)
            values[0, asked.rows] = correlation(jnp.asarray(original[name]), jnp.asarray(maps))
            rows += (Row({"method": name, "randomised": f"{share:.0%}"}, "correlation", values, left_out),)
    return Table(rows, subjects.remarks(subject))


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
    """The areas, and the correlation over the stages."""
    areas = {name: figures.dots(table, name, chance=None) for name in ("deletion", "insertion")}
    return areas | {"randomisation": figures.lines(table, "correlation", "randomised")}


def _areas(net, image, map, predicted):
    def probability(x):
        return jax.nn.softmax(net(x)[1])[predicted]

    blank = faithfulness.blurred(image)
    deletion = faithfulness.replacement_curve(probability, image, blank, map, FRACTIONS)
    insertion = faithfulness.replacement_curve(probability, blank, image, map, FRACTIONS)
    return {"deletion": faithfulness.area(deletion, FRACTIONS), "insertion": faithfulness.area(insertion, FRACTIONS)}


if __name__ == "__main__":
    running.main(__file__)
