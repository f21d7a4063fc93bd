"""Reports as tables for the terminal (rich)."""

from collections.abc import Mapping

from rich.markup import escape
from rich.table import Table

from jaxemb.evaluation.retrieval_report import RetrievalReport
from jaxemb.evaluation.sts_report import StsReport


def report_table(report: RetrievalReport, title: str = "") -> Table:
    """One language a row, sorted, then the macro averages: accuracy in percent, forward and backward, and pool size."""
    forward, backward = (direction.replace("->", "→") for direction in report.directions)
    with_script = any(pair.script for pair in report.pairs)
    table = Table(title=escape(title) or f"Retrieval accuracy in percent ({report.suite})")
    table.add_column("file" if report.suite == "parallel" else "language")
    if with_script:
        table.add_column("script")
    for heading in (forward, backward, "n"):
        table.add_column(heading, justify="right")
    for pair in sorted(report.pairs, key=lambda pair: pair.name):
        script = [pair.script] if with_script else []
        table.add_row(escape(pair.name), *script, f"{pair.forward:.1f}", f"{pair.backward:.1f}", str(pair.n))
    table.add_section()
    for average in report.averages:
        count = str(average.present) if average.present == average.of else f"{average.present} of {average.of}"
        table.add_row(
            f"mean: {average.name}",
            *([""] if with_script else []),
            f"{average.forward:.1f}",
            f"{average.backward:.1f}",
            count,
            style="bold",
        )
    if report.notes:
        table.caption = escape("\n".join(report.notes))
    return table


def sts_table(report: StsReport, title: str = "") -> Table:
    """One set a row, in the report's order, then the mean of several: Spearman and Pearson, x 100, and pairs."""
    table = Table(title=escape(title) or f"Correlation of cosine and gold score, x 100 (sts, {report.split})")
    table.add_column("set")
    for heading in ("Spearman", "Pearson", "n"):
        table.add_column(heading, justify="right")
    for score in report.scores:
        table.add_row(escape(score.name), f"{score.spearman:.2f}", f"{score.pearson:.2f}", str(score.n))
    if len(report.scores) > 1:
        table.add_section()
        mean = (f"{report.spearman:.2f}", f"{report.pearson:.2f}", str(len(report.scores)))
        table.add_row("mean: all", *mean, style="bold")
    if report.notes:
        table.caption = escape("\n".join(report.notes))
    return table


def comparison_table(reports: Mapping[str, RetrievalReport], title: str = "") -> Table:
    """Several systems on the same pools side by side: one a row, macro averages in both directions.

    Args:
      reports: the report of each system, by its name.
      title: heading of the table.

    Raises:
      ValueError: if the reports are not over the same languages and pool sizes.
    """
    pools = {tuple((pair.name, pair.n) for pair in report.pairs) for report in reports.values()}
    if len(pools) != 1:
        raise ValueError("only reports over the same pools can be compared")
    first = next(iter(reports.values()))
    directions = " / ".join(direction.replace("->", "→") for direction in first.directions)
    table = Table(title=escape(title) or "Retrieval accuracy in percent, macro-averaged over languages")
    table.add_column("system")
    for average in first.averages:
        table.add_column(f"{average.name} ({average.present})\n{directions}", justify="right")
    for name, report in reports.items():
        table.add_row(name, *(f"{average.forward:.1f} / {average.backward:.1f}" for average in report.averages))
    return table


def sts_comparison_table(reports: Mapping[str, StsReport]) -> Table:
    """Several systems on the same sets side by side: Spearman, x 100, of each set and the mean of several."""
    first = next(iter(reports.values()))
    table = Table(title=f"Spearman correlation of cosine and gold score, x 100 (sts, {first.split})")
    table.add_column("system")
    for score in first.scores:
        table.add_column(f"{escape(score.name)} ({score.n:,})", justify="right")
    several = len(first.scores) > 1
    if several:
        table.add_column("mean", justify="right")
    for name, report in reports.items():
        mean = [f"{report.spearman:.2f}"] * several
        table.add_row(name, *(f"{score.spearman:.2f}" for score in report.scores), *mean)
    return table
