"""Reports as tables for the terminal (rich)."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from rich.markup import escape
from rich.table import Table

from jaxemb.evaluation.report import Report


@runtime_checkable
class Result(Protocol):
    """The result of a suite in its own type, such as `RetrievalReport` or `StsReport`."""

    def report(self) -> Report:
        """The report of this result."""


def report_table(report: Report | Result, title: str = "") -> Table:
    """The table of a report: one row per language, set or file, then the averages, and the notes below.

    Args:
      report: the result of a suite.
      title: heading; if empty, what the numbers are, and the suite.
    """
    report = _report(report)
    found, suite = report.table, ", ".join(filter(None, (report.suite, report.table.variant)))
    table = Table(title=escape(title or f"{found.quantity[:1].upper()}{found.quantity[1:]} ({suite})"))
    for heading in found.columns:
        table.add_column(escape(heading))
    for heading in found.numbers:
        table.add_column(escape(heading), justify="right")
    for row in found.rows:
        table.add_row(*map(escape, row))
    if found.means:
        table.add_section()
    for row in found.means:
        table.add_row(*map(escape, row), style="bold")
    if report.notes:
        table.caption = escape("\n".join(report.notes))
    return table


def comparison_table(reports: Mapping[str, Report] | Mapping[str, Result], title: str = "") -> Table:
    """Compares several systems on the same texts, one row each.

    Args:
      reports: the report of each system, by its name.
      title: heading of the table.

    Raises:
      ValueError: if the suite compares nothing, or the reports are not over the same languages and pool sizes.
    """
    rows = {name: _report(report).comparison for name, report in reports.items()}
    compared = {name: row for name, row in rows.items() if row is not None}
    if len(compared) < len(rows):
        raise ValueError("this suite compares no systems")
    if len({row.over for row in compared.values()}) != 1:
        raise ValueError("only reports over the same pools can be compared")
    first = next(iter(compared.values()))
    table = Table(title=escape(title or first.title))
    table.add_column("system")
    for heading in first.cells:
        table.add_column(escape(heading), justify="right")
    for name, row in compared.items():
        table.add_row(escape(name), *map(escape, row.cells.values()))
    return table


def _report(found: Report | Result) -> Report:
    return found if isinstance(found, Report) else found.report()


sts_table, sts_comparison_table = report_table, comparison_table  # names from when STS had tables of its own
