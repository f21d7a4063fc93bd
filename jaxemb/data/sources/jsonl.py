"""Records with named fields, a JSON object a line."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path

from jaxemb.config import JsonlSource
from jaxemb.data.records import Record
from jaxemb.data.report import Skipped
from jaxemb.data.sources.keyed import example
from jaxemb.data.sources.part import SourcePart, matching_files
from jaxemb.text_files import BadLine, read_lines


def parts(config: JsonlSource, root: Path) -> list[SourcePart]:
    """One part for each file that the path or pattern matches, by name.

    Raises:
      UserError: if nothing matches.
    """
    return [
        SourcePart(str(path), (path,), config.path, config.licence, functools.partial(_read, path, config))
        for path in matching_files(config.path, root, "jsonl")
    ]


def _read(path: Path, config: JsonlSource) -> Iterator[Record | BadLine | Skipped]:
    for number, line in enumerate(read_lines(path), start=1):
        if isinstance(line, BadLine):
            yield line
            continue
        try:
            values = json.loads(line)
            if not isinstance(values, dict):
                raise ValueError("not a JSON object")
            yield example(values, config, config.path, f"{path.name}:{number}")
        except (TypeError, ValueError) as error:
            reason = "not JSON" if isinstance(error, json.JSONDecodeError) else str(error)
            yield BadLine(number, reason, line)
