"""What `results.json` says: the scores of systems."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jaxemb.evaluation.report import Report
from jaxemb.evaluation.suites import in_runs


@dataclass(frozen=True)
class Reports:
    """Reports of systems (the model before and after training, a baseline)."""

    by_suite: dict[str, dict[str, Report]] = field(default_factory=dict)
    """Name of the suite -> name of the system -> its report; a suite that scored nothing is left out."""

    def add(self, system: str, report: Report) -> None:
        """Keeps a system's report, in place of an earlier one."""
        self.by_suite.setdefault(report.suite, {})[system] = report

    def of(self, suite: str) -> dict[str, Report]:
        """The reports of a suite by system; empty if it scored nothing."""
        return self.by_suite.get(suite, {})

    @property
    def systems(self) -> list[str]:
        """All systems, in the order of their scoring."""
        return list(dict.fromkeys(system for reports in self.by_suite.values() for system in reports))

    def of_system(self, system: str) -> list[Report]:
        """One system's reports, in the order of the suites; none of an unknown one."""
        return [reports[system] for reports in self.by_suite.values() if system in reports]

    def only(self, *systems: str) -> "Reports":
        """Those of these systems."""
        kept = Reports()
        for system in self.systems:
            for report in self.of_system(system) if system in systems else ():
                kept.add(system, report)
        return kept

    def scores(self, system: str) -> dict[str, float]:
        """One system's main scores by name, accuracies in percent and correlations x 100; empty of an unknown one."""
        return {name: score for report in self.of_system(system) for name, score in report.scores.items()}

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            suite.key: {system: report.values for system, report in self.of(name).items()}
            for name, suite in in_runs().items()
            if suite.always or self.of(name)
        }


def reports_from_json(values: Mapping[str, Any]) -> Reports:
    """The scores that `Reports.to_json` gave these values. Older files lack the keys of newer suites."""
    reports = Reports()
    for suite in in_runs().values():
        for system, found in values.get(suite.key, {}).items():
            reports.add(system, suite.report_of(found))
    return reports


class Results(NamedTuple):
    """What `results.json` says."""

    step: int | None
    """That of `trained`; None before the end."""
    exported: int | None
    """That of the export; None before it."""
    reports: Reports
