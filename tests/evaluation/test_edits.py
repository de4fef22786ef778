"""Edits on a test set: the searches and orders are those of one pair after the other, and so are their measures."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from compiling import compiled

from galore.errors import InputError
from galore.evaluation import edits, keypoints, metrics, queries, search
from galore.evaluation.edits import EXHAUSTIVE, SEMANTIC
from galore.evaluation.methods import GRADIENT, RANDOM, Score, counterfactual_maps, main_rules
from galore.evaluation.search import Outcome

METHODS = main_rules(GRADIENT, Score.SOFTMAX)
NAMES = ("left eye", "right eye", "back", "beak", "belly", "crown", "nape", "tail")


@pytest.fixture(scope="module")
def toy():
    """The toy with logits of equal mean and spread, so that every class is predicted for some images."""
    plain = toys.toy_test_set()
    mean, spread = plain.logits.mean(axis=0), plain.logits.std(axis=0)
    params = plain.net.params
    even = {"kernel": params["kernel"] / spread, "bias": (params["bias"] - mean) / spread}
    logits = (plain.logits - mean) / spread
    labels = logits.argmax(axis=1).astype(np.int32)
    labels[:5] = (labels[:5] + 1) % 5
    net = dataclasses.replace(plain.net, params=params | even)
    return dataclasses.replace(plain, net=net, logits=logits, labels=labels)


@pytest.fixture(scope="module")
def asked(toy):
    return edits.with_right_counter_images(toy, queries.beginner(toy, 0)).sample(10, 0)


@pytest.fixture(scope="module")
def known(toy):
    return edits.activations(toy, lambda params, x: toy.net.features(params, x) ** 2)


@pytest.fixture(scope="module")
def found(toy, asked, known):
    return edits.flips(toy, asked, METHODS, known, 0, batch_size=4)


def test_counter_images_that_the_network_gets_wrong_do_not_count(toy):
    every = queries.beginner(toy, 0)
    kept = edits.with_right_counter_images(toy, every)
    wrong = [row for row in every.counter_rows if toy.logits[row].argmax() != toy.labels[row]]
    assert len(kept.rows) == len(every.rows) - len(wrong) > 0 and len(wrong) > 0
    assert kept.left_out["the network gets the counter image wrong"] == len(wrong)
    with pytest.raises(InputError, match="every counter image of the beginner user wrong"):
        edits.with_right_counter_images(toy, every._replace(counter=(every.counter + 1) % 5))


def test_each_search_is_that_of_one_pair(toy, asked, known, found):
    cells = known.edited.shape[1] * known.edited.shape[2]
    exhaustive, semantic = (jax.jit(one, static_argnames="edits") for one in (search.exhaustive, search.semantic))
    for k in (0, 3, 9):
        F, other, c = known.edited[asked.rows[k]], known.edited[asked.counter_rows[k]], int(asked.counter[k])
        alone = exhaustive(toy.net, F, other, c, edits=cells)
        np.testing.assert_array_equal(found[EXHAUSTIVE].edits.cells[k], alone.cells)
        # Where a class has fewer images than others, the first one fills up.
        rows = list(dict.fromkeys(found[SEMANTIC].distractors[k].tolist()))
        assert rows[0] == asked.counter_rows[k]
        assert (toy.labels[rows] == c).all() and (toy.predicted[rows] == c).all() and len(rows) > 1
        judged = (known.judging[asked.rows[k]], known.judging[np.array(rows)])
        alone = semantic(toy.net, F, known.edited[np.array(rows)], c, *judged, edits=cells)
        np.testing.assert_array_equal(found[SEMANTIC].edits.cells[k], alone.cells)


def test_maps_are_followed_from_their_largest_cell(toy, asked, known, found):
    images, others = (jnp.asarray(toy.inputs(rows)) for rows in (asked.rows, asked.counter_rows))
    y, c = jnp.asarray(asked.predicted), jnp.asarray(asked.counter)
    maps, counter_maps = (
        [
            against[:, 0]
            for against in compiled(lambda net, *x: counterfactual_maps(METHODS, net, None, *x), toy.net, *some)
        ]
        for some in ((images, y, c[:, None]), (others, c, y[:, None]))
    )
    for method, map_, counter_map in zip(METHODS, maps, counter_maps):
        made = found[method].edits
        for k in range(len(asked.rows)):
            for place, values in enumerate((map_[k], counter_map[k])):
                followed = np.asarray(values).reshape(-1)[made.cells[k, : made.count[k], place]]
                np.testing.assert_allclose(
                    followed, np.sort(np.asarray(values).reshape(-1))[::-1][: made.count[k]], rtol=1e-3, atol=1e-5
                )
    at_random = found[RANDOM].edits
    assert len({tuple(cells) for cells in at_random.cells[:, 0]}) > 5


def test_measures_are_those_of_the_library_over_all_edits_of_flipped_decisions(toy, asked, found):
    parts, shape = toy.annotations, (8, 8)
    for method, flips in found.items():
        measured = edits.score(toy, asked, flips, NAMES, shape)
        cells = (
            keypoints.keypoint_cells(parts.points[rows], parts.visible[rows], shape, toy.size)
            for rows in (asked.rows, flips.distractors.reshape(-1))
        )
        ours, theirs = (keypoints.merged_sides(some, NAMES) for some in cells)
        theirs, flipped = theirs.reshape(*flips.distractors.shape, *shape, -1), flips.edits.outcome == Outcome.FLIPPED
        of_flipped = jax.tree.map(lambda leaf, kept=flipped: leaf[kept], flips.edits)
        expected = keypoints.edit_metrics(of_flipped, ours[flipped], theirs[flipped])
        first = keypoints.edit_metrics(of_flipped, ours[flipped], theirs[flipped], first_only=True)
        means = {name: np.nanmean(values) for name, values in measured.items() if values.ndim == 1}
        assert means["edits"] == expected.edits and flipped.any(), method
        for name, whole, one in (
            ("Near-KP", expected.near_keypoint, first.near_keypoint),
            ("Same-KP", expected.same_keypoint, first.same_keypoint),
        ):
            assert means[name] == pytest.approx(whole) and means[f"{name}, first edit"] == pytest.approx(one)
        budget = metrics.FRACTIONS.index(0.25)
        within = (flips.edits.count <= 0.25 * shape[0] * shape[1]) & flipped
        np.testing.assert_array_equal(measured["decisions flipped"][:, budget], within)
