import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from folders import write_birds
from hypothesis import given, settings
from hypothesis import strategies as st

from galore.data import cub
from galore.data.dataset import PartDataset, SceneDataset
from galore.errors import InputError
from galore.evaluation import ground_truth
from galore.evaluation.ground_truth import AttributeTable


def distributions(seed: int, classes: int = 6, values: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(values), classes)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_the_divergence_of_the_code_is_its_formula(seed: int):
    p = distributions(seed)
    found = ground_truth.jensen_shannon(p)
    for a in range(6):
        for b in range(6):
            terms = [x * math.log(2 * x / (x + y)) + y * math.log(2 * y / (x + y)) for x, y in zip(p[a], p[b])]
            assert found[a, b] == pytest.approx(sum(terms), abs=1e-12)
    np.testing.assert_array_equal(found, found.T)
    assert (found <= 2 * math.log(2)).all() and not np.diag(found).any()


def test_the_divergence_of_disjoint_distributions_is_the_largest():
    np.testing.assert_allclose(ground_truth.jensen_shannon(np.eye(2)), 2 * math.log(2) * (1 - np.eye(2)))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_the_divergence_of_the_text_is_its_formula(seed: int):
    p = distributions(seed) * 0.9 + 0.025
    found = ground_truth.exponential_kl(p)
    for a in range(6):
        for b in range(6):
            forward = sum(x * math.log(x / y) for x, y in zip(p[a], p[b]))
            backward = sum(y * math.log(y / x) for x, y in zip(p[a], p[b]))
            assert found[a, b] == pytest.approx(math.exp(forward + backward), rel=1e-9)
    np.testing.assert_array_equal(found, found.T)


def test_a_part_is_the_mean_over_its_groups(tmp_path: Path):
    birds = cub.read(write_birds(tmp_path / "birds"))
    distances = ground_truth.part_distances(birds.class_attributes, birds.attribute_names, birds.part_names)
    # Red and blue birds have the same beak; the folder gives no attribute of eyes.
    assert distances[0, 1, 1] == 0 and np.isnan(distances[:, :, 2]).all()
    # Red: 80 % red, 20 % blue; blue: 0 % and 100 %. The softmax of percentages is all but certain: p = 1, q = 0.
    assert distances[0, 1, 0] == pytest.approx(2 * math.log(2))
    softer = ground_truth.part_distances(
        birds.class_attributes, birds.attribute_names, birds.part_names, temperature=100.0
    )
    p, q = 1 / (1 + math.exp(-0.6)), 1 / (1 + math.exp(1))
    terms = [x * math.log(2 * x / (x + y)) + y * math.log(2 * y / (x + y)) for x, y in ((p, q), (1 - p, 1 - q))]
    assert softer[0, 1, 0] == pytest.approx(sum(terms), rel=1e-5)


def test_parts_that_look_the_same_are_shared_and_never_discriminant(tmp_path: Path):
    birds = cub.read(write_birds(tmp_path / "birds"))
    # Two parts with attributes and nine pairs, both orders and a = b included: of 18 triples, ten are exactly zero.
    discriminant, shared = ground_truth.discriminant_parts(birds), ground_truth.shared_parts(birds)
    assert discriminant[0, 1].tolist() == [True, False, False]
    assert shared[0, 1].tolist() == [False, True, False]
    assert not discriminant[1, 2, 0] and shared[1, 2, 0]
    assert not discriminant[:, :, 2].any() and not shared[:, :, 2].any()
    assert not discriminant[[0, 1, 2], [0, 1, 2]].any() and shared[[0, 1, 2], [0, 1, 2], :2].all()


def random_birds(classes: int, seed: int) -> PartDataset:
    """A data set without images whose attributes are continuous, so that no two distances are equal."""
    groups = sorted({group for groups in ground_truth.PART_GROUPS.values() for group in groups})
    names = tuple(f"has_{group}::{value}" for group in groups for value in "abc")
    percentages = np.random.default_rng(seed).uniform(0, 5, (classes, len(names)))
    parts = tuple(ground_truth.PART_GROUPS)
    return PartDataset(
        name="random",
        root=Path("random"),
        image_ids=np.zeros(0, np.int64),
        paths=(),
        labels=np.zeros(0, np.int32),
        is_training=np.zeros(0, bool),
        boxes=np.zeros((0, 4), np.float32),
        part_names=parts,
        points=np.zeros((0, len(parts), 2), np.float32),
        visible=np.zeros((0, len(parts)), bool),
        class_names=tuple(f"class {k}" for k in range(classes)),
        class_numbers=tuple(range(1, classes + 1)),
        attribute_names=names,
        class_attributes=percentages,
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.1, 0.2, 0.5]), st.sampled_from(["scout", "neurips"]))
def test_what_is_not_shared_is_discriminant(seed: int, share: float, table: str):
    birds = random_birds(12, seed)
    shared = ground_truth.shared_parts(birds, table, shared=share)
    np.testing.assert_array_equal(ground_truth.discriminant_parts(birds, table, shared=share), ~shared)
    # Parts with the same groups (left and right, for one) are equal, so that the threshold may fall among them.
    assert shared.mean() == pytest.approx(share, abs=10 / shared.size)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_thresholds_are_those_of_all_classes_whichever_are_selected(seed: int):
    birds = random_birds(10, seed)
    chosen = np.array([1, 4, 7])
    part = dataclasses.replace(
        birds,
        class_names=tuple(birds.class_names[k] for k in chosen),
        class_numbers=tuple((chosen + 1).tolist()),
        class_attributes=birds.class_attributes[chosen],
        all_class_attributes=birds.class_attributes,
    )
    expected = ground_truth.discriminant_parts(birds)[np.ix_(chosen, chosen)]
    np.testing.assert_array_equal(ground_truth.discriminant_parts(part), expected)


def test_every_group_belongs_to_a_part_or_is_left_out_on_purpose(shared_data: Path):
    birds = cub.read(shared_data / "CUB_200_2011", classes=1)
    groups = {name.partition("::")[0].removeprefix("has_") for name in birds.attribute_names}
    owned = {group for groups in ground_truth.PART_GROUPS.values() for group in groups}
    assert groups - owned == {"size", "shape", "primary_color", "upperparts_color", "underparts_color", "head_pattern"}
    assert owned <= groups and set(ground_truth.PART_GROUPS) == set(birds.part_names)
    scout = {group for groups in AttributeTable.SCOUT.groups.values() for group in groups}
    assert scout - owned == {"head_pattern"} and set(AttributeTable.SCOUT.groups) == set(birds.part_names)


SCOUT = """
back: back_color back_pattern
beak: bill_shape bill_length bill_color
belly: belly_color belly_pattern
breast: breast_pattern breast_color
crown: crown_color head_pattern forehead_color
forehead: forehead_color head_pattern
left eye: eye_color head_pattern
right eye: eye_color head_pattern
left leg: leg_color
right leg: leg_color
left wing: wing_color wing_shape wing_pattern
right wing: wing_color wing_shape wing_pattern
nape: nape_color
tail: tail_shape upper_tail_color under_tail_color tail_pattern
throat: throat_color head_pattern
"""


def slow_shared_parts(birds: PartDataset, table: str) -> np.ndarray:
    """The authors' computation, one pair of classes after the other."""
    owned = dict(line.split(": ") for line in SCOUT.strip().splitlines())
    percentages = birds.all_class_attributes
    assert percentages is not None
    distances = np.zeros((200, 200, len(birds.part_names)))
    for place, part in enumerate(birds.part_names):
        groups = owned[part].split()
        if table == "neurips":
            groups = [
                group
                for group in groups
                if group.split("_")[0] != "head" and (part, group) != ("crown", "forehead_color")
            ]
        for group in groups:
            columns = [k for k, name in enumerate(birds.attribute_names) if name.startswith(f"has_{group}::")]
            p = np.exp(percentages[:, columns].astype(np.float64))
            p /= p.sum(axis=1, keepdims=True)
            for a in range(200):
                q, total = p[a], p[a] + p
                first = np.where(q > 0, q * np.log(2 * q / total), 0).sum(1)
                second = (p * np.log(2 * p / total)).sum(1)
                distances[a, :, place] += (first + second) / len(groups)
    threshold = np.sort(distances.ravel())[int(0.2 * 200 * 200 * 15)]
    # Sums in another order differ in the last digits: those at the threshold itself are not compared.
    close = np.abs(distances - threshold) < 1e-9
    return np.where(close, -1, distances <= threshold)[:25, :25]


@pytest.mark.parametrize("table", ["scout", "neurips"])
def test_the_real_triples_are_those_of_the_authors_code(shared_data: Path, table: str):
    birds = cub.read(shared_data / "CUB_200_2011")
    expected, shared = slow_shared_parts(birds, table), ground_truth.shared_parts(birds, table)
    known = expected >= 0
    assert known.mean() > 0.999
    np.testing.assert_array_equal(shared[known], expected[known] == 1)
    np.testing.assert_array_equal(ground_truth.discriminant_parts(birds, table), ~shared)


def test_the_two_tables_agree_on_four_fifths_of_all_triples_and_on_a_third_for_eyes(shared_data: Path):
    birds = whole_cub(shared_data)
    scout, neurips = (ground_truth.discriminant_parts(birds, table) for table in AttributeTable)
    agreement = (scout == neurips).mean((0, 1))
    assert agreement.mean() == pytest.approx(0.79, abs=0.005)
    assert agreement[birds.part_names.index("left eye")] == pytest.approx(0.32, abs=0.005)


def test_tables_and_formulas_that_do_not_exist_are_refused():
    for options, said in (
        ({"table": "cvpr"}, "attribute table 'cvpr': no such table, there are scout and neurips"),
        ({"divergence": "cosine"}, "divergence 'cosine': no such formula, there are code and text"),
    ):
        with pytest.raises(InputError, match=said):
            ground_truth.discriminant_parts(random_birds(3, 0), **options)


def whole_cub(shared_data: Path) -> PartDataset:
    """All 200 classes; no image is read."""
    birds = cub.read(shared_data / "CUB_200_2011")
    assert birds.all_class_attributes is not None
    return dataclasses.replace(
        birds,
        class_names=tuple(str(k) for k in range(200)),
        class_numbers=tuple(range(1, 201)),
        class_attributes=birds.all_class_attributes,
    )


@pytest.mark.parametrize("divergence", ["code", "text"])
def test_four_fifths_of_the_real_triples_are_discriminant(shared_data: Path, divergence: str):
    birds = cub.read(shared_data / "CUB_200_2011")
    found = ground_truth.discriminant_parts(whole_cub(shared_data), divergence=divergence)
    assert found.shape == (200, 200, 15)
    assert found.mean() == pytest.approx(0.80, abs=1e-4)
    np.testing.assert_array_equal(ground_truth.discriminant_parts(birds, divergence=divergence), found[:25, :25])


def scenes(labels: list[int], classes: int) -> SceneDataset:
    count = len(labels)
    return SceneDataset(
        name="scenes",
        root=Path("scenes"),
        paths=("x",) * count,
        mask_paths=("x",) * count,
        labels=np.array(labels, np.int32),
        is_training=np.ones(count, bool),
        class_names=tuple(f"scene {k}" for k in range(classes)),
        object_names=("wall", "sky", "oven"),
    )


def test_frequencies_are_shares_of_images():
    present = np.array([[1, 0, 1], [1, 0, 0], [0, 1, 0]], bool)
    found = ground_truth.object_frequencies(present, scenes([0, 0, 1], 2))
    np.testing.assert_array_equal(found, [[1, 0, 0.5], [0, 1, 0]])
    with pytest.raises(InputError, match="has no training image"):
        ground_truth.object_frequencies(present[:0], scenes([], 3))


def test_of_a_class_without_training_images_nothing_is_known():
    """Fifteen of ADE20K's 1,055 classes have none: nothing tells them apart, and they share nothing."""
    present = np.array([[1, 0, 1], [1, 0, 0], [0, 1, 0]], bool)
    frequencies = ground_truth.object_frequencies(present, scenes([0, 0, 1], 3))
    assert np.isnan(frequencies[2]).all() and not np.isnan(frequencies[:2]).any()
    apart, shared = ground_truth.discriminant_objects(frequencies), ground_truth.shared_objects(frequencies)
    assert not (apart[2].any() or apart[:, 2].any() or shared[2].any() or shared[:, 2].any())
    np.testing.assert_array_equal(apart[:2, :2], ground_truth.discriminant_objects(frequencies[:2]))


def test_discriminant_objects_occur_in_one_class_only():
    found = ground_truth.discriminant_objects(np.array([[1, 0.2, 0.5], [0.1, 0, 0]]))
    assert found[0, 1].tolist() == [False, True, True] and found[1, 0].tolist() == [False, False, False]
    assert not found[0, 0].any()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.01, 0.1, 0.3]))
def test_shared_objects_equal_the_plain_computation(seed: int, fraction: float):
    frequencies = np.random.default_rng(seed).random((7, 5))
    means = (frequencies[:, None] + frequencies[None]) / 2
    triples = np.sort(means.ravel())[::-1]
    threshold = triples[max(1, int(fraction * triples.size)) - 1] - 1e-6
    expected = (means >= threshold) & (frequencies[:, None] >= 0.3) & (frequencies[None] >= 0.3)
    np.testing.assert_array_equal(ground_truth.shared_objects(frequencies, fraction=fraction), expected)


def test_impossible_fractions_are_refused():
    with pytest.raises(InputError, match="between 0 and 1"):
        ground_truth.discriminant_parts(random_birds(3, 0), shared=1.0)
    with pytest.raises(InputError, match="two classes"):
        ground_truth.discriminant_parts(random_birds(1, 0))
    with pytest.raises(InputError, match="two classes"):
        ground_truth.shared_objects(np.ones((1, 3)))
