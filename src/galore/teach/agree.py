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
from galore.teach import design, hard_images, lesson, network_maps, outline, sheet
from galore.teach.hard_images import HardImage
from galore.teach.sheet import LitRegion, Picture, Sheet, Trial

RANDOM, DISCRIMINANT = "random", "discriminant"

EXAMPLES = 2
"""Pictures of either class beside a question."""

TRIES = 40
CANDIDATES = 4
"""How many images are looked at for each one that is needed."""


class AgreementOptions(NamedTuple):
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
    options: AgreementOptions,
    scores: Mapping[str, Confidence | Predictor] = hard_images.SCORES,
) -> Sheet:
    """Chooses difficult images, finds the pieces, and writes everything down.

    Args:
        net: a network with class names and preprocessing.
        dataset: whose classes the network knows; images that it was not trained on are preferred.
        options: see `AgreementOptions`.
        scores: the confidence scores whose insecurities are shown.

    Returns:
        The sheet.

    Raises:
        InputError: options out of range, an unknown class, or too few images with insecurities or for examples.
    """
    check(options)
    groups = [*(f"insecurity {name}" for name in scores), RANDOM, DISCRIMINANT]
    images, discriminant, stock = _choose(net, dataset, scores, groups, options)
    generator = np.random.default_rng([options.seed, 32])
    trials, pictures = _deal(net, dataset, images, discriminant, groups, stock, options, generator)
    ids = [trial.id for trial in trials]
    return Sheet(
        kind=sheet.AGREE,
        data=dataset.name,
        classes=dataset.class_names,
        labels=("A", "B"),
        subject=options.subject,
        network=lesson.described(net),
        settings={
            "seed": options.seed,
            "fraction": options.fraction,
            "attribution": network_maps.ATTRIBUTION.__name__,
            "sizes": {"trials": len(trials)},
        },
        conditions=(sheet.AGREE,),
        pictures=pictures,
        trials=trials,
        orders=tuple(tuple(ids[int(i)] for i in generator.permutation(len(ids))) for _ in range(design.ORDERS)),
        places=design.places((sheet.AGREE,), options.learners, options.seed),
        contact=options.contact,
        consent=options.consent,
        post_to=options.post_to,
        provenance=provenance.collect({}, seed=options.seed),
    )


def check(options: AgreementOptions) -> None:
    """Refuses options out of range before anything slow begins."""
    if options.items < 1:
        raise InputError(f"{options.items} items in each group: expected at least 1")
    design.check(options.fraction, options.learners, options.seed, options.post_to)


def _choose(
    net: Network,
    dataset: PartDataset | SceneDataset,
    scores: Mapping[str, Confidence | Predictor],
    groups: list[str],
    options: AgreementOptions,
) -> tuple[list[HardImage], dict[int, Float[np.ndarray, "h w"]], dict[int, list[int]]]:
    """The images to ask about, hardest first; the discriminant map of each; and by class the images for examples."""
    logit = np.array(network_maps.indices_in(net, dataset.class_names))
    if len(logit) < 2:
        raise InputError(f"{dataset.name} gives {len(logit)} class, expected at least two to choose between")
    paths = [dataset.image_path(i) for i in range(len(dataset))]
    logits = network_maps.predictions(net, paths)
    needed = options.items * len(groups)
    hardest = hard_images.hardest(logits, dataset, CANDIDATES * needed)
    images = hard_images.with_insecurities(net, dataset, logit, hardest, scores)
    stock = _examples(dataset, logits.argmax(-1) == logit[dataset.labels], {c.index for c in images}, options.seed)
    images = [c for c in images if all(len(stock.get(k, ())) >= EXAMPLES for k in (c.truth, *c.others.values()))]
    discriminant = _discriminants(net, dataset, logit, images)
    images = [c for c in images if np.ptp(discriminant[c.index]) > 0]
    if len(images) < needed:
        fewer = len(images) // len(groups)
        raise InputError(
            f"{len(images)} images of {dataset.name} have an insecurity between their class and one with {EXAMPLES} "
            f"examples, expected {needed}"
            + (f"; ask for fewer with --items {fewer}" if fewer else ", or another network or data set")
        )
    return images[:needed], discriminant, stock


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
    images: list[HardImage],
    discriminant: dict[int, Float[np.ndarray, "h w"]],
    groups: list[str],
    stock: dict[int, list[int]],
    options: AgreementOptions,
    generator: np.random.Generator,
) -> tuple[tuple[Trial, ...], tuple[Picture, ...]]:
    """Deals the images to the groups in blocks of one image a group, and finds the piece that each group shows."""
    pictures: dict[int, Picture] = {}

    def picture(index: int) -> str:
        if index not in pictures:
            pictures[index] = lesson.picture_of(net, dataset, index, int(dataset.labels[index]), options.seed)
        return pictures[index].id

    dealt = [str(group) for _ in range(0, len(images), len(groups)) for group in generator.permutation(groups)]
    size, trials = network_maps.preprocessing(net).crop, []
    for image, group in zip(images, dealt):
        map_, other = image.maps[_score(image, group)], image.others[_score(image, group)]
        if group == DISCRIMINANT:
            map_ = discriminant[image.index]
        elif group == RANDOM:
            map_ = _free_of(image, options.fraction, size, generator)
        shown = LitRegion(outline.path(network_maps.region(map_, options.fraction, size)))
        names = (image.truth, other) if generator.random() < 0.5 else (other, image.truth)
        first, second = (tuple(picture(i) for i in stock[name][:EXAMPLES]) for name in names)
        trials.append(
            Trial(
                id=sheet.opaque(options.seed, "trial", image.index),
                picture=picture(image.index),
                truth="AB"[names.index(image.truth)],
                shown=shown,
                group=group,
                examples=(first, second),
                names=names,
            )
        )
    return tuple(trials), tuple(sorted(pictures.values(), key=lambda picture: picture.id))


def _score(image: HardImage, group: str) -> str:
    """Whose insecurity says which two classes are in question; the first score's where the group has none."""
    return group.removeprefix("insecurity ") if group.startswith("insecurity ") else next(iter(image.maps))


def _discriminants(
    net: Network, dataset: PartDataset | SceneDataset, logit: Int[np.ndarray, " classes"], images: list[HardImage]
) -> dict[int, Float[np.ndarray, "h w"]]:
    """By image, the map of what speaks for its class and not for the other."""
    if not images:
        return {}
    paths = [dataset.image_path(image.index) for image in images]
    truths = np.array([logit[image.truth] for image in images])
    others = np.array([logit[image.others[_score(image, DISCRIMINANT)]] for image in images])
    maps = network_maps.discriminant_maps(net, paths, truths, others)
    return {image.index: map_ for image, map_ in zip(images, maps)}


def _free_of(image: HardImage, fraction: float, size: int, generator: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """An insecurity's map, moved to the random place that overlaps the image's insecurities least."""
    insecure = np.any([network_maps.region(map_, fraction, size) for map_ in image.maps.values()], axis=0)
    first = next(iter(image.maps.values()))
    best, least = first, np.inf
    for _ in range(TRIES):
        (trial,) = network_maps.moved(first[None], generator)
        overlap = float((network_maps.region(trial, fraction, size) & insecure).mean())
        if overlap < least:
            best, least = trial, overlap
        if least == 0:
            break
    return best
