import os
import time

import pytest

from jaxemb.data.shards.disk_cache import DiskCache
from jaxemb.data.shards.index import Piece, checksum
from jaxemb.errors import UserError


def piece(number: int, size: int = 100) -> tuple[Piece, bytes]:
    data = bytes([number]) * size
    return Piece("shard", 1000 * number, size, checksum(data)), data


def total(folder) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_oldest_go_and_the_bound_holds(tmp_path):
    cache = DiskCache(tmp_path, "digest", 1000)
    for number in range(40):
        cache.put(*piece(number))
        os.utime(cache.path(piece(number)[0]), (number, number))  # a second for each
        assert total(tmp_path) <= 1000
        if number == 5:
            assert cache.get(piece(2)[0]) == piece(2)[1]  # is used now
    there = [number for number in range(40) if cache.get(piece(number)[0])]
    assert there == [2, *range(40 - len(there) + 1, 40)]
    assert len(there) >= 8


def test_other_processes_and_older_data_count(tmp_path):
    one, two = DiskCache(tmp_path, "digest", 1600), DiskCache(tmp_path, "other", 1600)
    for number in range(40):
        one.put(*piece(number))
        two.put(*piece(number))
        assert total(tmp_path) <= 1600 + 200
    assert two.get(piece(39)[0]) == one.get(piece(39)[0]) == piece(39)[1]
    late = DiskCache(tmp_path, "third", 500)
    late.put(*piece(1))
    assert total(tmp_path) <= 500


def test_what_is_damaged_or_unfinished_is_not_there(tmp_path):
    cache = DiskCache(tmp_path, "digest", 1000)
    cache.put(*piece(1))
    assert cache.get(piece(2)[0]) is None
    path = cache.path(piece(1)[0])
    for content in (b"", bytes(100), piece(1)[1] + b"a"):
        path.write_bytes(content)
        assert cache.get(piece(1)[0]) is None
    assert cache.get(Piece("shard", 1000, 100, 5)) is None, "of another manifest"


def test_unfinished_files_of_killed_processes_go(tmp_path):
    cache = DiskCache(tmp_path, "digest", 1000)
    for number, age in ((1, 0), (2, 7200)):
        partial = tmp_path / "digest" / "shard" / f".{number}.partial"
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(bytes(300))
        os.utime(partial, (time.time() - age,) * 2)
    for number in range(20):
        cache.put(*piece(number))
    assert [path.name for path in tmp_path.rglob(".*")] == [".1.partial"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be written .*data.cache_dir chooses another"):
        DiskCache(tmp_path / "file", "digest", 1000).put(*piece(1))
