import os

import fsspec
import pytest

from jaxemb.data.shards.index import Piece
from jaxemb.data.shards.remote import Remote
from jaxemb.errors import CannotWrite, UserError
from support.shards import URL

CONTENT = bytes(range(200))
PIECES = [Piece("a", 10, 5, 0), Piece("a", 100, 50, 0), Piece("a", 15, 5, 0), Piece("b", 20, 1, 0)]
EXPECTED = [CONTENT[10:15], CONTENT[100:150], CONTENT[15:20], CONTENT[20:21]]


@pytest.fixture
def place(reads) -> Remote:
    store = fsspec.filesystem("memory")
    for name in "ab":
        store.pipe_file(f"/bucket/prepared/{name}", CONTENT)
    return Remote(URL)


def test_only_what_is_asked_for_is_read_and_neighbours_together(place, reads):
    assert place.read_ranges(PIECES) == EXPECTED
    assert (reads.calls, reads.bytes, place.bytes_read) == (3, 61, 61)
    assert place.read("a") == CONTENT
    assert place.sizes() == {"a": 200, "b": 200}
    assert place.read_ranges([]) == []


def test_each_third_read_fails(place, every_third_fails):
    for _ in range(10):
        assert place.read_ranges(PIECES) == EXPECTED
        assert place.read("b") == CONTENT


def test_a_few_of_many_reads_are_no_reason_to_give_up(place, reads):
    """Two of three reads fail: each round of tries brings a third of what is left."""

    def change(path, data, call):
        if call % 3:
            raise ConnectionResetError("the line is down")
        return data

    reads.change = change
    pieces = [Piece("a", begin, 1, 0) for begin in range(0, 200, 2)]
    assert place.read_ranges(pieces) == [CONTENT[piece.begin : piece.begin + 1] for piece in pieces]


def test_a_store_that_stays_down_is_named(place, reads):
    def down(path, data, call):
        raise ConnectionResetError("the line\nis down")

    reads.change = down
    with pytest.raises(
        UserError, match=r"^memory://bucket/prepared/a: cannot be read \(ConnectionResetError: the line\)$"
    ):
        place.read_ranges(PIECES[:1])
    assert reads.calls == 4
    with pytest.raises(UserError, match="prepared/b: cannot be read"):
        place.read("b")
    reads.change = lambda *_: (_ for _ in ()).throw(PermissionError("no"))
    before = reads.calls
    with pytest.raises(UserError, match="PermissionError"):
        place.read_ranges(PIECES[:1])
    assert reads.calls == before + 1, "another try would not help"


def test_what_is_gone_or_cut_or_sent_whole_is_named(place, reads):
    with pytest.raises(UserError, match="prepared/gone: is missing: copy it there again"):
        place.read_ranges([Piece("gone", 0, 1, 0)])
    with pytest.raises(FileNotFoundError):
        place.read("gone")
    with pytest.raises(UserError, match="prepared/a: ends before byte 210: copy it there again"):
        place.read_ranges([Piece("a", 190, 20, 0)])
    reads.change = lambda path, data, call: CONTENT
    with pytest.raises(UserError, match="only whole files: copy the folder"):
        place.read_ranges(PIECES[:1])


def test_what_cannot_be_written_is_named(place, monkeypatch):
    place.write("new", b"abc")
    assert place.read("new") == b"abc"

    def refuse(*arguments, **options):
        raise PermissionError("read-only")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "pipe_file", refuse)
    with pytest.raises(CannotWrite, match="prepared/new: cannot be written"):
        place.write("new", b"abc")


def test_a_forked_process_opens_its_own_file_system(place, monkeypatch):
    opened = place._fs
    monkeypatch.setattr(os, "getpid", lambda: -5)
    assert place._opened.fs is opened
    assert place._fs is not None
    assert place._opened.process == -5
