"""The cache on disk: folders named by a fingerprint of their inputs, complete or not there at all."""

import contextlib
import errno
import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from array_record.python import array_record_data_source, array_record_module

from jaxemb.errors import CannotWrite, UserError
from jaxemb.files import atomic_directory, remove_partial

T = TypeVar("T")

# Uncompressed: four times as fast to write and twice as fast to read as the default, and not larger, since each short
# record would be compressed on its own.
_WRITER_OPTIONS = "group_size:1,uncompressed"


def fingerprint(*values: Any) -> str:
    """20 hexadecimal digits that change with any of the values (anything that JSON can represent)."""
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=10).hexdigest()


def file_state(path: Path) -> tuple[str, int, int]:
    """Path, size and modification time, which identify a version of a file.

    Raises:
      UserError: if the file does not exist.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); correct data.sources") from error
    return str(path.absolute()), state.st_size, state.st_mtime_ns


def cached_directory(path: Path, write: Callable[[Path], None]) -> Path:
    """Returns `path`; creates it first with `write(temporary folder)` if it does not exist.

    An unfinished folder is never used. If two processes write the same folder, the first to finish wins.

    Raises:
      UserError: if the cache cannot be written.
    """
    if path.is_dir():
        return path
    remove_partial(path.parent, days=7.0)
    try:
        with atomic_directory(path) as folder:
            write(folder)
    except (OSError, UserError) as error:
        if path.is_dir():
            return path  # another process was faster
        if isinstance(error, CannotWrite):
            raise UserError(f"{error}; data.cache_dir chooses another folder for the cache") from error
        raise
    return path


def write_array_record(path: Path, records: Iterable[bytes]) -> int:
    """Writes the records and returns their number.

    Raises:
      OSError: if the disk is full, for example.
    """
    writer = array_record_module.ArrayRecordWriter(str(path), _WRITER_OPTIONS)
    count = 0
    try:
        for count, record in enumerate(records, start=1):  # noqa: B007
            with _os_errors_of_riegeli():
                writer.write(record)
    except BaseException:
        with contextlib.suppress(RuntimeError):
            writer.close()
        raise
    with _os_errors_of_riegeli():
        writer.close()
    return count


@contextlib.contextmanager
def _os_errors_of_riegeli() -> Iterator[None]:
    """Turns the writer's exception for a failed write back into an OSError."""
    try:
        yield
    except RuntimeError as error:
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO):
            if os.strerror(number) in str(error):
                raise OSError(number, os.strerror(number)) from error
        raise


class StoredRecords(Generic[T]):
    """Random access to an ArrayRecord file through a decoder. Many at a time are 200 times as fast as one by one."""

    def __init__(self, path: Path, decode: Callable[[bytes], T]) -> None:
        self._path = path
        self._decode = decode

    @functools.cached_property
    def _source(self) -> array_record_data_source.ArrayRecordDataSource:
        return array_record_data_source.ArrayRecordDataSource([str(self._path)])

    def __len__(self) -> int:
        return len(self._source)

    def __getitems__(self, indices: Sequence[int]) -> list[T]:
        """The records at these positions, in this order."""
        return [self._decode(data) for data in self._source.__getitems__([int(i) for i in indices])]


def in_chunks(count: int, size: int = 4096) -> Iterator[range]:
    """The positions 0 to count - 1 in consecutive ranges of at most `size`."""
    return (range(start, min(start + size, count)) for start in range(0, count, size))
