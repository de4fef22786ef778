"""The agreement experiment: is what the network finds ambiguous also ambiguous to people (NeurIPS 2019)?

Pieces of difficult images are shown alone, beside whole examples of two classes: insecurities of each difficulty score,
random places free of insecurities, and discriminant regions. The images are dealt to these groups in blocks of equal
difficulty, so that the groups differ in the piece that is shown and not in the images.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from galore import provenance
from galore.confidence import Confidence, Predictor
from galore.data.dataset import PartDataset, SceneDataset
from galore.errors import InputError
from galore.network import Network
from galore.teach import design, difficult, lesson, outline, seen, sheet
from galore.teach.difficult import Candidate
from galore.teach.sheet import Picture, Region, Sheet, Trial

RANDOM, DISCRIMINANT = "random", "discriminant"

EXAMPLES = 2
"""Pictures of either class beside a question."""

TRIES = 40
CANDIDATES = 4
"""How many images are looked at for each one that is needed."""


class Choices(NamedTuple):
    """What the experimenter chooses.

    Attributes:
        items: questions in each group.
        fraction: the part of a picture that a piece covers.
        learners: how many places.
        seed: of every draw.
        subject: what the pictures show, in the plural.
        contact: for the consent.
        consent: more words for the consent, paragraphs between empty lines.
        post_to: an address that takes results; "" for none.
    """

    items: int = 10
    fraction: float = 0.1
    learners: int = 50
    seed: int = 0
    subject: str = "pictures"
    contact: str = ""
    consent: str = ""
    post_to: str = ""


def make(
    net: Network,
    dataset: PartDataset | SceneDataset,
    choices: Choices,
    scores: Mapping[str, Confidence | Predictor] = difficult.SCORES,
) -> Sheet:
    """Chooses difficult images, finds the pieces, and writes everything down.

    Args:
        net: a network with class names and preprocessing.
        dataset: whose classes the network knows; images that it was not trained on are preferred.
        choices: see `Choices`.
        scores: the confidence scores whose insecurities are shown.

    Returns:
        The sheet.

    Raises:
        InputError: choices out of range, an unknown class, or too few images with insecurities or for examples.
    """
    check(choices)
    groups = [*(f"insecurity {name}" for name in scores), RANDOM, DISCRIMINANT]
    found, discriminant, stock = _choose(net, dataset, scores, groups, choices)
    generator = np.random.default_rng([choices.seed, 32])
    trials, pictures = _deal(net, dataset, found, discriminant, groups, stock, choices, generator)
    ids = [trial.id for trial in trials]
    return Sheet(
        kind=sheet.AGREE,
        data=dataset.name,
        classes=dataset.class_names,
        labels=("A", "B"),
        subject=choices.subject,
        network=lesson.described(net),
        settings={
            "seed": choices.seed,
            "fraction": choices.fraction,
            "attribution": seen.ATTRIBUTION.__name__,
            "sizes": {"trials": len(trials)},
        },
        conditions=(sheet.AGREE,),
        pictures=pictures,
        trials=trials,
        orders=tuple(tuple(ids[int(i)] for i in generator.permutation(len(ids))) for _ in range(design.ORDERS)),
        places=design.places((sheet.AGREE,), choices.learners, choices.seed),
        contact=choices.contact,
        consent=choices.consent,
        post_to=choices.post_to,
        provenance=provenance.collect({}, seed=choices.seed),
    )


def check(choices: Choices) -> None:
    """Refuses choices out of range before anything slow begins."""
    if choices.items < 1:
        raise InputError(f"{choices.items} items in each group: expected at least 1")
    design.check(choices.fraction, choices.learners, choices.seed, choices.post_to)


def _choose(
    net: Network,
    dataset: PartDataset | SceneDataset,
    scores: Mapping[str, Confidence | Predictor],
    groups: list[str],
    choices: Choices,
) -> tuple[list[Candidate], dict[int, Float[np.ndarray, "h w"]], dict[int, list[int]]]:
    """The images to ask about, hardest first; the discriminant map of each; and by class the images for examples."""
    logit = np.array(seen.indices_in(net, dataset.class_names))
    if len(logit) < 2:
        raise InputError(f"{dataset.name} gives {len(logit)} class, expected at least two to choose between")
    paths = [dataset.image_path(i) for i in range(len(dataset))]
    logits = seen.look(net, paths).logits
    needed = choices.items * len(groups)
    hardest = difficult.hardest(logits, dataset, CANDIDATES * needed)
    found = difficult.candidates(net, dataset, logit, hardest, scores)
    stock = _examples(dataset, logits.argmax(-1) == logit[dataset.labels], {c.index for c in found}, choices.seed)
    found = [c for c in found if all(len(stock.get(k, ())) >= EXAMPLES for k in (c.truth, *c.others.values()))]
    discriminant = _discriminants(net, dataset, logit, found)
    found = [c for c in found if np.ptp(discriminant[c.index]) > 0]
    if len(found) < needed:
        fewer = len(found) // len(groups)
        raise InputError(
            f"{len(found)} images of {dataset.name} have an insecurity between their class and one with {EXAMPLES} "
            f"examples, expected {needed}"
            + (f"; ask for fewer with --items {fewer}" if fewer else ", or another network or data set")
        )
    return found[:needed], discriminant, stock


def _examples(dataset: Any, right: Any, used: set[int], seed: int) -> dict[int, list[int]]:
    """For every class the images that may stand as examples, in random order, those from the training first."""
    generator = np.random.default_rng([seed, 31])
    free = [int(i) for i in generator.permutation(len(dataset)) if right[i] and int(i) not in used]
    free.sort(key=lambda i: not dataset.is_training[i])
    stock: dict[int, list[int]] = {}
    for index in free:
        stock.setdefault(int(dataset.labels[index]), []).append(index)
    return stock


def _deal(
    net: Network,
    dataset: PartDataset | SceneDataset,
    found: list[Candidate],
    discriminant: dict[int, Float[np.ndarray, "h w"]],
    groups: list[str],
    stock: dict[int, list[int]],
    choices: Choices,
    generator: np.random.Generator,
) -> tuple[tuple[Trial, ...], tuple[Picture, ...]]:
    """Deals the images to the groups in blocks of one image a group, and finds the piece that each group shows."""
    pictures: dict[int, Picture] = {}

    def picture(index: int) -> str:
        if index not in pictures:
            pictures[index] = lesson.picture_of(net, dataset, index, int(dataset.labels[index]), choices.seed)
        return pictures[index].id

    dealt = [str(group) for _ in range(0, len(found), len(groups)) for group in generator.permutation(groups)]
    size, trials = seen.preprocessing(net).crop, []
    for candidate, group in zip(found, dealt):
        map_, other = candidate.maps[_score(candidate, group)], candidate.others[_score(candidate, group)]
        if group == DISCRIMINANT:
            map_ = discriminant[candidate.index]
        elif group == RANDOM:
            map_ = _free_of(candidate, choices.fraction, size, generator)
        shown = Region(outline.path(seen.region(map_, choices.fraction, size)))
        names = (candidate.truth, other) if generator.random() < 0.5 else (other, candidate.truth)
        first, second = (tuple(picture(i) for i in stock[name][:EXAMPLES]) for name in names)
        trials.append(
            Trial(
                id=sheet.opaque(choices.seed, "trial", candidate.index),
                picture=picture(candidate.index),
                truth="AB"[names.index(candidate.truth)],
                shown=shown,
                group=group,
                examples=(first, second),
                names=names,
            )
        )
    return tuple(trials), tuple(sorted(pictures.values(), key=lambda picture: picture.id))


def _score(candidate: Candidate, group: str) -> str:
    """Whose insecurity says which two classes are in question; the first score's where the group has none."""
    return group.removeprefix("insecurity ") if group.startswith("insecurity ") else next(iter(candidate.maps))


def _discriminants(
    net: Network, dataset: PartDataset | SceneDataset, logit: Int[np.ndarray, " classes"], found: list[Candidate]
) -> dict[int, Float[np.ndarray, "h w"]]:
    """By image, the map of what speaks for its class and not for the other."""
    if not found:
        return {}
    paths = [dataset.image_path(candidate.index) for candidate in found]
    truths = np.array([logit[candidate.truth] for candidate in found])
    others = np.array([logit[candidate.others[_score(candidate, DISCRIMINANT)]] for candidate in found])
    maps = seen.discriminant_maps(net, paths, truths, others)
    return {candidate.index: map_ for candidate, map_ in zip(found, maps)}


def _free_of(
    candidate: Candidate, fraction: float, size: int, generator: np.random.Generator
) -> Float[np.ndarray, "h w"]:
    """An insecurity's map, moved to the random place that overlaps the image's insecurities least."""
    insecure = np.any([seen.region(map_, fraction, size) for map_ in candidate.maps.values()], axis=0)
    first = next(iter(candidate.maps.values()))
    best, least = first, np.inf
    for _ in range(TRIES):
        (trial,) = seen.moved(first[None], generator)
        overlap = float((seen.region(trial, fraction, size) & insecure).mean())
        if overlap < least:
            best, least = trial, overlap
        if least == 0:
            break
    return best
