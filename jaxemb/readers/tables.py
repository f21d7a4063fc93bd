"""Tables of text: lines cut into cells at tabs, or read as CSV. Their columns are found by the names in a header."""

import csv
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from jaxemb.errors import UserError
from jaxemb.readers.lines import BadLine, read_lines

TAB, COMMA = "\t", ","


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One row of a table."""

    line: int
    """Its line, from 1; the first one if a quoted cell has several."""
    cells: Sequence[str]
    text: str
    """The line itself, for messages."""


class MalformedCsv(UserError):
    """The quotes of a CSV file do not match."""


def read_rows(path: Path, delimiter: str) -> Iterator[Row | BadLine]:
    """Yields the rows of a file, plain or `.gz`, and a `BadLine` for each line that is no text.

    With tabs a quote is a character like any other. With commas the file is CSV: quoted cells may have commas and
    several lines.

    Raises:
      UserError: as `read_lines`.
      MalformedCsv: if the quotes do not match.
    """
    return _tab_rows(path) if delimiter == TAB else _csv_rows(path, delimiter)


def _tab_rows(path: Path) -> Iterator[Row | BadLine]:
    for number, line in enumerate(read_lines(path), start=1):
        yield line if isinstance(line, BadLine) else Row(number, line.split(TAB), line)


def _csv_rows(path: Path, delimiter: str) -> Iterator[Row | BadLine]:
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


def read_good_rows(path: Path, delimiter: str) -> Iterator[Row]:
    """Yields the rows like `read_rows`, but refuses bad lines.

    Raises:
      UserError: as `read_rows`, and for a bad line.
    """
    for row in read_rows(path, delimiter):
        if isinstance(row, BadLine):
            raise UserError(f"{path}, line {row.line}: {row.reason}; correct or convert the file")
        yield row


def first_row(path: Path, delimiter: str) -> Sequence[str]:
    """The cells of the first row; none if it is no text or no CSV.

    Raises:
      UserError: as `read_lines`.
    """
    try:
        row = next(read_rows(path, delimiter), None)
    except MalformedCsv:
        return ()
    return row.cells if isinstance(row, Row) else ()


def read_header(path: Path, columns: Sequence[int | str]) -> tuple[str, Sequence[str]]:
    """The delimiter of a file with a header, and its names: tab or comma, whichever gives the wanted columns.

    Args:
      path: the file.
      columns: numbers, counted from 0, or names.

    Returns: with a tab if neither has the columns.

    Raises:
      UserError: as `read_lines`.
    """
    for delimiter in (TAB, COMMA):
        names = first_row(path, delimiter)
        there = [name.strip() for name in names]
        if all(column in there if isinstance(column, str) else column < len(names) for column in columns):
            return delimiter, names
    return TAB, first_row(path, TAB)


def find_column(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    """The column that has the first of the wanted names that a header has, in any case; None if it has none.

    >>> find_column(["pair_ID", "sentence_A", "Score"], ["similarity_score", "score"])
    2
    """
    there = [name.strip().lower() for name in names]
    return next((there.index(name.lower()) for name in wanted if name.lower() in there), None)


def choose_column(names: Sequence[str] | None, column: int | str, key: str, path: Path) -> int:
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


def is_number(text: str) -> bool:
    """Whether a cell is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
