"""The teaching experiment (SCOUT, CVPR 2020, section on teaching; GALORE, TPAMI 2023): from a network to a sheet."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from galore import provenance
from galore.data.dataset import PartDataset, SceneDataset
from galore.errors import InputError, closest
from galore.network import Network
from galore.teach import design, network_maps, outline, sheet
from galore.teach.sheet import LitRegion, Picture, Sheet, Trial


class LessonOptions(NamedTuple):
    """What the experimenter chooses.

    Attributes:
        conditions: some of `design.CONDITIONS`.
        sizes: how many questions.
        fraction: the part of a picture that is lit.
        learners: how many places.
        seed: of every draw.
        subject: what the pictures show, in the plural.
        show_names: call the classes by their names instead of A and B.
        parts: name the parts that are lit in both pictures.
        contact: for the consent.
        consent: more words for the consent, paragraphs between empty lines.
        post_to: an address that takes results; "" for none.
    """

    conditions: tuple[str, ...] = design.CONDITIONS
    sizes: design.Sizes = design.Sizes()
    fraction: float = 0.1
    learners: int = 200
    seed: int = 0
    subject: str = "pictures"
    show_names: bool = False
    parts: bool = True
    contact: str = ""
    consent: str = ""
    post_to: str = ""


def make(net: Network, dataset: PartDataset | SceneDataset, classes: tuple[int, int], options: LessonOptions) -> Sheet:
    """Chooses images that the network gets right, explains the pairs, and writes everything down.

    Args:
        net: a network with class names and preprocessing.
        dataset: read with at least the two classes.
        classes: positions of A and B in the data set's class names.
        options: see `LessonOptions`.

    Returns:
        The sheet.

    Raises:
        InputError: options out of range, a class that the network does not know, or too few images that it gets right.
    """
    check(options)
    names = (dataset.class_names[classes[0]], dataset.class_names[classes[1]])
    logit = np.array(network_maps.indices_in(net, names))
    pool = np.flatnonzero(np.isin(dataset.labels, classes))
    labels = (dataset.labels[pool] == classes[1]).astype(np.int64)
    paths = [dataset.image_path(int(i)) for i in pool]
    logits, maps = network_maps.predictions_and_maps(net, paths, logit[labels], logit[1 - labels], options.conditions)
    right = logits.argmax(-1) == logit[labels]
    explained = right & np.all([_lights(net, maps_, options.fraction) for maps_ in maps.values()] or [right], axis=0)
    drawn = design.choose(labels, dataset.is_training[pool], right, explained, names, options.sizes, options.seed)

    def picture(position: int) -> Picture:
        return picture_of(net, dataset, int(pool[position]), int(labels[position]), options.seed)

    used = [*drawn.before, *(i for pair in drawn.pairs for i in pair), *drawn.after]
    pictures = {position: picture(position) for position in used}
    tests = [
        tuple(_trial(pictures[position], options.seed) for position in positions)
        for positions in (drawn.before, drawn.after)
    ]
    training = _explained(net, dataset, pool, maps, drawn.pairs, pictures, options)
    ids = [[trial.id for trial in trials] for trials in (tests[0], training, tests[1])]
    return Sheet(
        kind=sheet.TEACH,
        data=dataset.name,
        classes=names,
        labels=(names[0].replace("_", " "), names[1].replace("_", " ")) if options.show_names else ("A", "B"),
        subject=options.subject,
        network=described(net),
        settings={
            "seed": options.seed,
            "fraction": options.fraction,
            "attribution": network_maps.ATTRIBUTION.__name__,
            "confidence": network_maps.CONFIDENCE.__name__,
            "parts": options.parts,
            "sizes": {"before": options.sizes.before, "pairs": options.sizes.pairs, "after": options.sizes.after},
            "images": {
                name: {"all": int(of.sum()), "right": int((right & of).sum()), "explained": int((explained & of).sum())}
                for name, of in zip(names, (labels == 0, labels == 1))
            },
        },
        conditions=design.numbered(options.conditions, options.seed),
        pictures=tuple(sorted(pictures.values(), key=lambda picture: picture.id)),
        trials=(*tests[0], *training, *tests[1]),
        orders=design.orders(*ids, seed=options.seed),
        places=design.places(options.conditions, options.learners, options.seed),
        contact=options.contact,
        consent=options.consent,
        post_to=options.post_to,
        provenance=provenance.collect({}, seed=options.seed),
    )


def check(options: LessonOptions) -> None:
    """Refuses options out of range before anything slow begins."""
    for name in options.conditions:
        if name not in design.CONDITIONS:
            hint = closest(name, design.CONDITIONS)
            raise InputError(
                f"there is no condition {name!r}, expected some of {', '.join(design.CONDITIONS)}"
                + (f"; {hint}" if hint else "")
            )
    if len(set(options.conditions)) < max(1, len(options.conditions)):
        raise InputError(f"conditions {', '.join(options.conditions)}: expected each once, and at least one")
    design.check(options.fraction, options.learners, options.seed, options.post_to)


def picture_of(net: Network, dataset: PartDataset | SceneDataset, index: int, label: int, seed: int) -> Picture:
    """An image under a name that tells nothing."""
    path = dataset.image_path(index)
    x0, y0, x1, y1 = (float(value) for value in network_maps.transform(net, path).box)
    split = "training" if dataset.is_training[index] else "test"
    id = sheet.opaque(seed, "picture", dataset.paths[index])
    return Picture(id, dataset.paths[index], provenance.file_sha256(path), label, (x0, y0, x1, y1), split)


def described(net: Network) -> dict[str, Any]:
    """Which network it was."""
    return {"name": net.name, "layer": net.layer, "params_sha256": provenance.params_sha256(net.params)}


def _trial(picture: Picture, seed: int) -> Trial:
    return Trial(sheet.opaque(seed, "trial", picture.id), picture.id, "AB"[picture.label])


def _lights(net: Network, maps: Float[np.ndarray, "n h w"], fraction: float) -> Bool[np.ndarray, " n"]:
    """Which maps have a largest fraction: where a network sees nothing that speaks for a class alone, D is flat."""
    size = network_maps.preprocessing(net).crop
    return np.array([bool(outline.path(network_maps.region(map_, fraction, size))) for map_ in maps])


def _explained(
    net: Network,
    dataset: PartDataset | SceneDataset,
    pool: Int[np.ndarray, " n"],
    maps: dict[str, Float[np.ndarray, "n h w"]],
    pairs: Sequence[tuple[int, int]],
    pictures: dict[int, Picture],
    options: LessonOptions,
) -> tuple[Trial, ...]:
    """The questions of the training with what is lit under each condition."""
    by_pair = {name: of_images[np.array(pairs)] for name, of_images in maps.items()}
    if "random" in options.conditions:
        generator = np.random.default_rng([options.seed, 5])
        sides = [network_maps.moved(by_pair["counterfactual"][:, side], generator) for side in (0, 1)]
        by_pair["random"] = np.stack(sides, 1)
    trials = []
    for k, (query, counter) in enumerate(pairs):
        indices = int(pool[query]), int(pool[counter])
        lit = {
            name: _lit(net, dataset, indices, by_pair[name][k], options)
            if name in by_pair
            else (LitRegion(""), LitRegion(""))
            for name in options.conditions
        }
        first, second = pictures[query], pictures[counter]
        id = sheet.opaque(options.seed, "trial", first.id)
        trials.append(Trial(id, first.id, "AB"[first.label], counter=second.id, lit=lit))
    return tuple(trials)


def _lit(
    net: Network,
    dataset: PartDataset | SceneDataset,
    indices: tuple[int, int],
    maps: Float[np.ndarray, "2 h w"],
    options: LessonOptions,
) -> tuple[LitRegion, LitRegion]:
    """Both regions of a pair, with the parts that lie in both where the data set knows parts."""
    size = network_maps.preprocessing(net).crop
    masks = [network_maps.region(map_, options.fraction, size) for map_ in maps]
    marks: tuple[Any, Any] = ((), ())
    if isinstance(dataset, PartDataset) and options.parts:
        places = [network_maps.transform(net, dataset.image_path(index)) for index in indices]
        inside = [network_maps.parts_inside(dataset, i, where, mask) for i, where, mask in zip(indices, places, masks)]
        marks = outline.matched(dataset.part_names, inside[0], inside[1])
    return LitRegion(outline.path(masks[0]), marks[0]), LitRegion(outline.path(masks[1]), marks[1])
