import numpy as np
import pytest

from jaxemb.data.order.lanes import Lanes, _donors
from support.sharded import fake_shards

SIZES = (300, 40, 7)


def lanes_of(shards, rate=None, seed=0, block=None):
    groups = np.arange(len(shards.groups))
    return Lanes(shards.layout(block), groups, np.ones(len(groups)) if rate is None else rate, seed)


@pytest.mark.parametrize("block", [None, 16])
@pytest.mark.parametrize("lanes", [1, 4])
def test_an_epoch_of_a_lane_takes_each_row_once_and_the_next_another_order(lanes, block):
    shards = fake_shards(lanes, SIZES)
    rows = lanes_of(shards, block=block).examples(np.arange(2000))
    assert (shards.lane_of(rows) == np.arange(2000) % lanes).all()
    for lane in range(lanes):
        own = rows[lane::lanes]
        members = np.flatnonzero(shards.lane_of(np.arange(sum(SIZES))) == lane)
        epochs = own[: len(own) // len(members) * len(members)].reshape(-1, len(members))
        assert len(epochs) > 1
        np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(members, (len(epochs), 1)))
        assert (epochs[0] == epochs[1]).mean() < 0.2


def test_each_group_of_a_lane_has_epochs_of_its_own():
    shards = fake_shards(2, SIZES)
    rows = lanes_of(shards, rate=np.array([1.0, 5.0, 30.0])).examples(np.arange(20_000))
    for lane in range(2):
        for group in range(3):
            own = rows[(shards.lane_of(rows) == lane) & (shards.group_of(rows) == group)]
            everywhere = np.arange(sum(SIZES))
            members = everywhere[(shards.lane_of(everywhere) == lane) & (shards.group_of(everywhere) == group)]
            epochs = own[: len(own) // len(members) * len(members)].reshape(-1, len(members))
            assert len(epochs) > 10
            np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(members, (len(epochs), 1)))


def test_lanes_without_rows_take_turns_with_the_nearest():
    donor, sharers, turn = _donors(np.array([True, False, False, False, False, True, False, False]))
    assert donor.tolist() == [0, 0, 0, 0, 5, 5, 5, 5]
    assert sharers.tolist() == [4] * 8
    assert turn.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    shards = fake_shards(8, (5,))
    assert (shards.counts == 0).any()
    rows = lanes_of(shards).examples(np.arange(800))
    counts = np.bincount(rows, minlength=5)
    assert counts.min() > 30
    groups = {lane: rows[lane::8] for lane in range(8)}
    for lane in np.flatnonzero(shards.counts.sum(axis=1) > 0):
        size = int(shards.counts[lane].sum())
        sharing = np.flatnonzero(_donors(shards.counts.sum(axis=1) > 0)[0] == lane)
        together = np.stack([groups[other] for other in sharing], axis=1).reshape(-1)
        epochs = together[: len(together) // size * size].reshape(-1, size)
        assert (np.sort(epochs, axis=1) == np.unique(together)).all()


def test_only_the_asked_for_groups():
    shards = fake_shards(4, SIZES)
    rows = Lanes(shards.layout(), np.array([0, 2]), np.ones(2), 0).examples(np.arange(1000))
    assert set(shards.group_of(rows)) == {0, 2}
    assert (shards.lane_of(rows) == np.arange(1000) % 4).all()


def test_the_seed_draws():
    shards = fake_shards(4, SIZES)
    one, other = (lanes_of(shards, seed=seed).examples(np.arange(300)) for seed in (0, 1))
    assert (one == other).mean() < 0.1
