"""What explanations are: maps with what they are about, one for each image of a batch; pytrees that plot themselves.

`galore.explain` makes them.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from galore import class_names as naming
from galore import representation
from galore.errors import InputError

ClassName = Callable[[Any], str]
Drawn = list[tuple[Any, Any, int, str]]
"""Maps, the batch of images that each belongs to, its place there, and its caption."""


def _plot(
    self: Any, images: Any = None, index: int = 0, *, class_names: Sequence[str] = (), ax: Any = None, **others: Any
) -> Any:
    """Draws the maps of one image over it, by matplotlib, outside `jit`.

    Args:
        images: what is seen below the maps, [B, H, W, c] or one of them, with 1 or 3 colours: uint8, or the network's
            inputs, which are stretched from black to white; None: nothing.
        index: which image of the batch.
        class_names: for the captions, such as `net.class_names`; numbers where there are none.
        ax: axes in which the first map alone is drawn.
        others: `counter_images` of a `Counterfactual`.

    Returns:
        A figure, which a notebook shows and `savefig` writes; no window opens. The axes where they are given.

    Raises:
        InputError: an image of the batch, or images, that there are not.
    """
    from galore import plotting

    def name(index: Any) -> str:
        return naming.label(int(index), class_names) if class_names else f"class {int(index)}"

    batch = len(jax.tree.leaves(self)[0])
    if not -batch <= index < batch:
        raise InputError(f"index={index}: the explanation is of {batch} images")
    return plotting.maps(self._drawn(index, name, images, **others), ax)


def _drawn_of_two(self: Any, index: int, name: ClassName, images: Any) -> Drawn:
    caption = f"speaks for {name(self.predicted[index])},\nnot for {name(self.counter[index])}"
    return [(self.maps[index], images, index, caption)]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Attributive:
    """What supports a class. `maps` [B, h, w] = a(h_classes)."""

    maps: Float[Array, "*B h w"]
    classes: Int[Array, "*B"]
    logits: Float[Array, "*B C"]

    __repr__ = representation.fields
    plot = _plot

    def _drawn(self, index: int, name: ClassName, images: Any) -> Drawn:
        return [(self.maps[index], images, index, f"speaks for {name(self.classes[index])}")]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Discriminant:
    """What speaks for `predicted`, not for `counter`, where the network is sure.

    `maps` [B, h, w] = `predicted_maps` * complement(`counter_maps`) * `confidence_maps`; `confidence` is s(x).
    """

    maps: Float[Array, "*B h w"]
    predicted_maps: Float[Array, "*B h w"]
    counter_maps: Float[Array, "*B h w"]
    confidence_maps: Float[Array, "*B h w"]
    predicted: Int[Array, "*B"]
    counter: Int[Array, "*B"]
    confidence: Float[Array, "*B"]
    logits: Float[Array, "*B C"]

    __repr__ = representation.fields
    plot = _plot
    _drawn = _drawn_of_two


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Margin:
    """What moves the score of `predicted` away from that of `counter`.

    `maps` [B, h, w] = a(h_predicted - h_counter), signed; `margin` is h_predicted - h_counter itself.
    """

    maps: Float[Array, "*B h w"]
    predicted: Int[Array, "*B"]
    counter: Int[Array, "*B"]
    margin: Float[Array, "*B"]
    logits: Float[Array, "*B C"]

    __repr__ = representation.fields
    plot = _plot
    _drawn = _drawn_of_two


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Standardised:
    """What speaks less for `counter` than for the other classes.

    `maps` [B, h, w] = `standardised_maps` of -a(h) of all classes, at `counter`; signed.
    """

    maps: Float[Array, "*B h w"]
    predicted: Int[Array, "*B"]
    counter: Int[Array, "*B"]
    logits: Float[Array, "*B C"]

    __repr__ = representation.fields
    plot = _plot

    def _drawn(self, index: int, name: ClassName, images: Any) -> Drawn:
        return [(self.maps[index], images, index, f"unlike {name(self.counter[index])}")]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ByPartTables:
    """By which parts the classes `predicted` and `counter` differ.

    `maps` [B, h, w]: above 0 at parts by which they differ more than `predicted` and other classes do; signed.
    """

    maps: Float[Array, "*B h w"]
    predicted: Int[Array, "*B"]
    counter: Int[Array, "*B"]
    logits: Float[Array, "*B C"]

    __repr__ = representation.fields
    plot = _plot

    def _drawn(self, index: int, name: ClassName, images: Any) -> Drawn:
        caption = f"where {name(self.predicted[index])}\nand {name(self.counter[index])} differ"
        return [(self.maps[index], images, index, caption)]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ByCounterparts:
    """What the score of `predicted` less that of `counter` would lose if a cell looked as it does in `counter`.

    `maps` [B, h, w]: the gradient of the difference times what the cell differs from its counterpart by; signed.
    """

    maps: Float[Array, "*B h w"]
    predicted: Int[Array, "*B"]
    counter: Int[Array, "*B"]
    logits: Float[Array, "*B C"]

    __repr__ = representation.fields
    plot = _plot
    _drawn = _drawn_of_two


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Counterfactual:
    """Why the prediction and not the counter class: the same question put to both images.

    `query` = D(x; y, c) on the image asked about, `counter` = D(x_c; c, y) on an image of the counter class.
    """

    query: Discriminant
    counter: Discriminant

    __repr__ = representation.fields
    plot = _plot

    def _drawn(self, index: int, name: ClassName, images: Any, counter_images: Any = None) -> Drawn:
        return [*self.query._drawn(index, name, images), *self.counter._drawn(index, name, counter_images)]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Deliberative:
    """Where the network hesitates and between which classes: insecurities, the strongest first.

    Attributes:
        maps: a(h_a) * a(h_b) * a(difficulty) per pair.
        pairs: the two classes of each insecurity.
        strengths: the mean of the map over its region, the `fraction` of the map's cells with the largest values.
        occurs: whether the pair is among the `keep` largest class attributions at some location; pairs that are not,
            or whose class is ruled out (a logit of -inf), come last and count as no insecurity.
        classes: the candidates, by falling logit.
        class_maps: a(h) of each candidate.
        difficulty_maps: a(1 - s).
        difficulty: 1 - s(x), in [0, 1].
        logits: of the whole network.
    """

    maps: Float[Array, "*B P h w"]
    pairs: Int[Array, "*B P 2"]
    strengths: Float[Array, "*B P"]
    occurs: Bool[Array, "*B P"]
    classes: Int[Array, "*B T"]
    class_maps: Float[Array, "*B T h w"]
    difficulty_maps: Float[Array, "*B h w"]
    difficulty: Float[Array, "*B"]
    logits: Float[Array, "*B C"]

    __repr__ = representation.fields
    plot = _plot

    def _drawn(self, index: int, name: ClassName, images: Any) -> Drawn:
        """The strongest insecurities; of those that do not occur the strongest alone."""
        count = min(max(int(self.occurs[index].sum()), 1), 3)
        captions = [f"{name(a)}\nor {name(b)}?" for a, b in np.asarray(self.pairs[index, :count])]
        return [(map_, images, index, caption) for map_, caption in zip(self.maps[index], captions)]
