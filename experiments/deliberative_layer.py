"""Which layer's activations make the best deliberative explanations? conv2_2 ... conv5_3, layer1 ... layer4.

    python experiments/deliberative_layer.py dataset=synthetic_birds model=small_cnn

The last five layers by default; `explanation.layers=[layer3,layer4]` for some.
"""

import deliberations
import figures
import running
import subjects
from claims import Claim
from table import Table

TITLE = "Layers in deliberative explanations"


def run(cfg) -> Table:
    """One row per layer and difficulty score."""
    table = Table(())
    for layer in subjects.layers(cfg):
        subject = subjects.subject(cfg, layer=layer)
        table += deliberations.table(cfg, subject, labels={"layer": layer}, scores=("softmax", "easiness"))
    return table


def claims(table: Table) -> list[Claim]:
    """Later layers, which are more semantic, are better."""
    layers = list(dict.fromkeys(row.labels["layer"] for row in table.rows))
    made = []
    for layer in layers[:-1]:
        pair = ({"layer": layers[-1], "method": "hesitancy"}, {"layer": layer, "method": "hesitancy"})
        text = f"The last layer ({layers[-1]}) makes better insecurities than {layer}."
        number = f"AUROC, {layers[-1]} minus {layer}"
        made.append(Claim(text, "GALORE", number, table.difference("auroc", *pair)))
    return made


def draw(table: Table) -> dict:
    """The AUROC by layer."""
    return {"auroc": figures.dots(table, "auroc")}


if __name__ == "__main__":
    running.main(__file__)
