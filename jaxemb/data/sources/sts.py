"""Pairs of sentences with a similarity score; see `sts_layout` for the formats."""

import dataclasses
from collections.abc import Iterator

from jaxemb.config import StsSource
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources.part import SourcePart, file_parts
from jaxemb.data.sources.rows import UNKNOWN, RowChoice
from jaxemb.errors import UserError
from jaxemb.readers.locations import Location
from jaxemb.readers.sts_rows import gold_file, sts_rows


def parts(config: StsSource, root: str | None) -> list[SourcePart]:
    """The files; see `file_parts`. A pair of files, `STS.input.NAME.txt` and `STS.gs.NAME.txt`, is one part.

    Raises:
      UserError: if nothing matches, or a file of a pair is missing.
    """
    found = file_parts(config, root, _read)
    scores = {part.paths[0]: gold_file(part.paths[0]) for part in found}
    return [
        dataclasses.replace(part, paths=(*part.paths, gold)) if (gold := scores[part.paths[0]]) else part
        for part in found
        if part.paths[0] not in scores.values()  # a pattern may match both
    ]


def _read(path: Location, config: StsSource) -> Iterator[Record | Skipped]:
    """Strict, as in evaluation: one bad line refuses the whole file."""
    choice = RowChoice(path, config.split, config.language)
    for number, row in enumerate(sts_rows(path), start=1):
        if row.empty:
            yield Skipped(config.language or UNKNOWN, "empty_line")
            continue
        language = choice.of(row.split, row.language)
        if isinstance(language, Skipped):
            yield language
            continue
        if row.score is None:
            yield Skipped(language, "no_score")
            continue
        if not 0 <= row.score <= config.max_score:
            raise UserError(
                f"{path}, pair {number}: a score of {row.score:g} is not between 0 and {config.max_score:g} "
                "(max_score of the sts source)"
            )
        yield Record(
            row.first,
            row.second,
            score=row.score / config.max_score,
            anchor_lang=language,
            positive_lang=language,
            source=config.path,
            id=f"{path.name}:{number}",
        )
    choice.check()
