"""Lengths are packed in few bits, and come back."""

import numpy as np
import pytest

from jaxemb.data.shards.rice import pack, unpack


def corpus(rows: int) -> np.ndarray:
    """Lengths of sentences and of their translations, which are about as long."""
    draw = np.random.default_rng(0)
    first = draw.gamma(2.5, 9.0, rows)
    return np.stack([first, first * draw.normal(1.2, 0.25, rows)], 1).round().clip(1, None).astype(np.uint16)


def entropy(values: np.ndarray) -> float:
    """Bytes that the values take at least, if they are coded one by one."""
    shares = np.unique(values, return_counts=True)[1] / len(values)
    return -len(values) * float(shares @ np.log2(shares)) / 8


DRAW = np.random.default_rng(0)


@pytest.mark.parametrize(
    "table",
    [
        np.array([[0]]),
        np.array([[65_535, 0, 65_535, 65_535]]),
        np.array([[0, 65_535], [65_535, 0], [7, 7]]),
        np.arange(65_536)[:, None],
        np.where(DRAW.random((2048, 3)) < 0.5, 65_535, 0),
        *(DRAW.integers(0, most, (rows, 3)) for most, rows in ((2, 1), (256, 7), (65_536, 8), (65_536, 2048))),
        corpus(2048),
        np.where(DRAW.random((2048, 1)) < 0.001, 65_535, corpus(2048)),
    ],
    ids=lambda table: f"{len(table)}-{table.max()}",
)
def test_any_lengths_come_back(table):
    for order in ("C", "F"):
        packed = pack(np.asarray(table, np.uint16, order=order))
        found = unpack(packed, *table.shape)
        assert found.dtype == np.uint16
        assert found.tolist() == table.tolist()
    assert len(packed) <= table.shape[1] * (4 + 2 + 17 * len(table) / 8), "17 bits a length at most"


def test_they_take_few_bytes():
    uniform = np.random.default_rng(0).integers(8, 40, (2048, 2))
    assert len(pack(uniform)) == 2 * (4 + 2048 * 5 // 8)
    table = corpus(2048)
    assert len(pack(table)) < 1.1 * sum(entropy(column) for column in table.T)
    alone = len(pack(table[:, :1]))
    assert len(pack(table)) < 1.95 * alone, "a translation is as long as its text"
    assert len(pack(np.concatenate([table, table[:, 1:], 0 * table], 1))) == len(pack(table)) + 3 * 4, (
        "equal and absent texts take nothing"
    )


def test_the_bytes_are_these():
    """Shards are the same byte for byte wherever they are written."""
    table = np.array([[3, 5], [4, 6], [3, 5], [20, 22], [9, 8]])
    # 2 low bits and a rest of 0, 1, 0, 17, 6 (above 3): 01010 00001, then 1 1 1 00001 01;
    # 2 low bits of the differences 2, 2, 2, 2, -1, folded to 4, 4, 4, 4, 1 (3, 3, 3, 3, 0 above 1): 11110 11110
    assert pack(table).hex(" ") == "42 03 00 00 50 40 e1 40 22 01 00 00 f7 80"
    assert unpack(pack(table), 5, 2).tolist() == table.tolist()


@pytest.mark.parametrize(
    "change", [lambda data: b"", lambda data: data[:-1], lambda data: data + b"\0", lambda data: b"\x4f" + data[1:]]
)
def test_what_is_not_a_table_of_this_size_is_refused(change):
    with pytest.raises(ValueError, match="lengths"):
        unpack(change(pack(corpus(50))), 50, 2)


@pytest.mark.parametrize("columns", ["00 70 11 01 00 00 00 00", "00 00 00 00 20 01 00 00"], ids=["70,000", "0 less 1"])
def test_what_is_no_length_is_refused(columns):
    with pytest.raises(ValueError, match="2 x 2 lengths"):
        unpack(bytes.fromhex(columns), 2, 2)
