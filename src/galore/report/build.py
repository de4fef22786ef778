"""From a network and a photo to the answers: one compiled function for all maps, then plain numbers."""

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from galore import attribution as attributions
from galore import class_names, confidence, explain, foreign, provenance, regions, representation
from galore.counterparts import Counterparts
from galore.data import cub
from galore.data import photo as photos
from galore.errors import InputError
from galore.network import Network
from galore.part_tables import PartTables
from galore.report.answer import Answer, Box, Candidate, CounterPhoto, Finding, Insecurity, Photo, WhyNot

VIEW = 448
"""The side of the pictures that a report shows (pixels)."""

KEEP = 3
"""A pair of classes occurs where both are among this many largest class attributions."""

ENLARGED = 16
"""Maps of pairs that are enlarged to a view at once, which bounds the memory whatever the number of classes."""

ATTRIBUTIONS: dict[str, dict[str, Callable[..., Array]]] = {
    "gradient": {"attribution": attributions.gradient_x_activation},
    "integrated-gradients": {"attribution": attributions.integrated_gradients},
    "grad-cam": {"attribution": attributions.grad_cam},
    # As in the papers: the curvature of the confidence alone, since that of a logit is zero for most heads.
    "second-order": {
        "attribution": attributions.gradient_x_activation,
        "confidence_attribution": functools.partial(attributions.second_order, absolute_curvature=True),
    },
}
RULES = ("discriminant", "margin", "standardised", "part-tables", "counterparts")
"""What sets two classes apart: the papers' product of maps, the map of the difference of the two scores, the absence of
the counter class standardised over all classes, the difference of the two classes placed on the photo's parts, or the
difference of the scores measured against what the counter class would show."""
Fitted = PartTables | Counterparts
"""What the last two rules need, made of other photos."""
CONFIDENCES: dict[str, confidence.Confidence] = {"softmax": confidence.softmax_score, "certainty": confidence.certainty}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Maps:
    """Everything about one photo that needs the network.

    Where another rule than the papers' was asked for, `apart` is its map, `candidates` those against each candidate.
    Regions are packed, eight pixels a byte. `also` holds the same by other attributions, without regions.
    """

    deliberative: explain.Deliberative
    discriminant: explain.Discriminant
    apart: Float[Array, "h w"] | None
    candidates: Float[Array, "T h w"] | None
    regions: dict[str, UInt8[Array, "*n view bytes"]]
    also: dict[str, "Maps"]

    __repr__ = representation.fields


class HostMaps(NamedTuple):
    """`Maps` as numpy arrays, under the names of `explain.Deliberative` and `Discriminant`; `candidates` by their
    classes, those that part tables or counterparts have."""

    deliberative: Any
    discriminant: Any
    apart: Float[np.ndarray, "h w"] | None
    candidates: dict[int, Float[np.ndarray, "h w"]]
    regions: dict[str, UInt8[np.ndarray, "*n view bytes"]]
    also: dict[str, "HostMaps"]


ExplainPhoto = Callable[[Network, Float[Array, "H W c"], Any, Any, Fitted | None], Maps]


def compile_explanations(
    *,
    attribution: str,
    confidence: str,
    top: int,
    fraction: float,
    rule: str = "discriminant",
    also: tuple[str, ...] = (),
) -> ExplainPhoto:
    """The compiled function behind a report; it compiles once for any number of photos.

    Args:
        attribution, confidence: keys of `ATTRIBUTIONS` and `CONFIDENCES`.
        top: how many candidate classes.
        fraction: the part of the photo that a region covers.
        rule: what sets two classes apart, one of `RULES`.
        also: other attributions whose maps the reader may choose in the page.

    Returns:
        `(net, input, predicted, counter, fitted) -> Maps`; -1 stands for the most probable class and for the
        runner-up, and what was fitted is None unless the rule needs it.
    """

    def lit(maps: Float[Array, "*n h w"]) -> UInt8[Array, "*n view bytes"]:
        return jnp.packbits(regions.largest(regions.smoothed(maps, (VIEW, VIEW)), fraction), axis=-1)

    def maps_by(
        name: str,
        net: Network,
        F: Float[Array, "1 h w d"],
        predicted: Int[Array, ""],
        counter: Int[Array, ""],
        fitted: Fitted | None,
    ) -> Maps:
        settings = {**ATTRIBUTIONS[name], "confidence": CONFIDENCES[confidence]}
        hesitation = explain.deliberative(net, None, top, activations=F, keep=KEEP, fraction=fraction, **settings)
        best, second = hesitation.classes[0, 0], hesitation.classes[0, 1]
        predicted = jnp.where(predicted < 0, best, predicted)
        counter = jnp.where(counter < 0, jnp.where(predicted == second, best, second), counter)
        difference = explain.discriminant(net, None, predicted, counter, activations=F, **settings)
        if rule == "discriminant":
            return Maps(hesitation, difference, None, None, {}, {})

        def apart(other: Int[Array, ""]) -> Float[Array, "h w"]:
            if isinstance(fitted, PartTables):
                return explain.by_part_tables(net, None, fitted, predicted, other, activations=F).maps[0]
            if isinstance(fitted, Counterparts):
                return explain.by_counterparts(net, None, fitted, predicted, other, activations=F).maps[0]
            ask = explain.margin if rule == "margin" else explain.standardised
            return ask(net, None, predicted, other, activations=F, attribution=settings["attribution"]).maps[0]

        return Maps(hesitation, difference, apart(counter), jax.vmap(apart)(hesitation.classes[0]), {}, {})

    def explain_photo(
        net: Network,
        image: Float[Array, "H W c"],
        predicted: Int[Array, ""],
        counter: Int[Array, ""],
        fitted: Fitted | None = None,
    ) -> Maps:
        F = net.activation(image)[None]  # once for all explanations
        maps = maps_by(attribution, net, F, predicted, counter, fitted)
        # Pairs that occur come first, and no location has more of them than its largest classes form.
        pairs = maps.deliberative.maps[0, : F.shape[1] * F.shape[2] * math.comb(KEEP, 2)]
        in_blocks = lit(pairs) if len(pairs) <= ENLARGED else jax.lax.map(lit, pairs, batch_size=ENLARGED)
        apart = maps.discriminant.maps[0] if maps.apart is None else maps.apart
        lit_maps = {"attributive": lit(maps.discriminant.predicted_maps[0]), rule: lit(apart)}
        others = {name: maps_by(name, net, F, predicted, counter, fitted) for name in also}
        return dataclasses.replace(maps, regions={"deliberative": in_blocks} | lit_maps, also=others)

    return jax.jit(explain_photo)


def build(
    net: Network,
    path: Any,
    explain_photo: ExplainPhoto,
    methods: dict[str, Any],
    *,
    why_not: str | None = None,
    counter_image: Any = None,
    fitted: Fitted | None = None,
    options: dict[str, Any] | None = None,
) -> Answer:
    """Explains one photo.

    Args:
        net: a network with preprocessing.
        path: that of a photo, or the photo itself: a PIL image, or uint8 [height, width, 3].
        explain_photo: made by `compile_explanations`.
        methods: the settings, for the reader: model, layer, attribution, confidence, rule, top, fraction.
        why_not: the counter class as a person names it; None: the runner-up.
        counter_image: a photo of the counter class; None: that half of the comparison is left out.
        fitted: for the rules "part-tables" and "counterparts".
        options: what else was asked for, for the provenance.

    Returns:
        The answer, on the host.

    Raises:
        InputError: a photo or class that cannot be explained, or that `fitted` does not know, or a network whose
            outputs are not finite.
    """
    names = names_of(net)
    counter = -1 if why_not is None else class_names.find(why_not, names)
    photo, pixels, cautions = _read(net, path, "image")
    path = photo.path
    example_photo, example_pixels, more_cautions = None, None, []
    if counter_image is not None:
        example_photo, example_pixels, more_cautions = _read(net, counter_image, "counter image")
        counter_image = example_photo.path

    def ask(pixels: Any, predicted: int, counter: int, path: str) -> HostMaps:
        maps = explain_photo(net, jnp.asarray(pixels), jnp.int32(predicted), jnp.int32(counter), fitted)
        return _finite(maps, names, path, fitted)

    maps = ask(pixels, -1, counter, path)
    candidates = _candidates(maps, names)
    prediction, against = candidates[0], _candidate(maps, int(maps.discriminant.counter[0]), names)
    if against.index == prediction.index:
        raise InputError(
            f"the counter class is {against.name}, which is what the network sees in {path}; name another class"
        )
    notes = [*_notes(maps, prediction, against, methods, path), *cautions, *more_cautions]
    more = _maps_behind(maps, methods["rule"])
    example = None
    if example_photo is not None and example_pixels is not None and counter_image is not None:
        other = ask(example_pixels, against.index, prediction.index, counter_image)
        finding = _apart(other, methods["rule"], example_photo, "counter_")
        example = CounterPhoto(example_photo, finding, _candidates(other, names)[0])
        more |= _counter_maps_behind(other, methods["rule"])
        notes += _notes(other, against, prediction, methods, counter_image, deliberative=False)
        if example.prediction.index != against.index:
            notes.append(
                f"The network sees {example.prediction.name}, not {against.name}, in {example_photo.name}; "
                "a photo that it recognises makes a better comparison."
            )
    hashes = {one.path: one.sha256 for one in (photo, example_photo) if one is not None}
    asked = {**(options or {}), "image": path, "why_not": why_not, "counter_image": counter_image}
    return Answer(
        photo=photo,
        candidates=candidates,
        confidence=float(maps.discriminant.confidence[0]),
        attributive=_finding("attributive", maps.discriminant.predicted_maps[0], maps.regions["attributive"], photo),
        insecurities=_insecurities(maps, candidates, photo),
        why_not=WhyNot(
            counter=against,
            named=why_not is not None,
            finding=_apart(maps, methods["rule"], photo),
            example=example,
        ),
        methods=methods,
        notes=tuple(notes),
        more_maps=more,
        provenance=provenance.collect(asked, files=hashes, params=net.params),
    )


def names_of(net: Network) -> tuple[str, ...]:
    """The names of the classes, or numbers for those of a network that has no names."""
    if net.class_names or net.preprocessing is None:
        return net.class_names
    side = net.preprocessing.crop
    _, logits = jax.eval_shape(net, jax.ShapeDtypeStruct((side, side, 3), jnp.float32))
    return tuple(f"class {index}" for index in range(logits.shape[-1]))


def _read(net: Network, given: Any, name: str) -> tuple[Photo, Float[np.ndarray, "H W 3"], list[str]]:
    """A photo for the reader, the same for the network, and what the reader must know about its pixels.

    Args:
        net: whose preprocessing counts.
        given: the path of a photo, or the photo itself.
        name: what a photo is called that has no path.
    """
    if net.preprocessing is None:
        raise InputError(f"the network {net.name or 'given'} has no preprocessing, so it cannot take a photo")
    lies_in_a_folder = isinstance(given, str | Path)
    if lies_in_a_folder:
        name, content = str(given), photos.content(given)
        picture = photos.decode(content, given)
    else:
        picture = photos.from_memory(given, name)
        content = picture.pixels.tobytes()
    pixels = picture.pixels
    transform = net.preprocessing.transform(pixels.shape[0], pixels.shape[1])
    view = dataclasses.replace(transform, height=VIEW, width=VIEW).pixels(pixels)
    photo = Photo(name, hashlib.sha256(content).hexdigest(), pixels, transform.box, view)
    cautions = [f"{photo.name}: {note}." for note in picture.notes]
    try:
        photo = dataclasses.replace(photo, parts=cub.parts_of_photo(given) if lies_in_a_folder else ())
    except InputError as error:  # a photo is explained wherever it lies
        cautions.append(f"The parts of {photo.name} have no names: {error}.")
    return photo, net.preprocessing.normalise(transform.pixels(pixels)), cautions


def _finite(maps: Maps, names: Sequence[str], path: str | Path, fitted: Fitted | None) -> HostMaps:
    """The maps on the host, those of candidates and of pairs that occur; a number that is not finite stops here and
    reaches no report. A logit of -inf rules its class out, which is no candidate then. Candidates that `fitted` lacks
    have no map."""

    def on_host(arrays: Mapping[str, Array]) -> dict[str, np.ndarray]:
        return {name: np.asarray(array) for name, array in arrays.items()}

    hesitation, difference = on_host(vars(maps.deliberative)), on_host(vars(maps.discriminant))
    logits = hesitation["logits"][0]
    if not np.isfinite(logits[logits != -np.inf]).all() or (logits == -np.inf).all():
        raise InputError(f"the network's logits for {path} are not finite, so there is nothing to explain")
    for index in (*difference["predicted"], *difference["counter"]):
        if logits[index] == -np.inf:
            name = class_names.label(int(index), names)
            raise InputError(f"the network rules out {name} for {path} (its logit is -inf); name another class")
    known = None if fitted is None else _known(fitted, difference, names, path)
    is_candidate, occurs = logits[hesitation["classes"][0]] > -np.inf, hesitation["occurs"][0]
    hesitation |= {name: hesitation[name][:, is_candidate] for name in ("classes", "class_maps")}
    apart = None if maps.apart is None else np.asarray(maps.apart)
    against = () if maps.candidates is None else np.asarray(maps.candidates)[is_candidate]
    by_class = zip(hesitation["classes"][0].tolist(), against)
    candidates = {index: values for index, values in by_class if known is None or index in known}
    hesitation |= {name: hesitation[name][:, occurs] for name in ("maps", "pairs", "strengths", "occurs")}
    numbers = [values for part in (hesitation, difference) for name, values in part.items() if name != "logits"]
    numbers += [*candidates.values(), *([] if apart is None else [apart])]
    if not all(np.isfinite(values).all() for values in numbers):
        raise InputError(f"the attribution maps for {path} are not finite; try another --attribution or --confidence")
    also = {name: _finite(others, names, path, fitted) for name, others in maps.also.items()}
    of_explanations = SimpleNamespace(**hesitation), SimpleNamespace(**difference)
    return HostMaps(*of_explanations, apart, candidates, on_host(maps.regions), also)


def _known(
    fitted: Fitted, difference: Mapping[str, np.ndarray], names: Sequence[str], path: str | Path
) -> tuple[int, ...]:
    """What can be asked about.

    Raises:
        InputError: not what is asked about.
    """
    known = tuple(np.asarray(fitted.classes).tolist())
    of_tables = isinstance(fitted, PartTables)  # counterparts are asked for the counter class alone
    for index in (*(difference["predicted"] if of_tables else ()), *difference["counter"]):
        if index not in known:
            name, more = class_names.label(int(index), names), len(known) - class_names.SHOWN
            some = ", ".join(class_names.label(index, names) for index in known[: class_names.SHOWN])
            some += f" and {more} more" if more > 0 else ""
            what = "part tables" if of_tables else "counterparts"
            raise InputError(f"the {what} have no {name}, about which {path} is asked; they are of {some}")
    return known


def _candidates(maps: HostMaps, names: Sequence[str]) -> tuple[Candidate, ...]:
    return tuple(_candidate(maps, int(index), names) for index in maps.deliberative.classes[0])


def _candidate(maps: HostMaps, index: int, names: Sequence[str]) -> Candidate:
    logits = maps.deliberative.logits[0].astype(np.float64)
    probabilities = np.exp(logits - logits.max())
    probability = probabilities[index] / probabilities.sum()
    return Candidate(index, class_names.label(index, names), float(logits[index]), float(probability))


def _insecurities(maps: HostMaps, candidates: tuple[Candidate, ...], photo: Photo) -> tuple[Insecurity, ...]:
    """The pairs that occur, strongest first, as the core ranks them."""
    hesitation, by_index = maps.deliberative, {candidate.index: candidate for candidate in candidates}
    insecurities = []
    for rank in range(len(hesitation.pairs[0])):
        first, second = sorted((by_index[int(index)] for index in hesitation.pairs[0, rank]), key=lambda c: -c.logit)
        key = f"deliberative_{first.index}_{second.index}"
        finding = _finding(key, hesitation.maps[0, rank], maps.regions["deliberative"][rank], photo)
        insecurities.append(Insecurity(first, second, float(hesitation.strengths[0, rank]), finding))
    return tuple(insecurities)


def _apart(maps: HostMaps, rule: str, photo: Photo, prefix: str = "") -> Finding:
    """What sets the two classes apart, by the rule that was asked for."""
    shown = maps.discriminant.maps[0] if maps.apart is None else maps.apart
    return _finding(f"{prefix}{rule}", shown, maps.regions[rule], photo)


def _finding(
    key: str, values: Float[np.ndarray, "h w"], packed: UInt8[np.ndarray, "view bytes"], photo: Photo
) -> Finding:
    region = np.unpackbits(packed, axis=-1).astype(bool)
    x0, y0, x1, y1 = photo.window
    scale = np.array([x1 - x0, y1 - y0, x1 - x0, y1 - y0]) / VIEW
    boxes = [np.array(part.box) * scale + [x0, y0, x0, y0] for part in regions.connected(region)]
    lit = [part.name for part in photo.parts if _holds(region, (np.array(part[1:]) - [x0, y0]) / scale[:2])]
    return Finding(key, values, packed, tuple(_box(box) for box in boxes), float(region.mean()), tuple(lit))


def _holds(region: Bool[np.ndarray, "view view"], point: Float[np.ndarray, "2"]) -> bool:
    x, y = np.floor(point).astype(int).tolist()
    return 0 <= x < region.shape[1] and 0 <= y < region.shape[0] and bool(region[y, x])


def _box(edges: Float[np.ndarray, "4"]) -> Box:
    x0, y0, x1, y1 = (round(float(edge), 1) for edge in edges)
    return x0, y0, x1, y1


def _maps_behind(maps: HostMaps, rule: str) -> dict[str, Float[np.ndarray, "h w"]]:
    """The maps that explanations are products of, by every attribution: all that a reader may ask further with."""
    hesitation = maps.deliberative
    classes = {f"class_{index}": hesitation.class_maps[0, rank] for rank, index in enumerate(hesitation.classes[0])}
    predicted = maps.discriminant.predicted[0]
    apart = {f"{rule}_{index}": values for index, values in maps.candidates.items() if index != predicted}
    own = classes | apart | _factors(maps, rule) | {"difficulty": hesitation.difficulty_maps[0]}
    return own | _by_method(maps, rule, _maps_behind)


def _counter_maps_behind(maps: HostMaps, rule: str) -> dict[str, Float[np.ndarray, "h w"]]:
    """Likewise of the counter photo, about which nothing else is asked."""
    own = {f"counter_{key}": values for key, values in _factors(maps, rule).items()}
    return own | {f"counter_{key}": values for key, values in _by_method(maps, rule, _factors).items()}


def _by_method(
    maps: HostMaps, rule: str, read: Callable[[HostMaps, str], dict[str, Any]]
) -> dict[str, Float[np.ndarray, "h w"]]:
    return {f"{name}_{key}": values for name, one in maps.also.items() for key, values in read(one, rule).items()}


def _factors(maps: HostMaps, rule: str) -> dict[str, Float[np.ndarray, "h w"]]:
    """What sets the two classes apart is the product of these, or the map of another rule."""
    difference = maps.discriminant
    predicted, counter = difference.predicted[0], difference.counter[0]
    factors = {
        f"class_{predicted}": difference.predicted_maps[0],
        f"class_{counter}": difference.counter_maps[0],
        "confidence": difference.confidence_maps[0],
    }
    return factors if maps.apart is None else factors | {f"{rule}_{counter}": maps.apart}


def _notes(
    maps: HostMaps,
    speaks: Candidate,
    against: Candidate,
    methods: dict[str, Any],
    path: str | Path,
    deliberative: bool = True,
) -> list[str]:
    """A sentence for every map that is the same everywhere, and so for every region that is missing; and one where
    classes are ruled out."""
    difference, score = maps.discriminant, methods["confidence"]
    factors = [
        (f"the score of {speaks.name}", difference.predicted_maps, "no region can support it or set it apart"),
        (f"the score of {against.name}", difference.counter_maps, f"nothing sets {speaks.name} apart from it"),
        (f"the confidence ({score})", difference.confidence_maps, "no region sets the two classes apart"),
    ]
    if maps.apart is not None:
        apart = {
            "margin": f"the margin of {speaks.name} over {against.name}",
            "standardised": f"the absence of {against.name} beside other classes",
            "part-tables": f"the parts by which {speaks.name} and {against.name} differ",
            "counterparts": f"what {speaks.name} would lose to {against.name}",
        }[methods["rule"]]
        factors = [
            (f"the score of {speaks.name}", difference.predicted_maps, "no region can support it"),
            (apart, maps.apart[None], "no region sets the two classes apart"),
        ]
    if deliberative:
        factors.append((f"the difficulty ({score})", maps.deliberative.difficulty_maps, "no hesitation can be placed"))
    photo, logits = foreign.name(Path(path).name), difference.logits[0]
    notes = [
        f"In {photo}, the map of {what} is {_level(values[0])} everywhere, so {result}."
        for what, values, result in factors
        if np.ptp(values[0]) == 0
    ]
    if ruled_out := int((logits == -np.inf).sum()):
        notes.append(f"In {photo}, the network rules out {ruled_out} of its {len(logits)} classes (a logit of -inf).")
    return notes


def _level(values: Float[np.ndarray, "h w"]) -> str:
    return "zero" if abs(float(values.flat[0])) <= 1e-6 else f"{values.flat[0]:.3g}"
