"""Settings of the loss."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from jaxemb.config.base import Settings


class LabseObjective(Settings):
    """LaBSE's translation ranking: bidirectional additive-margin softmax over the global batch (eq. 1-3)."""

    kind: Literal["labse"] = "labse"
    scale: PositiveFloat = 20.0
    """Inverse temperature s: logits are s * (cosine - margin)."""
    margin: NonNegativeFloat = 0.3
    """Margin m taken off the positive's cosine before scaling, in training only."""
    directions: Literal["mean", "sum"] = "mean"
    """Mean or sum (LaBSE) of anchor->positive and positive->anchor."""
    negatives: Literal["gather", "local"] = "gather"
    """In-batch negatives from all devices, or from each device's own part of the batch."""
    mask_duplicates: bool = True
    """Pairs that share an anchor or positive text anywhere in the batch are no negatives of each other."""


class InfoNceObjective(Settings):
    """Symmetric InfoNCE over the global batch: the same without a margin."""

    kind: Literal["info_nce"] = "info_nce"
    scale: PositiveFloat = 20.0
    """Inverse temperature s: logits are s * cosine."""
    directions: Literal["mean", "sum"] = "mean"
    """Mean or sum of anchor->positive and positive->anchor."""
    negatives: Literal["gather", "local"] = "gather"
    """In-batch negatives from all devices, or from each device's own part of the batch."""
    mask_duplicates: bool = True
    """Pairs that share an anchor or positive text anywhere in the batch are no negatives of each other."""


Objective = Annotated[LabseObjective | InfoNceObjective, Field(discriminator="kind")]
