"""Which layer's activations make the best deliberative explanations? conv2_2 to conv5_3, layer1 to layer4.

    python experiments/deliberative_layer.py dataset=synthetic_birds model=small_cnn

An ablation of GALORE. By default the papers' layers of VGG16, conv2_2, conv3_3, conv4_3 and conv5_3, and of other
networks about one per stage: those that lie in one stage see nearly the same. `explanation.layers=[layer3,layer4]` for
some. Several `explanation.checkpoints` are cut at theirs.

Cost: 25 s on two cores. Expect AUROCs of 0.55 to 0.57 on invented birds, whichever the layer.
"""

from galore import program

program.guard(__name__)

from galore.evaluation.methods import Score
from galore.experiment import inputs, insecurities, plots, runner
from galore.experiment.claims import Claim, Difference, Source
from galore.experiment.config import Config
from galore.experiment.insecurities import cell, difficulty
from galore.experiment.table import Table

TITLE = "Layers in deliberative explanations"
OPTIONS = (*insecurities.OPTIONS, "explanation.layers", "explanation.checkpoints")


def run(config: Config) -> Table:
    """One row per network, layer and difficulty score."""
    table, layers = Table(()), {run: inputs.layers(config, run) for run in config.checkpoints}
    for checkpoint, label in inputs.networks(config).items():
        for layer in layers[checkpoint]:
            test_set = inputs.test_set(config, run=checkpoint, layer=layer)
            table += insecurities.table(
                config, test_set, (Score.SOFTMAX, Score.EASINESS), labels=label | {"layer": layer}
            )
    return table


def claims(table: Table) -> list[Claim]:
    """Later layers, which are more semantic, are better."""
    stated = []
    for network in table.labels("network"):
        label = {"network": network} if network else {}
        measure = insecurities.primary(table)
        layers = list(dict.fromkeys(row.cell.label("layer") for row in table.select(measure, label)))
        where = f" of {network}" if network else ""
        for layer in layers[:-1]:
            last, other = (
                cell(table, difficulty(Score.SOFTMAX), Score.SOFTMAX, {**label, "layer": name})
                for name in (layers[-1], layer)
            )
            text = f"The last layer ({layers[-1]}{where}) makes better insecurities than {layer}."
            number = f"{measure}, {layers[-1]} minus {layer}"
            stated.append(Claim(text, Source.GALORE, number, Difference(last, other)))
    return stated


def draw(table: Table) -> dict:
    """The papers' measure over depth."""
    return {"depth": plots.over_depth(table, insecurities.primary(table))}


if __name__ == "__main__":
    runner.main(__file__)
