import numpy as np
import pytest

from jaxemb.config import DataConfig, TsvSource
from jaxemb.data.order.order import Order
from jaxemb.data.windows import Windows, _halves_alike
from support.sharded import FakeShards, fake_shards

SOURCES = (TsvSource(path="x.tsv"), TsvSource(path="y.tsv"))


class Lengths:
    def __init__(self, shards):
        self.shards = shards

    def __getitem__(self, rows):
        return self.shards.lengths(rows)


def windows_of(shards, batch_size, seed=0, **settings):
    config = DataConfig(**{"sources": SOURCES, "max_length": 64, "window": 4, **settings})
    layout = shards.layout()
    order = Order(layout, np.ones(len(layout.groups)), config.batches, batch_size, seed)
    return order, Windows(order, config, [Lengths(shards)] * len(order.kinds))


@pytest.mark.parametrize("buckets", [None, (16, 64)])
@pytest.mark.parametrize(("lanes", "batch_size"), [(1, 24), (8, 24), (16, 24), (16, 16)])
def test_a_window_has_the_rows_of_its_positions_lane_by_lane(lanes, batch_size, buckets):
    shards = fake_shards(lanes, (3000, 500))
    order, windows = windows_of(shards, batch_size, length_buckets=buckets)
    batches = np.stack([windows.rows(0, number) for number in range(8)])
    for window in (0, 1):
        drawn = order.rows(np.arange(window * 4 * batch_size, (window + 1) * 4 * batch_size))
        assert sorted(batches[4 * window : 4 * window + 4].ravel()) == sorted(drawn)
    streams = shards.lane_of(batches) % order.streams
    assert (streams == np.repeat(np.arange(order.streams), batch_size // order.streams)).all()
    np.testing.assert_array_equal(windows_of(shards, batch_size, length_buckets=buckets)[1].rows(0, 5), batches[5])
    assert (windows_of(shards, batch_size, seed=1, length_buckets=buckets)[1].rows(0, 5) != batches[5]).any()


@pytest.mark.parametrize("lanes", [1, 8])
def test_batches_have_about_as_many_tokens_each_and_so_do_their_parts(lanes):
    shards = fake_shards(lanes, (30_000,), longest=60)
    tokens = {}
    for window in (1, 16):
        _, windows = windows_of(shards, 256, window=window)
        batches = np.stack([windows.rows(0, number) for number in range(16)])
        tokens[window] = shards.lengths(batches.ravel()).astype(int).sum(axis=1).reshape(16, 256)
    assert tokens[16].sum(axis=1).std() < tokens[1].sum(axis=1).std() / 3
    for parts in (2, 4, 8):
        of_parts = tokens[16].reshape(16, parts, -1).sum(axis=2)
        by_chance = tokens[16].std() * (256 / parts) ** 0.5
        assert of_parts.std(axis=1).mean() < by_chance / 2


@pytest.mark.parametrize("size", [1, 2, 6, 64])
def test_halves_are_alike(size):
    rows = np.arange(3 * size).reshape(3, size)
    drawn = [_halves_alike(rows, np.random.default_rng(seed)) for seed in range(20)]
    for one in drawn:
        np.testing.assert_array_equal(np.sort(one, axis=1), rows)
        while size % 2 == 0 and size > 2:
            halves = one.reshape(3, 2, -1)
            assert (np.sort(halves[:, 0] // 2, axis=1) == np.sort(halves[:, 1] // 2, axis=1)).all()
            break
    assert len({one.tobytes() for one in drawn}) == 20 or size < 6


def test_a_batch_of_each_lane_that_is_padded_has_like_lengths():
    shards = fake_shards(8, (30_000,), longest=60)
    longest = {}
    for window in (1, 16):
        _, windows = windows_of(shards, 256, window=window, length_buckets=(16, 64))
        batches = np.stack([windows.rows(0, number) for number in range(16)])
        longest[window] = shards.lengths(batches.ravel()).max(axis=1).reshape(16, 256)
    assert longest[16].max(axis=1).mean() < 0.9 * longest[1].max(axis=1).mean()
    assert (np.diff(longest[16].max(axis=1).astype(int)) < 0).any()  # batches do not come from short to long
    middle = longest[16].reshape(16, 8, 32)
    assert (np.diff(middle.astype(int), axis=2) < 0).any(axis=2).all()  # nor do the rows of a lane


def test_a_window_is_of_one_kind():
    groups = [(0, "en", "de"), (1, "en", "fr")]
    shards = FakeShards(groups, np.array([[300, 200]] * 4))
    order, windows = windows_of(shards, 16, batches="one_source")
    turns = [windows.turn(step) for step in range(60)]
    assert turns == list(zip(*(array.tolist() for array in order.turns(np.arange(60))), strict=True))
    for kind, number in turns:
        assert set(shards.group_of(windows.rows(kind, number))) == {kind}
    first = np.concatenate([windows.rows(1, number) for number in range(48)])
    assert len(np.unique(first)) == 48 * 16  # of an epoch of the source, which has 50 batches
