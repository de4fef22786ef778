"""Which network deliberates best? AlexNet, VGG16, ResNet and whatever else was trained on the data set.

    python experiments/deliberative_network.py dataset=synthetic_birds explanation.checkpoints='[RUN1, RUN2]'

An ablation of GALORE. Every checkpoint is a training run (`experiments/train.py`) on the same data set; by default the
one of the options.

Cost: a minute for four narrow networks on two cores.
"""

from galore import program

program.guard(__name__)

from galore.evaluation.methods import Score
from galore.experiment import inputs, insecurities, runner
from galore.experiment.claims import Claim, Difference, Source
from galore.experiment.config import Config
from galore.experiment.insecurities import cell, difficulty
from galore.experiment.table import Table

TITLE = "Networks in deliberative explanations"
OPTIONS = (*insecurities.OPTIONS, "explanation.checkpoints")


def run(config: Config) -> Table:
    """One row per network and difficulty score."""
    table = Table(())
    for checkpoint, label in inputs.networks(config).items():
        test_set = inputs.test_set(config, run=checkpoint)
        labels = label or {"network": test_set.net.name}
        table += insecurities.table(config, test_set, (Score.SOFTMAX, Score.EASINESS), labels=labels)
    return table


def claims(table: Table) -> list[Claim]:
    """Deeper networks give better insecurities than AlexNet."""
    networks = table.labels("network")
    alexnet = next((network for network in networks if network.startswith("alexnet")), "alexnet")
    stated = []
    for network in networks:
        if network != alexnet:
            score, method = Score.SOFTMAX, difficulty(Score.SOFTMAX)
            cells = [cell(table, method, score, {"network": name}) for name in (network, alexnet)]
            text, number = (
                f"{network} makes better insecurities than AlexNet.",
                f"{cells[0].number}, {network} minus {alexnet}",
            )
            # Each network has hardest images of its own.
            pair = Difference(*cells, is_paired=False)
            stated.append(Claim(text, Source.GALORE, number, pair, "no AlexNet was trained here"))
    return stated


draw = insecurities.draw

if __name__ == "__main__":
    runner.main(__file__)
