"""The version of the random numbers for dropout and masks, and the message when a run of an older release is resumed.

The numbers are a function of (seed, step, example, site). When a release changes that function, `VERSION` is increased,
and a resumed run prints once that it continues differently than it would with the older release.
"""

from jaxemb.config import DistilBertConfig, ModernBertConfig, TrainConfig

VERSION = 2
"""Recorded in `config.yaml`. 1: heads shared masks of attention dropout, ModernBERT and DistilBERT had dropout at other
sites than transformers, and whole-word masking stopped early."""


def changed_since(version: int, config: TrainConfig) -> str | None:
    """The parts that draw different numbers now than in a run that started with this version; None without any."""
    if version >= VERSION:
        return None
    changed = []
    encoder = config.model.encoder
    if isinstance(encoder, ModernBertConfig | DistilBertConfig) and encoder.hidden_dropout_prob:
        changed.append("dropout")
    elif encoder.attention_probs_dropout_prob:
        changed.append("attention dropout")
    for objective in config.trained_objectives.values():
        masking = getattr(objective, "masking", None)
        if objective.masks_tokens and masking is not None and masking.whole_word:
            changed.append("whole-word masking")
            break
    return " and ".join(changed) or None
