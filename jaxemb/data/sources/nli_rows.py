"""The pairs of natural language inference in `.jsonl` files and in tables with a header."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jaxemb.errors import UserError
from jaxemb.readers.json_lines import is_empty, read_json_lines
from jaxemb.readers.lines import BadLine, uncompressed_suffix
from jaxemb.readers.locations import Location
from jaxemb.readers.splits import LANGUAGE, split_column
from jaxemb.readers.tables import COMMA, TAB, find_column, first_row, read_rows

LABELS = ("contradiction", "entailment", "neutral")
"""The labels by number, as in the authors' code of Sentence-BERT."""
PREMISE = ("sentence1", "sentence_A", "premise", "context")
HYPOTHESIS = ("sentence2", "sentence_B", "hypothesis", "hypo", "query")
LABEL = ("gold_label", "entailment_label", "entailment_judgment", "label")
_COLUMNS = (PREMISE, HYPOTHESIS, LABEL)
_OTHER_NAMES = {
    "contradictory": "contradiction",
    "c": "contradiction",
    "e": "entailment",
    "n": "neutral",
    "refutes": "contradiction",
    "supports": "entailment",
    "not enough info": "neutral",
}
"""Names in the machine translations of XNLI, in ANLI and in FEVER-NLI."""
_NO_LABEL = ("-", "", "hidden")
"""What stands for a label if the annotators did not agree, or if it is kept back."""
_ANNOTATORS = ("label1", "label2", "label3", "label4", "label5")
"""Last columns of SNLI's and MultiNLI's `.txt`; lines end at the last annotator's label."""

_JSNLI = ("label", "premise", "hypothesis")
"""Columns of JSNLI, which has no header."""


class NliRow(NamedTuple):
    """One pair of sentences."""

    line: int
    premise: str
    hypothesis: str
    label: int | None
    """None if the annotators did not agree, or it is kept back."""
    split: str | None = None
    """As in the file; None if the file has no such column."""
    language: str | None = None
    """As in the file; None if the file has no such column."""


def nli_rows(path: Location, label_names: Sequence[str] | None) -> Iterator[NliRow | BadLine]:
    """Yields the pairs of a file, plain or compressed, and its malformed lines.

    Args:
      path: a `.jsonl`, or a table with a header, between tabs or commas (CSV), or Parquet.
      label_names: what labels that are numbers mean; None if the file names its labels.

    Raises:
      UserError: if a header lacks a column, or labels are numbers and there are no `label_names`.
    """
    rows = _jsonl(path) if uncompressed_suffix(path) == ".jsonl" else _table(path)
    labels = _Labels(path, label_names)
    for row in rows:
        yield row if isinstance(row, BadLine) else _row(row, labels)


class _Cells(NamedTuple):
    """What a row has, before it is checked."""

    line: int
    text: str
    premise: object
    hypothesis: object
    label: object
    split: object = None
    language: object = None


def _jsonl(path: Location) -> Iterator[_Cells | BadLine]:
    known: dict[tuple[str, ...], list[int | None]] = {}  # most lines have the same keys
    for item in read_json_lines(path):
        if isinstance(item, BadLine):
            yield _Cells(item.line, "", "", "", "-") if is_empty(item) else item
            continue
        number, line, values = item
        names = tuple(values) if isinstance(values, dict) else ()
        if names not in known:
            known[names] = _columns(names, [str(values[name]) for name in names])
        columns = known[names]
        if None in columns[: len(_COLUMNS)]:
            yield BadLine(number, f"needs {PREMISE[0]}, {HYPOTHESIS[0]} and {LABEL[0]}", line)
            continue
        yield _Cells(number, line, *(None if column is None else values[names[column]] for column in columns))


def _columns(names: Sequence[str], first: Sequence[str]) -> list[int | None]:
    """Columns of premise, hypothesis, label, split and language, from a header and the first row."""
    return [
        *(find_column(names, wanted) for wanted in _COLUMNS),
        split_column(names, first),
        find_column(names, LANGUAGE),
    ]


def _table(path: Location) -> Iterator[_Cells | BadLine]:
    heads = {delimiter: first_row(path, delimiter) for delimiter in (TAB, COMMA)}
    found = [
        (delimiter, names)
        for delimiter, names in heads.items()
        if all(find_column(names, wanted) is not None for wanted in _COLUMNS)
    ]
    has_header = bool(found)
    if not found and _is_jsnli(heads[TAB]):
        found = [(TAB, _JSNLI)]
    if not found:
        raise UserError(
            f"{path}, line 1: the header names no {', '.join(PREMISE)}, no {', '.join(HYPOTHESIS)} or no "
            f"{', '.join(LABEL)}; docs/formats.md lists the formats that are read"
        )
    delimiter, names = found[0]
    fewest = len(names)
    while names[fewest - 1].strip() in _ANNOTATORS:
        fewest -= 1
    columns: list[int | None] = []
    rows = read_rows(path, delimiter)
    if has_header:
        next(rows)
    for row in rows:
        if isinstance(row, BadLine):
            yield row
            continue
        if not row.text.strip(" "):
            yield _Cells(row.line, "", "", "", "-")
            continue
        if not fewest <= len(row.cells) <= len(names):
            yield BadLine(row.line, f"{len(row.cells)} columns where the header has {len(names)}", row.text)
            continue
        columns = columns or _columns(names, row.cells)
        yield _Cells(row.line, row.text, *(None if column is None else row.cells[column] for column in columns))


def _is_jsnli(cells: Sequence[str]) -> bool:
    label = cells[0].strip().lower() if len(cells) == len(_JSNLI) else ""
    return label in LABELS or label in _OTHER_NAMES


def _row(cells: _Cells, labels: "_Labels") -> NliRow | BadLine:
    if not isinstance(cells.premise, str) or not isinstance(cells.hypothesis, str):
        return BadLine(cells.line, "a sentence is no text", cells.text)
    try:
        label = labels.number(cells)
    except ValueError as error:
        return BadLine(cells.line, str(error), cells.text)
    split, language = (value if value is None else str(value) for value in (cells.split, cells.language))
    return NliRow(cells.line, cells.premise, cells.hypothesis, label, split, language)


class _Labels:
    """Turns the labels of a file into numbers. They are names, in any case; `-` means that annotators did not agree."""

    def __init__(self, path: Location, names: Sequence[str] | None) -> None:
        self._path = path
        self._names = names
        self._named = False

    def number(self, row: _Cells) -> int | None:
        """The number of a row's label in `LABELS`; None without agreement.

        Raises:
          ValueError: if it is no label.
          UserError: if it is a number in a file that has no names, and nothing says what the numbers mean.
        """
        label = row.label.strip().lower() if isinstance(row.label, str) else row.label
        number = _whole_number(label)
        if number is not None and self._names is not None:
            if number == -1:
                return None
            if number < len(self._names):
                return LABELS.index(self._names[number])
            raise ValueError(f"the label {number} is beyond label_names, which names {len(self._names)}")
        if number is not None and not self._named:
            raise UserError(
                f"{self._path}, line {row.line}: the label {label!r} is a number. Say what the numbers mean with "
                "label_names of this source: [entailment, neutral, contradiction] for the data sets of Hugging Face. "
                "To train on the numbers as they are, read a .jsonl with kind: jsonl and label_key"
            )
        if label in _NO_LABEL:
            return None
        label = _OTHER_NAMES.get(label, label) if isinstance(label, str) else label
        if label not in LABELS:
            raise ValueError(f"the label {label!r} is none of {', '.join(LABELS)} and -")
        self._named = True
        return LABELS.index(label)


def _whole_number(label: object) -> int | None:
    """The number that a label is, in digits or from -1; None if it is none."""
    if isinstance(label, bool):
        return None
    text = str(label) if isinstance(label, int | float | str) else ""
    text = text.removesuffix(".0")  # pandas, if some labels are missing
    return int(text) if text == "-1" or (text.isascii() and text.isdigit()) else None
