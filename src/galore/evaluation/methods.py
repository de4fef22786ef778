"""The maps that are compared, as values: a `Method` says how a map is made, and alone makes the label that tables show.

Methods are frozen and hashable, so that whatever was compiled for some of them is found again, and scores and tables
can be asked for a method. The margin a(h_y - h_c) is the simplest rival, which the papers did not try
(`galore.explain.margin` names its relatives).
"""

import dataclasses
import enum
import functools
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from galore import counterparts, explain, part_tables
from galore.attribution import Attribution, gradient_x_activation
from galore.confidence import Confidence, Predictor, certainty, softmax_score
from galore.counterparts import Counterparts
from galore.errors import InputError
from galore.network import Network
from galore.part_tables import PartTables


class Rule(enum.Enum):
    """How class maps a and b of the predicted and the counter class, and the map s of a confidence, make one map."""

    ATTRIBUTIVE = "a"
    WITHOUT_CONFIDENCE = "a * comp(b)"
    DISCRIMINANT = "a * comp(b) * s"
    MARGIN = "margin"
    MARGIN_TIMES_CONFIDENCE = "margin * s"
    ATTRIBUTIVE_TIMES_CONFIDENCE = "a * s"
    ABSENCE = "-b"
    # Beyond the two classes: -b standardised over all of them at each cell, and parts by which classes differ.
    STANDARDISED = "-b, standardised"
    PARTS = "part tables"
    # The margin's evidence, measured against what the counter class would show at each cell.
    COUNTERPARTS = "counterparts"
    COUNTERPARTS_STANDARDISED = "counterparts, standardised"
    # Deliberative: products of two class maps, without and with the map of a difficulty.
    CLASS_PAIR = "none"
    INSECURITY = "a * b * d"
    # What exhaustive search edits.
    SEARCH = "exhaustive search"
    SEARCH_BY_HEAD = "exhaustive search, the head run on every candidate"
    SEMANTIC_SEARCH = "semantic search"
    # They know nothing of the network.
    RANDOM = "random map"
    GAUSSIAN = "centred Gaussian"
    WHOLE_OBJECT = "whole object"
    ORACLE = "oracle"


class Score(enum.Enum):
    """A confidence score; the complement of each is a difficulty score."""

    SOFTMAX = "softmax"
    CERTAINTY = "certainty"
    EASINESS = "easiness"

    @property
    def difficulty(self) -> str:
        """What the complement is called."""
        return {Score.SOFTMAX: "hesitancy", Score.CERTAINTY: "entropy", Score.EASINESS: "hardness"}[self]

    def confidence(self, predictor: Predictor | None) -> Confidence | Predictor:
        """The score as a function, or the predictor.

        Raises:
            InputError: easiness without a predictor.
        """
        if self is Score.EASINESS and predictor is None:
            raise InputError("the score 'easiness' needs a hardness predictor; train one with the network")
        return {Score.SOFTMAX: softmax_score, Score.CERTAINTY: certainty, Score.EASINESS: predictor}[self]


def scores(predictor: Predictor | None) -> tuple[Score, ...]:
    """The scores that there are: easiness only with a predictor."""
    return tuple(score for score in Score if score is not Score.EASINESS or predictor is not None)


def default_score(predictor: Predictor | None) -> Score:
    """The papers' best score, easiness, where there is a predictor; else softmax."""
    return scores(predictor)[-1] if predictor is not None else Score.SOFTMAX


@dataclass(frozen=True)
class AttributionSetting:
    """An attribution function with its options, as a value.

    Attributes:
        target: the function's dotted path.
        options: its keyword arguments.
        name: how labels tell it from others; empty where all methods of a table share it.
        mirrored: take the mean with the map of the mirrored image, mirrored back, so that noise of one side averages
            out.
    """

    target: str
    options: tuple[tuple[str, Any], ...] = ()
    name: str = ""
    mirrored: bool = False

    @classmethod
    def of(
        cls, function: Callable[..., Any], name: str = "", *, mirrored: bool = False, **options: Any
    ) -> "AttributionSetting":
        """The setting of a function of a module."""
        return cls(f"{function.__module__}.{function.__qualname__}", tuple(options.items()), name, mirrored)

    def function(self) -> Attribution:
        """The attribution function."""
        return functools.partial(pkgutil.resolve_name(self.target), **dict(self.options))


GRADIENT = AttributionSetting.of(gradient_x_activation)


@dataclass(frozen=True)
class Method:
    """How a map is made.

    Attributes:
        rule: what is put together.
        score: the confidence (difficulty) score; None: the rule has none, or the papers' choice (`default_score`),
            which the label then leaves out.
        attribution: of all scores.
        score_attribution: of the confidence or difficulty alone; None: the same.
    """

    rule: Rule
    score: Score | None = None
    attribution: AttributionSetting | None = None
    score_attribution: AttributionSetting | None = None

    @property
    def label(self) -> str:
        """As tables show it."""
        score = "" if self.score is None else self.score.value
        start = [self.rule.value, score] if self.rule is not Rule.INSECURITY else [self.score.difficulty]  # type: ignore[union-attr]
        names = [setting.name for setting in (self.attribution, self.score_attribution) if setting is not None]
        return ", ".join(filter(None, [*start, *names]))

    @property
    def words(self) -> str:
        """As figures and sentences call it, without a formula."""
        score = "" if self.score is None else self.score.value
        insecurity = self.rule is Rule.INSECURITY and self.score is not None
        start = [self.score.difficulty] if insecurity else [WORDS.get(self.rule, self.rule.value), score]  # type: ignore[union-attr]
        names = [setting.name for setting in (self.attribution, self.score_attribution) if setting is not None]
        return ", ".join(filter(None, [*start, *names]))

    @property
    def is_baseline(self) -> bool:
        """Whether it knows nothing of the network."""
        return self in BASELINES

    @property
    def without_shared(self) -> "Method":
        """The same without an attribution that has no name, since all methods of its table share it."""
        is_shared = self.attribution is not None and not self.attribution.name
        return dataclasses.replace(self, attribution=None) if is_shared else self

    def score_with(self, predictor: Predictor | None) -> Score | None:
        """The confidence score that it really takes."""
        with_score = (Rule.ATTRIBUTIVE_TIMES_CONFIDENCE, Rule.DISCRIMINANT, Rule.MARGIN_TIMES_CONFIDENCE)
        needs_score = self.rule in (*with_score, Rule.INSECURITY)
        return self.score or (default_score(predictor) if needs_score else None)


WORDS = {
    Rule.ATTRIBUTIVE: "attributive",
    Rule.WITHOUT_CONFIDENCE: "discriminant without confidence",
    Rule.DISCRIMINANT: "discriminant",
    Rule.MARGIN_TIMES_CONFIDENCE: "margin times confidence",
    Rule.ABSENCE: "absence of the counter class",
    Rule.STANDARDISED: "absence, standardised over classes",
    Rule.CLASS_PAIR: "no difficulty map",
    Rule.SEARCH: "exhaustive search, ours",
    Rule.SEARCH_BY_HEAD: "exhaustive search, as published",
}
"""Rules in plain words, where their labels are formulas."""
BY_COUNTERPARTS = (Rule.COUNTERPARTS, Rule.COUNTERPARTS_STANDARDISED)
ANSWERING = (Rule.STANDARDISED, Rule.PARTS, *BY_COUNTERPARTS)
"""Those that answer the question by what other classes show."""
BASELINES = tuple(Method(rule) for rule in (Rule.GAUSSIAN, Rule.ORACLE, Rule.RANDOM, Rule.WHOLE_OBJECT))
"""The maps that every other one is compared with, in the order in which annotations make them."""
GAUSSIAN, ORACLE, RANDOM, WHOLE_OBJECT = BASELINES


def all_rules(attribution: AttributionSetting, scores: Sequence[Score]) -> tuple[Method, ...]:
    """Every rule with every confidence score: what the discriminant map gains from each of its factors."""
    with_scores = {
        rule: [Method(rule, score, attribution) for score in scores]
        for rule in (Rule.DISCRIMINANT, Rule.MARGIN_TIMES_CONFIDENCE)
    }
    return (
        Method(Rule.ATTRIBUTIVE, None, attribution),
        Method(Rule.WITHOUT_CONFIDENCE, None, attribution),
        *with_scores[Rule.DISCRIMINANT],
        Method(Rule.MARGIN, None, attribution),
        *with_scores[Rule.MARGIN_TIMES_CONFIDENCE],
    )


def main_rules(attribution: AttributionSetting, score: Score) -> tuple[Method, ...]:
    """The attributive map, the papers' discriminant map, and the margin."""
    return (
        Method(Rule.ATTRIBUTIVE, None, attribution),
        Method(Rule.DISCRIMINANT, score, attribution),
        Method(Rule.MARGIN, None, attribution),
    )


def insecurities(
    attribution: AttributionSetting,
    scores: Sequence[Score],
    score_attributions: Sequence[AttributionSetting | None] = (None,),
) -> tuple[Method, ...]:
    """Pairs of class maps without a difficulty map, and with each difficulty by each attribution of it."""
    return (
        Method(Rule.CLASS_PAIR, None, attribution),
        *(Method(Rule.INSECURITY, score, attribution, other) for score in scores for other in score_attributions),
    )


def counterfactual_maps(
    methods: Sequence[Method],
    net: Network,
    predictor: Predictor | None,
    images: Float[Array, "B H W c"],
    predicted: Int[Array, " B"],
    counters: Int[Array, "B K"],
    tables: PartTables | None = None,
    fitted: Counterparts | None = None,
) -> list[Float[Array, "B K h w"]]:
    """The maps of counterfactual methods; those of one attribution share one linearisation of the head.

    Args:
        methods: whose rules put a(h_y), a(h_c) and a(s) together.
        net: the network.
        predictor: of the easiness; None: there is none.
        images: the network's inputs.
        predicted: y.
        counters: the classes c that are asked about, K for each image.
        tables: of `Rule.PARTS`, fitted at the network's cut; None: there are none.
        fitted: of the rules by counterparts, likewise.

    Returns:
        Maps for each method, in order; those of a rule without c are the same for each.

    Raises:
        InputError: a method needs a predictor, part tables or counterparts, and there are none.
    """
    if fitted is None and any(method.rule in BY_COUNTERPARTS for method in methods):
        raise InputError("the rule 'counterparts' needs them, fitted to training images (galore.counterparts.fit)")
    if tables is None and any(method.rule is Rule.PARTS for method in methods):
        raise InputError("the rule 'part tables' needs tables, fitted to training images (galore.part_tables.fit)")

    banks = (tables, fitted)

    def one(image: Array, y: Array, c: Array) -> list[Array]:
        maps: dict[Method, Array] = {}
        for setting in dict.fromkeys(method.attribution or GRADIENT for method in methods):
            alike = [method for method in methods if (method.attribution or GRADIENT) == setting]
            straight = _maps_by(setting, alike, net, predictor, banks, image, y, c)
            if setting.mirrored:
                mirrored = _maps_by(setting, alike, net, predictor, banks, image[:, ::-1], y, c)
                straight = [(map_ + other[..., ::-1]) / 2 for map_, other in zip(straight, mirrored)]
            maps |= dict(zip(alike, straight))
        return [maps[method] for method in methods]

    return jax.vmap(one)(images, predicted, counters)


def deliberative_maps(
    method: Method,
    net: Network,
    predictor: Predictor | None,
    images: Float[Array, "B H W c"],
    top: int,
    keep: int,
) -> explain.Deliberative:
    """The insecurities of a deliberative method; see `galore.explain.deliberative`."""
    attribution = (method.attribution or GRADIENT).function()
    score = method.score_with(predictor)
    if score is None:
        options: dict[str, Any] = {"confidence_attribution": _ones}
    else:
        own = method.score_attribution
        options = {
            "confidence": score.confidence(predictor),
            "confidence_attribution": None if own is None else own.function(),
        }
    return explain.deliberative(net, images, top, keep=keep, attribution=attribution, **options)


def _maps_by(
    setting: AttributionSetting,
    methods: Sequence[Method],
    net: Network,
    predictor: Predictor | None,
    banks: tuple[PartTables | None, Counterparts | None],
    image: Float[Array, "H W c"],
    y: Int[Array, ""],
    c: Int[Array, " K"],
) -> list[Float[Array, "K h w"]]:
    """The maps of one image by one attribution."""
    needed = {method.score_with(predictor) for method in methods}
    with_maps = [score for score in Score if score in needed]
    # Class maps stay signed, so that the margin is exact; the authors' floor is applied to them afterwards.
    options = explain.MapOptions(setting.function(), signs=explain.Signs(class_floor=None))
    confidences = [score.confidence(predictor) for score in with_maps]
    F, logits = net(image)
    (located, placed), (tables, fitted) = net.locations(F), banks
    needs_all = any(method.rule is Rule.STANDARDISED for method in methods)
    asked = jnp.append(y, c)
    maps = explain.score_maps(net, image, F, jnp.arange(len(logits)) if needs_all else asked, confidences, options)
    of_asked = maps.classes[asked] if needs_all else maps.classes
    b = of_asked[1:]
    a = jnp.broadcast_to(of_asked[0], b.shape)
    by_score = {score: jnp.broadcast_to(map_, b.shape) for score, map_ in zip(with_maps, maps.confidences)}

    def put_together(method: Method) -> Float[Array, "K h w"]:
        if method.rule is Rule.STANDARDISED:
            return explain.standardised_maps(-maps.classes)[c]
        if method.rule is Rule.PARTS:
            return part_tables.maps(tables, located, y)[c]  # type: ignore[arg-type]
        if method.rule in BY_COUNTERPARTS:
            is_standardised = method.rule is Rule.COUNTERPARTS_STANDARDISED
            against = jnp.arange(len(logits)) if is_standardised else c
            of_classes = counterparts.maps(fitted, lambda G: net.logits(placed(G)), located, y, against)  # type: ignore[arg-type]
            return explain.standardised_maps(of_classes)[c] if is_standardised else of_classes
        return _put_together(method.rule, a, b, by_score.get(method.score_with(predictor)))  # type: ignore[arg-type]

    return [put_together(method) for method in methods]


def _put_together(
    rule: Rule, a: Float[Array, "K h w"], b: Float[Array, "K h w"], s: Float[Array, "K h w"] | None
) -> Float[Array, "K h w"]:
    """The maps of a rule from the signed class maps and the confidence's map."""
    match rule:
        case Rule.ATTRIBUTIVE:
            return explain.floored(a)
        case Rule.ATTRIBUTIVE_TIMES_CONFIDENCE if s is not None:
            return explain.floored(a) * s
        case Rule.WITHOUT_CONFIDENCE | Rule.DISCRIMINANT:
            return explain.discriminant_map(explain.floored(a), explain.floored(b), s)
        case Rule.ABSENCE:
            return -b
        case Rule.MARGIN:
            return explain.margin_map(a, b)
        case Rule.MARGIN_TIMES_CONFIDENCE if s is not None:
            return explain.floored(explain.margin_map(a, b)) * s
        case _:
            raise ValueError(f"{rule} is no rule of counterfactual maps")


def _ones(score: object, F: Float[Array, "h w d"]) -> Float[Array, "h w"]:
    return jnp.ones(F.shape[:2], jnp.float32)
