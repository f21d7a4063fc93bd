"""Single sentences, one per line: each sentence is paired with itself."""

from collections.abc import Iterator, Sequence

from jaxemb.config import TextSource
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources.part import SourcePart, file_parts, language_in_name
from jaxemb.data.sources.rows import UNKNOWN, RowChoice
from jaxemb.errors import UserError
from jaxemb.readers.json_lines import is_empty, read_json_lines
from jaxemb.readers.lines import BadLine, read_lines, uncompressed_suffix
from jaxemb.readers.locations import Location
from jaxemb.readers.splits import LANGUAGE, split_column
from jaxemb.readers.tables import find_column, read_rows
from jaxemb.readers.text_columns import TextColumn, text_column


def parts(config: TextSource, root: str | None) -> list[SourcePart]:
    """The files; see `file_parts`.

    Raises:
      UserError: if nothing matches, `column` does not fit the kind of file, or the language is neither set nor in the
        file's name nor in a column.
    """
    found = file_parts(config, root, _read)
    for part in found:
        _check_column(part.paths[0], config)
        _language(part.paths[0], config)
    return found


def _table(path: Location, config: TextSource) -> TextColumn | None:
    """The column of the texts; None if the file has none."""
    return text_column(path, config.column, header=config.header, key="column of the text source")


def _language(path: Location, config: TextSource) -> str | None:
    """The language of the whole file; None if a column names it."""
    if config.language is not None:
        return config.language
    table = _table(path, config)
    if table is not None and find_column(table.names or (), LANGUAGE) is not None:
        return None
    return language_in_name(path, "language", of_pair=uncompressed_suffix(path) == ".tsv")


def _check_column(path: Location, config: TextSource) -> None:
    if uncompressed_suffix(path).lower() != ".jsonl":
        return
    if isinstance(config.column, int):
        raise UserError(f"{path}: column of the text source is {config.column!r}, it must be a key")
    if config.header:
        raise UserError(f"{path}: header of the text source is true, but a .jsonl has none")


def _read(path: Location, config: TextSource) -> Iterator[Record | BadLine | Skipped]:
    table = _table(path, config)
    if table is not None:
        texts = _column(path, table)
    else:
        texts = _values(path, config) if uncompressed_suffix(path).lower() == ".jsonl" else _lines(path)
    language_of_file = _language(path, config)
    choice = RowChoice(path, config.split, language_of_file)
    for item in texts:
        if isinstance(item, BadLine):
            yield item
            continue
        if item is None:
            yield Skipped(language_of_file or UNKNOWN, "empty_line")
            continue
        number, text, split, of_row = item
        language = choice.of(split, of_row)
        if isinstance(language, Skipped):
            yield language
            continue
        yield Record(
            text,
            text,
            anchor_lang=language,
            positive_lang=language,
            source=config.path,
            id=f"{path.name}:{number}",
        )
    choice.check()


_Texts = Iterator[tuple[int, str, str | None, str | None] | BadLine | None]
"""The number of each line, its text, and its split and language if the file has such columns; None: an empty line."""


def _lines(path: Location) -> _Texts:
    for number, line in enumerate(read_lines(path), start=1):
        yield line if isinstance(line, BadLine) else (number, line, None, None)


def _column(path: Location, table: TextColumn) -> _Texts:
    column, delimiter, names = table
    others: tuple[int | None, int | None] | None = None if names else (None, None)
    for number, row in enumerate(read_rows(path, delimiter)):
        if isinstance(row, BadLine):
            yield row
            continue
        if names is not None and number == 0:
            continue
        if not row.text.strip(" "):
            yield None
            continue
        if column >= len(row.cells):
            yield BadLine(row.line, f"{len(row.cells)} columns where column {column} is wanted", row.text)
            continue
        others = others or _others(names or (), row.cells)
        split, language = (
            row.cells[other] if other is not None and other < len(row.cells) else None for other in others
        )
        yield row.line, row.cells[column], split, language


def _values(path: Location, config: TextSource) -> _Texts:
    key = str(config.column or "text")
    known: dict[tuple[str, ...], tuple[int | None, int | None]] = {}  # most lines have the same keys
    for item in read_json_lines(path):
        if isinstance(item, BadLine):
            yield None if is_empty(item) else item
            continue
        number, line, values = item
        text = values.get(key) if isinstance(values, dict) else None
        if not isinstance(text, str):
            yield BadLine(number, f"no text under the key {key!r}", line)
            continue
        names = tuple(values)
        if names not in known:
            known[names] = _others(names, [str(values[name]) for name in names])
        split, language = (
            None if other is None or values[names[other]] is None else str(values[names[other]])
            for other in known[names]
        )
        yield number, text, split, language


def _others(names: Sequence[str], first: Sequence[str]) -> tuple[int | None, int | None]:
    """The columns of splits and languages, from the header and the first row."""
    return split_column(names, first), find_column(names, LANGUAGE)
