"""Single sentences, one per line: each sentence is paired with itself."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from jaxemb.config import TextSource
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources.part import SourcePart, file_parts, language_in_name
from jaxemb.data.sources.rows import RowChoice
from jaxemb.errors import UserError
from jaxemb.readers.json_lines import read_json_lines
from jaxemb.readers.lines import BadLine, read_lines, uncompressed_suffix
from jaxemb.readers.splits import LANGUAGE, split_column
from jaxemb.readers.tables import TAB, choose_column, find_column, read_header, read_rows


def parts(config: TextSource, root: Path) -> list[SourcePart]:
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


def _is_table(path: Path, config: TextSource) -> bool:
    """Whether the file has columns; a `.csv` without a header is read as plain lines."""
    suffix = uncompressed_suffix(path)
    return suffix == ".tsv" or (suffix == ".csv" and _has_header(config))


def _has_header(config: TextSource) -> bool:
    return config.header or isinstance(config.column, str)


def _header(path: Path, config: TextSource) -> tuple[str, Sequence[str] | None]:
    """The delimiter, and the names in the header; None if there is none."""
    return read_header(path, [config.column or 0]) if _has_header(config) else (TAB, None)


def _language(path: Path, config: TextSource) -> str | None:
    """The language of the whole file; None if a column names it."""
    if config.language is not None:
        return config.language
    if _is_table(path, config) and find_column(_header(path, config)[1] or (), LANGUAGE) is not None:
        return None
    return language_in_name(path, "language", of_pair=uncompressed_suffix(path) == ".tsv")


def _check_column(path: Path, config: TextSource) -> None:
    suffix = uncompressed_suffix(path)
    if _is_table(path, config):
        return
    wants = (str, "a key") if suffix == ".jsonl" else ((), "left out: these are plain lines")
    if config.column is not None and not isinstance(config.column, wants[0]):
        raise UserError(f"{path}: column of the text source is {config.column!r}, it must be {wants[1]}")
    if config.header:
        raise UserError(f"{path}: header of the text source is true, but only a .tsv or a .csv has a header")


def _read(path: Path, config: TextSource) -> Iterator[Record | BadLine | Skipped]:
    texts = _column if _is_table(path, config) else _values if uncompressed_suffix(path) == ".jsonl" else _lines
    choice = RowChoice(path, config.split, _language(path, config))
    for item in texts(path, config):
        if isinstance(item, BadLine):
            yield item
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


_Texts = Iterator[tuple[int, str, str | None, str | None] | BadLine]
"""The number of each line, its text, and its split and language if the file has such columns."""


def _lines(path: Path, config: TextSource) -> _Texts:
    del config
    for number, line in enumerate(read_lines(path), start=1):
        yield line if isinstance(line, BadLine) else (number, line, None, None)


def _column(path: Path, config: TextSource) -> _Texts:
    delimiter, names = _header(path, config)
    column = choose_column(names, config.column or 0, "column of the text source", path)
    others: tuple[int | None, int | None] | None = None if names else (None, None)
    for number, row in enumerate(read_rows(path, delimiter)):
        if isinstance(row, BadLine):
            yield row
            continue
        if names is not None and number == 0:
            continue
        if column >= len(row.cells):
            yield BadLine(row.line, f"{len(row.cells)} columns where column {column} is wanted", row.text)
            continue
        others = others or _others(names or (), row.cells)
        split, language = (
            row.cells[other] if other is not None and other < len(row.cells) else None for other in others
        )
        yield row.line, row.cells[column], split, language


def _values(path: Path, config: TextSource) -> _Texts:
    key = str(config.column or "text")
    known: dict[tuple[str, ...], tuple[int | None, int | None]] = {}  # most lines have the same keys
    for item in read_json_lines(path):
        if isinstance(item, BadLine):
            yield item
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
