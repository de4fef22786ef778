"""Which attribution function makes the best discriminant maps: gradient, Grad-CAM or integrated gradients?

    python experiments/counterfactual_attribution.py dataset=synthetic_birds model=small_cnn

GALORE compares them for SCOUT's explanations. Several `explanation.checkpoints` compare networks as well.

Cost: 10 s a network on two cores. Expect no difference on invented birds (advanced AUROC 0.72 by all three): behind a
global average and one linear layer the three are nearly the same map.
"""

from galore.attribution import grad_cam, gradient_x_activation, integrated_gradients
from galore.evaluation import queries
from galore.evaluation.evaluate import evaluate
from galore.evaluation.methods import AttributionSetting, Method, Rule
from galore.experiment import inputs, plots, runner
from galore.experiment.claims import Claim, Source, better
from galore.experiment.config import Config
from galore.experiment.table import Table, rows_of

TITLE = "Attribution functions in counterfactual explanations"
OPTIONS = ("explanation.batch_size", "explanation.checkpoints")
GRADIENT = AttributionSetting.of(gradient_x_activation, "gradient")
OTHERS = (
    AttributionSetting.of(grad_cam, "Grad-CAM"),
    AttributionSetting.of(integrated_gradients, "integrated gradients", steps=20),
)
METHODS = tuple(
    Method(rule, None, attribution)
    for attribution in (GRADIENT, *OTHERS)
    for rule in (Rule.DISCRIMINANT, Rule.ATTRIBUTIVE)
)


def run(config: Config) -> Table:
    """One row per network, user and attribution."""
    table = Table(())
    for checkpoint, label in inputs.networks(config).items():
        test_set = inputs.test_set(config, run=checkpoint if label else None)
        rows = ()
        for user_queries in queries.users(test_set, config.seed):
            scored = evaluate(test_set, user_queries, METHODS, config.seed, config.explanation.batch_size)
            rows += rows_of(scored, test_set, label | {"user": user_queries.user})
        table += Table(rows, inputs.remarks(test_set))
    return table


def claims(table: Table) -> list[Claim]:
    """The papers' default needs no better attribution."""
    stated = []
    ours, *others = (Method(Rule.DISCRIMINANT, None, setting) for setting in (GRADIENT, *OTHERS))
    for network in table.labels("network"):
        label = {"network": network} if network else {}
        for user in ("beginner", "advanced"):
            who, labels = ", ".join([f"{user} user", *label.values()]), label | {"user": user}
            for setting, other in zip(OTHERS, others):
                text = f"Gradient attribution is better than {setting.name} ({who})."
                number, why = f"AUROC, gradient minus {setting.name}", "there is no student"
                stated.append(better(text, Source.GALORE, ours, other, number=number, otherwise=why, labels=labels))
    return stated


draw = plots.auroc_and_curves

if __name__ == "__main__":
    runner.main(__file__)
