import os
from pathlib import Path

import pytest
from array_record.python.array_record_data_source import ArrayRecordDataSource

from jaxemb.data.cache import (
    cached_directory,
    file_state,
    fingerprint,
    in_chunks,
    write_array_record,
)
from jaxemb.errors import UserError
from jaxemb.files import cache_root


def test_where_the_cache_is(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/someone")
    assert cache_root(None) == Path("/var/cache/someone/jaxemb")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_root(None) == Path("/home/someone/.cache/jaxemb")
    assert cache_root("~/mine") == Path("/home/someone/mine")


def test_a_folder_is_written_once(tmp_path):
    calls = []

    def write(folder):
        calls.append(folder)
        (folder / "file").write_text("whole")

    for _ in range(2):
        assert (cached_directory(tmp_path / "a", write) / "file").read_text() == "whole"
    assert len(calls) == 1


def test_a_half_written_folder_is_never_there(tmp_path):
    def fail(folder):
        (folder / "file").write_text("half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        cached_directory(tmp_path / "a", fail)
    assert list(tmp_path.iterdir()) == []


def test_of_two_writers_the_faster_wins(tmp_path):
    def slow(folder):
        (folder / "file").write_text("slow")
        cached_directory(tmp_path / "a", lambda other: (other / "file").write_text("fast"))

    assert (cached_directory(tmp_path / "a", slow) / "file").read_text() == "fast"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_errors_of_the_source_pass_through(tmp_path):
    def fail(folder):
        raise UserError("the source is broken")

    with pytest.raises(UserError, match="the source is broken"):
        cached_directory(tmp_path / "a", fail)


def test_an_unwritable_cache_names_the_key(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written.*data\.cache_dir"):
        cached_directory(tmp_path / "file" / "a", lambda folder: None)


def test_fingerprint_and_file_state(tmp_path):
    file = tmp_path / "a"
    file.write_text("1")
    os.utime(file, ns=(1, 1))
    before = fingerprint(1, file_state(file))
    assert before == fingerprint(1, file_state(file))
    assert before != fingerprint(2, file_state(file))
    os.utime(file, ns=(2, 2))
    assert before != fingerprint(1, file_state(file))
    with pytest.raises(UserError, match="missing: cannot be read"):
        file_state(tmp_path / "missing")


def test_records_are_written_in_order(tmp_path):
    assert write_array_record(tmp_path / "a", (str(i).encode() for i in range(5000))) == 5000
    stored = ArrayRecordDataSource([str(tmp_path / "a")])
    assert len(stored) == 5000
    assert stored.__getitems__([4999, 0, 17, 17]) == [b"4999", b"0", b"17", b"17"]


def test_in_chunks():
    assert [list(chunk) for chunk in in_chunks(5, 2)] == [[0, 1], [2, 3], [4]]
    assert list(in_chunks(0)) == []
