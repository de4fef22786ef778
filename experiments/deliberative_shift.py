"""Are insecurities stable? IoU of the shared parts in those of an image and of the image shifted by up to 5 pixels.

    python experiments/deliberative_shift.py dataset=synthetic_birds model=small_cnn

A figure of GALORE. Each image is shifted in x and in y by -5 to 4 pixels drawn at random: the network's input is cut
out of a wider image at another place, so that no edge is repeated. Insecurities are matched by their two classes; a
pair that the shifted image does not have does not count, and neither does one where neither region holds a shared part
that both images show.

Cost: 26 s on two cores. Expect an IoU of 0.68 to 0.72 at regions of 10 % and a mean of 0.85 to 0.89 on invented birds,
0.04 and 0.40 by random maps.
"""

from galore import program

program.guard(__name__)

from galore.evaluation.evaluate import Scores
from galore.evaluation.methods import RANDOM, Method, Score
from galore.evaluation.queries import HardImages
from galore.evaluation.stability import IOU, MEAN_IOU, part_iou_under_shift, preprocessing_with_margin
from galore.evaluation.test_set import TestSet
from galore.experiment import inputs, insecurities, plots, runner
from galore.experiment.claims import Claim, Source, better
from galore.experiment.config import Config
from galore.experiment.insecurities import HARDEST, difficulty
from galore.experiment.table import Table, rows_of

TITLE = "Insecurities of shifted images"
OPTIONS = insecurities.OPTIONS
SCORES = (Score.SOFTMAX, Score.EASINESS)
REGION = 0.1


def run(config: Config) -> Table:
    """One row per difficulty score, on the hardest images by each, with the baselines."""
    test_set = inputs.test_set(config, needs_parts=True)

    def under_shift(hard: HardImages, compared: tuple[Method, ...]) -> Scores:
        wide = inputs.with_margin(config, test_set, hard.rows)
        return part_iou_under_shift(wide, hard, compared, config.seed, config.explanation.batch_size)

    rows = ()
    for score, scored in insecurities.by_score(config, test_set, SCORES, scoring=under_shift):
        rows += rows_of(scored, test_set, {HARDEST: score.difficulty}, (REGION,))
    return Table(rows, (*inputs.remarks(test_set), *remarks(test_set)))


def remarks(test_set: TestSet) -> tuple[str, ...]:
    """At which scale the images were cut, where it is not that of the network's preprocessing."""
    own = test_set.net.preprocessing
    assert own is not None
    resize = preprocessing_with_margin(own).resize
    if resize == own.resize:
        return ()
    return (
        f"The network's preprocessing (short side {own.resize}, square {own.crop} pixels) leaves no room for shifts: "
        f"the short side is {resize} pixels here, for the image as it is and for the shifted one.",
    )


def claims(table: Table) -> list[Claim]:
    """Insecurities move with the image, more than chance would have it."""
    stated = []
    for score in SCORES:
        pair, missing = (Source.GALORE, difficulty(score), RANDOM), "there is no predictor"
        for measure, region, at in ((IOU, REGION, f"regions of {REGION:.0%}"), (MEAN_IOU, None, "all region sizes")):
            text = f"Insecurities survive a shift better than random maps do ({score.difficulty}, {at})."
            number = f"IoU of shared parts, insecurities minus random maps, {at}"
            named = {"number": number, "otherwise": missing, "labels": {HARDEST: score.difficulty}}
            headline = score is Score.SOFTMAX and region is not None
            stated.append(better(text, *pair, measure, region=region, headline=headline, **named))
    return stated


def draw(table: Table) -> dict:
    """The IoU over the region size."""
    return {"shift": plots.curves(table, IOU, ("region, % of the image", "IoU of the shared parts in both regions"))}


if __name__ == "__main__":
    runner.main(__file__)
