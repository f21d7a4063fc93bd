"""Checked pieces of shards, from a folder or, through a cache on disk, from a URL."""

import os
import threading
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxemb.data.shards.disk_cache import DiskCache
from jaxemb.data.shards.index import Piece, checksum
from jaxemb.data.shards.places import COPY_AGAIN, Folder, Place
from jaxemb.errors import UserError


@runtime_checkable
class Pieces(Protocol):
    """Pieces of the files of a place; threads may use it at the same time."""

    def load(self, pieces: Sequence[Piece]) -> list[bytes]:
        """These pieces, whole and checked.

        Raises:
          UserError: if a file is missing or changed or cannot be read.
        """

    def parts(self, piece: Piece, parts: Sequence[tuple[int, int]]) -> list[bytes] | None:
        """The parts [begin, end) of a piece that was loaded before, unchecked; None if it must be loaded again.

        Raises:
          UserError: if the file is missing or cannot be read.
        """


class LocalPieces:
    """Read from the files of a folder each time."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def load(self, pieces: Sequence[Piece]) -> list[bytes]:
        """See `Pieces`."""
        found = self._folder.read_ranges(pieces)
        for piece, data in zip(pieces, found, strict=True):
            if checksum(data) != piece.checksum:
                raise _changed(str(self._folder.path), piece)
        return found

    def parts(self, piece: Piece, parts: Sequence[tuple[int, int]]) -> list[bytes] | None:
        """See `Pieces`."""
        return self._folder.read_parts(piece, parts)


class CachedPieces:
    """Fetched from a place once, and kept in a cache on disk."""

    def __init__(self, place: Place, name: str, cache: DiskCache) -> None:
        """Args:
        place: that of the files.
        name: of the place, for messages.
        cache: for its pieces.
        """
        self._place, self._name, self._cache = place, name, cache
        self._fetching: dict[Piece, threading.Event] = {}
        self._lock = threading.Lock()

    def load(self, pieces: Sequence[Piece]) -> list[bytes]:
        """See `Pieces`. If several threads want the same piece, one of them fetches it."""
        found: dict[Piece, bytes] = {}
        while missing := [piece for piece in dict.fromkeys(pieces) if piece not in found]:
            mine, others = [], []
            for piece in missing:
                with self._lock:
                    event = self._fetching.get(piece)
                    if event is None:
                        self._fetching[piece] = threading.Event()
                if event is None:
                    mine.append(piece)
                else:
                    others.append(event)
            try:
                found |= self._from_cache_or_place(mine)
            finally:
                with self._lock:
                    for piece in mine:
                        self._fetching.pop(piece).set()
            for event in others:
                event.wait()  # then it is in the cache, or this thread fetches it
        return [found[piece] for piece in pieces]

    def parts(self, piece: Piece, parts: Sequence[tuple[int, int]]) -> list[bytes] | None:
        """See `Pieces`."""
        try:
            with self._cache.path(piece).open("rb", buffering=0) as file:
                found = [os.pread(file.fileno(), end - begin, begin) for begin, end in parts]
        except OSError:
            return None
        self._cache.touch(piece)
        return found if all(len(a) == end - begin for a, (begin, end) in zip(found, parts, strict=True)) else None

    def _from_cache_or_place(self, pieces: Sequence[Piece]) -> dict[Piece, bytes]:
        found = {piece: data for piece in pieces if (data := self._cache.get(piece)) is not None}
        for _ in range(2):  # what is damaged on its way is fetched once more
            missing = [piece for piece in pieces if piece not in found]
            if not missing:
                return found
            for piece, data in zip(missing, self._place.read_ranges(missing), strict=True):
                if checksum(data) == piece.checksum:
                    self._cache.put(piece, data)
                    found[piece] = data
        for piece in pieces:
            if piece not in found:
                raise _changed(self._name, piece)
        return found


def _changed(place: str, piece: Piece) -> UserError:
    return UserError(
        f"{place}/{piece.file}: bytes {piece.begin} to {piece.begin + piece.size} are not those that "
        f"`jaxemb data prepare` wrote: {COPY_AGAIN}"
    )
