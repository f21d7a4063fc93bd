"""What a run gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxemb.encoding import Embedder, Towers
from jaxemb.evaluation import RetrievalReport, StsReport
from jaxemb.runs.results import Reports


@dataclass(frozen=True)
class TrainResult:
    """What a run leaves behind."""

    towers: Towers
    """What embeds anchors and what embeds positives; one and the same unless `model.towers` is `untied`."""
    run_dir: Path
    export_dir: Path | None
    """The Hugging Face folder; None if `export.enabled` is off."""
    reports: Reports = field(default_factory=Reports)
    """The scores of each system: `untrained` (`before training` with `model.init_from`), TF-IDF if asked for,
    `trained`."""

    @property
    def embedder(self) -> Embedder:
        """The model; that of the anchors where the towers are untied."""
        return self.towers.anchor

    @property
    def heldout(self) -> Mapping[str, RetrievalReport]:
        """Held-out retrieval of each system. Empty without a split."""
        return self._results("heldout")

    @property
    def sts(self) -> Mapping[str, StsReport]:
        """Semantic textual similarity likewise, with `evaluation.sts`."""
        return self._results("sts")

    def _results(self, suite: str) -> Mapping[str, Any]:
        return {system: report.result for system, report in self.reports.of(suite).items()}
