"""Search for replacements that mean the same, and the measures of how well it does."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import compiled

from galore import InputError, Network
from galore.evaluation import search
from galore.evaluation.search import Outcome


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def pooled(params, F):
    return F.mean((0, 1)) @ params


def dense(params, F):
    return jnp.tanh(F.reshape(-1) @ jnp.tile(params, (12, 1)))


F, DISTRACTORS = normal(1, 3, 4, 5), normal(2, 2, 3, 4, 5)
FEATURES, DISTRACTOR_FEATURES = normal(3, 3, 4, 6), normal(4, 2, 3, 4, 6)
COUNTER = 2


def network(head=pooled):
    return Network(params=normal(0, 5, 4), features=lambda params, x: x, head=head)


GIVEN = F, DISTRACTORS, COUNTER, FEATURES, DISTRACTOR_FEATURES


def find(head=pooled, **options):
    return compiled(search.semantic, network(head), *GIVEN, **options)


def test_without_resemblance_it_is_the_exhaustive_search():
    given = network(), F, DISTRACTORS[:1], COUNTER, FEATURES, DISTRACTOR_FEATURES[:1]
    found = compiled(search.semantic, *given, weight=0.0, candidates=1.0, edits=3)
    plain = compiled(search.exhaustive, network(), F, DISTRACTORS[0], COUNTER, edits=3)
    np.testing.assert_array_equal(found.cells, plain.cells)


@pytest.mark.parametrize("candidates", [1.0, 0.2])
@pytest.mark.parametrize("head", [pooled, dense])
@pytest.mark.parametrize("shortcuts", [True, False])
def test_the_first_edit_has_the_largest_score_among_the_candidates(head, candidates, shortcuts):
    net = network(head)
    u, v = np.asarray(FEATURES).reshape(12, 6), np.asarray(DISTRACTOR_FEATURES).reshape(24, 6)
    cosine = np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in v] for a in u])
    exponential = np.exp(cosine / 0.1)
    consistency = np.log(exponential / exponential.sum(1, keepdims=True))
    allowed = cosine >= np.sort(cosine.reshape(-1))[::-1][int(candidates * cosine.size) - 1]
    total = np.full((12, 24), -np.inf)
    for i, j in zip(*np.nonzero(allowed)):
        edited = np.array(F)
        edited[i // 4, i % 4] = np.asarray(DISTRACTORS).reshape(24, 5)[j]
        logits = np.asarray(head(net.params, edited))
        total[i, j] = logits[COUNTER] - np.log(np.exp(logits).sum()) + 0.4 * consistency[i, j]
    found = find(head, candidates=candidates, shortcuts=shortcuts)
    assert tuple(found.cells[0]) == np.unravel_index(total.argmax(), total.shape)


def test_the_defaults_are_those_that_were_released():
    defaults = {name: one.default for name, one in inspect.signature(search.semantic).parameters.items()}
    assert (defaults["weight"], defaults["temperature"], defaults["candidates"]) == (0.4, 0.1, 0.2)


@pytest.mark.parametrize("candidates", [1.0, 0.2])
def test_a_distractor_that_is_not_there_changes_nothing(candidates):
    given, features = jnp.tile(DISTRACTORS, (2, 1, 1, 1)), jnp.tile(DISTRACTOR_FEATURES, (2, 1, 1, 1))
    present = jnp.array([True, True, False, False])
    options = {"edits": 4, "candidates": candidates}
    found = compiled(search.semantic, network(), F, given, COUNTER, FEATURES, features, present=present, **options)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(find(**options))):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_edits_in_order_are_what_a_loop_makes():
    net, counter = network(dense), int(jnp.argmin(dense(network().params, F)))
    order = np.random.default_rng(0).permuted(np.tile(np.arange(12), (2, 1)), axis=1).T
    found = compiled(search.in_order, net, F, DISTRACTORS[0], counter, jnp.asarray(order))
    edited, said = np.array(F).reshape(12, 5), []
    for ours, theirs in order:
        edited[ours] = np.asarray(DISTRACTORS[0]).reshape(12, 5)[theirs]
        logits = np.asarray(dense(net.params, edited.reshape(3, 4, 5)))
        said.append(logits[counter] - np.log(np.exp(logits).sum()))
        if logits.argmax() == counter:
            break
    assert int(found.count) == len(said)
    expected = Outcome.FLIPPED if logits.argmax() == counter else Outcome.EDIT_CAP
    assert int(found.outcome) == expected
    np.testing.assert_allclose(found.log_probabilities[1 : len(said) + 1], said, atol=1e-5)
    np.testing.assert_array_equal(found.cells[: len(said)], order[: len(said)])
    assert (found.cells[len(said) :] == -1).all() and np.isnan(found.log_probabilities[len(said) + 1 :]).all()


def test_a_search_and_its_own_edits_in_order_are_the_same():
    net = network()
    plain = compiled(search.exhaustive, net, F, DISTRACTORS[0], COUNTER, edits=12)
    cells = plain.cells[: int(plain.count)]
    again = compiled(search.in_order, net, F, DISTRACTORS[0], COUNTER, cells)
    assert int(plain.outcome) == Outcome.FLIPPED == int(again.outcome) and int(again.count) == len(cells)
    np.testing.assert_allclose(again.log_probabilities, plain.log_probabilities[: len(cells) + 1], rtol=1e-5)


def test_maps_name_edits_by_falling_value_and_equal_cells_come_in_any_order():
    map_, counter_map = normal(5, 3, 4), jnp.where(jnp.arange(12) < 9, 0.0, 1.0).reshape(3, 4)
    order_by = jax.jit(search.by_falling)
    orders = [np.asarray(order_by(map_, counter_map, jax.random.key(seed))) for seed in range(40)]
    for order in orders:
        np.testing.assert_array_equal(order[:, 0], np.argsort(-np.asarray(map_).reshape(-1)))
        assert sorted(order[:3, 1]) == [9, 10, 11] and sorted(order[3:, 1]) == list(range(9))
    assert len({order[3, 1] for order in orders}) > 5


@pytest.mark.robust("options")
@pytest.mark.parametrize(
    ("options", "words"),
    [({"candidates": 0.0}, "candidates"), ({"chunk": 0}, "chunk"), ({"predicted": 2}, "own class")],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        search.semantic(network(), *GIVEN, **options)


def test_features_on_another_map_are_refused():
    with pytest.raises(InputError, match="same map"):
        search.semantic(network(), F, DISTRACTORS, COUNTER, FEATURES[:2], DISTRACTOR_FEATURES)
