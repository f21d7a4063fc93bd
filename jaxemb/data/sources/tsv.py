"""Tab-separated pairs, one per line, without a header or quoting; plain or gzipped."""

import functools
from collections.abc import Iterator
from pathlib import Path

from jaxemb.config import TsvSource
from jaxemb.data.pairs.languages import pair_language
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources.part import SourcePart, language_in_name, matching_files
from jaxemb.readers.lines import BadLine, read_lines


def parts(config: TsvSource, root: Path) -> list[SourcePart]:
    """One part for each file that the path or pattern matches, by name.

    Raises:
      UserError: if nothing matches, or the language is neither set nor in the file's name.
    """
    return [
        SourcePart(
            name=str(path),
            paths=(path,),
            source=config.path,
            licence=config.licence,
            read=functools.partial(
                _read, path, config, config.positive_lang or language_in_name(path, "positive_lang", of_pair=True)
            ),
        )
        for path in matching_files(config.path, root, "tsv")
    ]


def _read(path: Path, config: TsvSource, positive_lang: str) -> Iterator[Record | BadLine | Skipped]:
    negatives = () if config.negative_column is None else (config.negative_column,)
    needed = max(config.anchor_column, config.positive_column, *negatives) + 1
    columns = 0
    for number, line in enumerate(read_lines(path), start=1):
        if isinstance(line, BadLine):
            yield line
            continue
        if not line.strip(" "):
            yield Skipped(pair_language(config.anchor_lang, positive_lang), "empty_line")
            continue
        fields = line.split("\t")
        if len(fields) < needed:
            yield BadLine(number, f"{len(fields)} columns where at least {needed} are needed", line)
            continue
        columns = columns or len(fields)
        if len(fields) != columns:
            yield BadLine(number, f"{len(fields)} columns where the lines before have {columns}", line)
            continue
        yield Record(
            fields[config.anchor_column],
            fields[config.positive_column],
            tuple(fields[column] for column in negatives),
            anchor_lang=config.anchor_lang,
            positive_lang=positive_lang,
            source=config.path,
            id=f"{path.name}:{number}",
        )
