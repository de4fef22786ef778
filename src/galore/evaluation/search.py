"""Counterfactuals by exhaustive search: which cells of another image, put into this one, change the prediction?

Goyal et al., "Counterfactual Visual Explanations", ICML 2019. Every cell of F(x) is replaced by every cell of the
distractor's F(x_c); the replacement that raises log p(c) most is made; its two cells are used up; and so on until
the prediction is c. The first edit alone costs (h w)^2 evaluations of the head.

The search is exact, whichever way its candidates are evaluated (`galore.evaluation.search_candidates`). Everything is
pure and of one pair of images; jit it at your own boundary, and use `jax.lax.map` for many pairs.
"""

import dataclasses
import enum
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from galore.errors import InputError, is_out_of_memory
from galore.evaluation.search_candidates import Head, all_pairs, scorer
from galore.network import Network


class Outcome(enum.IntEnum):
    """How a search ended."""

    FLIPPED = 0
    EDIT_CAP = 1
    OUT_OF_CELLS = 2
    WRONG_START = 3


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Edits:
    """What a search found; a pytree. E is the largest number of edits allowed.

    Attributes:
        cells: per edit the replaced cell of the query and the distractor's cell (row * width + column; with several
            distractors image * h w + row * width + column); -1 where no edit was made.
        count: edits made.
        log_probabilities: log p(c) before the first edit and after each; NaN where no edit was made.
        outcome: an `Outcome`: flipped to c, stopped at the cap, no allowed pair of cells left, or a start that is no
            start (the query is not predicted as it should be, or already as c).
    """

    cells: Int[Array, "*batch E 2"]
    count: Int[Array, "*batch"]
    log_probabilities: Float[Array, "*batch E+1"]
    outcome: Int[Array, "*batch"]


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
    check(F, distractor[None], counter, predicted, edits, chunk)
    cells = distractor.reshape(-1, distractor.shape[-1])
    pairs = all_pairs(F.shape[0] * F.shape[1], len(cells))
    bonus = jnp.zeros(len(pairs), jnp.float32)
    return greedy(head_of(net), F, cells, counter, pairs, bonus, predicted, edits, chunk, shortcuts)


def greedy(
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

    def log_probability(activation: Array) -> Array:
        return jax.nn.log_softmax(head(activation).astype(jnp.float32))[counter]

    def is_open(state: tuple) -> Array:
        _, _, _, done, outcome = state
        return (outcome == Outcome.EDIT_CAP) & (done < edits)

    def edit(state: tuple) -> tuple:
        activation, made, log_probabilities, done, _ = state
        total = jnp.where(_free(pairs, made), scores_of(activation) + bonus, -jnp.inf)
        best = jnp.argmax(total)
        query, distractor = pairs[best]
        found = total[best] > -jnp.inf
        changed = activation.reshape(-1, depth).at[query].set(cells[distractor]).reshape(activation.shape)
        logits = head(changed).astype(jnp.float32)
        edited = (
            changed,
            made.at[done].set(pairs[best]),
            log_probabilities.at[done + 1].set(jax.nn.log_softmax(logits)[counter]),
            done + 1,
            jnp.where(jnp.argmax(logits) == counter, Outcome.FLIPPED, Outcome.EDIT_CAP).astype(jnp.int32),
        )
        stuck = (*state[:-1], jnp.asarray(Outcome.OUT_OF_CELLS, jnp.int32))
        return jax.tree.map(lambda new, old: jnp.where(found, new, old), edited, stuck)

    start = jnp.argmax(head(F))
    wrong = (start == counter) if predicted is None else (start == counter) | (start != predicted)
    state = (
        F,
        jnp.full((edits, 2), -1, jnp.int32),
        jnp.full(edits + 1, jnp.nan, jnp.float32).at[0].set(log_probability(F)),
        jnp.zeros((), jnp.int32),
        jnp.where(wrong, Outcome.WRONG_START, Outcome.EDIT_CAP).astype(jnp.int32),
    )
    _, made, log_probabilities, done, outcome = jax.lax.while_loop(is_open, edit, state)
    return Edits(made, done, log_probabilities, outcome)


def _free(pairs: Int[Array, "K 2"], made: Int[Array, "E 2"]) -> Bool[Array, " K"]:
    """Which candidates touch no cell of an edit already made."""
    return ~jnp.any(pairs[:, None, :] == made[None], axis=(1, 2))


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


def head_of(net: Network) -> Head:
    """The network's head with its parameters filled in."""
    return lambda activation: net.head(net.params, activation)


def check(F: Array, distractors: Array, counter: Any, predicted: Any, edits: int, chunk: int) -> None:
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
