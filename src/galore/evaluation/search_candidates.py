"""The candidates of a counterfactual search, each evaluated exactly: log p(c) after one cell is replaced.

What a head begins with (`galore.head_structure`) decides how:

    SumFirst    behind a global average, a replacement adds one product and takes away another: h w + h w products of
                a cell with the dense layer serve all (h w)^2 candidates; where nothing but a bias follows, the sums of
                the softmax of all candidates are one matrix product
    DenseFirst  a replacement changes few inputs of a dense layer: only their rows of the weights are multiplied
    otherwise   the head is evaluated on every candidate, `chunk` of them at once
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from galore.head_structure import DenseFirst, SumFirst, structure

SAFE_RANGE = 60.0
Head = Callable[[Float[Array, "h w d"]], Float[Array, " C"]]


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
        chunk, shortcuts: as in `galore.evaluation.search.exhaustive`.

    Returns:
        activation [h, w, d] -> log p(c) after each of the replacements, made one at a time, float32 [K].
    """
    begins = structure(head, F) if shortcuts else None

    def log_probability(logits: Array) -> Array:
        return jax.nn.log_softmax(logits.astype(jnp.float32))[counter]

    def by_sum(begins: SumFirst, activation: Array) -> Array:
        ours = activation.reshape(-1, activation.shape[-1])
        whole = begins.project(ours.sum(0))
        added, removed = jax.vmap(begins.project)(cells), jax.vmap(begins.project)(ours)
        return mapped(lambda pair: log_probability(begins.after(whole - removed[pair[0]] + added[pair[1]])))

    def by_product(begins: SumFirst, activation: Array) -> Array:
        ours = activation.reshape(-1, activation.shape[-1])
        added, removed = jax.vmap(begins.project)(cells), jax.vmap(begins.project)(ours)
        nothing = jnp.zeros_like(added[0])
        kept = jax.vmap(begins.after)(begins.project(ours.sum(0)) - removed).astype(jnp.float32)
        gained = (jax.vmap(begins.after)(added) - begins.after(nothing)).astype(jnp.float32)
        every = _sums_log_probabilities(kept, gained, counter)
        # Beyond this range the exponentials of a candidate's largest logits could vanish.
        is_safe = jnp.max(jnp.ptp(gained, axis=-1)) < SAFE_RANGE
        return jax.lax.cond(is_safe, lambda: every[pairs[:, 0], pairs[:, 1]], lambda: by_sum(begins, activation))

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
        return partial(by_product if begins.is_affine else by_sum, begins)
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
