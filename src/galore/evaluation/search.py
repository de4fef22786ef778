"""Counterfactuals by exhaustive search: which cells of another image, put into this one, change the prediction?

Goyal et al., "Counterfactual Visual Explanations", ICML 2019. Every cell of F(x) is replaced by every cell of the
distractor's F(x_c); the replacement that raises log p(c) most is made; its two cells are used up; and so on until
the prediction is c. The first edit alone costs (h w)^2 evaluations of the head.

`semantic` is the variant of Vandenhende et al., "Making Heads or Tails: Towards Semantically Consistent Visual
Counterfactuals", ECCV 2022: cells are exchanged for cells that mean the same. `in_order` searches for nothing: it makes
the replacements that somebody else names, such as the largest cells of two maps, one after the other.

The search is exact. What a head begins with (`galore.head_structure`) decides how its candidates are evaluated:

    SumFirst    behind a global average, a replacement adds one product and takes away another: h w + h w products of
                a cell with the dense layer serve all (h w)^2 candidates; where nothing but a bias follows, the sums of
                the softmax of all candidates are one matrix product
    DenseFirst  a replacement changes few inputs of a dense layer: only their rows of the weights are multiplied
    otherwise   the head is evaluated on every candidate, `chunk` of them at once

Everything is pure and of one pair of images; jit it at your own boundary, and use `jax.lax.map` for many pairs.
"""

import dataclasses
import enum
import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, Key

from galore.errors import InputError, is_out_of_memory
from galore.head_structure import DenseFirst, SumFirst, structure, sums_over_locations
from galore.network import Network

SAFE_RANGE = 60.0
Head = Callable[[Float[Array, "h w d"]], Float[Array, " C"]]


class Outcome(enum.IntEnum):
    """How a search ended."""

    FLIPPED = 0
    EDIT_CAP = 1
    OUT_OF_CELLS = 2
    WRONG_START = 3


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Edits:
    """What a search found; a pytree of jax or numpy arrays. E is the largest number of edits allowed.

    Attributes:
        cells: per edit the replaced cell of the query and the distractor's cell (row * width + column; with several
            distractors image * h w + row * width + column); -1 where no edit was made.
        count: edits made.
        log_probabilities: log p(c) before the first edit and after each; NaN where no edit was made.
        outcome: an `Outcome`: flipped to c, stopped at the cap, no allowed pair of cells left, or a start that is no
            start (the query is not predicted as it should be, or already as c).
    """

    cells: Int[Any, "*batch E 2"]
    count: Int[Any, "*batch"]
    log_probabilities: Float[Any, "*batch E+1"]
    outcome: Int[Any, "*batch"]


def exhaustive(
    net: Network,
    F: Float[Array, "h w d"],
    distractor: Float[Array, "H W D"],
    counter: int | Int[Array, ""],
    *,
    predicted: int | Int[Array, ""] | None = None,
    edits: int = 1,
    chunk: int = 1024,
    shortcuts: bool = True,
) -> Edits:
    """Goyal et al.'s search: the best replacement, again and again, until the prediction is the counter class.

    Args:
        net: the network; only its head is used.
        F: the query's activation, [h, w, d].
        distractor: the activation of an image of the counter class, [h, w, d].
        counter: the counter class c.
        predicted: the class that the network should predict for the query at the start; None: any but c.
        edits: the largest number of edits; 1 makes the first edit alone, as SCOUT's comparison does.
        chunk: candidates whose logits are computed at once; bounds the memory.
        shortcuts: whether the head's structure may be used; the result is the same without.

    Returns:
        The edits, in order.

    Raises:
        InputError: activations of different shapes, NaN in one, a chunk or an edit cap below one, or a counter class
            equal to the predicted one.
    """
    _check(F, distractor[None], counter, predicted, edits, chunk)
    cells = distractor.reshape(-1, distractor.shape[-1])
    pairs = all_pairs(F.shape[0] * F.shape[1], len(cells))
    bonus = jnp.zeros(len(pairs), jnp.float32)
    return _greedy(head_of(net), F, cells, counter, pairs, bonus, predicted, edits, chunk, shortcuts)


def semantic(
    net: Network,
    F: Float[Array, "h w d"],
    distractors: Float[Array, "N H W D"],
    counter: int | Int[Array, ""],
    features: Float[Array, "a b u"],
    distractor_features: Float[Array, "M A B u"],
    *,
    predicted: int | Int[Array, ""] | None = None,
    edits: int = 1,
    present: Bool[Array, " N"] | None = None,
    weight: float = 0.4,
    temperature: float = 0.1,
    candidates: float = 0.2,
    chunk: int = 1024,
    shortcuts: bool = True,
) -> Edits:
    """The best replacement among those that resemble, again and again, until the prediction is the counter class.

    The cells of several distractor images compete, only the pairs that resemble each other most are candidates, and
    the score of a pair (i, j) is

        log p(c | edited) + weight * log softmax_j( cos(u_i, u_j) / temperature ),

    with u the features that judge the resemblance. Theirs are self-supervised ones; any network's activations of the
    same map size serve. The default numbers are those of their released configurations, the same for VGG16 and
    ResNet-50 (facebookresearch/visual-counterfactuals, counterfactuals/configs/counterfactuals/
    counterfactuals_ours_cub_*.yaml): lambd 0.4, temperature 0.1, topk 0.2, with at most 20 distractors a query.

    Args:
        net: the network; only its head is used.
        F: the query's activation, [h, w, d].
        distractors: the activations of images of the counter class, [N, h, w, d].
        counter: the counter class c.
        features: what judges the resemblance of the query's cells, [h, w, u].
        distractor_features: the same for the distractors, [N, h, w, u].
        predicted, edits, chunk, shortcuts: as in `exhaustive`.
        present: which distractors there are, so that queries with fewer of them share a program; None: all.
        weight: of the resemblance against the log probability.
        temperature: of the softmax over the distractors' cells.
        candidates: the fraction of the pairs that is tried, the most similar ones of all cells, in (0, 1].

    Returns:
        The edits, in order; a distractor's cell counts on from image to image.

    Raises:
        InputError: what `exhaustive` raises, features on another map than the activations, or a fraction of
            candidates outside (0, 1].
    """
    _check(F, distractors, counter, predicted, edits, chunk)
    if features.shape[:2] != F.shape[:2] or distractor_features.shape[:3] != distractors.shape[:3]:
        raise InputError(
            f"features of shape {features.shape} and {distractor_features.shape} for activations of shape {F.shape} "
            f"and {distractors.shape}: expected the same map and as many images"
        )
    if not 0 < candidates <= 1:
        raise InputError(f"candidates={candidates}: expected a fraction above 0 and at most 1")
    there = jnp.ones(len(distractors), bool) if present is None else present
    similarity = cell_similarity(features, distractor_features)
    of_one = similarity.size // len(distractors)
    similarity = jnp.where(jnp.repeat(there, similarity.shape[1] // len(distractors)), similarity, -jnp.inf)
    bonus = weight * jax.nn.log_softmax(similarity / temperature, axis=-1).reshape(-1)
    allowed = [max(math.floor(candidates * of_one * count), 1) for count in range(len(distractors) + 1)]
    _, kept = jax.lax.top_k(similarity.reshape(-1), allowed[-1])
    pairs = all_pairs(*similarity.shape)[kept]
    bonus = jnp.where(jnp.arange(len(kept)) < jnp.asarray(allowed)[there.sum()], bonus[kept], -jnp.inf)
    cells = distractors.reshape(-1, distractors.shape[-1])
    return _greedy(head_of(net), F, cells, counter, pairs, bonus, predicted, edits, chunk, shortcuts)


def in_order(
    net: Network,
    F: Float[Array, "h w d"],
    distractor: Float[Array, "H W D"],
    counter: int | Int[Array, ""],
    cells: Int[Array, "E 2"],
    *,
    predicted: int | Int[Array, ""] | None = None,
) -> Edits:
    """Replacements that are given, one after the other, until the prediction is the counter class.

    Args:
        net: the network; only its head is used.
        F: the query's activation, [h, w, d].
        distractor: the activation of an image of the counter class, [h, w, d].
        counter: the counter class c.
        cells: per edit the query's cell and the distractor's, see `Edits.cells`; `by_falling` of two maps, for example.
        predicted: as in `exhaustive`.

    Returns:
        The edits up to the one that flips the prediction. All were made without success: stopped at the cap.

    Raises:
        InputError: what `exhaustive` raises.
    """
    _check(F, distractor[None], counter, predicted, len(cells), 1)
    head, theirs = head_of(net), distractor.reshape(-1, distractor.shape[-1])

    def edit(activation: Array, pair: Array) -> tuple[Array, tuple[Array, Array]]:
        changed = activation.reshape(-1, F.shape[-1]).at[pair[0]].set(theirs[pair[1]]).reshape(F.shape)
        return changed, _log_probability_and_class(head, changed, counter)

    start = _log_probability_and_class(head, F, counter)
    after = jax.lax.scan(edit, F, cells)[1]
    flips = after[1] == counter
    is_wrong = _is_wrong_start(start[1], counter, predicted)
    made = jnp.where(flips.any(), jnp.argmax(flips) + 1, len(cells))
    count = jnp.where(is_wrong, 0, made).astype(jnp.int32)
    ended = jnp.where(flips.any(), Outcome.FLIPPED, Outcome.EDIT_CAP)
    outcome = jnp.where(is_wrong, Outcome.WRONG_START, ended).astype(jnp.int32)
    is_made = jnp.arange(len(cells)) < count
    log_probabilities = jnp.append(start[0], jnp.where(is_made, after[0], jnp.nan))
    return Edits(jnp.where(is_made[:, None], cells, -1).astype(jnp.int32), count, log_probabilities, outcome)


def by_falling(
    map: Float[Array, "h w"], counter_map: Float[Array, "H W"], key: Key[Array, ""]
) -> Int[Array, "cells 2"]:
    """The edits that two maps name: the query's largest cell is replaced by the counter image's largest, and so on.

    Args:
        map: of the query.
        counter_map: of the counter image, with as many cells.
        key: of the order among cells of equal value, which would else follow their place.

    Returns:
        Every cell of both maps once, see `Edits.cells`.
    """

    def falling(values: Array, key: Array) -> Array:
        return jnp.lexsort((jax.random.uniform(key, values.shape), -values))

    first, second = jax.random.split(key)
    return jnp.stack([falling(map.reshape(-1), first), falling(counter_map.reshape(-1), second)], axis=1)


def _greedy(
    head: Head,
    F: Float[Array, "h w d"],
    cells: Float[Array, "n d"],
    counter: int | Int[Array, ""],
    pairs: Int[Array, "K 2"],
    bonus: Float[Array, " K"],
    predicted: int | Int[Array, ""] | None,
    edits: int,
    chunk: int,
    shortcuts: bool = True,
) -> Edits:
    """The loop of every variant: of the pairs whose cells are free, make the one with the largest log p(c) + bonus.

    Args:
        head: F -> logits.
        F: the query's activation.
        cells: the distractors' cells, [n, d].
        counter: the counter class c.
        pairs: the candidate replacements (query cell, distractor cell).
        bonus: what is added to the log probability of each pair.
        predicted, edits, chunk, shortcuts: as in `exhaustive`.

    Returns:
        The edits, in order.
    """
    depth = F.shape[-1]
    scores_of = scorer(head, F, cells, counter, pairs, chunk=chunk, shortcuts=shortcuts)

    def is_open(state: tuple) -> Array:
        _, _, _, done, outcome = state
        return (outcome == Outcome.EDIT_CAP) & (done < edits)

    def edit(state: tuple) -> tuple:
        activation, used, log_probabilities, done, _ = state
        is_free = _free(pairs, used, F.shape[0] * F.shape[1], len(cells))
        total = jnp.where(is_free, scores_of(activation) + bonus, -jnp.inf)
        best = jnp.argmax(total)
        query, distractor = pairs[best]
        is_possible = total[best] > -jnp.inf
        changed = activation.reshape(-1, depth).at[query].set(cells[distractor]).reshape(activation.shape)
        log_probability, says = _log_probability_and_class(head, changed, counter)
        edited = (
            changed,
            used.at[done].set(pairs[best]),
            log_probabilities.at[done + 1].set(log_probability),
            done + 1,
            jnp.where(says == counter, Outcome.FLIPPED, Outcome.EDIT_CAP).astype(jnp.int32),
        )
        stuck = (*state[:-1], jnp.asarray(Outcome.OUT_OF_CELLS, jnp.int32))
        return jax.tree.map(lambda new, old: jnp.where(is_possible, new, old), edited, stuck)

    log_probability, says = _log_probability_and_class(head, F, counter)
    is_wrong = _is_wrong_start(says, counter, predicted)
    state = (
        F,
        jnp.full((edits, 2), -1, jnp.int32),
        jnp.full(edits + 1, jnp.nan, jnp.float32).at[0].set(log_probability),
        jnp.zeros((), jnp.int32),
        jnp.where(is_wrong, Outcome.WRONG_START, Outcome.EDIT_CAP).astype(jnp.int32),
    )
    _, used, log_probabilities, done, outcome = jax.lax.while_loop(is_open, edit, state)
    return Edits(used, done, log_probabilities, outcome)


def _free(pairs: Int[Array, "K 2"], used: Int[Array, "E 2"], ours: int, theirs: int) -> Bool[Array, " K"]:
    """Which candidates touch no cell of an edit already made."""
    # What was not made yet is -1, the end of a list that is one longer than the cells.
    taken = [jnp.zeros(count + 1, bool).at[used[:, k]].set(True) for k, count in enumerate((ours, theirs))]
    return ~(taken[0][pairs[:, 0]] | taken[1][pairs[:, 1]])


def _log_probability_and_class(head: Head, activation: Array, counter: int | Array) -> tuple[Array, Array]:
    """log p(c) in float32, and the predicted class."""
    logits = head(activation).astype(jnp.float32)
    return jax.nn.log_softmax(logits)[counter], jnp.argmax(logits)


def _is_wrong_start(says: Array, counter: int | Array, predicted: int | Array | None) -> Array:
    """Whether the prediction is the counter class already, or not what it should be."""
    return (says == counter) if predicted is None else (says == counter) | (says != predicted)


def halving(search: Callable[..., Any], *arguments: Any, chunk: int, **options: Any) -> Any:
    """Calls a search, and again with half the chunk where the memory did not suffice (which a warning says).

    Args:
        search: called as `search(*arguments, chunk=chunk, **options)`; a function under `jax.jit` with a static
            `chunk`, for example.
        arguments, options: handed on.
        chunk: candidates at once, to begin with.

    Returns:
        What the search returns.
    """
    while True:
        try:
            return jax.block_until_ready(search(*arguments, chunk=chunk, **options))
        except (jax.errors.JaxRuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or chunk == 1:
                raise
            chunk //= 2
            warnings.warn(f"out of memory: searching on with {chunk} candidates at once", stacklevel=2)


def all_pairs(query_cells: int, distractor_cells: int) -> Int[Array, "K 2"]:
    """Every (query cell, distractor cell), by query cell first."""
    return jnp.asarray(np.indices((query_cells, distractor_cells), np.int32).reshape(2, -1).T)


def scorer(
    head: Head,
    F: Float[Array, "h w d"],
    cells: Float[Array, "n d"],
    counter: int | Int[Array, ""],
    pairs: Int[Array, "K 2"],
    *,
    chunk: int = 1024,
    shortcuts: bool = True,
) -> Callable[[Float[Array, "h w d"]], Float[Array, " K"]]:
    """The function that evaluates the candidates, for F and for what F becomes when edits are made.

    Args:
        head: F -> logits.
        F: the query's activation, for its shape and dtype alone.
        cells: the distractors' cells, [n, d].
        counter: the counter class c.
        pairs: the candidates (query cell, distractor cell).
        chunk, shortcuts: as in `exhaustive`.

    Returns:
        activation [h, w, d] -> log p(c) after each of the replacements, made one at a time, float32 [K].
    """
    begins = structure(head, F) if shortcuts else None

    def log_probability(logits: Array) -> Array:
        return jax.nn.log_softmax(logits.astype(jnp.float32))[counter]

    def by_sum(begins: SumFirst, added: Array, activation: Array) -> Array:
        ours = activation.reshape(-1, activation.shape[-1])
        whole, removed = begins.project(sums_over_locations(activation)), jax.vmap(begins.project)(ours)
        return mapped(lambda pair: log_probability(begins.after(whole - removed[pair[0]] + added[pair[1]])))

    def by_product(begins: SumFirst, added: Array, gained: Array, activation: Array) -> Array:
        ours = activation.reshape(-1, activation.shape[-1])
        removed = jax.vmap(begins.project)(ours)
        kept = jax.vmap(begins.after)(begins.project(sums_over_locations(activation)) - removed).astype(jnp.float32)
        every = _sums_log_probabilities(kept, gained, counter)
        # Beyond this range the exponentials of a candidate's largest logits could vanish.
        is_safe = jnp.max(jnp.ptp(gained, axis=-1)) < SAFE_RANGE
        return jax.lax.cond(is_safe, lambda: every[pairs[:, 0], pairs[:, 1]], lambda: by_sum(begins, added, activation))

    def by_head(activation: Array) -> Array:
        locations = jnp.arange(activation.shape[0] * activation.shape[1]).reshape(*activation.shape[:2], 1)
        return mapped(lambda pair: log_probability(head(jnp.where(locations == pair[0], cells[pair[1]], activation))))

    def mapped(one: Callable[[Array], Array]) -> Array:
        return jax.lax.map(one, pairs, batch_size=min(chunk, len(pairs)))

    if isinstance(begins, DenseFirst):
        after = begins.after
        return lambda activation: _by_location(
            begins, lambda z: log_probability(after(z)), activation, cells, pairs, chunk
        )
    if isinstance(begins, SumFirst):
        # The distractors' cells stay the same from edit to edit.
        added = jax.vmap(begins.project)(cells)
        if not begins.is_affine:
            return partial(by_sum, begins, added)
        gained = (jax.vmap(begins.after)(added) - begins.after(jnp.zeros_like(added[0]))).astype(jnp.float32)
        return partial(by_product, begins, added, gained)
    return by_head


def _sums_log_probabilities(
    kept: Float[Array, "hw C"], gained: Float[Array, "n C"], counter: int | Int[Array, ""]
) -> Float[Array, "hw n"]:
    """log p(c) for the logits kept[i] + gained[j], every i and j."""
    most_kept, most_gained = kept.max(-1, keepdims=True), gained.max(-1, keepdims=True)
    sums = jnp.matmul(jnp.exp(kept - most_kept), jnp.exp(gained - most_gained).T, precision=jax.lax.Precision.HIGHEST)
    chosen = (kept - most_kept)[:, counter, None] + (gained - most_gained)[:, counter]
    return chosen - jnp.log(sums)


def _by_location(
    begins: DenseFirst,
    log_probability: Callable[[Array], Array],
    F: Array,
    cells: Array,
    pairs: Array,
    chunk: int,
) -> Float[Array, " K"]:
    """Blocks of candidates that share a query cell, so that each block reads the weights' rows of that cell once."""
    locations, count = F.shape[0] * F.shape[1], len(pairs)
    size = min(chunk, max(count // locations, 1))
    x = begins.before(F)
    whole = x @ begins.weights
    place = jnp.arange(locations).reshape(*F.shape[:2], 1)
    affected, valid = jnp.asarray(begins.affected), jnp.asarray(begins.valid)

    order = jnp.argsort(pairs[:, 0], stable=True)
    per_location = jnp.bincount(pairs[:, 0], length=locations)
    first_pair = jnp.cumsum(per_location) - per_location
    blocks = -(-per_location // size)
    first_block = jnp.cumsum(blocks) - blocks

    def block(total: Array, number: Array) -> tuple[Array, None]:
        location = jnp.searchsorted(first_block + blocks, number, side="right").clip(max=locations - 1)
        within = (number - first_block[location]) * size + jnp.arange(size)
        mine = order[(first_pair[location] + within).clip(0, count - 1)]
        entries = affected[location]

        def change(cell: Array) -> Array:
            return (begins.before(jnp.where(place == location, cell, F)) - x)[entries]

        changes = jnp.where(valid[location], jax.vmap(change)(cells[pairs[mine, 1]]), 0)
        scores = jax.vmap(log_probability)(whole + changes @ begins.weights[entries])
        inside = (within < per_location[location]) & (number < blocks.sum())
        return total.at[jnp.where(inside, mine, count)].set(scores, mode="drop"), None

    most_blocks = count // size + locations
    numbers = jnp.arange(most_blocks)

    def maybe(total: Array, number: Array) -> tuple[Array, None]:
        return jax.lax.cond(number < blocks.sum(), block, lambda total, _: (total, None), total, number)

    return jax.lax.scan(maybe, jnp.zeros(count, jnp.float32), numbers)[0]


def cell_similarity(
    features: Float[Array, "h w u"], distractor_features: Float[Array, "N h w u"]
) -> Float[Array, "hw Nhw"]:
    """The cosine between every cell of the query and every cell of the distractors."""

    def unit(x: Array) -> Array:
        flat = x.reshape(-1, x.shape[-1]).astype(jnp.float32)
        return flat / jnp.maximum(jnp.linalg.norm(flat, axis=-1, keepdims=True), 1e-12)

    return unit(features) @ unit(distractor_features).T


def head_of(net: Network) -> Head:
    """The network's head with its parameters filled in.

    Raises:
        InputError: its activations hold more than locations, and search exchanges locations alone.
    """
    if net.extra_rows:
        raise InputError(
            f"the network {net.name or 'given'} has tokens without a location, such as a class token: search exchanges "
            "locations alone"
        )
    return lambda activation: net.head(net.params, activation)


def _check(F: Array, distractors: Array, counter: Any, predicted: Any, edits: int, chunk: int) -> None:
    """Refuses what no search can start from; see `exhaustive`."""
    if F.ndim != 3 or distractors.ndim != 4 or F.shape != distractors.shape[1:]:
        raise InputError(
            f"a query of shape {F.shape}, a distractor of shape {distractors.shape[1:]}: expected [h, w, d] of one size"
        )
    if chunk < 1 or edits < 1:
        raise InputError(f"chunk={chunk}, edits={edits}: expected at least 1")
    known = not any(isinstance(value, Tracer) for value in (F, distractors, counter, predicted))
    if known and predicted is not None and int(predicted) == int(counter):
        raise InputError(f"the counter class {int(counter)} is the query's own class; expected an image of another")
    if known and bool(jnp.isnan(F).any() | jnp.isnan(distractors).any()):
        raise InputError("the activations of the query or a distractor hold NaN")
