"""Invented bird species: families that share most attributes and differ in one to three parts.

Parts, attributes and their names are those of CUB-200-2011 (Wah et al., 2011): what is drawn has the same vocabulary
as the photographs, so that the same ground truth can be computed from both.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from galore import representation

PARTS = (
    "back", "beak", "belly", "breast", "crown", "forehead", "left eye", "left leg", "left wing", "nape",
    "right eye", "right leg", "right wing", "tail", "throat",
)  # fmt: skip

PALETTE = {
    "blue": (62, 104, 186),
    "brown": (120, 84, 54),
    "iridescent": (34, 112, 112),
    "purple": (112, 66, 138),
    "rufous": (168, 84, 44),
    "grey": (136, 138, 142),
    "yellow": (234, 200, 58),
    "olive": (122, 122, 58),
    "green": (82, 142, 70),
    "pink": (226, 146, 156),
    "orange": (228, 130, 46),
    "black": (38, 36, 40),
    "white": (238, 236, 230),
    "red": (190, 44, 44),
    "buff": (214, 180, 134),
}  # sRGB; the names and their order are CUB's

_COLORS = tuple(PALETTE)
_PATTERNS = ("solid", "spotted", "striped", "multi-colored")

GROUPS: dict[str, tuple[str, ...]] = {
    "has_bill_shape": ("curved_(up_or_down)", "dagger", "hooked", "needle", "spatulate", "all-purpose", "cone"),
    "has_wing_color": _COLORS,
    "has_breast_pattern": _PATTERNS,
    "has_back_color": _COLORS,
    "has_tail_shape": (
        "forked_tail", "rounded_tail", "notched_tail", "fan-shaped_tail", "pointed_tail", "squared_tail",
    ),
    "has_upper_tail_color": _COLORS,
    "has_head_pattern": ("masked", "crested", "eyebrow", "eyering", "plain"),
    "has_breast_color": _COLORS,
    "has_throat_color": _COLORS,
    "has_eye_color": tuple(color for color in _COLORS if color != "iridescent"),
    "has_bill_length": ("about_the_same_as_head", "longer_than_head", "shorter_than_head"),
    "has_forehead_color": _COLORS,
    "has_under_tail_color": _COLORS,
    "has_nape_color": _COLORS,
    "has_belly_color": _COLORS,
    "has_wing_shape": ("rounded-wings", "pointed-wings"),
    "has_back_pattern": _PATTERNS,
    "has_tail_pattern": _PATTERNS,
    "has_belly_pattern": _PATTERNS,
    "has_primary_color": _COLORS,
    "has_leg_color": _COLORS,
    "has_bill_color": _COLORS,
    "has_crown_color": _COLORS,
    "has_wing_pattern": _PATTERNS,
}  # fmt: skip
"""Attribute groups and their values, in CUB's order. Left out are those that nothing drawn would tell apart."""

KIND_GROUPS: dict[str, tuple[str, ...]] = {
    "back": ("has_back_color", "has_back_pattern"),
    "beak": ("has_bill_shape", "has_bill_length", "has_bill_color"),
    "belly": ("has_belly_color", "has_belly_pattern"),
    "breast": ("has_breast_color", "has_breast_pattern"),
    "crown": ("has_crown_color",),
    "eye": ("has_eye_color",),
    "forehead": ("has_forehead_color",),
    "leg": ("has_leg_color",),
    "nape": ("has_nape_color",),
    "tail": ("has_tail_shape", "has_upper_tail_color", "has_under_tail_color", "has_tail_pattern"),
    "throat": ("has_throat_color",),
    "wing": ("has_wing_color", "has_wing_pattern", "has_wing_shape"),
}
"""What each kind of part owns; a left and a right part are of one kind. Face and head pattern are the family's."""

_FAMILIES = (
    "Tarrow", "Wimbrel", "Lorikin", "Marshpipe", "Pellwing", "Dunnel", "Skarrow", "Finchard", "Quillet", "Brambler",
    "Ousel", "Thornbill", "Reedling", "Sandril", "Wagtern", "Copsehen", "Larkin", "Rookling", "Siskern", "Warbin",
)  # fmt: skip
_EPITHETS = ("Northern", "Hill", "Island", "Marsh", "Lesser", "Coastal", "Forest", "Desert")


@dataclass(frozen=True)
class BodyShape:
    """Proportions in head radii, shared by a family."""

    length: float
    plumpness: float
    neck: float
    tail_length: float
    leg_length: float
    wing_length: float
    eye_radius: float


@dataclass(frozen=True)
class Species:
    """A species: how its birds are built and how probable each value of each attribute is."""

    name: str
    family: int
    shape: BodyShape
    probabilities: Mapping[str, Float[np.ndarray, "values"]]

    __repr__ = representation.fields

    def value(self, group: str, uniform: float) -> str:
        """The value that an individual has: the likeliest one for small `uniform`, rarer ones for larger.

        Two species that agree on a group give the same bird the same value.
        """
        probabilities = self.probabilities[group].tolist()
        order = sorted(
            (index for index, share in enumerate(probabilities) if share > 0), key=lambda i: -probabilities[i]
        )
        for index in order:
            uniform -= probabilities[index]
            if uniform < 0:
                return GROUPS[group][index]
        return GROUPS[group][order[0]]


def kind_of(part: str) -> str:
    """The kind of a part: "left wing" and "wing" are of kind "wing"."""
    return part.removeprefix("left ").removeprefix("right ")


def differing_kinds(a: Species, b: Species) -> tuple[str, ...]:
    """The kinds of part in which two species differ."""
    return tuple(
        kind
        for kind, groups in KIND_GROUPS.items()
        if any(not np.array_equal(a.probabilities[group], b.probabilities[group]) for group in groups)
    )


def make_species(classes: int, seed: int) -> tuple[Species, ...]:
    """Invents species, family by family, four or five to a family.

    Two species of a family differ in one to three kinds of part, two families in most.

    Args:
        classes: how many species, at least 1.
        seed: the species depend on it and on `classes` alone.
    """
    rng = np.random.default_rng(np.random.SeedSequence((seed, 1)))
    families = max(1, round(classes / 4))
    sizes = [classes // families + (index < classes % families) for index in range(families)]
    names = rng.permutation(len(_FAMILIES))
    species: list[Species] = []
    for family, size in enumerate(sizes):
        suffix = "" if family < len(_FAMILIES) else f"_{family // len(_FAMILIES) + 1}"
        species += _make_family(rng, seed, family, size, _FAMILIES[names[family % len(_FAMILIES)]] + suffix)
    return tuple(species)


_VARIED = ("beak", "wing", "breast", "belly", "back", "tail", "crown", "throat", "nape", "leg")
"""Kinds that tell the species of a family apart, the first six large enough to do so alone; an eye never is."""


def _make_family(rng: np.random.Generator, seed: int, family: int, size: int, surname: str) -> list[Species]:
    shape = BodyShape(
        length=rng.uniform(4.9, 6.0),
        plumpness=rng.uniform(0.85, 1.12),
        neck=rng.uniform(0.75, 1.1),
        tail_length=rng.uniform(2.2, 3.8),
        leg_length=rng.uniform(1.2, 2.3),
        wing_length=rng.uniform(3.1, 3.8),
        eye_radius=rng.uniform(0.26, 0.34),
    )
    base = _base_attributes(rng, seed)
    kinds = [str(kind) for kind in rng.choice(_VARIED[:6], 2, replace=False)]
    kinds.append(str(rng.choice([kind for kind in _VARIED if kind not in kinds])))
    variants = {kind: _variants(rng, seed, kind, base) for kind in kinds}
    species = []
    for index, combination in enumerate(_combinations(rng, size)):
        chosen = {kind: variants[kind][pick] for kind, pick in zip(kinds, combination)}
        attributes = base | {group: value for values in chosen.values() for group, value in values.items()}
        epithet = _EPITHETS[index % len(_EPITHETS)]
        species.append(Species(f"{epithet}_{surname}", family, shape, attributes))
    return species


def _combinations(rng: np.random.Generator, count: int) -> list[tuple[int, int, int]]:
    """Triples of variants (three variants of each of three kinds), no two alike in both of the first two kinds.

    The third kind may be a small part, such as a leg, which nobody could tell two species by alone.
    """
    pairs = rng.permutation(9)[:count]
    return [(int(pair) // 3, int(pair) % 3, int(rng.integers(3))) for pair in pairs]


def _base_attributes(rng: np.random.Generator, seed: int) -> dict[str, np.ndarray]:
    primary, second, light, accent = _distinct_colors(rng, 4)
    plumage = [primary, primary, second, light]
    main = {group: str(rng.choice(values)) for group, values in GROUPS.items()}
    for group in GROUPS:
        if group.endswith("_color"):
            main[group] = str(rng.choice(plumage))
        if group.endswith("_pattern") and group != "has_head_pattern":
            main[group] = str(rng.choice(_PATTERNS, p=(0.7, 0.1, 0.1, 0.1)))
    main |= {
        "has_primary_color": primary,
        "has_back_color": primary,
        "has_nape_color": str(rng.choice([primary, second])),
        "has_belly_color": light,
        "has_breast_color": str(rng.choice([light, accent])),
        "has_throat_color": str(rng.choice([light, accent])),
        "has_crown_color": str(rng.choice([primary, second, accent])),
        "has_bill_color": str(rng.choice(["black", "grey", "orange", "yellow", "red"])),
        "has_leg_color": str(rng.choice(["black", "grey", "orange", "pink", "brown"])),
        "has_eye_color": str(rng.choice(["black", "brown", "red", "yellow"])),
    }
    return {group: _distribution(seed, group, value) for group, value in main.items()}


def _variants(
    rng: np.random.Generator, seed: int, kind: str, base: Mapping[str, np.ndarray]
) -> list[dict[str, np.ndarray]]:
    """The base's own version of a part and two others, which differ from it and from each other."""
    groups = KIND_GROUPS[kind]
    telling = [group for group in groups if not group.startswith(("has_under", "has_wing_shape"))]
    taken = {group: [GROUPS[group][int(np.argmax(base[group]))]] for group in telling}
    variants: list[dict[str, np.ndarray]] = [{group: base[group] for group in groups}]
    for _ in range(2):
        variant = dict(variants[0])
        for group in rng.choice(telling, min(len(telling), 2), replace=False):
            value = _far_value(rng, group, taken[group])
            taken[group].append(value)
            variant[group] = _distribution(seed, group, value)
        variants.append(variant)
    return variants


def _far_value(rng: np.random.Generator, group: str, taken: list[str]) -> str:
    free = [value for value in GROUPS[group] if value not in taken] or list(GROUPS[group])
    if group.endswith("_color"):
        free = [value for value in free if all(_color_distance(value, other) > 105 for other in taken)] or free
    return str(rng.choice(free))


def _distribution(seed: int, group: str, value: str) -> np.ndarray:
    """Mostly the value; sometimes one that resembles it (a near colour), or another one.

    All species with this value have this distribution: they differ in a part exactly where its main values do.
    """
    values = GROUPS[group]
    rng = np.random.default_rng(np.random.SeedSequence((seed, 4, list(GROUPS).index(group), values.index(value))))
    probabilities = np.zeros(len(values))
    main = rng.uniform(0.94, 0.99)
    others = [other for other in values if other != value]
    if group.endswith("_color"):
        others = sorted(others, key=lambda other: _color_distance(value, other))[:2]
    second = str(rng.choice(others))
    probabilities[values.index(value)] = main
    probabilities[values.index(second)] = 1 - main
    return probabilities


def _distinct_colors(rng: np.random.Generator, count: int) -> list[str]:
    """A dark or strong colour first, then others, each some way from all before it."""
    colors = [str(rng.choice([color for color in _COLORS if color not in ("white", "buff", "yellow", "pink")]))]
    while len(colors) < count:
        candidates = ["white", "buff", "yellow", "grey", "pink"] if len(colors) == 2 else list(_COLORS)
        far = [color for color in candidates if min(_color_distance(color, other) for other in colors) > 70]
        colors.append(str(rng.choice(far)))
    return colors


def _color_distance(a: str, b: str) -> float:
    return float(np.linalg.norm(np.subtract(PALETTE[a], PALETTE[b])))
