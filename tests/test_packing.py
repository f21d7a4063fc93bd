import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jaxemb.packing import lay_out_groups, pack, row_lengths, rows_needed, texts_per_row

RNG = np.random.default_rng(0)


def test_row_lengths():
    assert row_lengths(512) == (64, 128, 256, 512)
    assert row_lengths(100) == (64, 100)
    assert row_lengths(64) == (64,)
    assert row_lengths(5) == (5,)


@pytest.mark.parametrize("longest", [64, 300])
def test_every_text_has_a_place_and_little_is_wasted(longest):
    lengths = np.clip(RNG.geometric(0.05, 3000), 2, longest).tolist()
    rows = pack(lengths, row_lengths(longest))
    assert sorted(text for row in rows for text in row.texts) == list(range(3000))
    for row in rows:
        assert sum(lengths[text] for text in row.texts) <= row.length
        assert len(row.texts) <= row.length // 4
    assert [row.length for row in rows] == sorted((row.length for row in rows), reverse=True)
    assert sum(lengths) / sum(row.length for row in rows) > 0.97


def test_extremes():
    assert [row.texts for row in pack([8, 8, 8], (8,))] == [[0], [1], [2]]
    short = pack([1] * 9, (16,))  # at most four texts a row
    assert sorted(len(row.texts) for row in short) == [1, 4, 4]
    # Two texts a row; one without tokens is still a text.
    assert [row.texts for row in pack([0, 5, 0], (8,))] == [[1, 0], [2]]
    assert pack([], (8,)) == []
    with pytest.raises(ValueError, match="17 tokens does not fit a row of 16"):
        pack([3, 17], (16,))


@pytest.mark.parametrize("groups", [1, 5])
@pytest.mark.parametrize("low", [0, 3, 20])
def test_every_token_has_a_place_of_its_own_and_can_be_found_again(groups, low):
    length = 32
    texts = [RNG.integers(1, 1000, RNG.integers(low, length + 1)) for _ in range(groups * 40)]
    packed = [pack([len(text) for text in texts[40 * g : 40 * (g + 1)]], (length,)) for g in range(groups)]
    rows = max(map(len, packed)) + 2
    tokens = lay_out_groups(packed, rows, length, texts, pad_id=7777)
    assert tokens["input_ids"].shape == tokens["segment_ids"].shape == (groups * rows, length)
    total = sum(map(len, texts))
    assert (tokens["input_ids"] != 7777).sum() == (tokens["segment_ids"] > 0).sum() == total
    assert tokens["segment_ids"].max() <= texts_per_row(length)
    # Each text lies in one piece where its slot says.
    expected = iter(texts)
    for group in range(groups):
        for slot in tokens["slots"][group]:
            row, segment = divmod(int(slot), texts_per_row(length))
            places = np.flatnonzero(tokens["segment_ids"][group * rows + row] == segment + 1)
            assert (np.diff(places) == 1).all()
            np.testing.assert_array_equal(tokens["input_ids"][group * rows + row, places], next(expected))


@example([16, 0], 16)
@given(st.lists(st.integers(0, 64), max_size=120), st.sampled_from([16, 20, 64, 200]))
def test_as_many_rows_are_needed_as_packed(lengths, row_length):
    lengths = [min(length, row_length) for length in lengths]
    assert rows_needed(np.array([lengths], np.uint16), row_length) == [len(pack(lengths, (row_length,)))]


@pytest.mark.parametrize("low", [1, 4, 30])
def test_as_many_rows_are_needed_as_packed_for_many_texts(low):
    lengths = np.minimum(RNG.geometric(0.08, (3, 3000)) + low, 64)
    assert rows_needed(lengths, 64) == [len(pack(group, (64,))) for group in lengths.tolist()]
