"""The result of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jaxemb.encoding import Embedder, Towers
from jaxemb.evaluation import RetrievalReport, StsReport


@dataclass(frozen=True)
class TrainResult:
    """The result of a run: its directory, its model and its scores."""

    towers: Towers
    """The embedders of anchors and of positives; the same one unless `model.towers` is `untied`."""
    run_dir: Path
    export_dir: Path | None
    """The Hugging Face folder; None if `export.enabled` is false."""
    heldout: Mapping[str, RetrievalReport]
    """Held-out retrieval of each system: `untrained` (`before training` with `model.init_from`), TF-IDF if configured,
    `trained`. Empty without a held-out set."""
    sts: Mapping[str, StsReport] = field(default_factory=dict)
    """Semantic textual similarity of the same systems, with `evaluation.sts`."""

    @property
    def embedder(self) -> Embedder:
        """The model; the one of the anchors if the towers are untied."""
        return self.towers.anchor
