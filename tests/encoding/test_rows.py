import numpy as np
import pytest

from jaxemb.encoding.rows import pack_rows, row_lengths

RNG = np.random.default_rng(0)


def test_row_lengths():
    assert row_lengths(512) == (64, 128, 256, 512)
    assert row_lengths(100) == (64, 100)
    assert row_lengths(64) == (64,)
    assert row_lengths(5) == (5,)


@pytest.mark.parametrize("longest", [64, 300])
def test_every_text_has_a_place_and_little_is_wasted(longest):
    lengths = np.clip(RNG.geometric(0.05, 3000), 2, longest).tolist()
    rows = pack_rows(lengths, row_lengths(longest))
    assert sorted(text for row in rows for text in row.texts) == list(range(3000))
    for row in rows:
        assert sum(lengths[text] for text in row.texts) <= row.length
        assert len(row.texts) <= row.length // 4
    assert [row.length for row in rows] == sorted((row.length for row in rows), reverse=True)
    assert sum(lengths) / sum(row.length for row in rows) > 0.97


def test_extremes():
    assert [row.texts for row in pack_rows([8, 8, 8], (8,))] == [[0], [1], [2]]
    short = pack_rows([1] * 9, (16,))  # at most four texts a row
    assert sorted(len(row.texts) for row in short) == [1, 4, 4]
    assert [row.texts for row in pack_rows([0, 5, 0], (8,))] == [
        [1, 0],
        [2],
    ]  # two texts a row; no tokens, still a text
    assert pack_rows([], (8,)) == []
