"""Shards behind a URL, read through fsspec, with retries."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fsspec.core import url_to_fs

from jaxemb.data.shards.index import Piece
from jaxemb.errors import CannotWrite, UsageError, UserError

WAITS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before an operation that failed is tried again."""
READ_TOGETHER = 1 << 20
"""Bytes of neighbouring pieces that one request may ask for."""
# These have no folders; creating one in a missing bucket would create the bucket.
_BUCKETS = {"gs", "gcs", "s3", "s3a", "az", "abfs", "abfss", "adl", "oss", "r2"}


class _Opened(NamedTuple):
    fs: Any
    root: str
    process: int


def _open(url: str) -> _Opened:
    try:
        fs, root = url_to_fs(url)
    except Exception as error:
        raise UsageError(
            f"{url}: cannot be opened ({_reason(error)}); pip install 'jaxemb[remote]' brings gs:// and s3://"
        ) from error
    return _Opened(fs, root.rstrip("/"), os.getpid())


class Remote:
    """The files below a URL."""

    def __init__(self, url: str) -> None:
        """Raises UsageError if no file system for the URL is installed, or it cannot be opened."""
        self.url = url.rstrip("/")
        self.bytes_read = 0
        self._lock = threading.Lock()
        self._opened = _open(self.url)

    @property
    def _fs(self) -> Any:
        """The file system of this process: one that reads asynchronously may not be used in a forked process."""
        if self._opened.process != os.getpid():
            self._opened = _open(self.url)
        return self._opened.fs

    def _path(self, name: str) -> str:
        return f"{self._opened.root}/{name}"

    def read(self, name: str) -> bytes:
        """See `Place`."""
        content: bytes = self._tried(name, lambda: self._fs.cat_file(self._path(name)))
        self._count(len(content))
        return content

    def read_ranges(self, pieces: Sequence[Piece]) -> list[bytes]:
        """See `Place`. Neighbouring pieces are asked for together; a store that can serves all requests at once."""
        order = sorted(range(len(pieces)), key=lambda i: pieces[i][:2])
        runs: list[list[int]] = []
        for i in order:
            last = pieces[runs[-1][-1]] if runs else None
            if (
                last
                and (last.file, last.begin + last.size) == pieces[i][:2]
                and pieces[i].begin + pieces[i].size - pieces[runs[-1][0]].begin <= READ_TOGETHER
            ):
                runs[-1].append(i)
            else:
                runs.append([i])
        found: list[bytes] = [b""] * len(pieces)
        spans = [(pieces[run[0]], pieces[run[-1]]) for run in runs]
        wanted = [Piece(a.file, a.begin, b.begin + b.size - a.begin, 0) for a, b in spans]
        for run, data in zip(runs, self._read(wanted), strict=True):
            at = 0
            for i in run:
                found[i] = data[at : at + pieces[i].size]
                at += pieces[i].size
        return found

    def _read(self, wanted: Sequence[Piece]) -> list[bytes]:
        """One request for each. Those that fail are tried again as long as others arrive, and a few times more."""
        found: dict[int, bytes] = {}
        failures = 0
        while True:
            left = [i for i in range(len(wanted)) if i not in found]
            answers = self._fs.cat_ranges(
                [self._path(wanted[i].file) for i in left],
                [wanted[i].begin for i in left],
                [wanted[i].begin + wanted[i].size for i in left],
                on_error="return",
            )
            failed: tuple[str, Exception] | None = None
            for i, answer in zip(left, answers, strict=True):
                if isinstance(answer, BaseException):
                    failed = (wanted[i].file, _same_or_raised(answer, self.url, wanted[i].file))
                else:
                    self._count(len(answer))
                    found[i] = self._whole(bytes(answer), wanted[i])
            if failed is None:
                return [found[i] for i in range(len(wanted))]
            failures = 1 if any(i in found for i in left) else failures + 1
            if failures > len(WAITS):
                raise _cannot_be_read(self.url, *failed)
            time.sleep(WAITS[failures - 1])

    def _whole(self, data: bytes, wanted: Piece) -> bytes:
        if len(data) == wanted.size:
            return data
        if len(data) < wanted.size:
            raise UserError(
                f"{self.url}/{wanted.file}: ends before byte {wanted.begin + wanted.size}: copy it there again, or run "
                "`jaxemb data prepare` again"
            )
        raise UserError(f"{self.url}/{wanted.file}: the server sends only whole files: copy the folder to this machine")

    def sizes(self) -> dict[str, int] | None:
        """See `Place`."""
        if self.url.startswith(("http://", "https://")):
            return None

        def listed() -> Any:
            self._fs.invalidate_cache()
            return self._fs.ls(self._opened.root, detail=True)

        found = self._tried("", listed)
        return {str(one["name"]).rsplit("/", 1)[-1]: int(one["size"]) for one in found if one["type"] == "file"}

    def write(self, name: str, content: bytes) -> None:
        """See `Place`."""
        path = self._path(name)
        try:
            if self.url.split("://")[0] not in _BUCKETS:
                self._fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            self._tried(name, lambda: self._fs.pipe_file(path, content))
        except Exception as error:
            raise CannotWrite(f"{self.url}/{name}: cannot be written ({_reason(error)})") from error

    def _tried(self, name: str, act: Callable[[], Any]) -> Any:
        for wait in (*WAITS, None):
            try:
                return act()
            except FileNotFoundError:
                raise
            except Exception as error:  # each store has its own exceptions
                if wait is None or isinstance(error, PermissionError | NotImplementedError):
                    raise _cannot_be_read(self.url, name, error) from error
                time.sleep(wait)
        raise AssertionError

    def _count(self, size: int) -> None:
        with self._lock:
            self.bytes_read += size


def _same_or_raised(error: BaseException, url: str, name: str) -> Exception:
    """The error, if it is worth another try."""
    if isinstance(error, FileNotFoundError):
        raise UserError(f"{url}/{name}: is missing: copy it there again, or run `jaxemb data prepare` again") from error
    if isinstance(error, PermissionError) or not isinstance(error, Exception):
        raise _cannot_be_read(url, name, error) from error
    return error


def _cannot_be_read(url: str, name: str, error: BaseException) -> UserError:
    return UserError(f"{url}/{name}: cannot be read ({_reason(error)})")


def _reason(error: BaseException) -> str:
    """One line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
