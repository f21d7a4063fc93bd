"""The cache on disk: folders named by a fingerprint of their inputs, complete or not there at all."""

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from array_record.python import array_record_module

from jaxemb.errors import CannotWrite, UserError
from jaxemb.files import atomic_directory, remove_partial
from jaxemb.readers.locations import Location, state

# Uncompressed: four times as fast to write and twice as fast to read as the default, and not larger, since each short
# record would be compressed on its own.
_WRITER_OPTIONS = "group_size:1,uncompressed"


def fingerprint(*values: Any) -> str:
    """20 hexadecimal digits that change with any of the values (anything that JSON can represent)."""
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=10).hexdigest()


def file_state(path: Location, *, now: bool = False) -> tuple[str, int, int | str]:
    """Path, size, and modification time or a store's version, which identify a version of a file.

    Args:
      path: the file.
      now: asks a store, even if its list of files told it.

    Raises:
      UserError: if the file does not exist, or its store cannot be asked.
    """
    try:
        return state(path, now=now)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); correct data.sources") from error


@contextlib.contextmanager
def written_to_cache() -> Iterator[None]:
    """Adds the way out to the message of an output that cannot be written.

    Raises:
      UserError: instead of CannotWrite.
    """
    try:
        yield
    except CannotWrite as error:
        raise UserError(f"{error}; data.cache_dir chooses another folder for the cache") from error


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
        with written_to_cache(), atomic_directory(path) as folder:
            write(folder)
    except (OSError, UserError):
        if path.is_dir():
            return path  # another process was faster
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


def in_chunks(count: int, size: int = 4096) -> Iterator[range]:
    """The positions 0 to count - 1 in consecutive ranges of at most `size`."""
    return (range(start, min(start + size, count)) for start in range(0, count, size))
