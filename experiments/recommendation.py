"""Which layer, attribution, rule and score should one use? Chosen on one half of the classes, confirmed on the other.

    python experiments/recommendation.py dataset=cub model=efficientnet_lite0

Ours. The number is the AUROC at the ground-truth parts, averaged over both users; on invented birds also the AUROC at
the part whose replacement flips the decision, with a choice of its own. Several checkpoints
(`explanation.checkpoints`) compare networks that were trained in different ways.

Cost: 2 minutes on invented birds with the small CNN, 20 on CUB with EfficientNet-Lite0, two cores. Expect an AUROC of
0.90 at the flipped part on the classes that were not chosen on.
"""

import dataclasses

import numpy as np

from galore.attribution import grad_cam, gradient_x_activation
from galore.evaluation import queries, true_counterfactuals
from galore.evaluation.evaluate import evaluate
from galore.evaluation.methods import GAUSSIAN, AttributionSetting, Method, Rule, Score, all_rules, scores
from galore.evaluation.test_set import TestSet
from galore.evaluation.true_counterfactuals import Flips
from galore.experiment import inputs, plots, runner
from galore.experiment.claims import Claim, Difference, Source
from galore.experiment.config import Config
from galore.experiment.table import Cell, Row, Table, spread

TITLE = "What we recommend"
OPTIONS = (
    "explanation.edited_images", "explanation.batch_size", "explanation.layers", "explanation.checkpoints"
)  # fmt: skip
ATTRIBUTIONS = (
    AttributionSetting.of(gradient_x_activation, "gradient"),
    AttributionSetting.of(grad_cam, "Grad-CAM"),
    AttributionSetting.of(gradient_x_activation, "gradient, mirrored too", mirrored=True),
)
TARGETS = {
    "parts that differ": ("auroc, choosing half", "auroc, confirming half"),
    "true counterfactuals": ("auroc of flips, choosing half", "auroc of flips, confirming half"),
}
"""What maps should find, and the measures that a combination is chosen by and confirmed by."""
PARTS, FLIPS = TARGETS.values()
DEFAULT = Method(Rule.DISCRIMINANT, Score.SOFTMAX)


def run(config: Config) -> Table:
    """One row per network, layer, attribution and rule."""
    table, birds = Table(()), inputs.birds_of(config)
    layers = {run: inputs.layers(config, run) for run in config.checkpoints}
    for checkpoint, label in inputs.networks(config).items():
        flips = None
        for layer in layers[checkpoint]:
            test_set = inputs.test_set(config, run=checkpoint, layer=layer, needs_parts=True)
            if birds is not None and flips is None:  # where the network is cut does not change its decisions
                edited = config.explanation.edited_images
                flips = true_counterfactuals.find_flips(test_set, birds, edited, config.seed)
            rows = _rows(config, test_set, flips, {**label, "layer": layer})
            table += Table(rows, inputs.remarks(test_set))
    return table


def claims(table: Table) -> list[Claim]:
    """The choice for each target, and whether it holds on the classes that it was not made on."""
    return [claim for target in TARGETS if table.select(TARGETS[target][0]) for claim in _confirmed(table, target)]


def draw(table: Table) -> dict:
    """For each target the best twelve combinations and the baselines, on the confirming half."""
    measures = {"auroc": PARTS[1], "flips": FLIPS[1]}
    return {name: _best(table, measure) for name, measure in measures.items() if table.select(measure)}


def _confirmed(table: Table, target: str) -> list[Claim]:
    choosing, confirming = TARGETS[target]
    rows = [row for row in table.select(choosing) if not row.cell.method.is_baseline]
    best = dataclasses.replace(max(rows, key=_mean).cell, measure=confirming)
    name = _combination(best)
    same_network = [row.cell for row in table.rows if row.cell.label("network") == best.label("network")]
    start = _relabelled(best, DEFAULT, attribution="gradient", layer=same_network[-1].label("layer"))
    gaussian = _relabelled(best, GAUSSIAN, attribution="")
    stated = []
    for rival, text in ((start, "the papers' default"), (gaussian, "a centred Gaussian")):
        number = f"AUROC on the other half, {name} minus {text}"
        text = f"The chosen combination beats {text} on new classes ({target})."
        stated.append(Claim(text, Source.OURS, number, Difference(best, rival)))
    if table.find(best) is not None:
        text = f"The chosen combination is better than chance on new classes ({target})."
        stated.append(Claim(text, Source.OURS, f"AUROC on the other half minus 0.5, {name}", Difference(best, 0.5)))
    return stated


def _best(table: Table, measure: str):
    order = sorted(table.select(measure), key=_mean, reverse=True)
    own = [row for row in order if not row.cell.method.is_baseline][:12]
    baselines = {row.cell.method: row for row in table.select(measure) if row.cell.method.is_baseline}
    shown = tuple(dataclasses.replace(row, left_out={}) for row in (*own, *baselines.values()))
    shown = tuple(dataclasses.replace(row, cell=dataclasses.replace(row.cell, labels=())) for row in shown)
    names = dict(zip(map(id, shown), map(_combination, (row.cell for row in (*own, *baselines.values())))))
    words = f"{measure.replace('auroc', 'AUROC')} of the classes (0.5: chance)"
    return plots.dots(Table(shown), measure, words=words, names=lambda row: names[id(row)])


def _rows(config: Config, test_set: TestSet, flips: Flips | None, labels: dict[str, str]) -> tuple[Row, ...]:
    """The AUROC of all rules by all attributions, by half of the classes, over both users."""
    there, batch_size = scores(test_set.predictor), config.explanation.batch_size
    methods = tuple(method for setting in ATTRIBUTIONS for method in all_rules(setting, there))
    by_method: dict[Method, list[np.ndarray]] = {}
    for user_queries in queries.users(test_set, config.seed):
        scored = evaluate(test_set, user_queries, methods, config.seed, batch_size)
        for method, measures in scored.by_method.items():
            by_method.setdefault(method, []).append(spread(measures["auroc"], user_queries.rows, len(test_set)))
    rows = []
    for method, values in by_method.items():
        counted = np.sum(~np.isnan(values), axis=0)
        mean = np.nansum(values, axis=0) / np.where(counted, counted, np.nan)
        rows += _halves(test_set, mean, method, labels, PARTS)
    if flips is not None:
        scored = evaluate(test_set, flips.queries, methods, config.seed, batch_size)
        for method, measures in scored.by_method.items():
            values = spread(measures["auroc"], flips.queries.rows, len(test_set))
            rows += _halves(test_set, values, method, labels, FLIPS)
    return tuple(rows)


def _halves(
    test_set: TestSet, values: np.ndarray, method: Method, labels: dict[str, str], measures: tuple[str, str]
) -> list[Row]:
    """The values of the images of even classes under the first measure, those of odd ones under the second."""
    even, rows = test_set.labels % 2 == 0, []
    name = method.attribution.name if method.attribution else ""
    named = tuple({**labels, "attribution": name}.items())
    for measure, half in zip(measures, (even, ~even)):
        why = {
            "of the other half of the classes": int((~half).sum()),
            "not asked about, or the number is undefined": int(np.isnan(values[half]).sum()),
        }
        cell = Cell(dataclasses.replace(method, attribution=None), measure, None, named)
        rows.append(Row(cell, np.where(half, values, np.nan)[None], why))
    return rows


def _mean(row: Row) -> float:
    return float(np.nan_to_num(row.estimate.value, nan=-1.0))


def _combination(cell: Cell) -> str:
    return ", ".join(
        filter(None, ["" if cell.method.is_baseline else ", ".join(dict(cell.labels).values()), cell.method.label])
    )


def _relabelled(cell: Cell, method: Method, **labels: str) -> Cell:
    return dataclasses.replace(cell, method=method, labels=tuple((dict(cell.labels) | labels).items()))


if __name__ == "__main__":
    runner.main(__file__)
