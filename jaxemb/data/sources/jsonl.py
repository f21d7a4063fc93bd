"""Records with named fields, a JSON object per line."""

from collections.abc import Iterator
from pathlib import Path

from jaxemb.config import JsonlSource
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources.keyed import example
from jaxemb.data.sources.part import SourcePart, file_parts
from jaxemb.readers.json_lines import read_json_lines
from jaxemb.readers.lines import BadLine


def parts(config: JsonlSource, root: Path) -> list[SourcePart]:
    """The files; see `file_parts`."""
    return file_parts(config, root, _read)


def _read(path: Path, config: JsonlSource) -> Iterator[Record | BadLine | Skipped]:
    for item in read_json_lines(path):
        if isinstance(item, BadLine):
            yield item
            continue
        number, line, values = item
        try:
            if not isinstance(values, dict):
                raise ValueError("not a JSON object")
            yield example(values, config, config.path, f"{path.name}:{number}")
        except (OverflowError, TypeError, ValueError) as error:
            yield BadLine(number, str(error), line)
