"""Are insecurities stable? Those of an image and of the image shifted by up to 5 pixels: IoU of the parts they hold.

    python experiments/deliberative_shift.py dataset=synthetic_birds model=small_cnn

A figure of GALORE. Pixels that a shift brings in repeat the edge. Insecurities are matched by their two classes; a pair
that the shifted image does not have does not count, and neither does one that holds no part in either. The AUROC is
that of the images as they are.

Cost: 15 s on two cores. Expect an IoU of 0.76 after one pixel on invented birds.
"""

from galore.evaluation.evaluate import evaluate
from galore.evaluation.methods import RANDOM, Score
from galore.evaluation.stability import IOU, part_iou_under_shift
from galore.experiment import inputs, insecurities, plots, runner
from galore.experiment.claims import Claim, Source, better
from galore.experiment.config import Config
from galore.experiment.insecurities import difficulty
from galore.experiment.table import Table, rows_of

TITLE = "Insecurities of shifted images"
OPTIONS = insecurities.OPTIONS
SHIFTS = (1, 2, 3, 4, 5)
REGION = 0.1


def run(config: Config) -> Table:
    """One row per shift and difficulty score, with the baselines."""
    test_set = inputs.test_set(config, needs_parts=True)
    hard, methods = insecurities.hard_images(config, test_set), insecurities.methods(config, test_set)
    seed, batch_size = config.seed, config.explanation.batch_size
    unshifted = evaluate(test_set, hard, methods, seed, batch_size).only("auroc")
    shifted = part_iou_under_shift(test_set, hard, methods, SHIFTS, REGION, seed, batch_size)
    rows = ()
    for shift, scored in zip((0, *SHIFTS), (unshifted, *shifted)):
        rows += rows_of(scored, test_set, {"shift": str(shift)})
    return Table(rows, inputs.remarks(test_set))


def claims(table: Table) -> list[Claim]:
    """Insecurities move with the image, more than chance would have it."""
    stated = []
    for score in (Score.SOFTMAX, Score.EASINESS):
        for shift in ("1", "5"):
            text = f"Insecurities survive a shift by {shift} px better than random maps ({score.difficulty})."
            number = "IoU of parts, insecurities minus random maps"
            missing, pair = "there is no predictor", (difficulty(score), RANDOM)
            labels = {"shift": shift}
            stated.append(better(text, Source.GALORE, *pair, IOU, number=number, otherwise=missing, labels=labels))
    return stated


def draw(table: Table) -> dict:
    """The IoU over the shift."""
    return {"shift": plots.lines(table, IOU, "shift", ("shift, pixels", "IoU of the parts in both regions"))}


if __name__ == "__main__":
    runner.main(__file__)
