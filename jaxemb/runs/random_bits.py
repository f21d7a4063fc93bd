"""Which random numbers a run draws for dropout and masks, and what a run of an older release is told.

They are a function of (seed, step, example, place). Where a release changes that function, `VERSION` counts up, and a
run that goes on under it is told once that it is not what the older release would have made of it.
"""

from jaxemb.config import DistilBertConfig, ModernBertConfig, TrainConfig

VERSION = 2
"""Recorded in `config.yaml`. 1: heads shared masks of attention dropout, ModernBERT and DistilBERT had dropout at other
places than transformers, and whole-word masking stopped early."""


def changed_since(version: int, config: TrainConfig) -> str | None:
    """What draws other numbers now than in a run that began with this version; None where nothing does."""
    if version >= VERSION:
        return None
    changed = []
    encoder = config.model.encoder
    if isinstance(encoder, ModernBertConfig | DistilBertConfig) and encoder.hidden_dropout_prob:
        changed.append("dropout")
    elif encoder.attention_probs_dropout_prob:
        changed.append("attention dropout")
    masking = getattr(config.objective, "masking", None)
    if config.objective.masks_tokens and masking is not None and masking.whole_word:
        changed.append("whole-word masking")
    return " and ".join(changed) or None
