"""Reads texts from a file, one per line: plain lines, a column of a table or a key of a .jsonl, plain or .gz."""

from collections.abc import Callable, Iterator
from pathlib import Path

from jaxemb.errors import UserError
from jaxemb.readers.json_lines import json_value
from jaxemb.readers.lines import read_good_lines, read_lines, uncompressed_suffix
from jaxemb.readers.tables import read_good_rows
from jaxemb.readers.text_columns import TextColumn, text_column
from jaxemb.texts import half_characters

NOT_TEXT = frozenset(
    {".arrow", ".bz2", ".feather", ".h5", ".json", ".npy", ".npz", ".parquet", ".pickle", ".pkl", ".tar"}
    | {".tgz", ".xz", ".zip", ".zst"}
)


def text_reader(path: Path, column: int | str | None = None, *, header: bool = False) -> Callable[[], Iterator[str]]:
    """Checks the kind of a file and returns a function that reads its texts one by one.

    The rule is that of training on single sentences (`text_column`): a `.jsonl` gives one key of the object on each
    line (`text` by default). A `.tsv` gives one column (0 by default), and so does every other file if a column is
    chosen or it has a header. Other files give whole lines. Empty texts count, so that text N is always that of line
    N + 1, or of row N + 1 behind a header. Suffixes of known other formats are refused.

    Args:
      path: the file, plain or `.gz`.
      column: number of a column, counted from 0, its name in the header, or a key.
      header: whether the first line names the columns; it does if the column is given by its name.

    Raises: UserError, here or while reading; the message gives the file and the line.
    """
    if not path.is_file():
        raise UserError(f"{path} is not a file" if path.exists() else f"{path}: no such file")
    next(read_lines(path, may_be_empty=True), None)  # refuses other formats by what they are
    kind = uncompressed_suffix(path).lower()
    if isinstance(column, str) and kind != ".jsonl" and column.isascii() and column.isdigit():
        column = int(column)
    if kind == ".csv" and column is None:
        raise UserError(f"{path}: choose a column of the .csv, by its number from 0 or its name in the header")
    if kind in NOT_TEXT:
        raise UserError(f"{path}: {kind} cannot be read; convert it to lines of text, .tsv or .jsonl, plain or .gz")
    if isinstance(column, int) and column < 0:
        raise UserError(f"{path}: column {column} must be a number, counted from 0, or a name in the header")
    if not path.stat().st_size:
        return lambda: iter(())
    if kind == ".jsonl":
        key = "text" if column is None else str(column)
        return lambda: (_value(line, key, where) for where, line in _lines(path))
    table = text_column(path, column, header=header, key="--column")
    if table is not None:
        return lambda: _cells(path, table)
    return lambda: (line for _, line in _lines(path))


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Each line with its location for messages."""
    for number, line in enumerate(read_good_lines(path, may_be_empty=True), 1):
        yield f"{path}, line {number}", line


def _cells(path: Path, table: TextColumn) -> Iterator[str]:
    rows = read_good_rows(path, table.delimiter)
    if table.names is not None:
        next(rows)
    for row in rows:
        if table.column >= len(row.cells) and row.text.strip(" "):
            raise UserError(
                f"{path}, line {row.line}: no column {table.column}; the line has {len(row.cells)} (counted from 0)"
            )
        yield row.cells[table.column] if table.column < len(row.cells) else ""


def _value(line: str, key: str, where: str) -> str:
    try:
        record = json_value(line)
    except ValueError as error:
        raise UserError(f"{where}: not JSON ({error})") from None
    if not isinstance(record, dict) or key not in record:
        found = (
            f"its keys are {', '.join(map(_printable, record))}" if isinstance(record, dict) else "it is not an object"
        )
        raise UserError(f"{where}: no key {key!r}; {found}")
    text = record[key]
    if not isinstance(text, str):
        raise UserError(f"{where}: {key!r} is not a string but {type(text).__name__}")
    if half := half_characters(text):
        raise UserError(f"{where}: {key!r} is not valid Unicode: it holds {half!a}, half of a character")
    return text


def _printable(key: str) -> str:
    return key.encode("utf-8", "backslashreplace").decode()
