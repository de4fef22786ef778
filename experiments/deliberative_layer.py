"""Which layer's activations make the best deliberative explanations? conv2_2 ... conv5_3, layer1 ... layer4.

    python experiments/deliberative_layer.py dataset=synthetic_birds model=small_cnn

The last five layers by default; `explanation.layers=[layer3,layer4]` for some. Several `explanation.checkpoints` are
cut at theirs.
"""

import deliberations
import figures
import running
import subjects
from claims import Claim
from table import Table

TITLE = "Layers in deliberative explanations"


def run(cfg) -> Table:
    """One row per network, layer and difficulty score."""
    table = Table(())
    layers = {checkpoint: subjects.layers(cfg, checkpoint) for checkpoint in subjects.checkpoints(cfg)}
    for checkpoint, label in subjects.networks(cfg).items():
        for layer in layers[checkpoint]:
            subject = subjects.subject(cfg, checkpoint=checkpoint, layer=layer)
            labels = {**label, "layer": layer}
            table += deliberations.table(cfg, subject, labels=labels, scores=("softmax", "easiness"))
    return table


def claims(table: Table) -> list[Claim]:
    """Later layers, which are more semantic, are better."""
    made = []
    for network in dict.fromkeys(row.labels.get("network", "") for row in table.rows):
        label = {"network": network} if network else {}
        layers = list(dict.fromkeys(row.labels["layer"] for row in table.select("auroc", **label)))
        where = f" of {network}" if network else ""
        for layer in layers[:-1]:
            pair = [{**label, "layer": name, "method": "hesitancy"} for name in (layers[-1], layer)]
            text = f"The last layer ({layers[-1]}{where}) makes better insecurities than {layer}."
            number = f"AUROC, {layers[-1]} minus {layer}"
            made.append(Claim(text, "GALORE", number, table.difference("auroc", *pair)))
    return made


def draw(table: Table) -> dict:
    """The AUROC by layer."""
    return {"auroc": figures.dots(table, "auroc")}


if __name__ == "__main__":
    running.main(__file__)
