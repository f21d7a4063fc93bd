import numpy as np

from jaxemb.data.order.layout import BLOCK, Group, block_of, one_group, stored_layout

EPOCH = np.zeros(1, np.int64)


def test_a_pair_of_languages_has_no_direction():
    assert Group(0, "en", "de").pair == Group(3, "de", "en").pair == ("de", "en")


def test_places_are_lane_by_lane():
    layout = stored_layout([(0, "en", "de"), (1, "en", "fr")], np.array([[3, 2], [0, 5]]))
    assert layout.begins.tolist() == [[0, 3], [5, 5]]
    assert layout.examples == 10
    np.testing.assert_array_equal(layout.examples_at(np.arange(10), np.zeros(10, np.int64), 0), np.arange(10))


def test_rows_with_several_examples_are_counted_once():
    """Rows of 1, 2 | 3, 1 | 2 examples in two groups of one lane and one of another, and an empty one."""
    starts = np.array([0, 1, 3, 6, 7])
    layout = stored_layout([(0, "en", "de"), (0, "en", "fr")], np.array([[3, 4], [2, 0]]), starts=starts)
    assert layout.counts.tolist() == [[2, 2], [1, 0]]
    assert layout.examples == 9
    turns = [layout.examples_at(np.arange(5), np.full(5, epoch), 7).tolist() for epoch in range(6)]
    for row, (begin, end) in enumerate([(0, 1), (1, 3), (3, 6), (6, 7), (7, 9)]):
        seen = [turn[row] for turn in turns]
        count = end - begin
        assert sorted(seen[:count]) == list(range(begin, end))  # each once, and then again in this order
        assert seen == (seen[:count] * 6)[:6]
    others = {layout.examples_at(np.array([2]), EPOCH, seed).item() for seed in range(20)}
    assert others == {3, 4, 5}


def test_few_examples_are_one_block():
    assert block_of(4_000_000) is None
    assert block_of(10**9) == BLOCK


def test_one_group():
    assert one_group(5).counts.tolist() == [[5]]
