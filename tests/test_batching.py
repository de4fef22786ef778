import numpy as np

from galore import batching


def test_the_last_batch_is_filled_up_and_cut_again():
    x, sizes = np.arange(14, dtype=np.float32).reshape(7, 2), []

    def sine(batch):
        sizes.append(len(batch))
        return np.sin(batch)

    np.testing.assert_array_equal(batching.run(sine, lambda some: x[some], len(x), 3), np.sin(x))
    assert sizes == [3, 3, 3]
