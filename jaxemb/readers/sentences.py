"""The sentences of an evaluation file, whatever its layout: lines, a table, or JSON lines."""

from collections.abc import Iterator
from typing import Any

from jaxemb.errors import UserError
from jaxemb.readers.json_lines import read_json_lines
from jaxemb.readers.lines import BadLine, read_lines, uncompressed_suffix
from jaxemb.readers.locations import Location
from jaxemb.readers.sts_layouts import Layout, has_sts_header, sts_layout
from jaxemb.readers.tables import COMMA, TAB, first_row, is_number, read_rows

_JSON = (".jsonl", ".ndjson")


def read_sentences(path: Location) -> Iterator[str]:
    """Yields every text of a file, plain or `.gz`, that may be a sentence. Lines that are no text are left out.

    - `.jsonl`, `.ndjson`: all strings of each line's JSON value.
    - `.csv`, a header of an STS file, or a tab in the first line: a table. The two sentences of an STS layout
      (`sts_layout`); of another table all cells.
    - any other file: its lines.

    Raises:
      UserError: as `read_lines`; if the quotes of a CSV file do not match.
    """
    if uncompressed_suffix(path) in _JSON:
        for item in read_json_lines(path):
            if not isinstance(item, BadLine):
                yield from _strings(item[2])
    elif (delimiter := _delimiter(path)) is None:
        yield from (line for line in read_lines(path) if isinstance(line, str))
    else:
        layout = _layout(path)
        for row in read_rows(path, layout.delimiter if layout else delimiter):
            if isinstance(row, BadLine):
                continue
            cells = row.cells
            if layout and len(cells) > max(layout.first, layout.second):
                cells = (cells[layout.first], cells[layout.second])
            yield from cells


def _delimiter(path: Location) -> str | None:
    """Of a table; None for a file of lines."""
    if uncompressed_suffix(path) == ".csv":
        return TAB if len(first_row(path, TAB)) > 1 and len(first_row(path, COMMA)) < 2 else COMMA
    if len(first_row(path, TAB)) > 1:
        return TAB
    return COMMA if has_sts_header(path) else None


def _layout(path: Location) -> Layout | None:
    """The layout of an STS file; None for another table."""
    try:
        layout = sts_layout(path)
    except UserError:
        return None
    cells = first_row(path, layout.delimiter)
    # Without a header, a score is the sign of an STS file: `sts_layout` takes others by their suffix.
    scored = layout.score < len(cells) and is_number(cells[layout.score])
    return layout if layout.names is not None or scored else None


def _strings(value: Any) -> Iterator[str]:
    values = [value]
    while values:
        one = values.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            values += one.values()
        elif isinstance(one, list):
            values += one
