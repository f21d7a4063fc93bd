"""Settings of the loss."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from jaxemb.config.base import Settings


def _check_chunks(chunk: int | None, chunk_tokens: int | None) -> None:
    if chunk is not None and chunk_tokens is not None:
        raise ValueError(f"chunk_tokens: {chunk_tokens} tokens or {chunk} rows (`chunk`): set one of the two")


class LabseObjective(Settings):
    """LaBSE's translation ranking: bidirectional additive-margin softmax over the global batch (eq. 1-3)."""

    kind: Literal["labse"] = "labse"
    scale: PositiveFloat = 20.0
    """Inverse temperature s: logits are s * (cosine - margin)."""
    margin: NonNegativeFloat = 0.3
    """Margin m taken off the positive's cosine before scaling, in training only."""
    directions: Literal["mean", "sum"] = "mean"
    """Mean or sum (LaBSE) of anchor->positive and positive->anchor."""
    negatives: Literal["gather", "ring", "local"] = "gather"
    """In-batch negatives from all devices, gathered on each or passed round a ring (less memory, for large batches), or
    from each device's own part of the batch."""
    ring_chunk: PositiveInt = 1024
    """With `negatives: ring`, rows that are scored at a time against those of one device."""
    chunk: PositiveInt | None = None
    """Rows of tokens that a device embeds at a time (GradCache): any batch in the memory of one chunk, for a third more
    work. All at once when null."""
    chunk_tokens: PositiveInt | None = None
    """The same by tokens, padding included, in place of `chunk`: of longer `data.length_buckets` fewer rows."""
    mask_duplicates: bool = True
    """Pairs that share an anchor or positive text anywhere in the batch are no negatives of each other."""

    @model_validator(mode="after")
    def _check(self) -> "LabseObjective":
        _check_chunks(self.chunk, self.chunk_tokens)
        return self


class InfoNceObjective(Settings):
    """Symmetric InfoNCE over the global batch: the same without a margin."""

    kind: Literal["info_nce"] = "info_nce"
    scale: PositiveFloat = 20.0
    """Inverse temperature s: logits are s * cosine."""
    directions: Literal["mean", "sum"] = "mean"
    """Mean or sum of anchor->positive and positive->anchor."""
    negatives: Literal["gather", "ring", "local"] = "gather"
    """In-batch negatives from all devices, gathered on each or passed round a ring (less memory, for large batches), or
    from each device's own part of the batch."""
    ring_chunk: PositiveInt = 1024
    """With `negatives: ring`, rows that are scored at a time against those of one device."""
    chunk: PositiveInt | None = None
    """Rows of tokens that a device embeds at a time (GradCache): any batch in the memory of one chunk, for a third more
    work. All at once when null."""
    chunk_tokens: PositiveInt | None = None
    """The same by tokens, padding included, in place of `chunk`: of longer `data.length_buckets` fewer rows."""
    mask_duplicates: bool = True
    """Pairs that share an anchor or positive text anywhere in the batch are no negatives of each other."""

    @model_validator(mode="after")
    def _check(self) -> "InfoNceObjective":
        _check_chunks(self.chunk, self.chunk_tokens)
        return self


Objective = Annotated[LabseObjective | InfoNceObjective, Field(discriminator="kind")]
