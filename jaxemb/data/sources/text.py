"""Single sentences, one a line: the pair of a sentence is the sentence itself."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path

from jaxemb.config import TextSource
from jaxemb.data.records import Record
from jaxemb.data.sources.part import SourcePart, matching_files
from jaxemb.errors import UserError
from jaxemb.text_files import BadLine, read_lines


def parts(config: TextSource, root: Path) -> list[SourcePart]:
    """One part for each file that the path or pattern matches, by name.

    Raises:
      UserError: if nothing matches, or `column` does not fit the kind of file.
    """
    return [
        SourcePart(
            str(path), (path,), config.path, config.licence, functools.partial(_read, path, config, _kind(path, config))
        )
        for path in matching_files(config.path, root, "text")
    ]


def _kind(path: Path, config: TextSource) -> str:
    """What its name says: `.tsv`, `.jsonl`, or anything else for plain lines."""
    kind = (path.with_suffix("") if path.suffix == ".gz" else path).suffix
    wants = {".tsv": int, ".jsonl": str}.get(kind)
    if config.column is not None and (wants is None or not isinstance(config.column, wants)):
        what = {int: "a number, counted from 0", str: "a key"}[wants] if wants else "left out: these are plain lines"
        raise UserError(f"{path}: column of the text source is {config.column!r}, it must be {what}")
    return kind


def _read(path: Path, config: TextSource, kind: str) -> Iterator[Record | BadLine]:
    for number, line in enumerate(read_lines(path), start=1):
        text = line if isinstance(line, BadLine) or not kind else _cell(line, number, config, kind)
        if isinstance(text, BadLine):
            yield text
            continue
        yield Record(
            text,
            text,
            anchor_lang=config.language,
            positive_lang=config.language,
            source=config.path,
            id=f"{path.name}:{number}",
        )


def _cell(line: str, number: int, config: TextSource, kind: str) -> str | BadLine:
    if kind == ".tsv":
        cells, column = line.split("\t"), int(config.column or 0)
        if column >= len(cells):
            return BadLine(number, f"{len(cells)} columns where column {column} is wanted", line)
        return cells[column]
    if kind == ".jsonl":
        key = str(config.column or "text")
        try:
            value = json.loads(line)
        except ValueError:
            return BadLine(number, "not JSON", line)
        if not isinstance(value, dict) or not isinstance(value.get(key), str):
            return BadLine(number, f"no text under the key {key!r}", line)
        return str(value[key])
    return line
