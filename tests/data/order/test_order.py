import tracemalloc

import numpy as np
import pytest

from jaxemb.config import DataConfig, TsvSource
from jaxemb.data.order.layout import stored_layout
from jaxemb.data.order.order import Order
from jaxemb.data.order.weights import rates
from support.sharded import FakeShards, fake_shards

SOURCES = (TsvSource(path="x.tsv"), TsvSource(path="y.tsv"))
GROUPS = [(0, "en", "de"), (0, "en", "fr"), (1, "en", "de"), (1, "en", "sw")]


def two_sources(lanes=4):
    return FakeShards(GROUPS, np.array([[400, 200, 150, 50]] * lanes))


def order_of(shards, batch_size=16, seed=0, **settings):
    config = DataConfig(sources=SOURCES, **settings)
    layout = shards.layout()
    return Order(layout, rates(layout, config), config.batches, batch_size, seed)


@pytest.mark.parametrize("settings", [{}, {"language_exponent": 0.3}, {"language_cap": 50}, {"batches": "one_source"}])
def test_seeking_equals_streaming(settings):
    order = order_of(two_sources(), **settings)
    whole = order.rows(np.arange(5000))
    for positions in (np.arange(10), np.array([4999, 17, 2500]), np.arange(0)):
        np.testing.assert_array_equal(order.rows(positions), whole[positions])
    steps = order.turns(np.arange(1000))
    for one, every in zip(order.turns(np.array([999, 3, 500])), steps, strict=True):
        np.testing.assert_array_equal(one, every[[999, 3, 500]])
    assert 0 <= order.rows(np.array([10**15])).item() < 3200


@pytest.mark.parametrize(
    "settings", [{"language_exponent": 0.3}, {"language_cap": 300}, {"source_exponent": 0.5, "language_exponent": 0.7}]
)
def test_shares_are_right_within_a_hundredth(settings):
    shards = fake_shards(8, (3000, 400, 70, 9))
    layout = shards.layout()
    rate = rates(layout, DataConfig(sources=SOURCES, **settings))
    share = rate * layout.counts.sum(axis=0)
    rows = Order(layout, rate, "mixed", 8, 0).rows(np.arange(200_000))
    drawn = np.bincount(shards.group_of(rows), minlength=4) / len(rows)
    np.testing.assert_allclose(drawn, share / share.sum(), rtol=0.01)


def test_source_weights_and_exponents_say_which_source_a_step_takes():
    shards = two_sources()
    layout = shards.layout()
    sources = (TsvSource(path="x.tsv"), TsvSource(path="y.tsv", weight=7.3))
    config = DataConfig(sources=sources, batches="one_source")
    order = Order(layout, rates(layout, config), "one_source", 16, 0)
    kinds, numbers = order.turns(np.arange(10_000))
    assert kinds.mean() == pytest.approx(7.3 * 200 / (600 + 7.3 * 200), rel=0.01)
    for kind in (0, 1):
        np.testing.assert_array_equal(numbers[kinds == kind], np.arange((kinds == kind).sum()))
    assert order.sources == (frozenset({0}), frozenset({1}))
    assert [order.source_of(step) for step in range(50)] == kinds[:50].tolist()
    assert (kinds != Order(layout, rates(layout, config), "one_source", 16, 1).turns(np.arange(10_000))[0]).any()
    for kind in (0, 1):
        groups = shards.group_of(order.rows(np.arange(3000), kind))
        assert {shards.groups[group][0] for group in set(groups.tolist())} == {kind}


def test_an_epoch_of_a_source_is_exact_where_languages_follow_the_data():
    order = order_of(two_sources(), batches="one_source")
    for kind, size in ((0, 2400), (1, 800)):
        assert len(np.unique(order.rows(np.arange(size), kind))) == size


def test_batches_of_one_pair_of_languages():
    shards = two_sources()
    order = order_of(shards, batches="one_language_pair")
    assert [kind.tolist() for kind in order.kinds] == [[0, 2], [1], [3]]
    assert order.sources == (frozenset({0, 1}), frozenset({0}), frozenset({1}))
    kinds = order.turns(np.arange(3200))[0]
    assert np.abs(np.bincount(kinds) - [2200, 800, 200]).max() <= 2
    assert {order.source_of(step) for step in range(100)} == {None, 0, 1}
    assert set(shards.group_of(order.rows(np.arange(100), 2))) == {3}


@pytest.mark.parametrize(("lanes", "batch_size", "streams"), [(1, 24, 1), (8, 24, 8), (16, 24, 8), (64, 64, 64)])
def test_streams_are_the_lanes_that_a_row_of_each_batch_comes_from(lanes, batch_size, streams):
    shards = fake_shards(lanes, (4000, 900))
    order = order_of(shards, batch_size)
    assert order.streams == streams
    rows = order.rows(np.arange(40 * batch_size)).reshape(40, batch_size)
    assert (shards.lane_of(rows) % streams == np.arange(batch_size) % streams).all()


@pytest.mark.parametrize("exponent", [1.0, 0.3])
def test_a_billion_rows_need_no_memory(exponent):
    """300 languages in 256 lanes: the start and a batch far away stay below 40 MB."""
    share = np.random.default_rng(0).pareto(1.0, 300) + 0.01
    counts = np.random.default_rng(1).poisson(np.broadcast_to(share / share.sum() * 10**9 / 256, (256, 300)))
    tracemalloc.start()
    layout = stored_layout([(0, "en", f"l{index}") for index in range(300)], counts, block=4096)
    order = Order(layout, rates(layout, DataConfig(sources=SOURCES, language_exponent=exponent)), "mixed", 4096, 0)
    rows = order.rows(np.arange(10**12, 10**12 + 4096))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 << 20
    ends = np.cumsum(counts.sum(axis=1))
    assert (np.searchsorted(ends, rows, side="right") == np.arange(4096) % 256).all()


def test_an_epoch_of_small_data_is_a_permutation():
    order = order_of(FakeShards(GROUPS[:2], np.array([[30, 10]])), 8, 3)
    epochs = order.rows(np.arange(120)).reshape(3, 40)
    for epoch in epochs:
        assert sorted(epoch) == list(range(40))
    assert (epochs[0] != epochs[1]).any()


def test_languages_of_small_data_are_weighted():
    shards = FakeShards(GROUPS[:2], np.array([[30, 10]]))
    order = order_of(shards, 8, 3, language_exponent=0.0)
    assert shards.group_of(order.rows(np.arange(1000))).mean() == pytest.approx(0.5, abs=0.005)
    pairs = order_of(shards, 8, 3, batches="one_language_pair")
    assert [set(shards.group_of(pairs.rows(np.arange(50), kind))) for kind in (0, 1)] == [{0}, {1}]
