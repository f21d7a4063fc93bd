"""Where the texts of a file of single sentences are: one rule for training and encoding."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxemb.readers.lines import uncompressed_suffix
from jaxemb.readers.locations import Location
from jaxemb.readers.tables import COMMA, TAB, choose_column, first_row, is_columnar, no_tabs_in_csv, read_header


class TextColumn(NamedTuple):
    """The column of a table that has the texts."""

    column: int
    """Counted from 0."""
    delimiter: str
    names: Sequence[str] | None
    """The header; None if there is none."""


def text_column(path: Location, column: int | str | None, *, header: bool = False, key: str) -> TextColumn | None:
    """The column of texts, if the file is a table: a `.tsv`, Parquet, Arrow, or any but `.jsonl` with column or header.

    A header's delimiter is the tab or the comma, whichever gives the column. Without a header a `.csv` has commas,
    unless its first line has tabs (STSbenchmark's `sts-dev.csv`), and every other file has tabs.

    Args:
      path: the file, plain or compressed.
      column: number, counted from 0 (the first when None; of a Parquet file `text`), or name in the header.
      header: whether the first line names the columns; it does if the column is given by its name.
      key: the setting or flag that gives the column, for messages.

    Returns: None for a `.jsonl`, and for a file of plain lines.

    Raises:
      UserError: if the header lacks the column, or as `read_lines`.
    """
    suffix = uncompressed_suffix(path).lower()
    if is_columnar(path):
        there = first_row(path, TAB)
        return TextColumn(choose_column(there, "text" if column is None else column, key, path), TAB, there)
    header = header or isinstance(column, str)
    if suffix == ".jsonl" or (suffix != ".tsv" and column is None and not header):
        return None
    delimiter, names = TAB, None
    if header:
        delimiter, names = read_header(path, [column or 0])
    elif no_tabs_in_csv(path):
        delimiter = COMMA
    return TextColumn(choose_column(names, column or 0, key, path), delimiter, names)
