"""Hashes that identify stored pairs: for duplicates, for the held-out set, for batches."""

import array
import functools
from typing import Any

import numpy as np

from jaxemb.data.pairs.holdout import mix
from jaxemb.data.pairs.normalize import decontamination_key, text_hash
from jaxemb.data.pairs.records import Record
from jaxemb.errors import UserError
from jaxemb.language_tags import is_english


class StoredPairKeys:
    """Hashes and numbers of each stored pair: about 50 bytes per pair, whatever its length."""

    def __init__(self) -> None:
        self.languages: dict[str, int] = {}
        self.sides: dict[tuple[str, str], int] = {}
        self.anchor, self.positive = array.array("Q"), array.array("Q")
        self.english, self.target = array.array("Q"), array.array("Q")
        self.words, self.language, self.side = array.array("H"), array.array("H"), array.array("H")
        self.negatives: list[array.array[int]] | None = None
        """One array for each hard negative of an example; all examples have the same number."""
        self.label, self.score = array.array("i"), array.array("f")
        """Either all examples have one, or none."""
        self.row = array.array("Q")
        """The number of the row that an example is of; alternatives have the same."""

    def add(self, record: Record, language: str, row: int) -> None:
        """Notes a pair's hashes and languages. Examples of the same row come one after the other."""
        self.row.append(row)
        anchor, positive = _hashes(record.anchor), _hashes(record.positive)
        self.anchor.append(anchor[0])
        self.positive.append(positive[0])
        swapped = is_english(record.positive_lang) and not is_english(record.anchor_lang)
        english, target = (positive, anchor) if swapped else (anchor, positive)
        self.english.append(english[1])
        self.target.append(target[1])
        self.words.append(english[2])
        self.language.append(self.languages.setdefault(language, len(self.languages)))
        self.side.append(self.sides.setdefault((record.anchor_lang, record.positive_lang), len(self.sides)))
        if self.negatives is None:
            self.negatives = [array.array("Q") for _ in record.negatives]
        if len(record.negatives) != len(self.negatives):
            raise UserError(
                f"data.sources: {record.source}, {record.id} has {len(record.negatives)} hard negatives, but the "
                f"examples before it have {len(self.negatives)}: all must have the same number"
            )
        for column, text in zip(self.negatives, record.negatives, strict=True):
            column.append(_hashes(text)[0])
        if record.label is not None:
            self.label.append(record.label)
        if record.score is not None:
            self.score.append(record.score)

    def text_hashes(self) -> np.ndarray:
        """uint64 [stored, 2 + K]: hashes of the anchor, the positive and K hard negatives of each example."""
        return np.stack([as_numpy(c) for c in (self.anchor, self.positive, *(self.negatives or ()))], axis=1)

    def first_occurrences(self) -> np.ndarray:
        """Sorted int64 positions of the examples without duplicates: the first of each set of equal examples."""
        columns = [as_numpy(self.side), *self.text_hashes().T]
        columns += [as_numpy(c).view(np.uint32) for c in (self.label, self.score) if c]
        key = np.zeros(len(self.side), np.uint64)
        for salt, column in enumerate(columns):
            key = mix(key ^ column, salt)
        return np.sort(np.unique(key, return_index=True)[1])


@functools.lru_cache(maxsize=1 << 16)  # the same English side occurs in many languages
def _hashes(text: str) -> tuple[int, int, int]:
    """Hash of the text, hash of its decontamination key, number of words of that key."""
    key = decontamination_key(text)
    return text_hash(text), text_hash(key), min(len(key.split()), 0xFFFF)


def as_numpy(values: "array.array[Any]") -> np.ndarray:
    """The array's memory, not copied."""
    return np.frombuffer(values, dtype=np.dtype(values.typecode))
