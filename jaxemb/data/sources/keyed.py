"""Turns a record with named fields into an example; the settings of its source say what each field is."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxemb.config import HfSource, JsonlSource, ParquetSource, TfdsSource
from jaxemb.data.pairs.alternatives import Alternatives, alternatives, pairs_of_set
from jaxemb.data.pairs.languages import pair_language
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources.quality import is_low
from jaxemb.readers.tables import find_column

KeyedSource = JsonlSource | ParquetSource | HfSource | TfdsSource
"""Sources of records with named fields."""


def example(
    values: Mapping[str, Any], config: KeyedSource, source: str, record_id: str, language: str
) -> Record | Alternatives | Skipped:
    """The example of a record, or several if it has lists of positives or of hard negatives.

    Args:
      values: its fields; texts may be UTF-8 bytes, numbers NumPy's.
      config: says what each field is.
      source: name of the source for reports.
      record_id: id of the record.
      language: of its positive, or of its only text; `RowChoice` gives it.

    Returns: `Skipped` for what is no example: a label that annotators did not agree on, an empty list, or a quality
      below `min_quality`.

    Raises:
      ValueError: if something is wrong with the record.
    """
    anchor_lang = _anchor_lang(config, language)
    counted = pair_language(anchor_lang, language)
    if config.quality_key is not None and is_low(_field(values, config.quality_key), config.min_quality):
        return Skipped(counted, "low_score")
    if config.positive_key == config.anchor_key and _is_list(values.get(config.anchor_key)):
        if config.gives:
            raise ValueError(f"{config.anchor_key} is a set of texts, which has no negatives, labels or scores")
        texts = _texts(values, config.anchor_key)
        row = Record("", "", anchor_lang=anchor_lang, positive_lang=language, source=source, id=record_id)
        return pairs_of_set(row, texts) or Skipped(counted, "no_positive")
    anchor = _text(values, config.anchor_key)
    positives = [anchor] if config.positive_key is None else _texts(values, config.positive_key)
    label = score = None
    if config.label_key is not None:
        label = _field(values, config.label_key)
        if not _is_label(label):
            raise ValueError(f"{config.label_key} is {label!r}, no whole number from 0")
        if label == -1:
            return Skipped(counted, "no_agreement", Record(anchor, "".join(positives[:1]), id=record_id))
    if config.score_key is not None:
        score = float(_field(values, config.score_key)) / config.max_score
        if not -1 <= score <= 1:
            raise ValueError(f"{config.score_key} is beyond max_score ({config.max_score:g})")
    drawn: list[str] = []
    if config.negatives is not None:
        drawn = [text for key in config.negative_keys for text in _texts(values, key)]
        if not drawn:
            return Skipped(counted, "no_negative")
    if not positives:
        return Skipped(counted, "no_positive")
    row = Record(
        anchor,
        positives[0],
        () if drawn else tuple(_text(values, key) for key in config.negative_keys),
        None if label is None else int(label),
        score,
        anchor_lang=anchor_lang,
        positive_lang=language,
        source=source,
        id=record_id,
    )
    if len(positives) == 1 and not drawn:
        return row
    return alternatives(row, positives, drawn, config.negatives or 0)


def of_row(values: Mapping[str, Any], config: KeyedSource, names: Sequence[str]) -> str | None:
    """What a record says of itself in a field of one of the names.

    Returns: None if it has no such field, the source takes a text from it, or it is no text.
    """
    fields = [name for name in values if isinstance(name, str) and name not in config.keys]
    column = find_column(fields, names)
    value = None if column is None else values[fields[column]]
    if isinstance(value, bytes):
        return value.decode()
    return value if isinstance(value, str) else None


def _anchor_lang(config: KeyedSource, language: str) -> str:
    """The language of an anchor, from that of its positive: the same if the source has both sides in one language."""
    if config.positive_key is None or config.anchor_lang in (None, config.positive_lang):
        return language
    assert config.anchor_lang is not None
    return config.anchor_lang


def _is_label(value: Any) -> bool:
    """Whether the value is a whole number that can be stored: -1 (no label), 0 or more."""
    try:
        return -1 <= value < 2**31 and int(value) == value
    except (TypeError, ValueError, OverflowError):
        return False


def columns(config: KeyedSource) -> set[str]:
    """The outer fields that the keys name: `translation` for `translation.en`, which may be the name of one, too."""
    keys = {key for key in config.keys if key is not None}
    return keys | {key.partition(".")[0] for key in keys}


def _field(values: Mapping[str, Any], key: str) -> Any:
    outer, dot, inner = key.partition(".")
    if key not in values and dot and isinstance(values.get(outer), Mapping):
        return _field(values[outer], inner)
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
