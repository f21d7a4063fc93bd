"""The result of the suite `sts`: correlations per set, their average, and how they are shown and kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxemb.evaluation.report import Comparison, LogEntry, PageSection, Report, ReportTable


@dataclass(frozen=True, slots=True)
class StsScore:
    """Correlation of cosines with gold scores over one set of sentence pairs."""

    name: str
    """The year, or the file."""
    spearman: float
    """Spearman's rank correlation, x 100."""
    pearson: float
    """Pearson's correlation, x 100."""
    n: int
    """Pairs."""
    subsets: tuple["StsScore", ...] = ()
    """Each file of a year by itself."""

    def to_json(self) -> dict[str, Any]:
        """The score as plain JSON values, without its name."""
        values: dict[str, Any] = {"spearman": self.spearman, "pearson": self.pearson, "n": self.n}
        return values | ({"subsets": {one.name: one.to_json() for one in self.subsets}} if self.subsets else {})


@dataclass(frozen=True, slots=True)
class StsReport:
    """The result of the suite `sts` for one model."""

    split: str
    """Which files of folders were taken: `train`, `dev` or `test`."""
    scores: tuple[StsScore, ...]
    """One a set, in the order of the paths given; at least one."""
    notes: tuple[str, ...] = ()
    """What a reader must know of the numbers."""

    @property
    def spearman(self) -> float:
        """Mean over the sets: each counts the same, as in published averages."""
        return _mean([score.spearman for score in self.scores])

    @property
    def pearson(self) -> float:
        """Mean over the sets."""
        return _mean([score.pearson for score in self.scores])

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values; correlations x 100."""
        return {
            "suite": "sts",
            "metric": "correlation of cosine and gold score, x 100",
            "split": self.split,
            "sets": {score.name: score.to_json() for score in self.scores},
            "average": {"spearman": self.spearman, "pearson": self.pearson, "present": len(self.scores)},
            "notes": list(self.notes),
        }

    def report(self) -> Report:
        """The result for tables, the model card, the page, logs and files."""
        several = len(self.scores) > 1
        named = {f"STS {score.name}": score.spearman for score in self.scores}
        cells = {f"{score.name} ({score.n:,})": f"{score.spearman:.2f}" for score in self.scores}
        columns = {score.name: score.spearman for score in self.scores}
        if several:
            cells["mean"], columns["mean"] = f"{self.spearman:.2f}", self.spearman
        title = f"Spearman correlation of cosine and gold score, x 100 (sts, {self.split})"
        return Report(
            "sts",
            self._table(several),
            self.to_json(),
            self.notes,
            Comparison(title, cells),
            scores=named,
            card=named,
            page=PageSection("Semantic textual similarity: Spearman x 100", columns),
            log=LogEntry(
                f"STS {self.split}",
                f"Spearman {self.spearman:.2f}, Pearson {self.pearson:.2f} (x 100)",
                {"sts_spearman": self.spearman, "sts_pearson": self.pearson},
            ),
            result=self,
        )

    def _table(self, several: bool) -> ReportTable:
        """One row per set, then the mean of several: Spearman and Pearson, x 100, and the number of pairs."""

        def row(name: str, one: "StsScore | StsReport", count: int) -> tuple[str, ...]:
            return name, f"{one.spearman:.2f}", f"{one.pearson:.2f}", str(count)

        return ReportTable(
            "correlation of cosine and gold score, x 100",
            ("set",),
            ("Spearman", "Pearson", "n"),
            tuple(row(score.name, score, score.n) for score in self.scores),
            (row("mean: all", self, len(self.scores)),) if several else (),
            self.split,
        )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def sts_report_from_json(values: Mapping[str, Any]) -> StsReport:
    """The report that `StsReport.to_json` gave these values."""
    scores = tuple(_score_from_json(name, score) for name, score in values["sets"].items())
    return StsReport(values["split"], scores, tuple(values["notes"]))


def _score_from_json(name: str, values: Mapping[str, Any]) -> StsScore:
    subsets = tuple(_score_from_json(*subset) for subset in values.get("subsets", {}).items())
    return StsScore(name, values["spearman"], values["pearson"], values["n"], subsets)
