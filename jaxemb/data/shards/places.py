"""Where shards are: a folder of this machine or a URL."""

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxemb.data.shards.index import Piece
from jaxemb.data.shards.recent import Recent
from jaxemb.errors import UserError
from jaxemb.files import write_atomically

OPEN_FILES = 256
"""Most files of a folder that are open at a time."""
COPY_AGAIN = "copy it there again, or run `jaxemb data prepare` again"


@runtime_checkable
class Place(Protocol):
    """A folder of files; threads may use it at the same time."""

    bytes_read: int
    """Bytes read so far."""

    def read(self, name: str) -> bytes:
        """The content of a small file.

        Raises:
          FileNotFoundError: if there is none.
          UserError: if it cannot be read.
        """

    def read_ranges(self, pieces: Sequence[Piece]) -> list[bytes]:
        """The bytes of these parts of files, unchecked.

        Raises:
          UserError: if a file is missing, shorter or cannot be read.
        """

    def sizes(self) -> dict[str, int] | None:
        """The names and sizes of all files; None if the place cannot list them."""

    def write(self, name: str, content: bytes) -> None:
        """Writes a small file, whole or not at all.

        Raises:
          CannotWrite: if that is not possible.
        """


def place_of(name: str | os.PathLike[str]) -> Place:
    """The folder or URL.

    Raises:
      UsageError: if the URL cannot be opened.
    """
    name = os.fspath(name)
    if name.startswith("file://"):
        name = name.removeprefix("file://")
    if "://" not in name:
        return Folder(Path(name).expanduser())
    from jaxemb.data.shards.remote import Remote  # fsspec takes a while to import

    return Remote(name)


class Folder:
    """A folder of this machine. The operating system caches what is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes_read = 0
        self._files: Recent[str, _OpenFile] = Recent(OPEN_FILES)
        self._lock = threading.Lock()

    def read(self, name: str) -> bytes:
        """See `Place`."""
        try:
            content = (self.path / name).read_bytes()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise UserError(f"{self.path / name}: cannot be read ({error.strerror})") from error
        self._count(len(content))
        return content

    def read_ranges(self, pieces: Sequence[Piece]) -> list[bytes]:
        """See `Place`."""
        return [self.read_parts(piece, [(0, piece.size)])[0] for piece in pieces]

    def read_parts(self, piece: Piece, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        """The parts [begin, end) of a piece, unchecked.

        Raises:
          UserError: if the file is missing, shorter or cannot be read.
        """
        path = self.path / piece.file
        try:
            file = self._files.get(piece.file) or self._files.put(piece.file, _OpenFile(path))
            found = [os.pread(file.descriptor, end - begin, piece.begin + begin) for begin, end in parts]
        except FileNotFoundError:
            raise UserError(f"{path}: is missing: {COPY_AGAIN}") from None
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        for data, (begin, end) in zip(found, parts, strict=True):
            if len(data) < end - begin:
                raise UserError(f"{path}: ends before byte {piece.begin + end}: {COPY_AGAIN}")
        self._count(sum(map(len, found)))
        return found

    def sizes(self) -> dict[str, int]:
        """See `Place`."""
        with os.scandir(self.path) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}

    def write(self, name: str, content: bytes) -> None:
        """See `Place`."""
        write_atomically(self.path / name, content)

    def _count(self, size: int) -> None:
        with self._lock:
            self.bytes_read += size


class _OpenFile:
    """Closed when nobody uses it any more, in whichever thread."""

    def __init__(self, path: Path) -> None:
        self.descriptor = -1
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
