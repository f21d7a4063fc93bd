"""Tables of text: lines cut into cells at tabs, or read as CSV, and the columns of Parquet and Arrow files.

Columns are found by the names in a header.
"""

import csv
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from jaxemb.errors import UserError
from jaxemb.readers.lines import BadLine, read_lines, uncompressed_suffix
from jaxemb.readers.locations import Location

TAB, COMMA = "\t", ","
_COLUMNAR = (".parquet", ".arrow", ".feather")


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One row of a table."""

    line: int
    """Its line, from 1; the first one if a quoted cell has several. In a Parquet file the row, from 1; 0 the names."""
    cells: Sequence[str]
    text: str
    """The line itself, for messages."""


def is_columnar(path: Location) -> bool:
    """Whether a file is Parquet or Arrow by its name. Its columns always have names."""
    return uncompressed_suffix(path) in _COLUMNAR


class MalformedCsv(UserError):
    """The quotes of a CSV file do not match."""


def read_rows(path: Location, delimiter: str) -> Iterator[Row | BadLine]:
    """Yields the rows of a file, plain or compressed, and a `BadLine` for each line that is no text.

    With tabs a quote is a character like any other. With commas the file is CSV: quoted cells may have commas and
    several lines. A file named `.parquet`, `.arrow` or `.feather` gives the names of its columns as first row, and then
    its values as texts, whatever the delimiter is.

    Raises:
      UserError: as `read_lines`.
      MalformedCsv: if the quotes do not match.
    """
    if is_columnar(path):
        return _columnar_rows(path)
    return _tab_rows(path) if delimiter == TAB else _csv_rows(path, delimiter)


def _columnar_rows(path: Location) -> Iterator[Row | BadLine]:
    from jaxemb.readers.columnar import column_names, read_columns  # pyarrow takes a while to import

    names = column_names(path)
    yield Row(0, names, TAB.join(names))
    for item in read_columns(path, names):
        if isinstance(item, BadLine):
            yield item
            continue
        number, fields = item
        cells = ["" if fields[name] is None else str(fields[name]) for name in names]
        yield Row(number, cells, TAB.join(cells))


def _tab_rows(path: Location) -> Iterator[Row | BadLine]:
    for number, line in enumerate(read_lines(path), start=1):
        yield line if isinstance(line, BadLine) else Row(number, line.split(TAB), line)


def _csv_rows(path: Location, delimiter: str) -> Iterator[Row | BadLine]:
    bad: list[BadLine] = []

    def good_lines() -> Iterator[str]:
        for line in read_lines(path):
            if isinstance(line, BadLine):
                bad.append(line)
                yield "\n"  # keeps the count of lines; the reader gives an empty row for it
            else:
                yield line + "\n"

    reader = csv.reader(good_lines(), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            if bad:
                yield from bad
                bad.clear()
            else:
                yield Row(line, cells, delimiter.join(cells))
            line = reader.line_num + 1
    except csv.Error as error:
        raise MalformedCsv(f"{path}, line {line}: is not valid CSV ({error}); double a quote inside quotes") from None


def read_good_rows(path: Location, delimiter: str) -> Iterator[Row]:
    """Yields the rows like `read_rows`, but refuses bad lines.

    Raises:
      UserError: as `read_rows`, and for a bad line.
    """
    for row in read_rows(path, delimiter):
        if isinstance(row, BadLine):
            raise UserError(f"{path}, line {row.line}: {row.reason}; correct or convert the file")
        yield row


def first_row(path: Location, delimiter: str) -> Sequence[str]:
    """The cells of the first row; none if it is no text or no CSV.

    Raises:
      UserError: as `read_lines`.
    """
    try:
        row = next(read_rows(path, delimiter), None)
    except MalformedCsv:
        return ()
    return row.cells if isinstance(row, Row) else ()


def read_header(path: Location, columns: Sequence[int | str]) -> tuple[str, Sequence[str]]:
    """The delimiter of a file with a header, and its names: tab or comma, whichever gives the wanted columns.

    A tab, if both do, unless the file is a `.csv` without tabs in its header.

    Args:
      path: the file.
      columns: numbers, counted from 0, or names.

    Returns: with a tab if neither has the columns.

    Raises:
      UserError: as `read_lines`.
    """
    for delimiter in (COMMA, TAB) if no_tabs_in_csv(path) else (TAB, COMMA):
        names = first_row(path, delimiter)
        there = [name.strip() for name in names]
        if all(column in there if isinstance(column, str) else column < len(names) for column in columns):
            return delimiter, names
    return TAB, first_row(path, TAB)


def no_tabs_in_csv(path: Location) -> bool:
    """Whether a file is a `.csv` whose first line has no tab. That of STSbenchmark's `sts-dev.csv` has some.

    Raises:
      UserError: as `read_lines`.
    """
    return uncompressed_suffix(path).lower() == ".csv" and len(first_row(path, TAB)) < 2


def find_column(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    """The column that has the first of the wanted names that a header has, in any case; None if it has none.

    >>> find_column(["pair_ID", "sentence_A", "Score"], ["similarity_score", "score"])
    2
    """
    there = [name.strip().lower() for name in names]
    return next((there.index(name.lower()) for name in wanted if name.lower() in there), None)


def choose_column(names: Sequence[str] | None, column: int | str, key: str, path: Location) -> int:
    """The column that a user chose, by its number from 0 or its name in the header.

    Args:
      names: the header; None if the file has none.
      column: number or name.
      key: the setting or flag, for messages.
      path: the file, for messages.

    Raises:
      UserError: if the header has no such name or no such number.
    """
    if isinstance(column, int):
        if names is not None and column >= len(names):
            raise UserError(f"{path}, line 1: {key} is {column}, but the header has {len(names)} columns, from 0")
        return column
    there = [name.strip() for name in names or ()]
    if there.count(column) != 1:
        how_many = "no column" if column not in there else f"{there.count(column)} columns"
        raise UserError(
            f"{path}, line 1: the header has {how_many} {column!r} ({key}); it names "
            f"{', '.join(map(repr, there[:20]))}{' ...' if len(there) > 20 else ''}"
        )
    return there.index(column)


def is_number(value: Any) -> bool:
    """Whether a cell is a number."""
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True
