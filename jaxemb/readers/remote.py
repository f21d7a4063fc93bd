"""Files behind URLs that fsspec knows. Reading goes on where a connection broke; nothing is downloaded beforehand."""

import dataclasses
import io
from collections.abc import Mapping
from typing import Any

from jaxemb.readers.stores import open_file_system, retried

_BLOCK_BYTES = 4 << 20
_TAGS = ("ETag", "etag", "md5Hash", "crc32c", "generation", "checksum", "Content-MD5")
_TIMES = ("Last-Modified", "LastModified", "last_modified", "updated", "modified", "mtime", "created")
"""What stores tell of an object that changes with its content; the first that there is counts."""


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class RemoteFile:
    """A file by its URL, such as `gs://bucket/en-de.tsv.gz`, with the methods of a `pathlib.Path` that readers use."""

    url: str
    listed: tuple[str, int, str] | None = dataclasses.field(default=None, compare=False, repr=False)
    """Its state when it was found, if the store's list of files told it."""

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """The last part of the URL, without a query."""
        path = self.url.partition("?")[0] if self.url.startswith(("http:", "https:")) else self.url
        return path.rstrip("/").rpartition("/")[2]

    def with_name(self, name: str) -> "RemoteFile":
        """The file of this name beside this one."""
        return RemoteFile(f"{self.url.rstrip('/').rpartition('/')[0]}/{name}")

    def is_file(self) -> bool:
        """Whether it is there.

        Raises:
          UserError: if the store cannot be asked.
        """
        file_system, path = open_file_system(self.url)
        return bool(retried(lambda: file_system.isfile(path), self.url))

    def state(self, *, now: bool = False) -> tuple[str, int, str]:
        """URL, size (-1 if it is not told) and what the store tells of the version.

        Args:
          now: asks the store, even if a list told it.

        Raises:
          FileNotFoundError: if it is not there.
          UserError: if the store cannot be asked.
        """
        if self.listed is not None and not now:
            return self.listed
        file_system, path = open_file_system(self.url)

        def ask() -> Any:
            file_system.invalidate_cache()
            return file_system.info(path)

        return state_of(self.url, retried(ask, self.url))

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """Opens it for reading bytes. A read that fails is tried again from the byte where it failed.

        Raises, here or while reading:
          FileNotFoundError: if it is not there.
          UserError: if reading fails again and again.
        """
        assert mode == "rb"
        return io.BufferedReader(_Resuming(self.url), 1 << 17)


def state_of(url: str, info: Mapping[str, Any]) -> tuple[str, int, str]:
    """The state of a file by what its store tells: URL, size, and version, which is empty if it tells none."""
    version = next((f"{key}={info[key]}" for key in (*_TAGS, *_TIMES) if info.get(key) is not None), "")
    size = info.get("size")
    return url, -1 if size is None else int(size), version


def has_tag(info: Mapping[str, Any]) -> bool:
    """Whether a store tells a tag, which is the same in a list of files; times differ in their form."""
    return any(info.get(key) is not None for key in _TAGS)


class _Resuming(io.RawIOBase):
    """The bytes of a remote file. It remembers where it is, and opens the file again there after a failure."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._at = 0
        self._stream: Any = None
        self._size: int | None = None
        retried(self._connected, url)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._size is not None

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if self._size is None:
            raise io.UnsupportedOperation(f"{self._url}: its size is not known")
        self._at = max(offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence], 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = retried(lambda: self._read(len(buffer)), self._url)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._disconnect()
        super().close()

    def _read(self, count: int) -> bytes:
        try:
            stream = self._connected()
            if stream.tell() != self._at:
                stream.seek(self._at)
            data: bytes = stream.read(count)
        except Exception:
            self._disconnect()
            raise
        if not data and count and self._size is not None and self._at < self._size:
            self._disconnect()
            raise EOFError(f"it ends after {self._at} of {self._size} bytes")
        return data

    def _connected(self) -> Any:
        if self._stream is None:
            file_system, path = open_file_system(self._url)
            stream = file_system.open(path, "rb", block_size=_BLOCK_BYTES)
            self._size = getattr(stream, "size", None)
            if self._size is None:  # a web server that sends the file only from its beginning
                stream = _FromTheBeginning(stream, self._at)
            self._stream = stream
        return self._stream

    def _disconnect(self) -> None:
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.close()


class _FromTheBeginning:
    """A stream that cannot seek: what was read before is read again and left out."""

    def __init__(self, stream: Any, start: int) -> None:
        self._stream = stream
        self._at = 0
        while self._at < start and (data := stream.read(min(start - self._at, _BLOCK_BYTES))):
            self._at += len(data)

    def tell(self) -> int:
        return self._at

    def read(self, count: int) -> bytes:
        data: bytes = self._stream.read(count)
        self._at += len(data)
        return data

    def close(self) -> None:
        self._stream.close()
