"""Where the records of an uncompressed ArrayRecord file lie, so that a few can be read without the file's index.

An ArrayRecord file is a Riegeli file (github.com/google/riegeli, doc/riegeli_records_file_format.md). Chunks follow
each other; a header of 24 bytes at each multiple of 64 KiB cuts through them. Positions that do not count these headers
are *logical* here, those in the file *physical*. With `group_size:1,uncompressed` each record is a chunk of its own,
in order, after the chunk of the file's signature:

    hash (8 bytes), size of the data (8), hash of the data (8), b"r" and number of records (1 + 7), decoded size (8);
    then the data: 0 (not compressed), size of the size, size of the record as a varint, the record.

An `ArrayRecordReader` needs 8 ms and 2 MB to open a shard of 250,000 records, and 250 microseconds to read one record:
too much for batches that take each record from another of 4,000 shards.
"""

import struct
from array import array
from typing import TypeVar

import numpy as np

_BLOCK = 1 << 16
_BLOCK_HEADER = 24
_PER_BLOCK = _BLOCK - _BLOCK_HEADER
_HEADER = struct.Struct("<8xQ8xQQ")
_ONE_SIMPLE_RECORD = ord("r") | 1 << 8

CHUNK_HEADER = 40
FIRST = CHUNK_HEADER
"""The logical position of the first record's chunk: behind the chunk of the signature, which is a header only."""

Positions = TypeVar("Positions", int, np.ndarray)


def physical(logical: Positions) -> Positions:
    """Positions in the file of these logical ones.

    >>> physical(0), physical(65511), physical(65512)
    (24, 65535, 65560)
    """
    return logical + _BLOCK_HEADER * (logical // _PER_BLOCK + 1)


def physical_range(begin: int, end: int) -> tuple[int, int]:
    """The range of the file with the logical range [begin, end), which is not empty."""
    return physical(begin), physical(end - 1) + 1


def chunk_size(record: int) -> int:
    """Logical bytes of the chunk of a record of this size."""
    return CHUNK_HEADER + 2 + _varint_size(record) + record


def _varint_size(value: int) -> int:
    return max(1, (value.bit_length() + 6) // 7)


def without_block_headers(data: bytes, position: int) -> bytes:
    """What lies at a physical position that is not in a block header, without the block headers in it."""
    cut = _BLOCK - position % _BLOCK
    if cut >= len(data):
        return data
    parts = [data[:cut]]
    for begin in range(cut, len(data), _BLOCK):
        parts.append(data[begin + _BLOCK_HEADER : begin + _BLOCK])
    return b"".join(parts)


def find_chunks(data: bytes, count: int) -> "array[int]":
    """The beginnings of consecutive chunks of records in logical bytes, and the end of the last.

    Raises:
      ValueError: if `data` does not consist of this number of such chunks.
    """
    found, at = array("I", [0]), 0
    try:
        for _ in range(count):
            size, kind, decoded = _HEADER.unpack_from(data, at)
            if kind != _ONE_SIMPLE_RECORD or CHUNK_HEADER + size != chunk_size(decoded):
                raise ValueError(f"no uncompressed record at byte {at}")
            at += CHUNK_HEADER + size
            found.append(at)
    except struct.error:
        at = -1
    if at != len(data):
        raise ValueError(f"{len(data)} bytes are not {count} records")
    return found


def record_of(data: bytes) -> bytes:
    """The record in the data of its chunk (behind the chunk's header)."""
    return data[2 + data[1] :]
