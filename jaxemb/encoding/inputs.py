"""Reads texts from a file, one per line: plain lines, a column of a .tsv or a key of a .jsonl, plain or .gz."""

from collections.abc import Callable, Iterator
from pathlib import Path

from jaxemb.errors import UserError
from jaxemb.readers.json_lines import json_value
from jaxemb.readers.lines import read_good_lines, read_lines, uncompressed_suffix
from jaxemb.texts import half_characters

NOT_TEXT = frozenset(
    {".arrow", ".bz2", ".csv", ".feather", ".h5", ".json", ".npy", ".npz", ".parquet", ".pickle", ".pkl", ".tar"}
    | {".tgz", ".xz", ".zip", ".zst"}
)


def text_reader(path: Path, column: int | str | None = None) -> Callable[[], Iterator[str]]:
    """Checks the kind of a file and returns a function that reads its texts one by one.

    The suffix, without `.gz`, decides: `.tsv` gives one column (counted from 0; 0 by default; no header, no quoting),
    `.jsonl` one key of the object on each line (`text` by default), other suffixes whole lines. Empty texts count, so
    that text N always belongs to line N + 1. Suffixes of known other formats are refused.

    Raises: UserError, here or while reading; the message gives the file and the line.
    """
    if not path.is_file():
        raise UserError(f"{path} is not a file" if path.exists() else f"{path}: no such file")
    next(read_lines(path, may_be_empty=True), None)  # refuses other formats by what they are
    kind = uncompressed_suffix(path).lower()
    if kind in NOT_TEXT:
        raise UserError(f"{path}: {kind} cannot be read; convert it to lines of text, .tsv or .jsonl, plain or .gz")
    if kind == ".tsv":
        number = _column_number(path, column)
        return lambda: (_field(line, number, where) for where, line in _lines(path))
    if kind == ".jsonl":
        key = "text" if column is None else str(column)
        return lambda: (_value(line, key, where) for where, line in _lines(path))
    if column is not None:
        raise UserError(f"{path}: a column ({column}) can be chosen in .tsv and .jsonl files only")
    return lambda: (line for _, line in _lines(path))


def count_lines(path: Path) -> int:
    """Number of lines, in constant memory.

    Raises: UserError if the file cannot be read.
    """
    return sum(1 for _ in read_lines(path, may_be_empty=True))


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Each line with its location for messages."""
    for number, line in enumerate(read_good_lines(path, may_be_empty=True), 1):
        yield f"{path}, line {number}", line


def _column_number(path: Path, column: int | str | None) -> int:
    if column is None:
        return 0
    digits = str(column)
    if not (digits.isascii() and digits.isdigit()):
        raise UserError(f"{path}: column {column!r} must be a number, counted from 0")
    return int(column)


def _field(line: str, number: int, where: str) -> str:
    fields = line.split("\t")
    if number >= len(fields):
        raise UserError(f"{where}: no column {number}; the line has {len(fields)} (counted from 0)")
    return fields[number]


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
