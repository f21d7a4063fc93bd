import copy
import itertools

import jax
import numpy as np
import pytest

from data.conftest import write_corpus
from jaxemb.config import DataConfig, TokenizerConfig, TsvSource
from jaxemb.data import Batches, Part, train_tokenizer
from jaxemb.data.batches import pad
from jaxemb.data.order.order import Order
from jaxemb.data.order.sharded import Contents, Frame, ShardedExamples, ShardedSources
from jaxemb.data.order.weights import rates
from jaxemb.errors import UserError
from support.batches import batches_of, examples_of, stored
from support.sharded import FakeShards


@pytest.fixture(scope="module")
def pairs(gathered, tmp_path_factory):
    tokenizer = train_tokenizer(gathered, TokenizerConfig(vocab_size=300), 32)
    return stored(gathered, write_corpus(tmp_path_factory.mktemp("config")), tokenizer)


@pytest.fixture(scope="module")
def examples(pairs):
    return examples_of(pairs, 32)


def ids(batches, steps):
    return np.concatenate([batches.batch(step)["id"] for step in steps])


def assert_same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_what_a_batch_is(pairs, examples, data_config):
    batch = batches_of(pairs, data_config, batch_size=24, seed=0).batch(5)
    length = batch["anchor"]["input_ids"].shape[1]
    assert length in data_config.length_buckets
    expected = {"input_ids": (24, length), "attention_mask": (24, length)}
    for side in ("anchor", "positive"):
        assert {key: value.shape for key, value in batch[side].items()} == expected
        assert {value.dtype for value in batch[side].values()} == {np.dtype(np.int32)}
    rows = batch["id"].astype(np.int64)
    assert batch["id"].dtype == np.uint32
    texts, columns = examples.read(rows)
    anchor, positive = [pad(side, length, 0) for side in texts]
    assert_same((batch["anchor"], batch["positive"]), (anchor, positive))
    assert_same((batch["anchor_hash"], batch["positive_hash"]), tuple(columns.values()))
    assert batch.keys() == {"anchor", "positive", "id", "weight", "anchor_hash", "positive_hash"}
    assert batch["weight"].dtype == np.float32
    assert batch["weight"].tolist() == [1.0] * 24
    # The smallest bucket that holds the longest row.
    longest = max(batch[side]["attention_mask"].sum(axis=1).max() for side in ("anchor", "positive"))
    assert length == min(bucket for bucket in data_config.length_buckets if bucket >= longest)


def test_an_epoch_takes_each_pair_once_and_the_next_another_order(pairs, data_config):
    pairs_per_window = 4 * 20
    windows = pairs.examples // pairs_per_window
    batches = batches_of(pairs, data_config, batch_size=20, seed=0)
    epoch = ids(batches, range(windows * 4))
    assert len(np.unique(epoch)) == len(epoch)
    two_epochs = ids(batches, range(2 * pairs.examples // 20 + 4))
    counts = np.bincount(two_epochs, minlength=pairs.examples)
    assert counts.min() >= 1
    assert counts.max() <= 3

    half = pairs.examples // 2
    halves = batches_of(pairs, data_config.model_copy(update={"window": 1}), batch_size=half, seed=0)
    first, second, third = (ids(halves, [step]) for step in range(3))
    assert len(np.intersect1d(first, second)) == 0
    assert 0.3 * half < len(np.intersect1d(first, third)) < 0.7 * half


def test_a_batch_depends_on_seed_and_step_only(pairs, data_config):
    one, other = (batches_of(pairs, data_config, 24, seed=3) for _ in range(2))
    for step in (70, 0, 3, 71):
        assert_same(one.batch(step), other.batch(step))
    assert (ids(one, range(4)) != ids(batches_of(pairs, data_config, 24, seed=4), range(4))).any()
    assert len(ids(one, [10**9])) == 24  # seeking is free


@pytest.mark.parametrize("buckets", [None, (8, 16, 32)], ids=["packed", "padded"])
def test_the_order_within_a_window_depends_on_seed_and_window(pairs, data_config, monkeypatch, buckets):
    """Of the same pairs, drawn for every seed and window: their order is shuffled apart from the draw."""
    monkeypatch.setattr(Order, "rows", lambda self, positions, kind: np.arange(len(positions)))
    config = data_config.model_copy(update={"length_buckets": buckets, "window": 8})
    windows = [
        ids(batches_of(pairs, config, 8, seed=seed), range(first, first + 8)) for seed in (3, 4) for first in (0, 8)
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
    one, two, eight = (ids(batches_of(pairs, config, 24, seed=0, devices=n), range(12)) for n in (1, 2, 8))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, eight)


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_the_global_batch(pairs, data_config, processes):
    # So many lengths that the parts of a batch would often choose different ones.
    config = data_config.model_copy(update={"length_buckets": (5, 6, 7, 8, 9, 10, 11, 12, 32), "window": 1})
    whole = batches_of(pairs, config, 24, seed=0)
    parts = [batches_of(pairs, config, 24, process_index=index, process_count=processes) for index in range(processes)]
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
def test_packed_batches_hold_the_same_pairs_in_one_shape_with_little_padding(pairs, examples, data_config, devices):
    config = data_config.model_copy(update={"length_buckets": None})
    batches = batches_of(pairs, config, 40, seed=0, devices=devices)
    drawn = [batches.batch(step) for step in range(12)]
    for batch in drawn[:3]:
        rows = batch["id"].astype(np.int64)
        padded = [pad(side, 32, 0) for side in examples.read(rows)[0]]
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


def test_packed_batches_have_about_as_many_tokens_each(pairs, examples, data_config):
    config = data_config.model_copy(update={"length_buckets": None})
    dealt, plain = (batches_of(pairs, config.model_copy(update={"window": window}), 40, seed=0) for window in (8, 1))
    spread = [
        np.std([examples.lengths[ids(b, [step]).astype(int)].astype(int).sum() for step in range(8)])
        for b in (dealt, plain)
    ]
    assert spread[0] < spread[1] / 3


def test_later_batches_of_a_window_are_not_the_longer_ones(pairs, examples, data_config):
    config = data_config.model_copy(update={"length_buckets": None, "window": 8})
    batches = batches_of(pairs, config, 20, seed=0)
    tokens = [examples.lengths[ids(batches, [step]).astype(int)].astype(int).sum() for step in range(16)]
    assert np.sum(np.diff(np.reshape(tokens, (2, 8))) < 0) > 3


@pytest.mark.parametrize(("processes", "devices"), [(2, 2), (2, 4), (4, 4)])
def test_processes_share_the_packed_batch(pairs, data_config, processes, devices):
    config = data_config.model_copy(update={"length_buckets": None})
    whole = batches_of(pairs, config, 24, seed=0, devices=devices)
    parts = [
        batches_of(pairs, config, 24, process_index=index, process_count=processes, devices=devices)
        for index in range(processes)
    ]
    for step in range(20):
        joined = jax.tree.map(lambda *values: np.concatenate(values), *(part.batch(step) for part in parts))
        assert_same(joined, whole.batch(step))


def test_a_batch_that_is_longer_than_any_before_fits(pairs, examples, data_config):
    config = data_config.model_copy(update={"length_buckets": None})
    batches = batches_of(pairs, config, 24, seed=0)
    assert batches.sizes[-1] == (24, 24)
    assert len(batches.sizes) <= 4
    longer = copy.copy(examples)
    longer.lengths = np.full((24, 2), 32)
    assert batches._size(longer, batches._needed(longer, np.arange(24))) == (24, 24)


def test_sorting_by_length_saves_padding_without_sorting_the_run(pairs, examples, data_config):
    sorted_, plain = (
        batches_of(pairs, data_config.model_copy(update={"window": window}), 20, seed=0) for window in (8, 1)
    )
    assert sorted_.padding_share(80) < plain.padding_share(80)
    batch = [sorted_.batch(step) for step in range(4 * 8)]
    masks = [batch[step][side]["attention_mask"] for step in range(4 * 8) for side in ("anchor", "positive")]
    padding = 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.size for mask in masks)
    assert sorted_.padding_share(4 * 8) == pytest.approx(padding)
    # Batches of a window do not come from short to long, nor do the rows of a batch.
    longest = [examples.lengths[ids(sorted_, [step]).astype(int)].max(axis=1) for step in range(8)]
    assert any(a.mean() > b.mean() for a, b in itertools.pairwise(longest))
    assert any((np.diff(rows.astype(int)) < 0).any() for rows in longest)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_stream_is_the_batches_in_order(pairs, data_config, workers):
    batches = batches_of(pairs, data_config.model_copy(update={"workers": workers}), 24, seed=0)
    streamed = list(batches.stream(3, 20))
    assert [step for step, _ in streamed] == list(range(3, 20))
    for step, batch in streamed:
        assert_same(batch, batches.batch(step))
    assert list(batches.stream(5, 5)) == []


def test_stream_can_be_left_early(pairs, data_config):
    stream = batches_of(pairs, data_config, 24, seed=0).stream(0, 10**9)
    assert next(stream)[0] == 0
    stream.close()


def test_errors_of_a_worker_reach_the_loop(pairs, data_config, monkeypatch):
    batches = batches_of(pairs, data_config, 24, seed=0)
    monkeypatch.setattr(ShardedExamples, "read", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(batches.stream(0, 2))


def test_contradictions(pairs, data_config):
    with pytest.raises(UserError, match=r"training\.batch_size: 10000 examples a batch, but there are only"):
        batches_of(pairs, data_config, 10_000, seed=0)
    with pytest.raises(UserError, match=r"training\.batch_size: 25 is not divisible by 2 processes"):
        batches_of(pairs, data_config, 25, seed=0, process_count=2)
    with pytest.raises(UserError, match=r"training\.batch_size: 25 is not divisible by 4 devices"):
        batches_of(pairs, data_config, 25, seed=0, devices=4)


SHARDS = FakeShards(
    [(0, "en", "de"), (0, "en", "fr"), (1, "en", "de")], np.random.default_rng(0).poisson(30, (64, 3)), texts=3
)
SOURCES = (TsvSource(path="x.tsv"), TsvSource(path="y.tsv"))
PAIRS = (Contents(("anchor", "positive")),) * 2


def from_shards(part, contents=PAIRS, **settings):
    """Batches of 128 from `SHARDS`."""
    settings = {"sources": SOURCES, "max_length": 24, "length_buckets": None, "window": 4, "workers": 0, **settings}
    config = DataConfig(**settings)
    layout = SHARDS.layout(block=16)
    order = Order(layout, rates(layout, config), config.batches, 128, seed=5)
    sources = ShardedSources(SHARDS, layout.examples, Frame((1,), (2,), config.max_length), contents)
    return Batches(sources, order, config, part)


@pytest.mark.parametrize("hosts", [1, 2, 4, 64])
@pytest.mark.parametrize(
    "settings",
    [
        {"language_exponent": 0.3},
        {"length_buckets": (8, 16, 24)},
        {"batches": "one_source", "window": 2},
        {"batches": "one_language_pair", "length_buckets": (24,)},
    ],
    ids=["packed", "padded", "one source", "one pair"],
)
def test_hosts_share_the_global_batch_and_read_their_lanes(settings, hosts, monkeypatch):
    monkeypatch.setattr("jaxemb.data.batches._PROBE", 4)  # 64 hosts do it here
    steps = (0, 1000)
    whole = from_shards(Part(devices=64), **settings)
    expected = [whole.batch(step) for step in steps]
    parts = []
    for host in range(hosts):
        SHARDS.read.clear()
        batches = from_shards(Part(host, hosts, devices=64), **settings)
        parts.append([batches.batch(step) for step in steps])
        lanes = SHARDS.lane_of(np.array(SHARDS.read))
        assert set(lanes) <= set(range(host * 64 // hosts, (host + 1) * 64 // hosts))
        assert len(SHARDS.read) == len(steps) * 128 // hosts
    for index, batch in enumerate(expected):
        joined = jax.tree.map(lambda *values: np.concatenate(values), *(part[index] for part in parts))
        assert_same(joined, batch)


@pytest.mark.parametrize("hosts", [2, 4, 16])
def test_hosts_choose_the_same_shape(hosts):
    """Where there is a shape for each number of rows: the part with the fullest device decides for all."""
    whole, *parts = (from_shards(Part(index, count, devices=16)) for count in (1, hosts) for index in range(count))
    for batches in (whole, *parts):
        batches._sizes = {("anchor", "positive"): tuple((rows, rows) for rows in range(1, 9))}
    for step in range(8):
        joined = jax.tree.map(lambda *values: np.concatenate(values), *(part.batch(step) for part in parts))
        assert_same(joined, whole.batch(step))


def test_sources_with_different_texts_and_labels_in_one_run():
    contents = (Contents(("anchor", "positive", "negative")), Contents(("anchor", "positive"), ("label",)))
    batches = from_shards(Part(devices=4), contents, batches="one_source")
    seen = set()
    shapes = set()
    for step in range(12):
        batch = batches.batch(step)
        source = batches.order.source_of(step)
        texts = tuple(name for name, value in batch.items() if isinstance(value, dict))
        assert texts == batches.sides(step) == contents[source].sides
        assert ("label" in batch) == (source == 1)
        assert {SHARDS.groups[group][0] for group in SHARDS.group_of(batch["id"].astype(int)).tolist()} == {source}
        seen.add(source)
        shapes.add(tuple(batch[side]["input_ids"].shape[0] // 4 for side in texts))
    assert seen == {0, 1}
    assert shapes <= set(batches.sizes)
    assert {len(size) for size in batches.sizes} == {2, 3}
    assert 0 < batches.padding_share(8) < 0.5
    with pytest.raises(UserError, match=r"do not fit one batch; set data\.batches: one_source"):
        from_shards(Part(), contents)
