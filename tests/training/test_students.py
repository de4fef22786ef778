import numpy as np

from galore.training import students


def test_a_few_images_of_every_class_are_taken():
    labels = np.repeat([0, 1, 2], [10, 2, 5])
    positions = students.few_of_each(labels, 3, seed=0)
    assert len(set(positions.tolist())) == 8
    assert np.bincount(labels[positions]).tolist() == [3, 2, 3]
    assert not np.array_equal(positions, students.few_of_each(labels, 3, seed=1))
