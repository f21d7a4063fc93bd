"""Hashes of the n-grams of many texts at once: of characters, or of words."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from jaxemb.data.pairs.holdout import mix

_BASE = np.uint64(0x9E3779B97F4A7C15)
_CHARACTER, _PLACE, _NGRAM = 11, 12, 13  # salts

_WITHOUT_SPACES = (
    (0x0E00, 0x0FFF),  # Thai, Lao, Tibetan
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # radicals of Chinese characters
    (0x3005, 0x3007),
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Chinese characters
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
    (0x1B000, 0x1B16F),
    (0x20000, 0x3FFFF),
)
"""Scripts that do not separate words: each of their characters counts as a word."""
_BOUNDS = np.array([bound for first, last in _WITHOUT_SPACES for bound in (first, last + 1)], np.uint32)


@dataclasses.dataclass(frozen=True)
class Ngrams:
    """The n-grams of N texts, one text after the other. They depend on the text alone, on every machine."""

    hashes: np.ndarray
    """uint64 [M]; an n-gram that occurs twice in a text is there twice."""
    starts: np.ndarray
    """int64 [N + 1]: text i has the n-grams from starts[i] to starts[i + 1]."""


def character_ngrams(texts: Sequence[str], n: int) -> Ngrams:
    """The hashes of `n` characters in a row. A shorter text has one n-gram, itself; an empty one has none."""
    padded = [text if len(text) >= n or not text else text.ljust(n, "\0") for text in texts]
    codes, starts = _codes(padded)
    return _windows(mix(codes, _CHARACTER), starts, n)


def word_ngrams(texts: Sequence[str], n: int) -> Ngrams:
    """The hashes of `n` words in a row; a text of fewer words has none.

    Words stand between spaces. In Chinese, Japanese, Thai and other scripts without spaces each character is a word.

    Args:
      texts: decontamination keys, whose only white space is single spaces.
      n: words, from 1.
    """
    codes, starts = _codes(texts)
    if not len(codes):
        return Ngrams(np.zeros(0, np.uint64), starts)
    space = codes == ord(" ")
    alone = np.searchsorted(_BOUNDS, codes, side="right") % 2 == 1
    begins = np.ones(len(codes), bool)
    begins[1:] = space[:-1] | alone[1:] | alone[:-1]
    begins[starts[:-1][np.diff(starts) > 0]] = True
    begins &= ~space
    words = np.flatnonzero(begins)
    if not len(words):
        return Ngrams(np.zeros(0, np.uint64), np.zeros_like(starts))
    place = np.arange(len(codes)) - np.repeat(words, np.diff(np.append(words, len(codes))), axis=0)[: len(codes)]
    letters = mix(mix(codes, _CHARACTER) ^ place.astype(np.uint64), _PLACE)
    letters[space] = 0
    return _windows(np.add.reduceat(letters, words), np.searchsorted(words, starts), n)


def _codes(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The code points of all texts, uint32 [M], and where each text begins, int64 [N + 1]."""
    starts = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)), out=starts[1:])
    return np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), "<u4"), starts


def _windows(units: np.ndarray, starts: np.ndarray, n: int) -> Ngrams:
    """The hashes of `n` units in a row that are of one text."""
    counts = np.maximum(np.diff(starts) - n + 1, 0)
    ends = np.zeros(len(starts), np.int64)
    np.cumsum(counts, out=ends[1:])
    first = np.arange(ends[-1]) + np.repeat(starts[:-1] - ends[:-1], counts)
    with np.errstate(over="ignore"):
        rolled = units[: max(len(units) - n + 1, 0)].copy()
        for place in range(1, n):
            rolled *= _BASE
            rolled += units[place : place + len(rolled)]
    return Ngrams(mix(rolled[first], _NGRAM), ends)
