"""Turns a record with named fields into an example; the `jsonl` or `tfds` source says what each field is."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxemb.config import JsonlSource, TfdsSource
from jaxemb.data.pairs.alternatives import Alternatives, alternatives
from jaxemb.data.pairs.languages import pair_language
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped


def example(
    values: Mapping[str, Any], config: JsonlSource | TfdsSource, source: str, record_id: str
) -> Record | Alternatives | Skipped:
    """The example of a record, or several if it has lists of positives or of hard negatives.

    Args:
      values: its fields; texts may be UTF-8 bytes, numbers NumPy's.
      config: says what each field is.
      source: name of the source for reports.
      record_id: id of the record.

    Returns: `Skipped` for what is no example: a label that annotators did not agree on, or an empty list.

    Raises:
      ValueError: if something is wrong with the record.
    """
    anchor = _text(values, config.anchor_key)
    positives = [anchor] if config.positive_key is None else _texts(values, config.positive_key)
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
    drawn: list[str] = []
    if config.negatives is not None:
        drawn = [text for key in config.negative_keys for text in _texts(values, key)]
        if not drawn:
            return Skipped(pair_language(config.anchor_lang, config.positive_lang), "no_negative")
    if not positives:
        return Skipped(pair_language(config.anchor_lang, config.positive_lang), "no_positive")
    row = Record(
        anchor,
        positives[0],
        () if drawn else tuple(_text(values, key) for key in config.negative_keys),
        None if label is None else int(label),
        score,
        anchor_lang=config.anchor_lang,
        positive_lang=config.anchor_lang if config.positive_key is None else config.positive_lang,
        source=source,
        id=record_id,
    )
    if len(positives) == 1 and not drawn:
        return row
    return alternatives(row, positives, drawn, config.negatives or 0)


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
    value = _field(values, key)
    if _is_list(value):
        raise ValueError(f"{key} is a list; several negatives need `negatives` of the source, the number to draw")
    return _as_text(value, key)


def _texts(values: Mapping[str, Any], key: str) -> list[str]:
    """The texts of a list, or a single text."""
    value = _field(values, key)
    return [_as_text(one, key) for one in value] if _is_list(value) else [_as_text(value, key)]


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray)


def _as_text(value: Any, key: str) -> str:
    """A text, UTF-8 bytes, or a passage with a title, as in tevatron's files: the title comes first."""
    if isinstance(value, Mapping) and "text" in value:
        title = value.get("title") or ""
        return " ".join(_as_text(part, key) for part in (title, value["text"]) if part != "")
    text = value.decode() if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise ValueError(f"{key} is no text but {type(text).__name__}")
    return text
