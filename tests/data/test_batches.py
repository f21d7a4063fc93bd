import itertools

import jax
import numpy as np
import pytest

from jaxemb.config import TokenizerConfig
from jaxemb.data import Batches, tokenize, train_tokenizer
from jaxemb.data.mixture import Mixture
from jaxemb.data.tokenized import pad
from jaxemb.errors import UserError


@pytest.fixture(scope="module")
def pairs(prepared):
    return tokenize(prepared, train_tokenizer(prepared, TokenizerConfig(vocab_size=300), 32), 32)


def ids(batches, steps):
    return np.concatenate([batches.batch(step)["id"] for step in steps])


def assert_same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_what_a_batch_is(pairs, data_config):
    batch = Batches(pairs, data_config, batch_size=24, seed=0, pad_id=0).batch(5)
    length = batch["anchor"]["input_ids"].shape[1]
    assert length in data_config.length_buckets
    expected = {"input_ids": (24, length), "attention_mask": (24, length)}
    for side in ("anchor", "positive"):
        assert {key: value.shape for key, value in batch[side].items()} == expected
        assert {value.dtype for value in batch[side].values()} == {np.dtype(np.int32)}
    rows = batch["id"].astype(np.int64)
    assert batch["id"].dtype == np.uint32
    anchor, positive = [pad(side, length, 0) for side in pairs.token_ids(rows)]
    assert_same((batch["anchor"], batch["positive"]), (anchor, positive))
    assert_same((batch["anchor_hash"], batch["positive_hash"]), tuple(pairs.columns(rows).values()))
    assert batch["weight"].dtype == np.float32
    assert batch["weight"].tolist() == [1.0] * 24
    # The smallest bucket that holds the longest row.
    longest = max(batch[side]["attention_mask"].sum(axis=1).max() for side in ("anchor", "positive"))
    assert length == min(bucket for bucket in data_config.length_buckets if bucket >= longest)


def test_an_epoch_takes_each_pair_once_and_the_next_another_order(pairs, data_config):
    pairs_per_window = 4 * 20
    windows = len(pairs) // pairs_per_window
    batches = Batches(pairs, data_config, batch_size=20, seed=0)
    epoch = ids(batches, range(windows * 4))
    assert len(np.unique(epoch)) == len(epoch)
    two_epochs = ids(batches, range(2 * len(pairs) // 20 + 4))
    counts = np.bincount(two_epochs, minlength=len(pairs))
    assert counts.min() >= 1
    assert counts.max() <= 3

    half = len(pairs) // 2
    halves = Batches(pairs, data_config.model_copy(update={"window": 1}), batch_size=half, seed=0)
    first, second, third = (ids(halves, [step]) for step in range(3))
    assert len(np.intersect1d(first, second)) == 0
    assert 0.3 * half < len(np.intersect1d(first, third)) < 0.7 * half


def test_a_batch_depends_on_seed_and_step_only(pairs, data_config):
    one, other = (Batches(pairs, data_config, 24, seed=3) for _ in range(2))
    for step in (70, 0, 3, 71):
        assert_same(one.batch(step), other.batch(step))
    assert (ids(one, range(4)) != ids(Batches(pairs, data_config, 24, seed=4), range(4))).any()
    assert len(ids(one, [10**9])) == 24  # seeking is free


@pytest.mark.parametrize("buckets", [None, (8, 16, 32)], ids=["packed", "padded"])
def test_the_order_within_a_window_depends_on_seed_and_window(pairs, data_config, monkeypatch, buckets):
    """Of the same pairs, drawn for every seed and window: their order is shuffled apart from the draw."""
    monkeypatch.setattr(Mixture, "examples", lambda self, positions: np.arange(len(positions)))
    config = data_config.model_copy(update={"length_buckets": buckets, "window": 8})
    windows = [
        ids(Batches(pairs, config, 8, seed=seed), range(first, first + 8)) for seed in (3, 4) for first in (0, 8)
    ]
    for one, other in itertools.combinations(windows, 2):
        np.testing.assert_array_equal(np.sort(one), np.sort(other))
        assert (one != other).any()
        if buckets:  # pairs of one length stay together: batches change places, not only the rows of a batch
            sums = [window.reshape(8, 8).sum(axis=1) for window in (one, other)]
            np.testing.assert_array_equal(*map(np.sort, sums))
            assert (sums[0] != sums[1]).any()


@pytest.mark.parametrize("buckets", [None, (8, 16, 32)], ids=["packed", "padded"])
def test_any_number_of_devices_gets_the_same_global_batches(pairs, data_config, buckets):
    config = data_config.model_copy(update={"length_buckets": buckets})
    one, two, eight = (ids(Batches(pairs, config, 24, seed=0, devices=n), range(12)) for n in (1, 2, 8))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, eight)


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_the_global_batch(pairs, data_config, processes):
    # So many lengths that the parts of a batch would often choose different ones.
    config = data_config.model_copy(update={"length_buckets": (5, 6, 7, 8, 9, 10, 11, 12, 32), "window": 1})
    whole = Batches(pairs, config, 24, seed=0)
    parts = [Batches(pairs, config, 24, 0, 0, index, processes) for index in range(processes)]
    for step in range(20):
        joined = jax.tree.map(lambda *values: np.concatenate(values), *(part.batch(step) for part in parts))
        assert_same(joined, whole.batch(step))


def texts_of(side):
    """Token ids of each packed text, in the order of the batch."""
    rows, most = side["input_ids"], side["input_ids"].shape[1] // 4
    per_group = len(rows) // len(side["slots"])
    for group, slots in enumerate(side["slots"]):
        for slot in slots:
            row = group * per_group + slot // most
            yield rows[row, side["segment_ids"][row] == 1 + slot % most].tolist()


@pytest.mark.parametrize("devices", [1, 4])
def test_packed_batches_hold_the_same_pairs_in_one_shape_with_little_padding(pairs, data_config, devices):
    config = data_config.model_copy(update={"length_buckets": None})
    batches = Batches(pairs, config, 40, seed=0, pad_id=0, devices=devices)
    drawn = [batches.batch(step) for step in range(12)]
    for batch in drawn[:3]:
        rows = batch["id"].astype(np.int64)
        padded = [pad(side, 32, 0) for side in pairs.token_ids(rows)]
        for side, unpacked in zip(("anchor", "positive"), padded, strict=True):
            assert {value.dtype for value in batch[side].values()} == {np.dtype(np.int32)}
            assert batch[side]["slots"].shape == (devices, 40 // devices)
            wanted = [
                ids[: mask.sum()].tolist() for ids, mask in zip(*(unpacked[key] for key in unpacked), strict=True)
            ]
            assert list(texts_of(batch[side])) == wanted
    assert len(np.unique(np.concatenate([batch["id"] for batch in drawn]))) == 12 * 40  # an epoch, as padded
    shapes = {tuple(batch[side]["input_ids"].shape for side in ("anchor", "positive")) for batch in drawn}
    assert shapes <= {tuple((devices * rows, 32) for rows in size) for size in batches.sizes}
    assert len(shapes) <= 2
    segments = [batch[side]["segment_ids"] for batch in drawn for side in ("anchor", "positive")]
    padding = 1 - sum((rows > 0).sum() for rows in segments) / sum(rows.size for rows in segments)
    assert batches.padding_share(12) == pytest.approx(padding)
    assert padding < (0.15 if devices == 1 else 0.3)  # of rows so short, and so few


def test_packed_batches_have_about_as_many_tokens_each(pairs, data_config):
    config = data_config.model_copy(update={"length_buckets": None})
    dealt, plain = (Batches(pairs, config.model_copy(update={"window": window}), 40, seed=0) for window in (8, 1))
    spread = [np.std([pairs.lengths[ids(b, [step]).astype(int)].sum() for step in range(8)]) for b in (dealt, plain)]
    assert spread[0] < spread[1] / 3


def test_later_batches_of_a_window_are_not_the_longer_ones(pairs, data_config):
    config = data_config.model_copy(update={"length_buckets": None, "window": 8})
    batches = Batches(pairs, config, 20, seed=0)
    tokens = [pairs.lengths[ids(batches, [step]).astype(int)].astype(int).sum() for step in range(16)]
    assert np.sum(np.diff(np.reshape(tokens, (2, 8))) < 0) > 3


@pytest.mark.parametrize(("processes", "devices"), [(2, 2), (2, 4), (4, 4)])
def test_processes_share_the_packed_batch(pairs, data_config, processes, devices):
    config = data_config.model_copy(update={"length_buckets": None})
    whole = Batches(pairs, config, 24, seed=0, devices=devices)
    parts = [Batches(pairs, config, 24, 0, 0, index, processes, devices) for index in range(processes)]
    for step in range(20):
        joined = jax.tree.map(lambda *values: np.concatenate(values), *(part.batch(step) for part in parts))
        assert_same(joined, whole.batch(step))


def test_a_batch_that_is_longer_than_any_before_fits(pairs, data_config):
    config = data_config.model_copy(update={"length_buckets": None})
    batches = Batches(pairs, config, 24, seed=0)
    assert batches.sizes[-1] == (24, 24)
    assert len(batches.sizes) <= 4
    pairs.lengths, kept = np.full_like(pairs.lengths, 32), pairs.lengths
    try:
        assert batches._size(batches._needed(np.arange(24))) == (24, 24)
    finally:
        pairs.lengths = kept


def test_sorting_by_length_saves_padding_without_sorting_the_run(pairs, data_config):
    sorted_, plain = (
        Batches(pairs, data_config.model_copy(update={"window": window}), 20, seed=0) for window in (8, 1)
    )
    assert sorted_.padding_share(80) < plain.padding_share(80)
    batch = [sorted_.batch(step) for step in range(4 * 8)]
    masks = [batch[step][side]["attention_mask"] for step in range(4 * 8) for side in ("anchor", "positive")]
    padding = 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.size for mask in masks)
    assert sorted_.padding_share(4 * 8) == pytest.approx(padding)
    # Batches of a window do not come from short to long, nor do the rows of a batch.
    longest = [pairs.lengths[ids(sorted_, [step]).astype(int)].max(axis=1) for step in range(8)]
    assert any(a.mean() > b.mean() for a, b in itertools.pairwise(longest))
    assert any((np.diff(rows.astype(int)) < 0).any() for rows in longest)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_stream_is_the_batches_in_order(pairs, data_config, workers):
    batches = Batches(pairs, data_config.model_copy(update={"workers": workers}), 24, seed=0)
    streamed = list(batches.stream(3, 20))
    assert [step for step, _ in streamed] == list(range(3, 20))
    for step, batch in streamed:
        assert_same(batch, batches.batch(step))
    assert list(batches.stream(5, 5)) == []


def test_stream_can_be_left_early(pairs, data_config):
    stream = Batches(pairs, data_config, 24, seed=0).stream(0, 10**9)
    assert next(stream)[0] == 0
    stream.close()


def test_errors_of_a_worker_reach_the_loop(pairs, data_config, monkeypatch):
    batches = Batches(pairs, data_config, 24, seed=0)
    monkeypatch.setattr(pairs, "token_ids", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(batches.stream(0, 2))


def test_contradictions(pairs, data_config):
    with pytest.raises(UserError, match=r"training\.batch_size: 10000 examples a batch, but there are only"):
        Batches(pairs, data_config, 10_000, seed=0)
    with pytest.raises(UserError, match=r"training\.batch_size: 25 is not divisible by 2 processes"):
        Batches(pairs, data_config, 25, seed=0, process_count=2)
    with pytest.raises(UserError, match=r"training\.batch_size: 25 is not divisible by 4 devices"):
        Batches(pairs, data_config, 25, seed=0, devices=4)
