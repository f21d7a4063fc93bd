"""The rows of an STS file, one by one. Strict: a malformed row is an error."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jaxemb.errors import UserError
from jaxemb.readers.compression import ENDING, ENDINGS
from jaxemb.readers.lines import read_good_lines
from jaxemb.readers.locations import Location
from jaxemb.readers.splits import LANGUAGE, split_column
from jaxemb.readers.sts_layouts import Layout, sts_layout
from jaxemb.readers.tables import Row, find_column, read_good_rows

_INPUT = re.compile(rf"STS\.input\.(?P<name>.+)\.txt{ENDING}")


@dataclass(frozen=True, slots=True)
class StsRow:
    """One pair of sentences."""

    line: int
    """Its line, from 1."""
    first: str
    second: str
    score: float | None
    """None if nobody annotated the pair: its score is empty. Most pairs of STS 2015 and 2016 are such."""
    split: str | None = None
    """As in the file; None if the file has no such column."""
    language: str | None = None
    """As in the file; None if the file has no such column."""

    @property
    def empty(self) -> bool:
        """Whether it is an empty line, which is no pair."""
        return self.score is None and not self.first and not self.second


def sts_rows(path: Location) -> Iterator[StsRow]:
    """Yields the pairs of a file, plain or compressed, and its empty lines. For the layouts see `sts_layout`.

    `STS.input.NAME.txt` (SemEval's own files, and SentEval's) has the sentences; the scores are read from
    `STS.gs.NAME.txt` next to it.

    Raises:
      UserError: if the file cannot be read or has no known layout, a row has the wrong number of columns, or a pair
        with a score has an empty sentence or a score that is not a finite number.
    """
    for row in _two_files(path) if _INPUT.fullmatch(path.name) else _one_file(path):
        if row.score is not None and not (row.first.strip() and row.second.strip()):
            which = 2 if row.first.strip() else 1
            raise UserError(f"{path}, line {row.line}: sentence {which} is empty; correct the file")
        yield row


def gold_file(path: Location) -> Location | None:
    """The file that has the scores of `STS.input.NAME.txt`; None for a file of another name.

    Raises:
      UserError: if there is none.
    """
    match = _INPUT.fullmatch(path.name)
    if match is None:
        return None
    names = [f"STS.gs.{match['name']}.txt{end}" for end in ("", *ENDINGS)]
    found = [path.with_name(name) for name in names if path.with_name(name).is_file()]
    if not found:
        raise UserError(f"{path}: its gold scores, {names[0]}, are not next to it")
    return found[0]


def _two_files(path: Location) -> Iterator[StsRow]:
    gold = gold_file(path)
    assert gold is not None
    scores = list(read_good_lines(gold))
    number = 0
    for number, text in enumerate(read_good_lines(path), start=1):
        if not text.strip(" ") and not "".join(scores[number - 1 : number]).strip():
            yield StsRow(number, "", "", None)
            continue
        cells = text.split("\t")  # STS 2016 has the sentences' sources behind them
        if len(cells) < 2:
            raise UserError(f"{path}, line {number}: {len(cells)} column(s), not 2 (sentence 1, sentence 2)")
        score = scores[number - 1] if number <= len(scores) else ""
        yield StsRow(number, cells[0], cells[1], _score(score, f"{gold}, line {number}"))
    if number != len(scores):
        raise UserError(
            f"{path} has {number} lines but {gold} has {len(scores)}: line N of one must be the score of line N"
        )


def _one_file(path: Location) -> Iterator[StsRow]:
    layout = sts_layout(path)
    names = layout.names
    split = language = None
    looked = False
    for number, row in enumerate(read_good_rows(path, layout.delimiter)):
        if names is not None and number == 0:
            continue
        if not row.text.strip(" "):
            yield StsRow(row.line, "", "", None)
            continue
        _check_columns(path, row, layout)
        if names is not None and not looked:
            looked = True
            split, language = split_column(names, row.cells), find_column(names, LANGUAGE)
        yield StsRow(
            row.line,
            row.cells[layout.first],
            row.cells[layout.second],
            _score(row.cells[layout.score], f"{path}, line {row.line}"),
            None if split is None else row.cells[split],
            None if language is None else row.cells[language],
        )


def _check_columns(path: Location, row: Row, layout: Layout) -> None:
    if not layout.fewest <= len(row.cells) <= layout.most:
        many = layout.fewest if layout.fewest == layout.most else f"{layout.fewest} to {layout.most}"
        raise UserError(
            f"{path}, line {row.line}: {len(row.cells)} column(s), not {many} ({layout.what}): {_shown(row.cells)!r}"
        )


def _shown(cells: Sequence[str]) -> str:
    return " | ".join(cells)[:80]


def _score(text: str, where: str) -> float | None:
    if not text.strip():
        return None
    try:
        value = float(text) if "_" not in text else math.nan  # Python's 1_000
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(
            f"{where}: the score {text[:40]!r} is not a finite number; only SICK's header and others that name "
            "sentence1, sentence2 and score are read"
        )
    return value
