import numpy as np
import pytest

from jaxemb.data.packing import lay_out, pack
from jaxemb.models.packing import texts_per_row

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("groups", [1, 5])
@pytest.mark.parametrize("low", [0, 3, 20])
def test_every_token_has_a_place_of_its_own_and_can_be_found_again(groups, low):
    length = 32
    lengths = RNG.integers(low, length + 1, (groups, 40))
    layout = pack(lengths, length)
    rows = layout.rows + 2
    ids = RNG.integers(1, 1000, lengths.sum()).astype(np.int32)
    tokens = lay_out(layout, rows, length, lengths, ids, pad_id=7777)
    assert tokens["input_ids"].shape == tokens["segment_ids"].shape == (groups * rows, length)
    assert (tokens["input_ids"] != 7777).sum() == (tokens["segment_ids"] > 0).sum() == lengths.sum()
    assert tokens["segment_ids"].max() <= texts_per_row(length)
    # Each text lies in one piece where its slot says.
    texts = iter(np.split(ids, np.cumsum(lengths.ravel())[:-1]))
    for group in range(groups):
        for slot in tokens["slots"][group]:
            row, segment = divmod(int(slot), texts_per_row(length))
            places = np.flatnonzero(tokens["segment_ids"][group * rows + row] == segment + 1)
            assert (np.diff(places) == 1).all()
            np.testing.assert_array_equal(tokens["input_ids"][group * rows + row, places], next(texts))


def test_little_is_wasted():
    lengths = np.clip(RNG.geometric(0.05, (20, 128)), 3, 64)
    rows = [pack(group[None], 64).rows for group in lengths]
    wasted = 1 - lengths.sum(axis=1) / (64 * np.array(rows))
    assert wasted.mean() < 0.03
    assert pack(lengths, 64).rows == max(rows)  # groups do not disturb each other


def test_extremes():
    full = pack(np.full((2, 9), 16), 16)
    assert full.rows == 9
    assert (full.segment == 1).all()
    short = pack(np.ones((1, 9), int), 16)  # at most four texts a row
    assert short.rows == 3
    assert np.bincount(short.row[0]).tolist() == [4, 4, 1]
    with pytest.raises(ValueError, match="17 tokens does not fit a row of 16"):
        pack(np.array([[3, 17]]), 16)
