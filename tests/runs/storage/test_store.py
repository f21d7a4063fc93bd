"""What is written to a store, and what is not."""

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from jaxemb.errors import CannotWrite, UsageError
from jaxemb.runs.storage.store import Store, Taken, check_protocol
from support.machines import URL, Machine, seen


def test_what_came_to_less_is_not_committed(bucket, tmp_path, monkeypatch):
    put = MemoryFileSystem.put_file

    def half(fs, local, path, **options):
        put(fs, local, path, **options)
        if path.endswith("/params/d"):
            fs.pipe_file(path, fs.cat_file(path)[:5])

    monkeypatch.setattr(MemoryFileSystem, "put_file", half)
    with pytest.raises(CannotWrite, match=r"checkpoints/2/params/d has 5 of 11 bytes there"):
        Machine(tmp_path / "first").train(2, resume=False)
    assert seen(tmp_path / "seen") == (None, None)


def test_who_claimed_it_last_writes(bucket):
    first, second = Store(URL, "one"), Store(URL, "two")
    assert first.owner() is None
    with pytest.raises(Taken, match="the owner's file is gone; this process no longer writes there"):
        first.check_owner()
    first.claim("here")
    first.check_owner()
    second.claim("there")
    second.check_owner()
    with pytest.raises(Taken, match=r"there has continued it since 20.* UTC"):
        first.check_owner()
    assert second.owner().host == "there"
    assert second.names() == []


def test_a_protocol_that_nobody_knows():
    check_protocol(URL)
    with pytest.raises(UsageError, match=r"output_dir: cloud://bucket/run: fsspec does not know the protocol cloud://"):
        check_protocol("cloud://bucket/run")
