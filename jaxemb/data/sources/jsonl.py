"""Records with named fields, a JSON object per line."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxemb.config import JsonlSource
from jaxemb.data.pairs.alternatives import Alternatives
from jaxemb.data.pairs.languages import pair_language
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources.keyed import example
from jaxemb.data.sources.part import SourcePart, file_parts
from jaxemb.data.tokenized import negative
from jaxemb.readers.json_lines import NOT_JSON, read_json_lines
from jaxemb.readers.lines import BadLine
from jaxemb.readers.splits import SplitTally, split_column


def parts(config: JsonlSource, root: Path) -> list[SourcePart]:
    """The files; see `file_parts`."""
    return file_parts(config, root, _read)


def _read(path: Path, config: JsonlSource) -> Iterator[Record | Alternatives | BadLine | Skipped]:
    splits = SplitTally(config.split)
    for item in read_json_lines(path):
        if isinstance(item, BadLine):
            empty = item.reason == NOT_JSON and not item.content.strip()
            yield Skipped(pair_language(config.anchor_lang, config.positive_lang), "empty_line") if empty else item
            continue
        number, line, values = item
        try:
            fields = _fields(values)
            if splits.takes(_split(fields, config)):
                yield example(fields, config, config.path, f"{path.name}:{number}")
            else:
                yield Skipped(pair_language(config.anchor_lang, config.positive_lang), "other_split")
        except (OverflowError, TypeError, ValueError) as error:
            yield BadLine(number, str(error), line)
    splits.check(path, "choose with split of this source")


def _split(fields: Mapping[str, Any], config: JsonlSource) -> str | None:
    """The split that a line names; None if it names none, or the field is one that the source takes texts from."""
    names = [name for name in fields if isinstance(name, str)]
    column = split_column(names, None)
    if column is None or names[column] in config.keys or not isinstance(fields[names[column]], str):
        return None
    return str(fields[names[column]])


def _fields(values: Any) -> Mapping[str, Any]:
    """The fields of a line. A list of texts has them by position, as in sentence-transformers' training data."""
    if isinstance(values, dict):
        return values
    if not isinstance(values, list) or len(values) < 2:
        raise ValueError("not a JSON object")
    names = ["anchor", "positive", *map(negative, range(len(values) - 2))]
    return dict(zip(names, values, strict=True))
