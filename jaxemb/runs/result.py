"""What a run gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jaxemb.encoding import Embedder, Towers
from jaxemb.evaluation import RetrievalReport, StsReport


@dataclass(frozen=True)
class TrainResult:
    """What a run leaves behind."""

    towers: Towers
    """What embeds anchors and what embeds positives; one and the same unless `model.towers` is `untied`."""
    run_dir: Path
    export_dir: Path | None
    """The Hugging Face folder; None if `export.enabled` is off."""
    heldout: Mapping[str, RetrievalReport]
    """Held-out retrieval of each system: `untrained` (`before training` with `model.init_from`), TF-IDF if asked for,
    `trained`. Empty without a split."""
    sts: Mapping[str, StsReport] = field(default_factory=dict)
    """Semantic textual similarity likewise, with `evaluation.sts`."""

    @property
    def embedder(self) -> Embedder:
        """The model; that of the anchors where the towers are untied."""
        return self.towers.anchor
