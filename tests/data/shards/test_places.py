import errno
import os

import pytest

from jaxemb.data.shards import places
from jaxemb.data.shards.index import Piece
from jaxemb.data.shards.places import Folder, place_of
from jaxemb.errors import CannotWrite, UsageError, UserError


def test_parts_of_the_files_of_a_folder(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(100)))
    for name in (tmp_path, str(tmp_path), f"file://{tmp_path}"):
        place = place_of(name)
        assert isinstance(place, Folder)
        assert place.read_ranges([Piece("a", 10, 3, 0), Piece("a", 0, 1, 0)]) == [bytes([10, 11, 12]), b"\0"]
        assert place.read_parts(Piece("a", 10, 20, 0), [(0, 2), (19, 20)]) == [bytes([10, 11]), bytes([29])]
        assert place.bytes_read == 7
        assert place.read("a") == bytes(range(100))
        assert place.sizes() == {"a": 100}
        with pytest.raises(FileNotFoundError):
            place.read("b")


def test_what_cannot_be_read_or_written_is_named(tmp_path):
    place = Folder(tmp_path)
    (tmp_path / "short").write_bytes(b"abc")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=f"{tmp_path}/short: ends before byte 5: copy it there again"):
        place.read_ranges([Piece("short", 1, 4, 0)])
    with pytest.raises(UserError, match=f"{tmp_path}/gone: is missing: copy it there again"):
        place.read_ranges([Piece("gone", 1, 4, 0)])
    for read in (lambda: place.read("folder"), lambda: place.read_ranges([Piece("folder", 0, 4, 0)])):
        with pytest.raises(UserError, match="folder: cannot be read"):
            read()


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(CannotWrite, match=f"{tmp_path}/new: cannot be written"):
        Folder(tmp_path).write("new", b"")


def test_a_url_of_no_known_kind():
    with pytest.raises(UsageError, match=r"nothing://x: cannot be opened .*jaxemb\[remote\]"):
        place_of("nothing://x")


def test_few_files_are_open_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "OPEN_FILES", 3)
    before = len(os.listdir("/proc/self/fd"))
    place = Folder(tmp_path)
    for name in "abcdefgh":
        (tmp_path / name).write_bytes(name.encode())
    assert place.read_ranges([Piece(name, 0, 1, 0) for name in "abcdefgh" * 2]) == [c.encode() for c in "abcdefgh" * 2]
    assert len(os.listdir("/proc/self/fd")) == before + 3
    del place
    assert len(os.listdir("/proc/self/fd")) == before
