"""One training example, and how it is stored."""

import dataclasses
import json
import typing

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@typing.no_type_check  # the run-time checks of the tests take a millisecond for each
@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One example: a pair of texts, and what some objectives need in addition.

    >>> decode_record(encode_record(Record("Save", "Speichern", anchor_lang="en", positive_lang="de"))).positive
    'Speichern'
    """

    anchor: str
    positive: str
    negatives: tuple[str, ...] = ()
    label: int | None = None
    score: float | None = None
    anchor_lang: str = ""
    positive_lang: str = ""
    source: str = ""
    id: str = ""
    """Where it came from, as `file:line`."""


def encode_record(record: Record) -> bytes:
    """The record as the bytes of a JSON list; `decode_record` reads it back."""
    values = (
        record.anchor,
        record.positive,
        record.negatives,
        record.label,
        record.score,
        record.anchor_lang,
        record.positive_lang,
        record.source,
        record.id,
    )
    return _ENCODER.encode(values).encode()


def decode_record(data: bytes) -> Record:
    """The inverse of `encode_record`."""
    anchor, positive, negatives, *rest = json.loads(data)
    return Record(anchor, positive, tuple(negatives), *rest)
