"""Which network deliberates best? AlexNet, VGG16, ResNet and whatever else was trained on the data set.

    python experiments/deliberative_network.py dataset=synthetic_birds explanation.checkpoints='[RUN1, RUN2]'

Every checkpoint is a training run (`experiments/train.py`) on the same data set; by default the one of the options.
"""

import deliberations
import figures
import running
import subjects
from claims import Claim
from table import Table

TITLE = "Networks in deliberative explanations"


def run(cfg) -> Table:
    """One row per network and difficulty score."""
    table = Table(())
    for checkpoint, label in subjects.networks(cfg).items():
        subject = subjects.subject(cfg, checkpoint=checkpoint)
        labels = label or {"network": subject.net.name}
        table += deliberations.table(cfg, subject, labels=labels, scores=("softmax", "easiness"))
    return table


def claims(table: Table) -> list[Claim]:
    """Deeper networks give better insecurities than AlexNet."""
    networks = list(dict.fromkeys(row.labels["network"] for row in table.rows))
    alexnet = next((network for network in networks if network.startswith("alexnet")), "alexnet")
    made = []
    for network in networks:
        if network != alexnet:
            pair = ({"network": network, "method": "hesitancy"}, {"network": alexnet, "method": "hesitancy"})
            estimate = table.difference("auroc", *pair)
            text, number = f"{network} makes better insecurities than AlexNet.", f"AUROC, {network} minus {alexnet}"
            made.append(Claim(text, "GALORE", number, estimate, "no AlexNet was trained here"))
    return made


def draw(table: Table) -> dict:
    """The AUROC by network."""
    return {"auroc": figures.dots(table, "auroc")}


if __name__ == "__main__":
    running.main(__file__)
