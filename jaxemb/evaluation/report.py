"""What a suite found for one model, in the form that tables, the model card, the page, logs and files take it."""

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
    """What else the title names beside the suite: the split, say."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A model's row in a table of several systems."""

    title: str
    """Title of that table."""
    cells: Mapping[str, str]
    """Heading of each column -> the cell of this model."""
    over: tuple[Any, ...] = ()
    """What must be the same for all systems."""


@dataclass(frozen=True, slots=True)
class PageSection:
    """A model's part in the section of the page of a run (`jaxemb report`)."""

    caption: str
    """Caption of the section's table, which has a row for each system."""
    scores: Mapping[str, float]
    """Heading of each column -> the score."""
    details: Mapping[str, float] = field(default_factory=dict)
    """Scores of parts, such as languages: they are folded away, a row each, with a column for each system."""
    part: str = ""
    """What such a part is: `language`."""
    details_caption: str = ""
    """Caption of the table of the parts."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What a run logs of it: one line in the terminal, and metrics."""

    what: str
    """Begins the line: `STS dev`, which ` after step N: ` follows."""
    shown: str
    """Ends the line: the numbers."""
    metrics: Mapping[str, float]
    """Name -> value, for `metrics.jsonl` and TensorBoard, where `evaluation/` precedes the names."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a suite found for one model.

    `jaxemb evaluate` needs the first three. A suite that scores runs needs `log`, and the others as far as the run's
    summary, model card, page and `seeds.json` are to show it.
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
    """Its row among several systems; None where they are not compared."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """The main scores, by names that say what they are: `STS en.dev`. Several seeds are compared by these."""
    card: Mapping[str, float] = field(default_factory=dict)
    """The scores in the model card, by the heading of their column."""
    page: PageSection | None = None
    """Its part of the page."""
    log: LogEntry | None = None
    """What a run logs."""
    result: Any = None
    """The same in the suite's own type, such as `RetrievalReport` or `StsReport`."""
