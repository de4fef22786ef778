"""Which attribution function makes the best discriminant maps: gradient, Grad-CAM or integrated gradients?

    python experiments/counterfactual_attribution.py dataset=synthetic_birds model=small_cnn

GALORE compares them for SCOUT's explanations. Integrated gradients follow a path of images from a black one, as the
authors take them, on a sample of the queries; the path through activations, which is complete, is ours. Several
`explanation.checkpoints` compare networks as well.

Cost: 80 s a network on two cores. Expect the three to be nearly the same map on invented birds: behind a global
average and one linear layer the gradient is the same everywhere.
"""

from galore import program

program.guard(__name__)

from galore.attribution import grad_cam, gradient_x_activation, integrated_gradients
from galore.evaluation.evaluate import AREA, MEAN_IOU, PRECISION_AT_RECALL, evaluate
from galore.evaluation.methods import AttributionSetting, Method, Rule
from galore.experiment import inputs, plots, runner
from galore.experiment.claims import Claim, Source, better
from galore.experiment.config import Config
from galore.experiment.table import Table, rows_of

TITLE = "Attribution functions in counterfactual explanations"
OPTIONS = (
    "explanation.batch_size", "explanation.checkpoints", "explanation.counter_images", "explanation.path_images"
)  # fmt: skip
GRADIENT = AttributionSetting.of(gradient_x_activation, "gradient")
GRAD_CAM = AttributionSetting.of(grad_cam, "Grad-CAM")
INTEGRATED = AttributionSetting.of(
    integrated_gradients, "integrated gradients along activations", steps=20
)  # fmt: skip


def run(config: Config) -> Table:
    """One row per network, user and attribution."""
    table = Table(())
    for checkpoint, label in inputs.networks(config).items():
        test_set = inputs.test_set(config, run=checkpoint if label else None)
        methods = tuple(
            Method(rule, None, setting)
            for setting in (GRADIENT, GRAD_CAM, INTEGRATED, inputs.along_images(test_set))
            for rule in (Rule.DISCRIMINANT, Rule.ATTRIBUTIVE)
        )
        rows = ()
        for queries in inputs.users(config, test_set):
            sample = queries.sample(config.explanation.path_images, config.seed)
            scored = evaluate(test_set, sample, methods, config.seed, config.explanation.batch_size)
            rows += rows_of(scored, test_set, label | {"user": queries.user})
        table += Table(rows, inputs.remarks(test_set))
    return table


def claims(table: Table) -> list[Claim]:
    """The papers' default needs no better attribution."""
    measure = PRECISION_AT_RECALL if table.select(PRECISION_AT_RECALL) else MEAN_IOU
    maps = {
        row.cell.method.attribution.name: row.cell.method
        for row in table.select(measure)
        if row.cell.method.rule is Rule.DISCRIMINANT and row.cell.method.attribution is not None
    }
    stated = []
    for network in table.labels("network"):
        label = {"network": network} if network else {}
        for user in ("beginner", "advanced"):
            who, labels = ", ".join([f"{user} user", *label.values()]), label | {"user": user}
            for name, other in maps.items():
                if name != GRADIENT.name:
                    text = f"Gradient attribution is better than {name} ({who})."
                    source = Source.OURS if name == INTEGRATED.name else Source.GALORE
                    number, why = f"{measure}, gradient minus {name}", "there is no student"
                    pair = (maps[GRADIENT.name], other, measure)
                    stated.append(better(text, source, *pair, number=number, otherwise=why, labels=labels))
    return stated


def draw(table: Table) -> dict:
    """The specificity, the paper's measure, and its curves."""
    measure = AREA if table.select(AREA) else MEAN_IOU
    drawn = {"specificity": plots.dots(table, "specificity"), "primary": plots.dots(table, measure, chance=None)}
    return drawn | plots.region_curves(table)


if __name__ == "__main__":
    runner.main(__file__)
