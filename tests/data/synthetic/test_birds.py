"""Invented birds: CUB's format, points on parts, same seed same bytes, counterfactuals that change one part only."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation

from galore.cli import main
from galore.data import cub
from galore.data.photo import read_image
from galore.data.synthetic import birds
from galore.data.synthetic.birds import SyntheticBirds
from galore.data.synthetic.birds_species import GROUPS, KIND_GROUPS, PARTS, differing_kinds, kind_of, make_species
from galore.errors import InputError
from galore.evaluation import ground_truth

BIRDS = SyntheticBirds(classes=8, per_class=6, seed=3, size=64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("birds") / "made"
    birds.write(path, BIRDS)
    return path


def contents(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_the_reader_of_the_photographs_reads_it(folder):
    dataset = cub.read(folder)
    assert len(dataset) == 48 and dataset.absent == 0
    assert dataset.part_names == PARTS
    assert np.bincount(dataset.labels).tolist() == [6] * 8
    assert (np.bincount(dataset.labels[dataset.is_training]) == 4).all()
    assert len(dataset.attribute_names) == dataset.class_attributes.shape[1] == sum(map(len, GROUPS.values()))


def test_its_vocabulary_is_that_of_the_photographs(folder, shared_data):
    real = cub.read_tables(shared_data / "CUB_200_2011")
    made = cub.read_tables(folder)
    assert made.part_names == real.part_names
    positions = [real.attribute_names.index(name) for name in made.attribute_names]
    assert len(set(positions)) == len(positions) == sum(map(len, GROUPS.values()))


def test_percentages_of_a_group_sum_to_100(folder):
    dataset = cub.read(folder)
    groups = np.array([name.split("::")[0] for name in dataset.attribute_names])
    for group in GROUPS:
        np.testing.assert_allclose(dataset.class_attributes[:, groups == group].sum(1), 100, rtol=1e-5)


def test_the_ground_truth_finds_the_parts_that_differ(folder):
    """Two species of a family agree exactly on a part, or differ on it; the table of part distances says the same."""
    dataset = cub.read(folder)
    distances = ground_truth.part_distances(dataset.class_attributes, dataset.attribute_names, dataset.part_names)
    for a in range(8):
        for b in range(8):
            differing = BIRDS.differing_parts(a + 1, b + 1)
            found = {part for part, distance in zip(PARTS, distances[a, b]) if distance > 1e-9}
            assert found == set(differing)


def test_part_names_point_to_what_is_drawn(folder):
    """A visible point lies inside the image and the box, on a pixel that shows its part."""
    dataset = cub.read(folder)
    assert dataset.visible.any(0).all()
    for index, image_id in enumerate(dataset.image_ids):
        bird = BIRDS.draw(int(image_id))
        x0, y0, width, height = dataset.boxes[index]
        for part in np.flatnonzero(dataset.visible[index]):
            x, y = dataset.points[index, part]
            assert bird.part_map[int(y), int(x)] == part + 1
            assert x0 <= x <= x0 + width and y0 <= y <= y0 + height


def test_one_side_of_a_bird_is_seen():
    visible = np.stack([BIRDS.draw(image_id).visible for image_id in range(1, 49)])
    left, right = visible[:, PARTS.index("left eye")], visible[:, PARTS.index("right eye")]
    assert not (left & right).any() and left.any() and right.any()


def test_what_is_covered_is_not_visible():
    """Leaves in front hide parts now and then, though most parts that face us are visible."""
    again = SyntheticBirds(2, 40, 0, 32)
    visible = np.stack([again.draw(image_id).visible for image_id in range(1, 81)])
    breast = visible[:, PARTS.index("breast")].mean()
    assert 0.8 < breast < 1.0


def test_same_seed_same_bytes_however_many_draw(folder, tmp_path):
    """Costs about 4 s: two processes start."""
    birds.write(tmp_path / "again", BIRDS, workers=2)
    assert contents(tmp_path / "again") == contents(folder)


def test_another_seed_other_birds():
    other = SyntheticBirds(8, 6, 4, 64)
    assert not np.array_equal(BIRDS.draw(1).image, other.draw(1).image)


def test_a_bird_drawn_again_is_its_file(folder):
    dataset, again = cub.read(folder), birds.read(folder)
    assert again == BIRDS
    for index in (0, 17, 47):
        image_id = int(dataset.image_ids[index])
        np.testing.assert_array_equal(again.draw(image_id).image, read_image(dataset.image_path(index)))


@settings(max_examples=10, deadline=None)
@given(image_id=st.integers(1, 48), number=st.integers(1, 8), part=st.sampled_from(PARTS))
def test_a_replaced_part_changes_nothing_else(image_id, number, part):
    """Pixels may change where the part was or is, and at its antialiased rim."""
    before, after = BIRDS.draw(image_id), BIRDS.draw(image_id, {part: number})
    labels = [index + 1 for index, other in enumerate(PARTS) if kind_of(other) == kind_of(part)]
    place = np.isin(before.part_map, labels) | np.isin(after.part_map, labels)
    changed = (before.image != after.image).any(-1)
    # A sliver between two other parts, thinner than a pixel, is on no pixel of the map: 4 pixels at most in any of the
    # 4,608 redrawings of these birds.
    assert (changed & ~binary_dilation(place, np.ones((3, 3)), iterations=2)).sum() <= 4
    untouched = [group for group in GROUPS if group not in KIND_GROUPS[kind_of(part)]]
    assert all(before.values[group] == after.values[group] for group in untouched)


def test_a_part_that_differs_is_seen_to_change():
    changed = []
    for image_id in range(1, 49):
        number = BIRDS.class_number(image_id)
        other = number + 1 if number % 4 else number - 1  # of the same family: there are four species in each
        replaced = dict.fromkeys(BIRDS.differing_parts(number, other), other)
        changed.append((BIRDS.draw(image_id).image != BIRDS.draw(image_id, replaced).image).any(-1).mean())
    assert np.mean(np.array(changed) > 0.002) > 0.9
    assert np.mean(changed) < 0.25


def test_all_differing_parts_replaced_is_the_other_species():
    """In a family the bodies are the same: the bird then has exactly the other species' probabilities."""
    a, b = BIRDS.species[:2]
    assert a.family == b.family
    groups = {group for kind in differing_kinds(a, b) for group in KIND_GROUPS[kind]}
    mixed = {group: (b if group in groups else a).probabilities[group] for group in GROUPS}
    assert all(np.array_equal(mixed[group], b.probabilities[group]) for group in GROUPS)


@settings(max_examples=15, deadline=None)
@given(classes=st.integers(2, 60), seed=st.integers(0, 2**32))
def test_species_of_a_family_differ_in_one_to_three_parts(classes, seed):
    species = make_species(classes, seed)
    assert len(species) == classes == len({one.name for one in species})
    for index, a in enumerate(species):
        for b in species[:index]:
            if a.family == b.family:
                assert 1 <= len(differing_kinds(a, b)) <= 3


def test_individuals_vary_with_the_written_probabilities():
    """The share of birds with the likeliest value, over many birds, against what the attribute file says."""
    species = BIRDS.species[0]
    uniforms = (np.arange(1000) + 0.5) / 1000
    for group, probabilities in species.probabilities.items():
        drawn = [species.value(group, float(uniform)) for uniform in uniforms]
        shares = [drawn.count(value) / 1000 for value in GROUPS[group]]
        np.testing.assert_allclose(shares, probabilities, atol=1.1e-3)


def test_the_same_bird_at_another_size():
    """The picture is the same, only finer: averaged down it is close to the small one."""
    small, large = BIRDS.draw(5, size=48), BIRDS.draw(5, size=192)
    averaged = large.image.reshape(48, 4, 48, 4, 3).mean((1, 3))
    assert np.abs(averaged - small.image).mean() < 8
    np.testing.assert_allclose(large.points / 4, small.points, atol=1.0)


@pytest.mark.robust("options")
@pytest.mark.parametrize(
    ("numbers", "words"),
    [((-2, 5, 0, 96), "classes"), ((2, 0, 0, 96), "per-class"), ((2, 5, -1, 96), "seed"), ((2, 5, 0, 3), "size")],
)
def test_numbers_out_of_range_are_named(numbers, words):
    with pytest.raises(InputError, match=words):
        SyntheticBirds(*numbers)


@pytest.mark.robust("options")
def test_what_does_not_exist_is_named():
    with pytest.raises(InputError, match="image 49"):
        BIRDS.draw(49)
    with pytest.raises(InputError, match="beak"):
        BIRDS.draw(1, {"beek": 2})
    with pytest.raises(InputError, match="class 9"):
        BIRDS.draw(1, {"beak": 9})


def test_a_folder_of_other_origin_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="is missing"):
        birds.read(tmp_path)
    header = json.loads((folder / "galore.json").read_text())
    (tmp_path / "galore.json").write_text(json.dumps(header | {"version": 99}))
    with pytest.raises(InputError, match="version 99"):
        birds.read(tmp_path)
    (tmp_path / "galore.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        birds.read(tmp_path)


def test_an_interrupted_run_leaves_nothing(tmp_path):
    def interrupt(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        birds.write(tmp_path / "birds", SyntheticBirds(2, 20, 0, 32), on_images=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_the_command(tmp_path, capsys):
    arguments = ["make-birds", str(tmp_path / "b"), "--classes", "2", "--per-class", "3", "--seed", "1", "--size", "32"]
    assert main(arguments) == 0
    assert "6 birds of 2 species" in capsys.readouterr().out
    assert birds.read(tmp_path / "b") == SyntheticBirds(2, 3, 1, 32)
    assert main(arguments) == 2
    assert "is not empty" in capsys.readouterr().err
    assert main([*arguments[:1], str(tmp_path / "c"), "--classes", "-4"]) == 2
    assert "classes is -4" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
