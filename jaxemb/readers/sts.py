"""Reads STS test sets. Strict: a malformed file is an error, never a smaller test set."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from jaxemb.errors import UserError
from jaxemb.language_tags import language_tag
from jaxemb.readers.splits import SplitTally
from jaxemb.readers.sts_rows import StsRow, sts_rows


@dataclass(frozen=True, slots=True)
class StsPairs:
    """Sentence pairs with their gold scores, usually from one file."""

    source: str
    """The name of the file, or files, for messages."""
    first: tuple[str, ...]
    """First sentences, N >= 2."""
    second: tuple[str, ...]
    """Second sentences."""
    scores: tuple[float, ...]
    """Gold scores in the file's own unit (0 to 5, 1 to 5): higher means more similar."""
    rows: tuple[int, ...] = ()
    """Which rows of the split these are, counted from 1 with the pairs that have no score."""
    unscored: int = 0
    """Pairs that were left out because they have no gold score."""
    others: str = ""
    """Rows of other splits, with their numbers: `train 4439, dev 495`."""
    empty_lines: int = 0
    """Lines that were skipped."""


def read_sts(path: Path, split: str | None = None) -> StsPairs:
    """Reads a file, plain or compressed. Its layout is found by its header or its first line; see `sts_layout`.

    Pairs without a gold score are left out and counted, as in all published results.

    Args:
      path: the file.
      split: of a file with a column of splits, such as SICK.txt, the one that is wanted; None for all rows.

    Raises:
      UserError: as `sts_rows`; if no row is of the split, there are fewer than 2 pairs, or all scores are equal.
    """
    rows, left_out = _of_split(path, split)
    return dataclasses.replace(_pairs(str(path), rows), **left_out)


def read_sts_by_language(path: Path, split: str | None = None) -> dict[str | None, StsPairs]:
    """Like `read_sts`, but the pairs of each language, if the file has a column of languages; else all under None.

    A language may have several names in the file: `EN`, `eng` and `en` are one (`language_tag`).

    Raises:
      UserError: as `read_sts`, for each language.
    """
    rows, left_out = _of_split(path, split)
    tags = [row.language and (language_tag(row.language) or row.language) for row in rows]
    languages = list(dict.fromkeys(tags))
    if len(languages) < 2:
        return {None: dataclasses.replace(_pairs(str(path), rows), **left_out)}
    return {
        language: dataclasses.replace(
            _pairs(
                f"{path}, language {language}", [row for row, tag in zip(rows, tags, strict=True) if tag == language]
            ),
            **left_out,
        )
        for language in languages
    }


class _LeftOut(TypedDict):
    others: str
    empty_lines: int


def _of_split(path: Path, split: str | None) -> tuple[list[StsRow], _LeftOut]:
    tally = SplitTally(split)
    every = list(sts_rows(path))
    rows = [row for row in every if not row.empty and tally.takes(row.split)]
    tally.check(path, "choose with --split")
    return rows, {"others": tally.described(), "empty_lines": sum(row.empty for row in every)}


def _pairs(source: str, rows: Sequence[StsRow]) -> StsPairs:
    scored = [(number, row, row.score) for number, row in enumerate(rows, start=1) if row.score is not None]
    unscored = len(rows) - len(scored)
    if len(scored) < 2:
        without = f" with a gold score, and {unscored} without" if unscored else ""
        raise UserError(f"{source}: holds {len(scored)} pair(s){without}; a correlation needs 2 or more")
    scores = tuple(score for _, _, score in scored)
    if len(set(scores)) == 1:
        raise UserError(
            f"{source}, lines {scored[0][1].line} to {scored[-1][1].line}: every score is {scores[0]:g}, but a "
            "correlation needs different scores"
        )
    return StsPairs(
        source,
        tuple(row.first for _, row, _ in scored),
        tuple(row.second for _, row, _ in scored),
        scores,
        tuple(number for number, _, _ in scored),
        unscored,
    )
