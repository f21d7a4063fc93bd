"""Pairs in two columns of a tab-separated file, of a CSV with a header, or of a Parquet file."""

import functools
from collections.abc import Iterator, Sequence

from jaxemb.config import TsvSource
from jaxemb.data.pairs.languages import pair_language
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources.part import SourcePart, language_in_name, matching_files
from jaxemb.data.sources.quality import is_low
from jaxemb.data.sources.rows import UNKNOWN, RowChoice
from jaxemb.readers.lines import BadLine
from jaxemb.readers.locations import Location
from jaxemb.readers.sides import SideTally
from jaxemb.readers.splits import LANGUAGE, split_column
from jaxemb.readers.tables import TAB, choose_column, find_column, is_columnar, read_header, read_rows


def parts(config: TsvSource, root: str | None) -> list[SourcePart]:
    """One part for each file that the path or pattern matches, by name.

    Raises:
      UserError: if nothing matches, or the language is neither set nor in the file's name nor in a column.
    """
    return [
        SourcePart(
            name=str(path),
            paths=(path,),
            source=config.path,
            licence=config.licence,
            read=functools.partial(_read, path, config, _positive_lang(path, config)),
        )
        for path in matching_files(config.path, root, "tsv")
    ]


def _positive_lang(path: Location, config: TsvSource) -> str | None:
    """The language of the whole file; None if a column names it."""
    if config.positive_lang is None and find_column(_header(path, config)[1] or (), LANGUAGE) is not None:
        return None
    return config.positive_lang or language_in_name(path, "positive_lang", of_pair=True)


def _header(path: Location, config: TsvSource) -> tuple[str, Sequence[str] | None]:
    """The delimiter, and the names in the header; None if there is none."""
    return read_header(path, config.columns) if config.has_header or is_columnar(path) else (TAB, None)


def _read(path: Location, config: TsvSource, positive_lang: str | None) -> Iterator[Record | BadLine | Skipped]:
    delimiter, names = _header(path, config)
    anchor = choose_column(names, config.anchor_column, "anchor_column", path)
    positive = choose_column(names, config.positive_column, "positive_column", path)
    negatives = [
        choose_column(names, column, "negative_column", path)
        for column in (config.negative_column,)
        if column is not None
    ]
    quality = None
    if config.quality_column is not None:
        quality = choose_column(names, config.quality_column, "quality_column", path)
    needed = max(anchor, positive, *negatives, quality or 0) + 1
    choice = RowChoice(path, config.split, positive_lang, "positive_lang")
    by_name = isinstance(config.anchor_column, str) and isinstance(config.positive_column, str)
    sides = SideTally(path, "choose other columns with anchor_column and positive_column", by_name=by_name)
    columns = 0 if names is None else len(names)
    language = None if names is None else find_column(names, LANGUAGE)
    split: int | None = None
    looked = names is None
    rows = read_rows(path, delimiter)
    if names is not None:
        next(rows)
    for row in rows:
        if isinstance(row, BadLine):
            yield row
            continue
        cells = row.cells
        if not row.text.strip(" "):
            yield Skipped(pair_language(config.anchor_lang, positive_lang or UNKNOWN), "empty_line")
            continue
        if len(cells) < needed:
            yield BadLine(row.line, f"{len(cells)} columns where at least {needed} are needed", row.text)
            continue
        columns = columns or len(cells)
        if len(cells) != columns:
            yield BadLine(row.line, f"{len(cells)} columns where the lines before have {columns}", row.text)
            continue
        if not looked:
            split, looked = split_column(names or (), cells), True
        chosen = choice.of(None if split is None else cells[split], None if language is None else cells[language])
        if isinstance(chosen, Skipped):
            yield chosen
            continue
        try:
            low = quality is not None and is_low(cells[quality], config.min_quality)
        except ValueError as error:
            yield BadLine(row.line, str(error), row.text)
            continue
        if low:
            shown = Record(cells[anchor], cells[positive], id=f"{path.name}:{row.line}")
            yield Skipped(pair_language(config.anchor_lang, chosen), "low_score", shown)
            continue
        sides.add(cells[anchor], cells[positive], len(cells))
        yield Record(
            cells[anchor],
            cells[positive],
            tuple(cells[column] for column in negatives),
            anchor_lang=config.anchor_lang,
            positive_lang=chosen,
            source=config.path,
            id=f"{path.name}:{row.line}",
        )
    choice.check()
    sides.check()
