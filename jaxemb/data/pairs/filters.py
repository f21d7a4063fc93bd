"""What a pair must satisfy, and the name of the reason when it does not."""

from jaxemb.config import FilterConfig
from jaxemb.data.pairs.records import Record

LENGTH_RATIO_FROM_BYTES = 20
"""Shorter texts are exempt from the length ratio: a menu entry of one word may become a sentence."""


def reason_to_drop(record: Record, config: FilterConfig) -> str | None:
    """Why a normalised pair is dropped: `empty`, `too_short`, `too_long`, `identical`, `length_ratio`; None if kept.

    >>> reason_to_drop(Record("OK", "OK", anchor_lang="en", positive_lang="de"), FilterConfig())
    'identical'
    """
    anchor, positive = record.anchor, record.positive
    shorter, longer = len(anchor), len(positive)
    if shorter > longer:
        shorter, longer = longer, shorter
    for negative in record.negatives:
        shorter, longer = min(shorter, len(negative)), max(longer, len(negative))
    if not shorter:
        return "empty"
    if shorter < config.min_chars:
        return "too_short"
    if longer > config.max_chars:
        return "too_long"
    if config.drop_identical and anchor == positive and record.anchor_lang != record.positive_lang:
        return "identical"
    fewer, more = _utf8_length(anchor), _utf8_length(positive)
    if fewer > more:
        fewer, more = more, fewer
    if more >= LENGTH_RATIO_FROM_BYTES and more > config.max_length_ratio * fewer:
        return "length_ratio"
    return None


def _utf8_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
