"""Which layer, attribution, rule and score should one use? Chosen on one half of the classes, confirmed on the other.

    python experiments/recommendation.py dataset=cub model=efficientnet_lite0

Ours. The number is the specificity, which position and size cannot flatter; on invented birds also the AUROC at the
part whose replacement flips the decision, with a choice of its own. Sibling species share a half, so that what was
chosen on a species is not confirmed on its twin; both halves were seen by the same training. Several checkpoints
(`explanation.checkpoints`) compare networks that were trained in different ways.

Cost: 2 minutes on invented birds with the small CNN. Expect the margin to be chosen.
"""

from galore import program

program.guard(__name__)

import dataclasses
from collections.abc import Sequence

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
    "parts that differ": ("specificity, choosing half", "specificity, confirming half"),
    "true counterfactuals": ("auroc of flips, choosing half", "auroc of flips, confirming half"),
}
"""What maps should find, and the measures that a combination is chosen by and confirmed by."""
PARTS, FLIPS = TARGETS.values()
DEFAULT = Method(Rule.DISCRIMINANT, Score.SOFTMAX)


def run(config: Config) -> Table:
    """One row per network, layer, attribution and rule."""
    table, birds = Table(()), inputs.birds_of(config)
    # Every class's map at an early layer is a pass back through most of the network: the last two are enough.
    layers = {run: inputs.layers(config, run) for run in config.checkpoints}
    if config.explanation.layers is None:
        layers = {run: some[-2:] for run, some in layers.items()}
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
        number = f"{confirming}, {name} minus {text}"
        text = f"The chosen combination beats {text} on new classes ({target})."
        stated.append(Claim(text, Source.OURS, number, Difference(best, rival)))
    if table.find(best) is not None:
        text = f"The chosen combination is better than chance on new classes ({target})."
        stated.append(Claim(text, Source.OURS, f"{confirming} minus 0.5, {name}", Difference(best, 0.5)))
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
    """The specificity of all rules by all attributions, and their AUROC at flipped parts, by half of the classes."""
    there, batch_size = scores(test_set.predictor), config.explanation.batch_size
    methods = tuple(method for setting in ATTRIBUTIONS for method in all_rules(setting, there))
    asked = [(queries.beginner(test_set, config.seed), "specificity", PARTS)]
    if flips is not None:
        asked.append((flips.queries, "auroc", FLIPS))
    rows = []
    for some, measure, halves in asked:
        every_class = measure == "specificity"
        scored = evaluate(test_set, some, methods, config.seed, batch_size, every_class=every_class)
        for method, measures in scored.by_method.items():
            rows += _halves(test_set, spread(measures[measure], some.rows, len(test_set)), method, labels, halves)
    return tuple(rows)


def _halves(
    test_set: TestSet, values: np.ndarray, method: Method, labels: dict[str, str], measures: tuple[str, str]
) -> list[Row]:
    """The values of the images of one half of the families under the first measure, of the other under the second."""
    first, rows = choosing_half(test_set.class_names)[test_set.labels], []
    name = method.attribution.name if method.attribution else ""
    named = tuple({**labels, "attribution": name}.items())
    for measure, half in zip(measures, (first, ~first)):
        why = {
            "of the other half of the classes": int((~half).sum()),
            "not asked about, or the number is undefined": int(np.isnan(values[half]).sum()),
        }
        cell = Cell(dataclasses.replace(method, attribution=None), measure, None, named)
        rows.append(Row(cell, np.where(half, values, np.nan)[None], why, test_set.labels))
    return rows


def choosing_half(class_names: Sequence[str]) -> np.ndarray:
    """Which classes choose: every other family, a family being the classes whose names end in the same word."""
    families = [name.replace("_", " ").split()[-1] for name in class_names]
    order = list(dict.fromkeys(families))
    return np.array([order.index(family) % 2 == 0 for family in families])


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
