"""The transform of every preparation: rows as sources give them become a table of cleaned rows with their hashes."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from jaxemb.config import FilterConfig
from jaxemb.data.pairs.clean import NOTHING_EXCLUDED, Dropped, clean
from jaxemb.data.pairs.exclude import Exclusion
from jaxemb.data.pairs.holdout import mix
from jaxemb.data.pairs.languages import pair_language
from jaxemb.data.pairs.normalize import text_hash, text_keys
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Report
from jaxemb.errors import UserError
from jaxemb.language_tags import is_english

SCHEMA = pa.schema(
    {
        "order": pa.uint64(),
        "pair": pa.uint64(),
        "check": pa.uint64(),
        "part": pa.int32(),
        "row": pa.int64(),
        "variant": pa.int16(),
        "anchor": pa.string(),
        "positive": pa.string(),
        "negatives": pa.list_(pa.string()),
        "languages": pa.dictionary(pa.int32(), pa.string()),
        "label": pa.int32(),
        "score": pa.float32(),
        "anchor_hash": pa.uint64(),
        "positive_hash": pa.uint64(),
        "negative_hashes": pa.list_(pa.uint64()),
        "english": pa.uint64(),
        "target": pa.uint64(),
        "words": pa.uint16(),
        "id": pa.string(),
    }
)
"""A table of cleaned rows.

`order` is the place in the global shuffle: a hash of the row's content. `pair` and `check` are two hashes of the
example; two examples are duplicates if both are equal. `order` and `pair` are the same, except in rows with several
examples (`variant`), which share the `order` of the first one. `part`, `row` and `variant` say where in a source the
example is, and the first of several duplicates stays. `languages` are those of anchor and positive, joined by a space.
`english` and `target` are hashes of the decontamination keys of the English side and of the other side, and `words` is
the number of words of the English one.
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One example as a source gives it, and where it is."""

    part: int
    """Number of the file (`SourcePart`) within its source."""
    row: int
    """Number of the row within the part."""
    variant: int
    """Number of the example within a row that has several (`Alternatives`); else 0."""
    record: Record


def clean_rows(
    rows: Iterable[Row], filters: FilterConfig, report: Report, exclusion: Exclusion = NOTHING_EXCLUDED
) -> pa.Table:
    """Cleans and filters the rows, and adds their hashes.

    Args:
      rows: the rows of one source. Examples of the same row come one after the other.
      filters: `data.filters`.
      report: counts what was read and dropped.
      exclusion: the sentences of `data.exclude`.

    Returns: a table with `SCHEMA`, in the order of the rows.
    """
    kept: list[Row] = []
    for row in rows:
        language = pair_language(row.record.anchor_lang, row.record.positive_lang)
        report.read[language] += 1
        cleaned = clean(row.record, filters, exclusion)
        if isinstance(cleaned, Dropped):
            report.drop(language, cleaned.reason, record=row.record)
        else:
            report.keep(cleaned.source)
            kept.append(Row(row.part, row.row, row.variant, cleaned))
    return _table(kept)


def _table(rows: Sequence[Row]) -> pa.Table:
    records = [row.record for row in rows]
    for record in records:
        if len(record.negatives) != len(records[0].negatives):
            raise UserError(
                f"data.sources: {record.source}, {record.id} has {len(record.negatives)} hard negatives, but the "
                f"examples before it have {len(records[0].negatives)}: all must have the same number"
            )
    anchors = [text_keys(record.anchor) for record in records]
    positives = [text_keys(record.positive) for record in records]
    swapped = [is_english(record.positive_lang) and not is_english(record.anchor_lang) for record in records]
    english = [positive if swap else anchor for anchor, positive, swap in zip(anchors, positives, swapped, strict=True)]
    target = [anchor if swap else positive for anchor, positive, swap in zip(anchors, positives, swapped, strict=True)]
    columns: dict[str, Any] = {
        "part": np.array([row.part for row in rows], np.int32),
        "row": np.array([row.row for row in rows], np.int64),
        "variant": np.array([row.variant for row in rows], np.int16),
        "anchor": [record.anchor for record in records],
        "positive": [record.positive for record in records],
        "negatives": [record.negatives for record in records],
        "languages": [f"{record.anchor_lang} {record.positive_lang}" for record in records],
        "label": [record.label for record in records],
        "score": [record.score for record in records],
        "anchor_hash": np.array([keys[0] for keys in anchors], np.uint64),
        "positive_hash": np.array([keys[0] for keys in positives], np.uint64),
        "negative_hashes": [[text_hash(text) for text in record.negatives] for record in records],
        "english": np.array([keys[1] for keys in english], np.uint64),
        "target": np.array([keys[1] for keys in target], np.uint64),
        "words": np.array([keys[2] for keys in english], np.uint16),
        "id": [record.id for record in records],
    }
    pair, check = _example_hashes(columns)
    columns |= {"pair": pair, "check": check, "order": _of_first_variant(pair, columns)}
    arrays = [pa.array(columns[field.name], _plain(field.type)).cast(field.type) for field in SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _example_hashes(columns: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Two hashes of each example: of its texts, languages, label and score. Other examples have no influence."""
    of = {name: text_hash(name) for name in set(columns["languages"])}
    languages = np.array([of[name] for name in columns["languages"]], np.uint64)
    labels = np.array([-1 if label is None else label for label in columns["label"]], np.int64).view(np.uint64)
    scores = np.array([np.nan if score is None else score for score in columns["score"]], np.float32)
    parts = [languages, columns["anchor_hash"], columns["positive_hash"], labels, scores.view(np.uint32)]
    negatives = columns["negative_hashes"]
    hashes = []
    for salt in (0, len(parts)):
        key = np.zeros(len(languages), np.uint64)
        for index, part in enumerate(parts):
            key = mix(key ^ part, salt + index)
        for place in range(max(map(len, negatives), default=0)):
            there = np.array([place < len(row) for row in negatives])
            values = np.array([row[place] if place < len(row) else 0 for row in negatives], np.uint64)
            key = np.where(there, mix(key ^ values, 2 * len(parts) + salt), key)
        hashes.append(key)
    return hashes[0], hashes[1]


def _of_first_variant(pair: np.ndarray, columns: Mapping[str, Any]) -> np.ndarray:
    """The hash of the first example of the row that each example is of."""
    part, row = np.asarray(columns["part"]), np.asarray(columns["row"])
    first = np.ones(len(pair), bool)
    first[1:] = (part[1:] != part[:-1]) | (row[1:] != row[:-1])
    starts = np.flatnonzero(first)
    return pair[starts[np.cumsum(first) - 1]] if len(pair) else pair
