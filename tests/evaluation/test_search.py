"""Exhaustive search agrees with a plain loop over candidates, whatever way it takes, and says how it ended."""

from time import perf_counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galore import InputError, Network
from galore.evaluation import search
from galore.evaluation.search import Outcome
from galore.head_structure import DenseFirst, SumFirst, structure

HEIGHT, WIDTH, DEPTH, CLASSES = 4, 2, 5, 7


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def pooled_affine(params, F):
    return F.mean((0, 1)) @ params["kernel"] + params["bias"]


def pooled_two_layers(params, F):
    return jnp.tanh(4 * F.mean((0, 1)) @ params["hidden"]) @ params["out"]


def pooled_by_a_product(params, F):
    flat = F.reshape(-1, DEPTH)
    return jnp.full(len(flat), 1 / len(flat)) @ flat @ params["kernel"] + params["bias"]


def pooled_then_normalised(params, F):
    pooled = jnp.mean(F[None], axis=(1, 2))[0]
    return (pooled / jnp.linalg.norm(pooled)) @ params["kernel"]


def dense(params, F):
    return jax.nn.relu(F.transpose(2, 0, 1).reshape(-1) @ params["wide"]) @ params["out"]


def max_pooled_dense(params, F):
    x = jax.lax.reduce_window(F, -jnp.inf, jax.lax.max, (2, 2, 1), (2, 2, 1), "VALID")
    return jnp.tanh(params["narrow"].T @ x.reshape(-1)) @ params["out"]


def overlapping_dense(params, F):
    x = jax.lax.reduce_window(F[None], 0.0, jax.lax.add, (1, 3, 3, 1), (1, 1, 1, 1), "SAME") / 9
    return (x.reshape(1, -1) @ params["wide"] @ params["out"])[0]


def convolutional(params, F):
    x = jax.lax.conv_general_dilated(
        F[None], params["filter"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jax.nn.relu(x[0]).mean((0, 1)) @ params["kernel"]


def rotating(params, F):
    """Sums all locations, but another channel of each: no global average."""
    turned = jnp.stack([jnp.roll(F.reshape(-1, DEPTH)[i], i) for i in range(HEIGHT * WIDTH)])
    return turned.sum(0) @ params["kernel"]


def skipping(params, F):
    """The dense layer is not the only way from F to the logits."""
    return jax.nn.relu(F.reshape(-1) @ params["wide"]) @ params["out"] + F[0, 0, 0] ** 2


PARAMS = {
    "kernel": 3 * normal(0, DEPTH, CLASSES),
    "bias": normal(1, CLASSES),
    "hidden": normal(2, DEPTH, 8),
    "out": normal(3, 8, CLASSES),
    "wide": normal(4, HEIGHT * WIDTH * DEPTH, 8) / 5,
    "narrow": normal(5, HEIGHT * WIDTH * DEPTH // 4, 8) / 5,
    "filter": normal(6, 3, 3, DEPTH, DEPTH),
}
HEADS = {
    pooled_affine: SumFirst,
    pooled_two_layers: SumFirst,
    pooled_by_a_product: SumFirst,
    pooled_then_normalised: SumFirst,
    dense: DenseFirst,
    max_pooled_dense: DenseFirst,
    overlapping_dense: DenseFirst,
    convolutional: type(None),
    rotating: type(None),
    skipping: type(None),
}
F, DISTRACTOR = abs(normal(10, HEIGHT, WIDTH, DEPTH)), abs(normal(11, HEIGHT, WIDTH, DEPTH))


exhaustive = jax.jit(search.exhaustive, static_argnames=("edits", "chunk", "shortcuts"))


def network(head, params=PARAMS):
    return Network(params=params, features=lambda params, x: x, head=head)


def loop(net, F, cells, counter):
    """The slow and obvious way: every candidate by itself."""
    one = jax.jit(lambda params, F: jax.nn.log_softmax(net.head(params, F))[counter])
    scores = np.zeros((F.shape[0] * F.shape[1], len(cells)))
    for i in range(scores.shape[0]):
        for j in range(scores.shape[1]):
            edited = np.array(F)
            edited[i // F.shape[1], i % F.shape[1]] = cells[j]
            scores[i, j] = one(net.params, edited)
    return scores


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.__name__)
def test_the_structure_of_a_head_is_recognised(head):
    found = structure(lambda G: head(PARAMS, G), F)
    assert type(found) is HEADS[head]


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.__name__)
def test_a_structure_is_the_head_taken_apart(head):
    found = structure(lambda G: head(PARAMS, G), F)
    if isinstance(found, SumFirst):
        again = found.after(found.project(F.sum((0, 1))))
    elif isinstance(found, DenseFirst):
        again = found.after(found.before(F) @ found.weights)
    else:
        return
    np.testing.assert_allclose(again, head(PARAMS, F), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.__name__)
def test_all_ways_agree_with_a_loop_over_the_candidates(head):
    net, cells = network(head), DISTRACTOR.reshape(-1, DEPTH)
    pairs = search.all_pairs(HEIGHT * WIDTH, len(cells))
    expected = loop(net, F, cells, 3).reshape(-1)
    for shortcuts, chunk in ((True, 7), (True, 1000), (False, 7)):
        scores = search.scorer(search.head_of(net), F, cells, 3, pairs, chunk=chunk, shortcuts=shortcuts)
        np.testing.assert_allclose(jax.jit(scores)(F), expected, atol=1e-5)


def test_what_only_adds_a_bias_behind_the_sum_is_known():
    for head, expected in ((pooled_affine, True), (pooled_by_a_product, True), (pooled_two_layers, False)):
        found = structure(lambda G, head=head: head(PARAMS, G), F)
        assert isinstance(found, SumFirst) and found.is_affine == expected


def test_logits_too_far_apart_for_one_product_are_as_exact():
    net, cells = network(pooled_affine, PARAMS | {"kernel": 2000 * PARAMS["kernel"]}), DISTRACTOR.reshape(-1, DEPTH)
    pairs = search.all_pairs(HEIGHT * WIDTH, len(cells))
    found = jax.jit(search.scorer(search.head_of(net), F, cells, 3, pairs))(F)
    expected = loop(net, F, cells, 3).reshape(-1)
    assert np.ptp(expected) > 1000
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)


@pytest.mark.robust("shapes and numbers")
@pytest.mark.parametrize("head", [pooled_affine, pooled_two_layers], ids=lambda head: head.__name__)
def test_the_sum_of_a_map_of_half_precision_may_be_beyond_its_largest_number(head):
    small = {name: leaf / 14000 if name in ("kernel", "hidden") else leaf for name, leaf in PARAMS.items()}
    small = {name: leaf.astype(jnp.float16) for name, leaf in small.items()}
    activation, cells = (14000 * x.astype(jnp.float16) for x in (F, DISTRACTOR.reshape(-1, DEPTH)))
    assert np.isinf(activation.sum((0, 1))).any()
    pairs = search.all_pairs(HEIGHT * WIDTH, len(cells))
    ways = [
        search.scorer(search.head_of(network(head, small)), activation, cells, 3, pairs, shortcuts=shortcuts)
        for shortcuts in (True, False)
    ]
    found, by_head = (jax.jit(way)(activation) for way in ways)
    np.testing.assert_allclose(found, by_head, atol=2e-2)


@pytest.mark.parametrize("head", [pooled_affine, max_pooled_dense, convolutional], ids=lambda head: head.__name__)
def test_edits_follow_the_greedy_definition(head):
    net, cells = network(head), DISTRACTOR.reshape(-1, DEPTH)
    counter = int(jnp.argmin(head(PARAMS, F)))
    found = exhaustive(net, F, DISTRACTOR, counter, edits=6)
    edited = np.array(F)
    used = np.zeros((HEIGHT * WIDTH, len(cells)), bool)
    expected = []
    while len(expected) < 6 and np.argmax(head(PARAMS, edited)) != counter:
        scores = np.where(used, -np.inf, loop(net, edited, cells, counter))
        i, j = np.unravel_index(scores.argmax(), scores.shape)
        edited[i // WIDTH, i % WIDTH] = cells[j]
        used[i], used[:, j] = True, True
        expected.append((i, j, scores[i, j]))
    assert int(found.count) == len(expected) > 0
    for number, (i, j, score) in enumerate(expected):
        assert tuple(found.cells[number]) == (i, j)
        np.testing.assert_allclose(found.log_probabilities[number + 1], score, atol=1e-5)
    assert (found.cells[len(expected) :] == -1).all()


def two_class(params, F):
    """Class 1 wins once the channel's sum exceeds the number of edits needed."""
    total = F[..., 0].sum()
    return jnp.stack([params["needed"] - 0.5 - total, total])


def flat(value, shape=(2, 2, 1)):
    return jnp.full(shape, value, jnp.float32)


@pytest.mark.parametrize(
    ("needed", "edits", "predicted", "outcome", "count"),
    [
        (4.0, 9, None, Outcome.FLIPPED, 2),
        (4.0, 1, None, Outcome.EDIT_CAP, 1),
        (99.0, 9, None, Outcome.OUT_OF_CELLS, 4),
        (-99.0, 9, None, Outcome.WRONG_START, 0),
        (4.0, 9, 0, Outcome.FLIPPED, 2),
    ],
)
def test_how_a_search_ends(needed, edits, predicted, outcome, count):
    net = network(two_class, {"needed": jnp.float32(needed)})
    found = exhaustive(net, flat(0.0), flat(1.0), 1, edits=edits, predicted=predicted)
    assert (Outcome(int(found.outcome)), int(found.count)) == (outcome, count)
    assert np.isfinite(found.log_probabilities[: count + 1]).all()
    assert np.isnan(found.log_probabilities[count + 1 :]).all()


def test_a_start_of_another_class_than_said_is_no_start():
    net = network(pooled_affine)
    logits = pooled_affine(PARAMS, F)
    first, *_, last = (int(c) for c in jnp.argsort(-logits))
    third = next(c for c in range(CLASSES) if c not in (first, last))
    assert int(exhaustive(net, F, DISTRACTOR, last, predicted=third).outcome) == Outcome.WRONG_START
    assert int(exhaustive(net, F, DISTRACTOR, last, predicted=first).count) == 1


def test_many_searches_at_once():
    net = network(max_pooled_dense)
    queries = jnp.stack([F, DISTRACTOR])
    search_pair = lambda pair: search.exhaustive(net, *pair, 3, edits=2)  # noqa: E731
    mapped = jax.jit(lambda pairs: jax.lax.map(search_pair, pairs))((queries, queries[::-1]))
    batched = jax.jit(jax.vmap(search_pair))((queries, queries[::-1]))
    for k in range(2):
        one = exhaustive(net, queries[k], queries[1 - k], 3, edits=2)
        for several in (mapped, batched):
            np.testing.assert_array_equal(several.cells[k], one.cells)


def seconds_of(call) -> float:
    """The best of three calls: others may be using the machine."""
    times = []
    for _ in range(3):
        start = perf_counter()
        jax.block_until_ready(call())
        times.append(perf_counter() - start)
    return min(times)


@pytest.mark.parametrize("head", [pooled_affine, dense], ids=lambda head: head.__name__)
def test_the_shortcuts_are_at_least_fifty_times_faster_than_a_loop(head):
    """Costs two seconds."""
    shape = (7, 7, DEPTH)
    params = PARAMS | {"wide": normal(4, 49 * DEPTH, 8) / 5}
    net, a, b = network(head, params), abs(normal(2, *shape)), abs(normal(3, *shape))
    one = jax.jit(lambda params, F: jax.nn.log_softmax(head(params, F))[3])

    def loop_over_some() -> None:
        for k in range(50):
            float(one(params, a.at[k // 7 % 7, k % 7].set(b[0, 0])))

    jax.block_until_ready((exhaustive(net, a, b, 3), one(params, a.at[0, 0].set(b[0, 0]))))
    assert seconds_of(loop_over_some) * 49**2 / 50 > 50 * seconds_of(lambda: exhaustive(net, a, b, 3))


@pytest.mark.robust("options")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"distractor": jnp.ones((2, 2, DEPTH))}, "of one size"),
        ({"predicted": 3}, "query's own class"),
        ({"F": F.at[0].set(jnp.nan)}, "NaN"),
        ({"distractor": F.at[0].set(jnp.nan)}, "NaN"),
        ({"chunk": 0}, "chunk=0"),
        ({"edits": 0}, "edits=0"),
    ],
)
def test_what_cannot_be_searched_is_refused(change, words):
    with pytest.raises(InputError, match=words):
        search.exhaustive(**({"net": network(dense), "F": F, "distractor": DISTRACTOR, "counter": 3} | change))


def test_out_of_memory_halves_the_chunk_and_says_so():
    tried = []

    def greedy_for_memory(value, *, chunk):
        tried.append(chunk)
        if chunk > 16:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 byte")
        return value + chunk

    with pytest.warns(UserWarning, match="searching on with 16"):
        assert search.halving(greedy_for_memory, 1, chunk=64) == 17
    assert tried == [64, 32, 16]
    with pytest.raises(jax.errors.JaxRuntimeError, match="another"):
        search.halving(lambda *, chunk: (_ for _ in ()).throw(jax.errors.JaxRuntimeError("another")), chunk=4)
