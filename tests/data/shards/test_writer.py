"""Shards are written whole, always with the same bytes."""

import errno

import numpy as np
import pytest

from jaxemb.data.shards import writer
from jaxemb.data.shards.index import LENGTHS_ROWS, ShardIndex, checksum, shard_name
from jaxemb.data.shards.record import Example, Layout, decode_many
from jaxemb.data.shards.rice import unpack
from jaxemb.data.shards.writer import write_shard
from jaxemb.errors import CannotWrite
from support.shards import LAYOUT, assert_same, some_examples

NAME = shard_name(3)


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_array_record_reads_it_and_the_bytes_are_always_the_same(tmp_path):
    from array_record.python import array_record_module

    examples = some_examples(LENGTHS_ROWS + 700)
    info = write_shard(tmp_path / "a", NAME, iter(examples), LAYOUT)
    again = write_shard(tmp_path / "b", NAME, examples, LAYOUT)
    assert info == again
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert info != write_shard(tmp_path / "b", NAME, examples[::-1], LAYOUT), "its checksum is that of its content"
    assert info.rows == len(examples)
    assert info.sizes == {name: len(content) for name, content in contents(tmp_path / "a").items()}
    reader = array_record_module.ArrayRecordReader(str(tmp_path / "a" / NAME))
    assert_same(decode_many(reader.read_all(), LAYOUT), examples)
    assert "group_size:1," in reader.writer_options_string(), "which Grain wants"
    reader.close()


def test_each_piece_has_its_checksum(tmp_path):
    info = write_shard(tmp_path, NAME, some_examples(LENGTHS_ROWS + 10), LAYOUT)
    index = ShardIndex.from_bytes((tmp_path / (NAME + ".index")).read_bytes())
    pieces = [index.piece(number) for number in range(17)]
    pieces += [index.piece_of_lengths(0), index.piece_of_lengths(1), info.index]
    for piece in pieces:
        data = (tmp_path / piece.file).read_bytes()[piece.begin :][: piece.size]
        assert (len(data), checksum(data)) == (piece.size, piece.checksum)
    assert sum(piece.size for piece in pieces[:17]) < info.bytes


@pytest.mark.parametrize("longest", [255, 256, 70_000])
def test_the_lengths(tmp_path, longest):
    text = np.zeros(longest, np.uint16)
    examples = [
        Example((text, text), np.zeros(2, np.uint64)),
        Example((text[:5],), np.zeros(1, np.uint64)),
        Example((text[:5], text[:6], text[:0]), np.zeros(3, np.uint64)),
    ]
    info = write_shard(tmp_path, NAME, examples, LAYOUT)
    content = (tmp_path / (NAME + ".lengths")).read_bytes()
    assert len(content) == info.lengths_bytes
    lengths = unpack(content, 3, 3)
    most = min(longest, 65_535)
    assert lengths.tolist() == [[most, most, 0], [5, 0, 0], [5, 6, 0]]


def test_nothing_is_left_of_what_fails(tmp_path, monkeypatch):
    def failing():
        yield from some_examples(20)
        raise RuntimeError("tokenizer")

    with pytest.raises(RuntimeError, match="tokenizer"):
        write_shard(tmp_path, NAME, failing(), LAYOUT)
    with pytest.raises(ValueError, match="no example"):
        write_shard(tmp_path, NAME, [], LAYOUT)
    with pytest.raises(ValueError, match="3 texts, not 1 to 2"):
        write_shard(tmp_path, NAME, some_examples(50), Layout(2, "uint16"))

    def full(path, records):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer, "write_array_record", full)
    with pytest.raises(CannotWrite, match=NAME):
        write_shard(tmp_path, NAME, some_examples(50), LAYOUT)
    assert not contents(tmp_path)


def test_another_file_layout_of_array_record_is_noticed(tmp_path, monkeypatch):
    from array_record.python import array_record_module

    def compressed(path, records):
        records = list(records)
        file = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
        for record in records:
            file.write(record)
        file.close()
        return len(records)

    monkeypatch.setattr(writer, "write_array_record", compressed)
    with pytest.raises(ValueError, match="record"):
        write_shard(tmp_path, NAME, some_examples(50), LAYOUT)
