import dataclasses

import numpy as np
import pytest

from jaxemb.data.shards.index import LENGTHS_ROWS, PIECE_ROWS, ShardIndex, ShardInfo, checksum


def index(rows: int = 300) -> ShardIndex:
    pieces, of_lengths = -(-rows // PIECE_ROWS), -(-rows // LENGTHS_ROWS)
    info = ShardInfo("train-00000.array_record", rows, 1 << 18, "ab" * 16, texts=2, lengths_bytes=1000 * of_lengths)
    return ShardIndex(
        info,
        np.stack([np.arange(pieces) + 40_000, np.arange(pieces) + 7], 1),
        np.stack([np.arange(of_lengths) + 600, np.arange(of_lengths) + 11], 1),
    )


@pytest.mark.parametrize("rows", [1, 128, 129, 300, 5000])
def test_what_is_read_back_says_the_same(rows):
    written = index(rows)
    data = written.to_bytes()
    read = ShardIndex.from_bytes(data)
    assert read.info == dataclasses.replace(written.info, index_bytes=len(data), index_checksum=checksum(data))
    assert read.info.sizes == {
        "train-00000.array_record": 1 << 18,
        "train-00000.array_record.lengths": 1000 * -(-rows // 2048),
        "train-00000.array_record.index": len(data),
    }
    for number in range(-(-rows // PIECE_ROWS)):
        assert read.piece(number) == written.piece(number)
        assert read.piece(number).checksum == number + 7
        assert read.rows_of(number) == min(128, rows - 128 * number)
    begin = 0
    for number in range(-(-rows // LENGTHS_ROWS)):
        assert read.piece_of_lengths(number) == (
            "train-00000.array_record.lengths", begin, 600 + number, number + 11
        )  # fmt: skip
        assert read.lengths_rows_of(number) == min(2048, rows - 2048 * number)
        begin += 600 + number


def test_pieces_follow_each_other_but_for_headers_of_blocks():
    pieces = [index().piece(number) for number in range(3)]
    assert pieces[0].begin == 64, "behind the first header of a block and the signature"
    assert [piece.size - 40_000 - number for number, piece in enumerate(pieces)] == [0, 24, 0], (
        "one header is in a piece"
    )
    assert [piece.begin for piece in pieces[1:]] == [piece.begin + piece.size for piece in pieces[:-1]]


@pytest.mark.parametrize(
    "change", [lambda data: data[:-4], lambda data: b"{}\n" + data, lambda data: b"", lambda data: data + b"abcd"]
)
def test_what_is_not_an_index_is_refused(change):
    with pytest.raises(ValueError):  # noqa: PT011
        ShardIndex.from_bytes(change(index().to_bytes()))
