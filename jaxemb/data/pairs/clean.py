"""One record, cleaned: normalised, then kept or dropped with a reason."""

import dataclasses

from jaxemb.config import FilterConfig
from jaxemb.data.pairs.exclude import Exclusion
from jaxemb.data.pairs.filters import reason_to_drop
from jaxemb.data.pairs.normalize import normalize_text
from jaxemb.data.pairs.records import Record

NOTHING_EXCLUDED = Exclusion(())


@dataclasses.dataclass(frozen=True, slots=True)
class Dropped:
    """A record is not trained on."""

    reason: str
    """`excluded`, or one of the reasons of `reason_to_drop`."""


def clean(record: Record, config: FilterConfig, exclusion: Exclusion = NOTHING_EXCLUDED) -> Record | Dropped:
    """Normalises the texts of a record, then applies the filters and the excluded sentences, in this order.

    The result depends on the arguments only.

    Args:
      record: as a source gives it.
      config: `data.filters`.
      exclusion: the sentences of `data.exclude`.

    Returns: the record with normalised texts, or why it is dropped: the first reason that applies.

    >>> clean(Record(" Save ", "Speichern", anchor_lang="en", positive_lang="de"), FilterConfig()).anchor
    'Save'
    >>> clean(Record(" OK ", "OK", anchor_lang="en", positive_lang="de"), FilterConfig())
    Dropped(reason='identical')
    """
    normalized = _normalized(record)
    if reason := reason_to_drop(normalized, config):
        return Dropped(reason)
    return Dropped("excluded") if exclusion.matches(normalized) else normalized


def _normalized(record: Record) -> Record:
    # Written out: `dataclasses.replace` takes several times as long, and this runs once for every record.
    return Record(
        normalize_text(record.anchor),
        normalize_text(record.positive),
        tuple(normalize_text(text) for text in record.negatives),
        record.label,
        record.score,
        record.anchor_lang,
        record.positive_lang,
        record.source,
        record.id,
    )
