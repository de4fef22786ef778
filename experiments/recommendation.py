"""Which layer, attribution, rule and score should one use? Chosen on one half of the classes, confirmed on the other.

    python experiments/recommendation.py dataset=cub model=efficientnet_lite0

The number is the AUROC at the ground-truth parts, averaged over both users; on invented birds also the AUROC at the
part whose replacement flips the decision, with a choice of its own. Several checkpoints (`explanation.checkpoints`)
compare networks that were trained in different ways.
"""

import figures
import numpy as np
import running
import subjects
from claims import Claim
from table import Row, Table, spread

from galore.attribution import grad_cam, gradient_x_activation
from galore.evaluation import judging, questions, rules, true_counterfactuals
from galore.evaluation.statistics import bootstrap
from galore.evaluation.subject import Subject

TITLE = "What we recommend"
ALL = rules.all_discriminant
WAYS = {
    "gradient": ALL(gradient_x_activation),
    "Grad-CAM": ALL(grad_cam),
    "gradient, mirrored too": rules.mirrored_too(ALL(gradient_x_activation)),
}
"""Ways to make the maps that the rules put together."""
TARGETS = {
    "parts that differ": ("auroc, choosing half", "auroc, confirming half"),
    "true counterfactuals": ("auroc of flips, choosing half", "auroc of flips, confirming half"),
}
"""What maps should find, and the measures that a combination is chosen by and confirmed by."""
PARTS, FLIPS = TARGETS.values()
DEFAULT = rules.discriminant("softmax")


def run(cfg) -> Table:
    """One row per network, layer, attribution and rule."""
    table, flock = Table(()), subjects.flock(cfg)
    layers = {checkpoint: subjects.layers(cfg, checkpoint) for checkpoint in subjects.checkpoints(cfg)}
    for checkpoint, label in subjects.networks(cfg).items():
        edits = None
        for layer in layers[checkpoint]:
            subject = subjects.subject(cfg, checkpoint=checkpoint, layer=layer, needs_parts=True)
            if flock is not None and edits is None:  # where the network is cut does not change its decisions
                edits = true_counterfactuals.flipping(subject, flock, cfg.explanation.edited_images, cfg.seed)
            table += Table(_rows(cfg, subject, edits, {**label, "layer": layer}), subjects.remarks(subject))
    return table


def claims(table: Table) -> list[Claim]:
    """The choice for each target, and whether it holds on the classes that it was not made on."""
    return [claim for target in TARGETS if table.select(TARGETS[target][0]) for claim in _confirmed(table, target)]


def _confirmed(table: Table, target: str) -> list[Claim]:
    choosing, confirming = TARGETS[target]
    rows = [row for row in table.select(choosing) if row.labels["method"] not in figures.GREY]
    best = max(rows, key=lambda row: np.nan_to_num(row.estimate.mean, nan=-1.0)).labels
    name = ", ".join(best.values())
    start = {**best, "layer": _last_layer(table, best), "attribution": "gradient", "method": DEFAULT}
    gaussian = {**best, "attribution": "", "method": "centred Gaussian"}
    made = []
    for rival, text in ((start, "the papers' default"), (gaussian, "a centred Gaussian")):
        estimate = table.difference(confirming, best, rival)
        number = f"AUROC on the other half, {name} minus {text}"
        made.append(Claim(f"The chosen combination beats {text} on new classes ({target}).", "ours", number, estimate))
    confirmed = table.find(confirming, **best)
    if confirmed is not None:
        text = f"The chosen combination is better than chance on new classes ({target})."
        number = f"AUROC on the other half minus 0.5, {name}"
        made.append(Claim(text, "ours", number, bootstrap(confirmed.values - 0.5)))
    return made


def draw(table: Table) -> dict:
    """For each target the best twelve combinations and the baselines, on the confirming half."""
    found = {"auroc": PARTS[1], "flips": FLIPS[1]}
    return {name: _best(table, measure) for name, measure in found.items() if table.select(measure)}


def _best(table: Table, measure: str):
    rows = table.select(measure)
    order = sorted(rows, key=lambda row: -np.nan_to_num(row.estimate.mean, nan=-1.0))
    own = [row for row in order if row.labels["method"] not in figures.GREY][:12]
    named = {", ".join(filter(None, row.labels.values())): row for row in own}
    named |= {row.labels["method"]: row for row in rows if row.labels["method"] in figures.GREY}
    shown = tuple(Row({"method": name}, row.measure, row.values) for name, row in named.items())
    return figures.dots(
        Table(shown), measure, words=f"{measure.replace('auroc', 'AUROC')} of the classes (0.5: chance)"
    )


def _rows(cfg, subject: Subject, edits: true_counterfactuals.Edits | None, labels: dict[str, str]) -> tuple[Row, ...]:
    """The AUROC of all rules by all attributions, by half of the classes, over both users."""
    by_method: dict[str, list[np.ndarray]] = {}
    for asked in questions.users(subject, cfg.seed):
        judged = judging.judge_discriminant(subject, asked, _methods, cfg.seed, cfg.explanation.batch_size)
        for method, scores in judged.items():
            by_method.setdefault(method, []).append(spread(scores["auroc"], asked.rows, len(subject)))
    rows = []
    for method, values in by_method.items():
        counted = np.sum(~np.isnan(values), axis=0)
        mean = np.nansum(values, axis=0) / np.where(counted, counted, np.nan)
        rows += _halves(subject, mean, labels | _named(method), PARTS)
    if edits is not None:
        asked, batch_size = edits.questions, cfg.explanation.batch_size
        judged = judging.judge_discriminant(subject, asked, _methods, cfg.seed, batch_size, truth=edits.parts)
        for method, scores in judged.items():
            values = spread(scores["auroc"], asked.rows, len(subject))
            rows += _halves(subject, values, labels | _named(method), FLIPS)
    return tuple(rows)


def _halves(subject: Subject, values: np.ndarray, labels: dict[str, str], measures: tuple[str, str]) -> list[Row]:
    """The values of the images of even classes under the first measure, those of odd ones under the second."""
    even, made = subject.labels % 2 == 0, []
    for measure, half in zip(measures, (even, ~even)):
        why = {
            "of the other half of the classes": int((~half).sum()),
            "not asked about, or the number is undefined": int(np.isnan(values[half]).sum()),
        }
        made.append(Row(labels, measure, np.where(half, values, np.nan)[None], why))
    return made


def _methods(*arguments):
    """Every rule by every attribution, under names that `_named` takes apart again."""
    made = {}
    for name, methods in WAYS.items():
        made |= {f"{name}: {rule}": map_ for rule, map_ in methods(*arguments).items()}
    return made


def _named(method: str) -> dict[str, str]:
    attribution, _, rule = method.rpartition(": ")
    return {"attribution": attribution, "method": rule}


def _last_layer(table: Table, best: dict[str, str]) -> str:
    return [row.labels["layer"] for row in table.rows if row.labels.get("network") == best.get("network")][-1]


if __name__ == "__main__":
    running.main(__file__)
