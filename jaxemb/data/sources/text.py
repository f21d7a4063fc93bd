"""Single sentences, one per line: each sentence is paired with itself."""

from collections.abc import Iterator
from pathlib import Path

from jaxemb.config import TextSource
from jaxemb.data.pairs.records import Record
from jaxemb.data.sources.part import SourcePart, file_parts, language_in_name
from jaxemb.errors import UserError
from jaxemb.readers.json_lines import read_json_lines
from jaxemb.readers.lines import BadLine, read_lines, uncompressed_suffix


def parts(config: TextSource, root: Path) -> list[SourcePart]:
    """The files; see `file_parts`.

    Raises:
      UserError: if nothing matches, `column` does not fit the kind of file, or the language is neither set nor in the
        file's name.
    """
    found = file_parts(config, root, _read)
    for part in found:
        _check_column(part.paths[0], config)
        _language(part.paths[0], config)
    return found


def _language(path: Path, config: TextSource) -> str:
    of_pair = uncompressed_suffix(path) == ".tsv"
    return config.language or language_in_name(path, "language", of_pair=of_pair)


def _check_column(path: Path, config: TextSource) -> None:
    wants = {".tsv": int, ".jsonl": str}.get(uncompressed_suffix(path))
    if config.column is not None and (wants is None or not isinstance(config.column, wants)):
        what = {int: "a number, counted from 0", str: "a key"}[wants] if wants else "left out: these are plain lines"
        raise UserError(f"{path}: column of the text source is {config.column!r}, it must be {what}")


def _read(path: Path, config: TextSource) -> Iterator[Record | BadLine]:
    texts = {".tsv": _column, ".jsonl": _values}.get(uncompressed_suffix(path), _lines)
    language = _language(path, config)
    for item in texts(path, config):
        if isinstance(item, BadLine):
            yield item
            continue
        number, text = item
        yield Record(
            text,
            text,
            anchor_lang=language,
            positive_lang=language,
            source=config.path,
            id=f"{path.name}:{number}",
        )


_Texts = Iterator[tuple[int, str] | BadLine]
"""The number of each line, and its text."""


def _lines(path: Path, config: TextSource) -> _Texts:
    del config
    for number, line in enumerate(read_lines(path), start=1):
        yield line if isinstance(line, BadLine) else (number, line)


def _column(path: Path, config: TextSource) -> _Texts:
    column = int(config.column or 0)
    for item in _lines(path, config):
        if isinstance(item, BadLine):
            yield item
            continue
        number, line = item
        cells = line.split("\t")
        there = column < len(cells)
        yield (
            (number, cells[column])
            if there
            else BadLine(number, f"{len(cells)} columns where column {column} is wanted", line)
        )


def _values(path: Path, config: TextSource) -> _Texts:
    key = str(config.column or "text")
    for item in read_json_lines(path):
        if isinstance(item, BadLine):
            yield item
            continue
        number, line, values = item
        text = values.get(key) if isinstance(values, dict) else None
        yield (number, text) if isinstance(text, str) else BadLine(number, f"no text under the key {key!r}", line)
