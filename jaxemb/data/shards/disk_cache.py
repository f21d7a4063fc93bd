"""A folder of fetched pieces of shards, of bounded size. Several processes may share it."""

import contextlib
import os
import threading
import time
from pathlib import Path

from jaxemb.data.shards.index import Piece, checksum
from jaxemb.errors import UserError

_ABANDONED = 3600.0
"""Seconds after which an unfinished file is one of a killed process."""


class DiskCache:
    """Each piece is a file. The pieces whose last use is longest ago are removed first."""

    def __init__(self, folder: Path, owner: str, limit: int) -> None:
        """Nothing is read or written yet.

        Args:
          folder: of the cache, for the shards of all manifests.
          owner: the digest of the manifest that the pieces belong to.
          limit: most bytes. When P processes share the folder, it may be exceeded by P / 16 for a while.
        """
        self._folder, self._owner, self._limit = folder, owner, limit
        self._known: int | None = None
        """Bytes in the folder, as far as this process knows."""
        self._added = 0
        self._writes = 0
        self._lock = threading.Lock()

    def path(self, piece: Piece) -> Path:
        """The file of a piece, whether it is there or not."""
        return self._folder / self._owner / piece.file / str(piece.begin)

    def get(self, piece: Piece) -> bytes | None:
        """The piece, which counts as used; None if it is not there, or its file is damaged."""
        path = self.path(piece)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if len(data) != piece.size or checksum(data) != piece.checksum:
            return None
        self.touch(piece)
        return data

    def touch(self, piece: Piece) -> None:
        """Says that the piece is used."""
        with contextlib.suppress(OSError):
            os.utime(self.path(piece))

    def put(self, piece: Piece, data: bytes) -> None:
        """Keeps the piece.

        Raises:
          UserError: if the folder cannot be written.
        """
        path = self.path(piece)
        with self._lock:
            self._make_room(len(data))
            self._writes += 1
            partial = path.with_name(f".{path.name}.{os.getpid()}.{self._writes}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(data)
            os.replace(partial, path)
        except OSError as error:
            raise UserError(
                f"{path}: cannot be written ({error.strerror}); data.cache_dir chooses another folder for the cache"
            ) from error

    def _make_room(self, size: int) -> None:
        """Removes old pieces if this one would be too much. Looks now and then what other processes added."""
        if self._known is None or self._known + size > self._limit or self._added + size > self._limit // 16:
            self._known, self._added = self._clean(size), 0
        self._known += size
        self._added += size

    def _clean(self, size: int) -> int:
        """Removes the oldest files, so that `size` bytes and a sixteenth of the limit are free if some must go at all;
        returns the bytes of those that stay.
        """
        found, total = [], 0
        for folder, _, names in os.walk(self._folder):
            for name in names:
                with contextlib.suppress(OSError):  # another process has removed it
                    state = os.stat(os.path.join(folder, name))
                    total += state.st_size
                    if not name.startswith(".") or state.st_mtime < time.time() - _ABANDONED:
                        found.append((state.st_mtime_ns, state.st_size, os.path.join(folder, name)))
        if total + size > self._limit:
            for _, old, path in sorted(found):
                if total + size <= self._limit - self._limit // 16:
                    break
                with contextlib.suppress(OSError):
                    os.unlink(path)
                total -= old
        return total
