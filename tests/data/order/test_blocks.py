import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxemb.data.order.blocks import permuted_in_blocks
from jaxemb.data.permutation import permuted


def images(size, key, block, positions=None):
    positions = np.arange(size) if positions is None else positions
    return permuted_in_blocks(positions, np.full(len(positions), size), np.full(len(positions), key, np.uint64), block)


@given(st.integers(1, 400), st.integers(0, 2**64 - 1), st.integers(1, 70))
def test_it_is_a_permutation(size, key, block):
    assert np.sort(images(size, key, block)).tolist() == list(range(size))


@pytest.mark.parametrize("block", [None, 100, 1000])
def test_a_range_of_one_block_is_permuted_whole(block):
    np.testing.assert_array_equal(images(100, 5, block), permuted(np.arange(100), 100, 5))


def test_rows_that_come_together_are_near_each_other():
    """Of 1,000 rows in blocks of 64: any 64 in sequence lie in at most three runs of rows of 64 at most."""
    order = images(1000, 9, 64)
    spans = set()
    for start in range(0, 936):
        some = np.sort(order[start : start + 64])
        runs = np.split(some, np.flatnonzero(np.diff(some) > 64) + 1)
        spans.add(len(runs))
        assert len(runs) <= 4  # three blocks, one of which may lie across the end of the range
    assert max(spans) > 1
    assert (np.diff(order[:64]) != 1).sum() > 50  # in random order within a block


def test_borders_and_the_shorter_block_move():
    firsts = [images(1000, key, 64)[:1].item() for key in range(200)]
    assert len(set(firsts)) > 150
    parts = [frozenset(images(1000, key, 64)[:64].tolist()) for key in range(200)]
    assert len(set(parts)) > 150  # a block begins at one of 1,000 rows
    # A row is at any place: uniform within 6 standard errors.
    places = np.array([np.flatnonzero(images(300, key, 64) == 123)[0] for key in range(800)])
    assert abs(places.mean() - 149.5) < 6 * 86.6 / np.sqrt(800)
    assert abs(places.std() / 86.6 - 1) < 0.1


def blocks_of(order, block):
    """The chunks of an order that has no shorter block: where each begins in the range, and its order from there on."""
    found = []
    for chunk in order.reshape(-1, block):
        (begin,) = set(chunk) - {(row + 1) % len(order) for row in chunk}
        found.append((begin, tuple((chunk - begin) % len(order))))
    return found


def test_blocks_and_the_rows_of_each_are_in_an_order_of_their_own():
    found = blocks_of(images(640, 3, 64), 64)
    begins = np.array([begin for begin, _ in found])
    assert len(set(begins % 64)) == 1
    assert (np.diff(begins) != 64).any()
    assert len({order for _, order in found}) == 10
    assert all(sorted(order) == list(range(64)) for _, order in found)


def test_the_shorter_block_comes_anywhere():
    """Of 140 rows, two blocks of 64 and one of 12, which is first, second or last, each under a third of the keys."""
    places = []
    for key in range(90):
        order = images(140, key, 64)
        runs = [order[place : place + 12] for place in (0, 64, 128)]
        whole = [len(set(run) - {(row + 1) % 140 for row in run}) == 1 for run in runs]
        assert sum(whole) == 1
        places.append(whole.index(True))
    assert min(np.bincount(places, minlength=3)) > 15


def test_ranges_of_several_sizes_at_once_and_seeking():
    sizes, keys = np.array([10**12, 5, 1000, 10**9]), np.array([1, 2, 3, 4], np.uint64)
    positions = np.array([10**12 - 1, 4, 999, 12345])
    together = permuted_in_blocks(positions, sizes, keys, 64)
    for index in range(4):
        alone = images(int(sizes[index]), int(keys[index]), 64, positions[index : index + 1])
        assert alone.item() == together[index]
    assert (together < sizes).all()
