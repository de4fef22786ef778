import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from galore.errors import InputError
from galore.training import inputs


def numbered(count):
    return inputs.Arrays({"image": np.arange(count)[:, None], "label": np.arange(count)})


def labels_of(batches):
    return [batch["label"].tolist() for batch in batches]


@settings(deadline=None, max_examples=20)
@given(count=st.integers(4, 30), batch_size=st.integers(1, 4), start=st.integers(0, 12), seed=st.integers(0, 5))
def test_batches_from_a_step_on_are_those_of_an_uninterrupted_run(count, batch_size, start, seed):
    source = numbered(count)
    whole = labels_of(inputs.training_batches(lambda e: source, count, batch_size, seed=seed, start=0, stop=14))
    rest = labels_of(inputs.training_batches(lambda e: source, count, batch_size, seed=seed, start=start, stop=14))
    assert rest == whole[start:]


def test_an_epoch_sees_each_example_once_and_the_next_one_in_another_order():
    source = numbered(12)
    batches = labels_of(inputs.training_batches(lambda e: source, 12, 4, seed=0, start=0, stop=6))
    first, second = np.ravel(batches[:3]).tolist(), np.ravel(batches[3:]).tolist()
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second


def test_crops_are_a_function_of_seed_epoch_and_index():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 20, 3), dtype=np.uint8)
    source = inputs.Arrays({"image": pixels, "label": np.arange(3)})
    crop = lambda seed, epoch: inputs.augmented(source, 16, seed)(epoch)[1]["image"]  # noqa: E731
    np.testing.assert_array_equal(crop(0, 4), crop(0, 4))
    assert (crop(0, 4) != crop(0, 5)).any() and (crop(0, 4) != crop(1, 4)).any()


def test_the_size_may_depend_on_the_epoch():
    source = inputs.Arrays({"image": np.zeros((2, 20, 20, 3), np.uint8), "label": np.arange(2)})
    sources = inputs.augmented(source, lambda epoch: 8 if epoch < 1 else 16, 0)
    assert [sources(epoch)[0]["image"].shape[0] for epoch in (0, 1)] == [8, 16]


def test_each_epoch_sees_another_view():
    activations = np.arange(2 * 3, dtype=np.float32).reshape(2, 3, 1, 1, 1)
    source_of = inputs.views(activations, np.arange(3))
    views = [source_of(epoch)[1]["image"].item() for epoch in range(3)]
    assert views == [1.0, 4.0, 1.0]


def test_the_validation_split_takes_the_same_share_of_every_class():
    labels = np.repeat([0, 1, 2], [10, 20, 1])
    kept, held = inputs.validation_split(labels, 0.2, seed=0)
    assert (kept ^ held).all()
    assert np.bincount(labels[held], minlength=3).tolist() == [2, 4, 0]
    assert not inputs.validation_split(labels, 0.0, seed=0)[1].any()


def test_bad_shares_and_batches_are_refused():
    with pytest.raises(InputError, match="share 1"):
        inputs.validation_split(np.zeros(3, int), 1.0, seed=0)
    with pytest.raises(InputError, match="batch_size 9 is larger than the 4"):
        inputs.training_batches(lambda e: numbered(4), 4, 9, seed=0, start=0, stop=1)


def test_the_last_batch_of_an_epoch_may_be_smaller_and_a_resumed_run_sees_the_same():
    source = numbered(11)
    read = lambda start: list(  # noqa: E731
        inputs.training_batches(lambda e: source, 11, 4, seed=0, start=start, stop=6, keep_last=True)
    )
    whole = labels_of(read(0))
    assert [len(batch) for batch in whole] == [4, 4, 3, 4, 4, 3]
    assert sorted(np.concatenate(whole[:3])) == sorted(np.concatenate(whole[3:])) == list(range(11))
    assert labels_of(read(4)) == whole[4:]
    assert all(batch["valid"].all() for batch in read(0))


def test_two_processes_share_full_batches_and_hold_an_incomplete_one_whole(monkeypatch):
    source = numbered(11)
    read = lambda: list(  # noqa: E731
        inputs.training_batches(lambda e: source, 11, 4, seed=0, start=0, stop=3, keep_last=True)
    )
    alone = labels_of(read())
    monkeypatch.setattr("jax.process_count", lambda: 2)
    monkeypatch.setattr("jax.device_count", lambda: 4)
    shares = []
    for index in range(2):
        monkeypatch.setattr("jax.process_index", lambda index=index: index)
        batches = read()
        assert [isinstance(batch, inputs.Whole) for batch in batches] == [False, False, True]
        shares.append(labels_of(batches))
    assert [a + b for a, b in zip(*shares)][:2] == alone[:2]
    assert shares[0][2] == shares[1][2] == alone[2]
