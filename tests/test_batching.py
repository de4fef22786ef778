import numpy as np

from galore import batching


def test_the_last_batch_is_filled_up_and_cut_again():
    x, sizes = np.arange(14, dtype=np.float32).reshape(7, 2), []

    def sine(batch):
        sizes.append(len(batch))
        return np.sin(batch)

    np.testing.assert_array_equal(batching.run(sine, lambda some: x[some], len(x), 3), np.sin(x))
    assert sizes == [3, 3, 3]


def test_who_listens_is_told_how_far_it_is_and_nobody_else():
    x, told = np.arange(7.0), []
    run = lambda: batching.run(lambda batch: batch, x.__getitem__, 7, 3, "numbers")  # noqa: E731
    with batching.told(lambda *one: told.append(one)):
        np.testing.assert_array_equal(run(), x)
    run()
    assert told == [("numbers", 0, 7), ("numbers", 3, 7), ("numbers", 6, 7), ("numbers", 7, 7)]
