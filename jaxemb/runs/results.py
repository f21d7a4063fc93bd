"""What `results.json` says: the scores of systems."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jaxemb.evaluation import RetrievalReport, StsReport, report_from_json, sts_report_from_json


@dataclass(frozen=True)
class Reports:
    """Scores of systems (the model before and after training, a baseline), by their names."""

    heldout: dict[str, RetrievalReport] = field(default_factory=dict)
    """Retrieval on the held-out split."""
    sts: dict[str, StsReport] = field(default_factory=dict)
    """Semantic textual similarity, with `evaluation.sts`."""
    teacher_mse: dict[str, dict[str, float]] = field(default_factory=dict)
    """Distillation: the squared error of each language's held-out translations against the teacher."""

    def only(self, *systems: str) -> "Reports":
        """Those of these systems."""
        kept = [{name: one for name, one in reports.items() if name in systems} for reports in vars(self).values()]
        return Reports(*kept)

    def scores(self, system: str) -> dict[str, float]:
        """One system's macro averages in percent and Spearman correlations x 100, by name; empty of an unknown one."""
        found: dict[str, float] = {}
        if system in self.heldout:
            found |= {f"held-out {one.name}": one.mean for one in self.heldout[system].averages}
        if system in self.sts:
            found |= {f"STS {one.name}": one.spearman for one in self.sts[system].scores}
        return found

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "systems": {name: report.to_json() for name, report in self.heldout.items()},
            "sts": {name: report.to_json() for name, report in self.sts.items()},
            "teacher_mse": self.teacher_mse,
        }


def reports_from_json(values: Mapping[str, Any]) -> Reports:
    """The scores that `Reports.to_json` gave these values."""
    heldout = {name: report_from_json(report) for name, report in values["systems"].items()}
    sts = {name: sts_report_from_json(report) for name, report in values.get("sts", {}).items()}
    return Reports(heldout, sts, dict(values.get("teacher_mse", {})))


class Results(NamedTuple):
    """What `results.json` says."""

    step: int | None
    """That of `trained`; None before the end."""
    exported: int | None
    """That of the export; None before it."""
    reports: Reports
