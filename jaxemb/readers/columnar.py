"""Parquet and Arrow files as rows with named fields, read by row group or record batch."""

import contextlib
import dataclasses
from collections.abc import Collection, Iterator
from typing import Any

import pyarrow as pa

from jaxemb.errors import UserError
from jaxemb.readers.compression import opened
from jaxemb.readers.lines import MAX_LINE_BYTES, BadLine
from jaxemb.readers.locations import Location

_BATCH_ROWS = 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Groups:
    """Row groups of a Parquet file, or record batches of an Arrow file, one after the other."""

    first: int
    """The first, counted from 0."""
    count: int
    """How many; -1 for all."""
    row: int
    """The number of its first row, counted from 0."""


def column_names(path: Location) -> list[str]:
    """The names of the columns that are text, numbers or truth values.

    Raises:
      UserError: as `read_columns`.
    """
    with _file(path) as file:
        return [field.name for field in file.schema if not pa.types.is_nested(field.type)]


def row_groups(path: Location, rows: int) -> list[Groups]:
    """The row groups of a file, in pieces of about so many rows.

    Raises:
      UserError: as `read_columns`.
    """
    pieces: list[Groups] = []
    first = start = end = 0
    with _file(path) as file:
        sizes = file.sizes()
    for index, size in enumerate(sizes):
        end += size
        if end - start >= rows or index == len(sizes) - 1:
            pieces.append(Groups(first, index + 1 - first, start))
            first, start = index + 1, end
    return pieces


def read_columns(
    path: Location, columns: Collection[str] | None = None, groups: Groups | None = None
) -> Iterator[tuple[int, dict[str, Any]] | BadLine]:
    """Yields the number (from 1) and the fields of each row, or a `BadLine` for a text that is no UTF-8 or too long.

    Args:
      path: a Parquet file, or an Arrow file (IPC file or stream; Feather), whatever its name is.
      columns: the fields that are wanted; those that the file does not have are left out. None for all.
      groups: the row groups to read; None for all.

    Raises:
      UserError: if the file is missing, has no rows, is truncated or corrupt, or is of another format.
    """
    groups = groups or Groups(0, -1, 0)
    with _file(path) as file:
        names = [field.name for field in file.schema if columns is None or field.name in columns]
        number = groups.row
        for batch in file.batches(groups, names):
            for row in _rows(batch, number):
                number += 1
                yield _checked(row, number)
    if number == 0:
        raise UserError(f"{path}: the file has no rows; leave it out or fetch it again")


def _rows(batch: pa.RecordBatch, number: int) -> Iterator[dict[str, Any] | BadLine]:
    try:
        rows = batch.to_pylist()
    except UnicodeDecodeError:
        for index in range(batch.num_rows):
            try:
                yield batch.slice(index, 1).to_pylist()[0]
            except UnicodeDecodeError as error:
                content = error.object[:400].decode("utf-8", "backslashreplace")
                yield BadLine(number + index + 1, f"not UTF-8 at byte {error.start + 1}", content)
        return
    yield from rows


def _checked(row: dict[str, Any] | BadLine, number: int) -> tuple[int, dict[str, Any]] | BadLine:
    if isinstance(row, BadLine):
        return row
    for name, value in row.items():
        if isinstance(value, str) and len(value) > MAX_LINE_BYTES:
            return BadLine(number, f"{name} is longer than {MAX_LINE_BYTES >> 20} MiB", value[:400])
    return number, row


class _Parquet:
    def __init__(self, file: Any) -> None:
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(file, page_checksum_verification=True)
        self.schema: pa.Schema = self._file.schema_arrow

    def sizes(self) -> list[int]:
        metadata = self._file.metadata
        return [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]

    def batches(self, groups: Groups, names: list[str]) -> Iterator[pa.RecordBatch]:
        count = self._file.metadata.num_row_groups if groups.count < 0 else groups.count
        indices = list(range(groups.first, groups.first + count))
        return self._file.iter_batches(_BATCH_ROWS, row_groups=indices, columns=names, use_threads=False)


class _Arrow:
    """An IPC file, or a stream, whose batches are numbered as they come."""

    def __init__(self, file: Any, start: bytes) -> None:
        self._random = start.startswith(b"ARROW1")
        self._reader = pa.ipc.open_file(file) if self._random else pa.ipc.open_stream(file)
        self.schema: pa.Schema = self._reader.schema

    def _all(self, first: int) -> Iterator[pa.RecordBatch]:
        if self._random:
            return (self._reader.get_batch(index) for index in range(first, self._reader.num_record_batches))
        return (batch for index, batch in enumerate(self._reader) if index >= first)

    def sizes(self) -> list[int]:
        return [batch.num_rows for batch in self._all(0)]

    def batches(self, groups: Groups, names: list[str]) -> Iterator[pa.RecordBatch]:
        for index, batch in enumerate(self._all(groups.first)):
            if index == groups.count:
                break
            chosen = batch.select(names)
            chosen.validate(full=True)  # a damaged file may point beyond its buffers
            for start in range(0, batch.num_rows, _BATCH_ROWS):
                yield chosen.slice(start, _BATCH_ROWS)


@contextlib.contextmanager
def _file(path: Location) -> Iterator[_Parquet | _Arrow]:
    try:
        with opened(path) as file:
            start = file.peek(8)[:8]
            if start.startswith(b"PAR1"):
                yield _Parquet(file)
            elif start.startswith((b"ARROW1\0", b"\xff\xff\xff\xff")):
                yield _Arrow(file, start)
            elif start:
                raise UserError(f"{path}: is neither a Parquet nor an Arrow file")
            else:
                raise UserError(f"{path}: the file is empty; leave it out or fetch it again")
    except (pa.ArrowException, UnicodeDecodeError, MemoryError) as error:  # damaged names; a damaged length
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path}: the file is truncated or corrupt ({reason}); fetch it again") from error
