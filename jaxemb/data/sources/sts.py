"""Pairs of sentences with a similarity score, in the formats of STSb, SICK and SemEval."""

from collections.abc import Iterator
from pathlib import Path

from jaxemb.config import StsSource
from jaxemb.data.pairs.records import Record
from jaxemb.data.sources.part import SourcePart, file_parts
from jaxemb.errors import UserError
from jaxemb.readers.sts import read_sts


def parts(config: StsSource, root: Path) -> list[SourcePart]:
    """The files; see `file_parts`."""
    return file_parts(config, root, _read)


def _read(path: Path, config: StsSource) -> Iterator[Record]:
    """Strict, as in evaluation: one bad line refuses the whole file."""
    pairs = read_sts(path)
    for number, (first, second, score) in enumerate(zip(pairs.first, pairs.second, pairs.scores, strict=True), start=1):
        if not 0 <= score <= config.max_score:
            raise UserError(
                f"{path}, pair {number}: a score of {score:g} is not between 0 and {config.max_score:g} "
                "(max_score of the sts source)"
            )
        yield Record(
            first,
            second,
            score=score / config.max_score,
            anchor_lang=config.language,
            positive_lang=config.language,
            source=config.path,
            id=f"{path.name}:{number}",
        )
