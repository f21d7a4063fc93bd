"""Which columns of an STS file are the sentences and the score: by a header, or by a known layout without one.

Layouts: SemEval's pairs as one file (github.com/brmson/dataset-sts), STSb-multi-mt
(github.com/PhilipMay/stsb-multi-mt), STSbenchmark (senteval/sts.py of SentEval), STS2017-extended of sbert.net
(examples of sentence-transformers); headers of SICK, GLUE, sbert.net's stsbenchmark.tsv.gz, KorSTS and Hugging Face.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxemb.errors import UserError
from jaxemb.readers.lines import uncompressed_suffix
from jaxemb.readers.locations import Location
from jaxemb.readers.tables import COMMA, TAB, find_column, first_row, is_number

SICK_COLUMNS = ("sentence_A", "sentence_B", "relatedness_score")
"""Names, in SICK's header, of the columns that are read."""
_SENTENCES = (
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("sent1", "sent2"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("premise", "hypothesis"),
)
_SCORES = ("score", "similarity_score", "similarity", "relatedness_score", "gold_score", "gold", "label")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a row has what; columns are counted from 0."""

    what: str
    """The columns, for messages."""
    first: int
    second: int
    score: int
    fewest: int
    """Fewest columns of a row."""
    most: int
    """Most columns of a row."""
    delimiter: str = TAB
    names: tuple[str, ...] | None = None
    """The header; None if there is none."""


_SEMEVAL = Layout("score, sentence 1, sentence 2, between tabs", 1, 2, 0, 3, 3)
_STSB = Layout("sentence 1, sentence 2, score, between commas", 0, 1, 2, 3, 3, COMMA)
_STS_BENCHMARK = Layout("genre, file, year, id, score, sentence 1, sentence 2, between tabs", 5, 6, 4, 7, 9)
_SCORE_LAST = Layout("sentence 1, sentence 2, score, between tabs", 0, 1, 2, 3, 3)


def sts_layout(path: Location) -> Layout:
    """The layout of a file, from its first line; its suffix decides only if the line fits none or several.

    Raises:
      UserError: if the file cannot be read, or its first line fits no layout.
    """
    rows = {delimiter: first_row(path, delimiter) for delimiter in (TAB, COMMA)}
    for delimiter, cells in rows.items():
        if (named := _by_names(cells, delimiter)) is not None:
            return named
    suffix = uncompressed_suffix(path)
    order = (_SEMEVAL, _SCORE_LAST, _STSB) if suffix != ".csv" else (_STSB, _SEMEVAL, _SCORE_LAST)
    for layout in (_STS_BENCHMARK, *order):
        if _fits(rows[layout.delimiter], layout):
            return layout
    _check_header(path, rows)
    if suffix in (".tsv", ".csv"):
        return _SEMEVAL if suffix == ".tsv" else _STSB  # reading says what is wrong with the line
    if suffix == ".txt":
        missing = [name for name in SICK_COLUMNS if find_column(rows[TAB], [name]) is None]
        raise UserError(f"{path}, line 1: the header has no {', '.join(missing)}; it must name SICK's columns")
    raise UserError(
        f"{path}: must end in .tsv (SemEval), .csv (STSb) or .txt (SICK), with or without .gz, or have a header "
        "that names sentence1, sentence2 and score"
    )


def has_sts_header(path: Location) -> bool:
    """Whether the first line names two sentences and a score.

    Raises:
      UserError: if the file cannot be read or is empty.
    """
    return any(_by_names(first_row(path, delimiter), delimiter) is not None for delimiter in (TAB, COMMA))


def _by_names(cells: Sequence[str], delimiter: str) -> Layout | None:
    for (first, second), scores in [(SICK_COLUMNS[:2], SICK_COLUMNS[2:]), *((pair, _SCORES) for pair in _SENTENCES)]:
        columns = [find_column(cells, wanted) for wanted in ((first,), (second,), scores)]
        if None not in columns:
            a, b, score = (column or 0 for column in columns)
            return Layout("as in the header", a, b, score, len(cells), len(cells), delimiter, tuple(cells))
    return None


def _check_header(path: Location, rows: dict[str, Sequence[str]]) -> None:
    """Says so if a header names the sentences and no score, as that of GLUE's test.tsv."""
    for cells in rows.values():
        if any(find_column(cells, [a]) is not None and find_column(cells, [b]) is not None for a, b in _SENTENCES):
            raise UserError(
                f"{path}, line 1: the header names no score ({', '.join(_SCORES)}); without gold scores there is "
                "nothing to compare with"
            )


def _fits(cells: Sequence[str], layout: Layout) -> bool:
    if not layout.fewest <= len(cells) <= layout.most:
        return False
    score = cells[layout.score].strip()
    if layout is _SCORE_LAST:  # has as many columns as SemEval's
        return is_number(score) and not is_number(cells[0]) and bool(cells[0].strip())
    return not score or is_number(score)
