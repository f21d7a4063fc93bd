"""Test sentences that must not be in the training set."""

from collections.abc import Iterable, Sequence

import numpy as np

from jaxemb.config import NgramOverlap
from jaxemb.data.pairs.contamination import OverlapIndex
from jaxemb.data.pairs.normalize import decontamination_key, text_hash
from jaxemb.data.pairs.records import Record
from jaxemb.errors import UserError
from jaxemb.readers.locations import Location, find_files, whole_path
from jaxemb.readers.sentences import read_sentences


def excluded_files(patterns: Sequence[str], root: str | None) -> list[Location]:
    """The files that the paths, URLs or patterns match, sorted.

    Raises:
      UserError: if one matches nothing.
    """
    files: set[Location] = set()
    for pattern in patterns:
        matches = find_files(pattern, root)
        if not matches:
            raise UserError(
                f"{whole_path(pattern, root)}: no such file (data.exclude; relative paths start from data.root)"
            )
        files.update(matches)
    return sorted(files, key=str)


class Exclusion:
    """The sentences of these files, as keys that ignore case, digits and punctuation."""

    def __init__(self, files: Iterable[Location], overlap: NgramOverlap | None = None) -> None:
        """Reads the files (`read_sentences`).

        Args:
          files: lines, tables or JSON lines.
          overlap: `data.exclude_ngrams`; None for equal sentences only.
        """
        keys = {decontamination_key(text) for path in files for text in read_sentences(path)} - {""}
        self._hashes = frozenset(map(text_hash, keys))
        self._index = OverlapIndex(sorted(keys), overlap) if keys and overlap else None

    def matches(self, record: Record) -> bool:
        """Whether either side is among the sentences."""
        return bool(self._hashes) and any(
            text_hash(decontamination_key(text)) in self._hashes for text in (record.anchor, record.positive)
        )

    def overlaps(self, records: Sequence[Record]) -> np.ndarray:
        """Bool [N]: whether either side shares many n-grams with one of the sentences (`OverlapIndex`); never without
        `overlap`. A thousand records at once take a tenth of the time of one by one.
        """
        if self._index is None or not records:
            return np.zeros(len(records), bool)
        keys = [decontamination_key(text) for record in records for text in (record.anchor, record.positive)]
        found = self._index.overlaps(keys)
        return found[0::2] | found[1::2]
