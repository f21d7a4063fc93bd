"""The result of a suite for one model, as tables, the model card, the page, logs and files need it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table of text."""

    quantity: str
    """What the numbers are, for the title: `retrieval accuracy in percent`."""
    columns: tuple[str, ...]
    """Headings of the first columns, which hold text; the first one names the rows."""
    numbers: tuple[str, ...]
    """Headings of the columns of numbers, which follow."""
    rows: tuple[tuple[str, ...], ...]
    """The cells of each row, one for each heading."""
    means: tuple[tuple[str, ...], ...] = ()
    """Rows of averages, which stand below in bold."""
    variant: str = ""
    """What the title names after the suite, such as the split."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The row of one model in a table that compares several."""

    title: str
    """Title of that table."""
    cells: Mapping[str, str]
    """Heading of each column -> the cell of this model."""
    over: tuple[Any, ...] = ()
    """Only models for which this is equal can be compared, such as the pools and their sizes."""


@dataclass(frozen=True, slots=True)
class PageSection:
    """A model's part in the section of the page of a run (`jaxemb report`)."""

    caption: str
    """Caption of the section's table, which has a row for each system."""
    scores: Mapping[str, float]
    """Heading of each column -> the score."""
    details: Mapping[str, float] = field(default_factory=dict)
    """Scores of parts, such as languages. The page shows them on a click: a row for each part, a column for each
    system."""
    part: str = ""
    """What a part is: `language`. Empty without details."""
    details_caption: str = ""
    """Caption of the table of the parts."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What a run logs: one line in the terminal, and metrics."""

    what: str
    """Start of the line, such as `STS dev`; ` after step N: ` follows."""
    shown: str
    """End of the line: the numbers."""
    metrics: Mapping[str, float]
    """Name -> value. In `metrics.jsonl` and TensorBoard the names begin with `evaluation/`."""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a suite for one model.

    `jaxemb evaluate` needs `suite`, `table` and `values`. A run shows the other fields: an empty field is left out.
    """

    suite: str
    """Name of the suite."""
    table: ReportTable
    """The table that `jaxemb evaluate` prints."""
    values: Mapping[str, Any]
    """Plain JSON values, for `jaxemb evaluate --json` and `results.json`."""
    notes: tuple[str, ...] = ()
    """What a reader must know of the numbers, such as languages that are left out."""
    comparison: Comparison | None = None
    """The row in the summary at the end of a run; None for no such table."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """The main scores by full names, such as `STS en.dev`: seeds are compared by these."""
    card: Mapping[str, float] = field(default_factory=dict)
    """The scores in the model card, by the headings of their columns."""
    page: PageSection | None = None
    """What the page of a run shows."""
    log: LogEntry | None = None
    """What a run logs."""
    result: Any = None
    """The result in the suite's own type, such as `RetrievalReport` or `StsReport`."""
