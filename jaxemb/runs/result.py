"""The result of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxemb.encoding import Embedder, Towers
from jaxemb.evaluation import RetrievalReport, StsReport
from jaxemb.runs.results import Reports


@dataclass(frozen=True)
class TrainResult:
    """The result of a run: its directory, its model and its scores."""

    towers: Towers
    """The embedders of anchors and of positives; the same one unless `model.towers` is `untied`."""
    run_dir: Path
    export_dir: Path | None
    """The Hugging Face folder; None if `export.enabled` is false."""
    reports: Reports = field(default_factory=Reports)
    """The scores of each system: `untrained` (`before training` with `model.init_from`), TF-IDF if configured,
    `trained`."""

    @property
    def embedder(self) -> Embedder:
        """The model; the one of the anchors if the towers are untied."""
        return self.towers.anchor

    @property
    def heldout(self) -> Mapping[str, RetrievalReport]:
        """Held-out retrieval of each system. Empty without a held-out set."""
        return self._results("heldout")

    @property
    def sts(self) -> Mapping[str, StsReport]:
        """Semantic textual similarity of each system, with `evaluation.sts`."""
        return self._results("sts")

    def _results(self, suite: str) -> Mapping[str, Any]:
        return {system: report.result for system, report in self.reports.of(suite).items()}
