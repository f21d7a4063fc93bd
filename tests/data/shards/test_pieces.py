import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from jaxemb.data.shards.disk_cache import DiskCache
from jaxemb.data.shards.index import Piece, checksum
from jaxemb.data.shards.pieces import CachedPieces, LocalPieces
from jaxemb.data.shards.places import Folder
from jaxemb.errors import UserError

CONTENT = bytes(range(200))


def piece(begin: int, size: int = 10) -> Piece:
    return Piece("a", begin, size, checksum(CONTENT[begin : begin + size]))


class Counted(Folder):
    """A folder that counts, and can wait or send something else."""

    def __init__(self, path):
        super().__init__(path)
        self.asked, self.wrong, self.go_on = [], 0, threading.Event()
        self.go_on.set()

    def read_ranges(self, pieces):
        self.asked += pieces
        self.go_on.wait(10)
        found = super().read_ranges(pieces)
        self.wrong -= 1
        return [b"x" * len(data) for data in found] if self.wrong >= 0 else found


@pytest.fixture
def place(tmp_path) -> Counted:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a").write_bytes(CONTENT)
    return Counted(tmp_path / "source")


@pytest.fixture
def cached(place, tmp_path) -> CachedPieces:
    return CachedPieces(place, "gs://b/p", DiskCache(tmp_path / "cache", "digest", 10_000))


def test_local_pieces_are_checked(place):
    pieces = LocalPieces(place)
    assert pieces.load([piece(5), piece(100)]) == [CONTENT[5:15], CONTENT[100:110]]
    assert pieces.parts(piece(5), [(1, 3)]) == [CONTENT[6:8]]
    with pytest.raises(
        UserError, match=r"source/a: bytes 5 to 15 are not those that `jaxemb data prepare` wrote: copy"
    ):
        pieces.load([piece(5)._replace(checksum=1)])


def test_each_piece_is_fetched_once(place, cached, tmp_path):
    assert cached.load([piece(5), piece(100), piece(5)]) == [CONTENT[5:15], CONTENT[100:110], CONTENT[5:15]]
    assert cached.load([piece(100)]) == [CONTENT[100:110]]
    assert place.asked == [piece(5), piece(100)]
    assert cached.parts(piece(5), [(1, 3), (9, 10)]) == [CONTENT[6:8], CONTENT[14:15]]
    assert cached.parts(piece(30), [(1, 3)]) is None
    again = CachedPieces(place, "gs://b/p", DiskCache(tmp_path / "cache", "digest", 10_000))
    assert again.load([piece(5)]) == [CONTENT[5:15]]
    assert len(place.asked) == 2


def test_what_is_damaged_on_its_way_is_fetched_again_and_what_stays_so_is_named(place, cached):
    place.wrong = 1
    assert cached.load([piece(5), piece(100)]) == [CONTENT[5:15], CONTENT[100:110]]
    assert len(place.asked) == 4
    place.wrong = 2
    with pytest.raises(UserError, match=r"^gs://b/p/a: bytes 30 to 40 are not those"):
        cached.load([piece(30)])
    assert cached.load([piece(30)]) == [CONTENT[30:40]]


def test_a_cut_file_of_the_cache_is_loaded_again(place, cached, tmp_path):
    cached.load([piece(5)])
    (path,) = (path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    path.write_bytes(b"abc")
    assert cached.parts(piece(5), [(1, 3), (4, 6)]) is None
    assert cached.load([piece(5)]) == [CONTENT[5:15]]


def test_threads_that_want_the_same_fetch_it_once(place, cached):
    place.go_on.clear()
    wanted = [[piece(begin) for begin in range(start, start + 60, 10)] for start in (0, 30, 0, 30)]
    with ThreadPoolExecutor(4) as threads:
        loads = [threads.submit(cached.load, pieces) for pieces in wanted]
        place.go_on.set()
        for load, pieces in zip(loads, wanted, strict=True):
            assert load.result(10) == [CONTENT[one.begin : one.begin + 10] for one in pieces]
    assert sorted(place.asked) == [piece(begin) for begin in range(0, 90, 10)]


def test_what_one_thread_cannot_fetch_another_tries(place, cached):
    """None waits forever for a thread that failed."""
    missing = Piece("gone", 0, 5, 0)
    with ThreadPoolExecutor(3) as threads:
        loads = [threads.submit(cached.load, [missing]) for _ in range(3)]
        for load in loads:
            with pytest.raises(UserError, match="gone: is missing"):
                load.result(10)
