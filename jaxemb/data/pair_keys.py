"""Hashes by which stored pairs are told apart: for duplicates, for the evaluation split, for batches."""

import array
import functools

import numpy as np

from jaxemb.data.holdout import mix
from jaxemb.data.languages import is_english
from jaxemb.data.normalize import decontamination_key, text_hash
from jaxemb.data.records import Record


class StoredPairKeys:
    """Numbers of each stored pair: some 40 bytes a pair, whatever its length."""

    def __init__(self) -> None:
        self.languages: dict[str, int] = {}
        self.sides: dict[tuple[str, str], int] = {}
        self.anchor, self.positive = array.array("Q"), array.array("Q")
        self.english, self.target = array.array("Q"), array.array("Q")
        self.words, self.language, self.side = array.array("H"), array.array("H"), array.array("H")

    def add(self, record: Record, language: str) -> None:
        """Notes a pair's hashes and languages."""
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

    def first_occurrences(self) -> np.ndarray:
        """Sorted int64 positions of the first of each set of equal pairs."""
        side, anchor, positive = (as_numpy(values) for values in (self.side, self.anchor, self.positive))
        return np.sort(np.unique(mix(mix(mix(side, 0) ^ anchor, 1) ^ positive, 2), return_index=True)[1])


@functools.lru_cache(maxsize=1 << 16)  # the same English side comes once for each language
def _hashes(text: str) -> tuple[int, int, int]:
    """Hash of the text, hash of its decontamination key, words of that key."""
    key = decontamination_key(text)
    return text_hash(text), text_hash(key), min(len(key.split()), 0xFFFF)


def as_numpy(values: "array.array[int]") -> np.ndarray:
    """The array's memory as unsigned integers, not copied."""
    return np.frombuffer(values, dtype=f"u{values.itemsize}")
