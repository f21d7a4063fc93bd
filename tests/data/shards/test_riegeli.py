import itertools

import numpy as np
import pytest

from jaxemb.data.cache import write_array_record
from jaxemb.data.shards.riegeli import (
    CHUNK_HEADER,
    FIRST,
    chunk_size,
    find_chunks,
    physical_range,
    record_of,
    without_block_headers,
)


def many_sizes(seed: int) -> list[int]:
    """Some larger than a block of 64 KiB."""
    draw = np.random.default_rng(seed)
    sizes = [0, 1, 127, 128, 16_383, 16_384, *draw.integers(0, 3_000, 200).tolist(), 65_470, 200_000, 7]
    return draw.permutation(sizes).tolist()


def around_a_block(step: int) -> list[int]:
    """After the first record, each record fills exactly a block; with a step of 0 they begin at its beginning."""
    block = 65_536 - 24 - 40 - 5
    return [block - 40 + step, *[block] * 3, 5]


@pytest.mark.parametrize(
    "sizes", [many_sizes(0), many_sizes(1), *map(around_a_block, [*range(-42, -38), *range(-3, 4), 24])]
)
@pytest.mark.parametrize("together", [1, 50])
def test_records_are_found_as_array_record_reads_them(tmp_path, sizes, together):
    from array_record.python import array_record_module

    draw = np.random.default_rng(0)
    records = [draw.bytes(size) for size in sizes]
    path = tmp_path / "a.array_record"
    write_array_record(path, records)
    content = path.read_bytes()
    begin = FIRST
    found = []
    for first in range(0, len(records), together):
        part = records[first : first + together]
        end = begin + sum(chunk_size(len(record)) for record in part)
        physical_begin, physical_end = physical_range(begin, end)
        logical = without_block_headers(content[physical_begin:physical_end], physical_begin)
        chunks = find_chunks(logical, len(part))
        for at, stop in itertools.pairwise(chunks):
            found.append(record_of(logical[at + CHUNK_HEADER : stop]))
            a, b = physical_range(begin + at + CHUNK_HEADER, begin + stop)
            assert record_of(without_block_headers(content[a:b], a)) == found[-1]
        begin = end
    reader = array_record_module.ArrayRecordReader(str(path))
    assert found == reader.read_all() == records
    reader.close()


def test_what_are_not_such_records_is_refused(tmp_path):
    from array_record.python import array_record_module

    path = tmp_path / "a.array_record"
    write_array_record(path, [b"a" * 100, b"b" * 100])
    content = path.read_bytes()
    begin, end = physical_range(FIRST, FIRST + 2 * chunk_size(100))
    data = content[begin:end]
    assert len(find_chunks(data, 2)) == 3
    for wrong, count in ((data[:-1], 2), (data + b"a", 2), (data, 1), (data, 3), (b"\xff" * len(data), 2)):
        with pytest.raises(ValueError, match="record"):
            find_chunks(wrong, count)
    writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1")  # compressed
    writer.write(b"a" * 100)
    writer.close()
    with pytest.raises(ValueError, match="record"):
        find_chunks(path.read_bytes()[begin:end], 1)
