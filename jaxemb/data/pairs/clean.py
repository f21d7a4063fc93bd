"""One record, cleaned: normalised, then kept or dropped with a reason."""

import dataclasses

from jaxemb.config import FilterConfig
from jaxemb.data.pairs.exclude import Exclusion
from jaxemb.data.pairs.filters import reason_to_drop
from jaxemb.data.pairs.identification import in_another_language
from jaxemb.data.pairs.normalize import normalize_text
from jaxemb.data.pairs.records import Record

NOTHING_EXCLUDED = Exclusion(())


@dataclasses.dataclass(frozen=True, slots=True)
class Dropped:
    """A record is not trained on."""

    reason: str
    """`excluded`, `overlaps_excluded`, `other_language_identified`, or one of the reasons of `reason_to_drop`."""


def clean(record: Record, config: FilterConfig, exclusion: Exclusion = NOTHING_EXCLUDED) -> Record | Dropped:
    """Normalises the texts of a record, then applies the filters, the excluded sentences and the identification of
    languages, in this order.

    The result depends on the arguments only.

    Args:
      record: as a source gives it.
      config: `data.filters`.
      exclusion: the sentences of `data.exclude`.

    Returns: the record with normalised texts, or why it is dropped: the first reason that applies.

    Raises:
      UserError: if `identify_language` is set and the extra `langid` is not installed.

    >>> clean(Record(" Save ", "Speichern", anchor_lang="en", positive_lang="de"), FilterConfig()).anchor
    'Save'
    >>> clean(Record(" OK ", "OK", anchor_lang="en", positive_lang="de"), FilterConfig())
    Dropped(reason='identical')
    """
    normalized = _normalized(record)
    if reason := reason_to_drop(normalized, config):
        return Dropped(reason)
    if exclusion.matches(normalized):
        return Dropped("excluded")
    if exclusion.overlaps([normalized])[0]:
        return Dropped("overlaps_excluded")
    if config.identify_language and in_another_language(normalized, config.identify_language):
        return Dropped("other_language_identified")
    return normalized


def _normalized(record: Record) -> Record:
    anchor, positive = normalize_text(record.anchor), normalize_text(record.positive)
    negatives = tuple(map(normalize_text, record.negatives)) if record.negatives else ()
    if anchor is record.anchor and positive is record.positive and negatives == record.negatives:
        return record  # most are normalised, and a new record takes as long as the normalisation
    # Written out: `dataclasses.replace` takes several times as long.
    return Record(
        anchor,
        positive,
        negatives,
        record.label,
        record.score,
        record.anchor_lang,
        record.positive_lang,
        record.source,
        record.id,
    )
