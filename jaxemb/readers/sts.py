"""Reads STS test sets. Strict: a malformed file is an error, never a smaller test set."""

import csv
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxemb.errors import UserError
from jaxemb.readers.lines import read_good_lines

SICK_COLUMNS = ("sentence_A", "sentence_B", "relatedness_score")
"""Names, in SICK's header, of the columns that are read."""
_KINDS = re.compile(r".+\.(tsv|csv|txt)(\.gz)?")


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


def read_sts(path: Path) -> StsPairs:
    """Reads a file, plain or `.gz`, in the format given by its suffix.

    `.tsv`: SemEval's score, sentence 1, sentence 2; no header; no quoting.
    `.csv`: STSb's sentence 1, sentence 2, score; no header; CSV quoting.
    `.txt`: SICK's tab-separated columns with a header; only `SICK_COLUMNS` are read.

    Raises:
      UserError: if the file cannot be read or has another suffix, a line has the wrong number of columns, an empty
        sentence or a score that is not a finite number, there are fewer than 2 pairs, or all scores are equal.
    """
    match = _KINDS.fullmatch(path.name)
    if match is None:
        raise UserError(f"{path}: must end in .tsv (SemEval), .csv (STSb) or .txt (SICK), with or without .gz")
    lines, first, second, scores = [], [], [], []
    for line, (one, other, score) in {"tsv": _semeval, "csv": _stsb, "txt": _sick}[match[1]](path):
        if not one.strip() or not other.strip():
            raise UserError(f"{path}, line {line}: sentence {2 if one.strip() else 1} is empty; correct the file")
        lines.append(line)
        first.append(one)
        second.append(other)
        scores.append(_number(score, f"{path}, line {line}"))
    if len(scores) < 2:
        raise UserError(f"{path}: holds {len(scores)} pair(s); a correlation needs 2 or more")
    if len(set(scores)) == 1:
        raise UserError(
            f"{path}, lines {lines[0]} to {lines[-1]}: every score is {scores[0]:g}, but a correlation needs different "
            "scores"
        )
    return StsPairs(str(path), tuple(first), tuple(second), tuple(scores))


_Cells = Iterator[tuple[int, Sequence[str]]]
"""Line number, and the line's first sentence, second sentence and score."""


def _semeval(path: Path) -> _Cells:
    for line, text in enumerate(read_good_lines(path), start=1):
        cells = text.split("\t")
        _check_columns(path, line, cells, 3, "score, sentence 1, sentence 2, between tabs")
        yield line, (cells[1], cells[2], cells[0])


def _stsb(path: Path) -> _Cells:
    reader = csv.reader((line + "\n" for line in read_good_lines(path)), strict=True)
    line = 1
    try:
        for cells in reader:
            _check_columns(path, line, cells, 3, "sentence 1, sentence 2, score, between commas")
            yield line, cells
            line = reader.line_num + 1  # a quoted sentence may have several lines
    except csv.Error as error:
        raise UserError(f"{path}, line {line}: is not valid CSV ({error}); double a quote inside quotes") from None


def _sick(path: Path) -> _Cells:
    lines = enumerate(read_good_lines(path), start=1)
    header = next(lines)[1].split("\t")
    missing = [name for name in SICK_COLUMNS if name not in header]
    if missing:
        raise UserError(f"{path}, line 1: the header has no {', '.join(missing)}; it must name SICK's columns")
    columns = [header.index(name) for name in SICK_COLUMNS]
    for line, text in lines:
        cells = text.split("\t")
        _check_columns(path, line, cells, len(header), "as in the header")
        yield line, [cells[column] for column in columns]


def _check_columns(path: Path, line: int, cells: Sequence[str], count: int, what: str) -> None:
    if len(cells) != count:
        raise UserError(
            f"{path}, line {line}: {len(cells)} column(s), not {count} ({what}): {' | '.join(cells)[:80]!r}"
        )


def _number(text: str, where: str) -> float:
    try:
        value = float(text) if "_" not in text else math.nan  # Python's 1_000
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{where}: the score {text[:40]!r} is not a finite number; only SICK has a header")
    return value
