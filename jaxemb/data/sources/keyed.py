"""Turns a record with named fields into an example; the `jsonl` or `tfds` source says what each field is."""

from collections.abc import Mapping
from typing import Any

from jaxemb.config import JsonlSource, TfdsSource
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped


def example(
    values: Mapping[str, Any], config: JsonlSource | TfdsSource, source: str, record_id: str
) -> Record | Skipped:
    """The example of a record.

    Args:
      values: its fields; texts may be UTF-8 bytes, numbers NumPy's.
      config: says what each field is.
      source: name of the source for reports.
      record_id: id of the record.

    Raises:
      ValueError: if something is wrong with the record.
    """
    anchor = _text(values, config.anchor_key)
    positive = anchor if config.positive_key is None else _text(values, config.positive_key)
    label = score = None
    if config.label_key is not None:
        label = _field(values, config.label_key)
        if not _is_label(label):
            raise ValueError(f"{config.label_key} is {label!r}, no whole number from 0")
        if label == -1:
            return Skipped(config.positive_lang, "no_agreement")
    if config.score_key is not None:
        score = float(_field(values, config.score_key)) / config.max_score
        if not -1 <= score <= 1:
            raise ValueError(f"{config.score_key} is beyond max_score ({config.max_score:g})")
    return Record(
        anchor,
        positive,
        tuple(_text(values, key) for key in config.negative_keys),
        None if label is None else int(label),
        score,
        anchor_lang=config.anchor_lang,
        positive_lang=config.anchor_lang if config.positive_key is None else config.positive_lang,
        source=source,
        id=record_id,
    )


def _is_label(value: Any) -> bool:
    """Whether the value is a whole number that can be stored: -1 (no label), 0 or more."""
    try:
        return -1 <= value < 2**31 and int(value) == value
    except (TypeError, ValueError, OverflowError):
        return False


def _field(values: Mapping[str, Any], key: str) -> Any:
    if key not in values:
        raise ValueError(f"no field {key!r}; there are {', '.join(map(repr, values))}")
    return values[key]


def _text(values: Mapping[str, Any], key: str) -> str:
    text = _field(values, key)
    text = text.decode() if isinstance(text, bytes) else text
    if not isinstance(text, str):
        raise ValueError(f"{key} is no text but {type(text).__name__}")
    return text
