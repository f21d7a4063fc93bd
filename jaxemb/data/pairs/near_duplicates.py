"""Finds pairs that are nearly the same, by MinHash and bands of it (Broder 1997; Leskovec et al. 2014, chapter 3)."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from jaxemb.config import NearDuplicates
from jaxemb.data.pairs.holdout import mix
from jaxemb.data.pairs.ngrams import character_ngrams
from jaxemb.data.pairs.normalize import decontamination_key, text_hash
from jaxemb.data.pairs.records import Record
from jaxemb.errors import UserError

RECALL = 0.99
"""Share of the pairs of exactly the smallest similarity that meet in a band."""
MOST_ROUNDS = 64
"""Rows of one band that others of it are compared with. What is left after so many stays."""

_SIDE, _FACTOR, _SUMMAND, _BAND = 21, 22, 23, 24  # salts; the bands count on from there
_CHUNK = 1 << 16  # rows that are compared at once
_BY_CHANCE = 1 / 256  # that the lowest eight bits of two hashes are equal


@dataclasses.dataclass(frozen=True)
class Signatures:
    """What is stored of N records until their near duplicates are found."""

    bands: np.ndarray
    """uint64 [N, B]: records that have a value in common may be near duplicates."""
    slots: np.ndarray
    """uint8 [N, K]: the lowest bits of K MinHash values, by which `near_duplicates` estimates the similarity
    (b-bit MinHash, Li and Koenig 2010)."""


def signatures(records: Sequence[Record], config: NearDuplicates) -> Signatures:
    """The signatures of records. Each depends on its record alone; all platforms give the same.

    A record is the set of the n-grams of all its texts, each marked with its side. Only records of the same languages,
    label and score meet in a band.

    Args:
      records: N normalised ones. A few thousand at once are faster than one by one.
      config: `data.near_duplicates`.

    Raises:
      UserError: if the extra `near-duplicates` is not installed.
    """
    count, length = banding(config.similarity, config.hashes)
    minima = _minima(_ngrams(records, config.characters), config.hashes)
    groups = [
        text_hash(f"{record.anchor_lang}\n{record.positive_lang}\n{record.label}\n{record.score}") for record in records
    ]
    group = np.array(groups, np.uint64)
    bands = np.empty((len(records), count), np.uint64)
    for band in range(count):
        key = group
        for slot in range(band * length, (band + 1) * length):
            key = mix(key ^ minima[:, slot], _BAND + band)
        bands[:, band] = key
    return Signatures(bands, (minima & 0xFF).astype(np.uint8))


def near_duplicates(
    bands: np.ndarray, positions: np.ndarray, slots: np.ndarray, similarity: float, owners: np.ndarray | None = None
) -> np.ndarray:
    """The rows to drop because an earlier row is nearly the same.

    Of the rows with one band value, the first stays, and those whose estimated similarity to it is large enough are
    dropped; of the others the first stays, and so on. So a dropped row leads, over one or more similar rows that come
    before it, to one that stays. What is dropped because of one band value depends on its rows alone: the union over
    ranges of band values is the same for any ranges, and for any order of the entries.

    Args:
      bands: uint64 [M], values of `Signatures.bands`, of any rows and bands: all that lie in a range.
      positions: int64 [M], the row of each value: its place in the order that says which row stays.
      slots: uint8 [rows, K], `Signatures.slots` of all rows, which may be mapped from a file: it is read at positions.
      similarity: `data.near_duplicates.similarity`.
      owners: int64 [rows], equal for rows that are not compared with each other: several examples of a row of a source.
        Each is on its own when None.

    Returns: int64, sorted, each once.
    """
    order = np.lexsort((positions, bands))
    bands, positions = bands[order], positions[order]
    dropped = [np.zeros(0, np.int64)]
    for _ in range(MOST_ROUNDS):
        first = np.ones(len(bands), bool)
        first[1:] = bands[1:] != bands[:-1]
        leaders = positions[np.flatnonzero(first)[np.cumsum(first) - 1]]
        others = ~first & (positions != leaders)
        bands, positions, leaders = bands[others], positions[others], leaders[others]
        if not len(bands):
            break
        similar = _similar(slots, positions, leaders, similarity)
        if owners is not None:
            similar &= owners[positions] != owners[leaders]
        dropped.append(positions[similar])
        bands, positions = bands[~similar], positions[~similar]
    return np.unique(np.concatenate(dropped))


def banding(similarity: float, hashes: int) -> tuple[int, int]:
    """The number of bands and the hashes of each: the longest bands in which `RECALL` of the pairs of this similarity
    meet. Pairs that are less similar meet more rarely the longer the bands are.

    >>> banding(0.8, 128)
    (16, 6)
    """
    best = (hashes, 1)
    for length in range(1, hashes + 1):
        count = int(np.ceil(np.log1p(-RECALL) / np.log1p(-(similarity**length))))
        if count * length <= hashes:
            best = (count, length)
    return best


def _similar(slots: np.ndarray, rows: np.ndarray, others: np.ndarray, similarity: float) -> np.ndarray:
    """Whether the estimated Jaccard similarity of rows[i] and others[i] is large enough."""
    least = similarity * (1 - _BY_CHANCE) + _BY_CHANCE
    parts = [slice(start, start + _CHUNK) for start in range(0, len(rows), _CHUNK)]
    return np.concatenate([(slots[rows[part]] == slots[others[part]]).mean(axis=1) >= least for part in parts])


def _ngrams(records: Sequence[Record], characters: int) -> list[list[int]]:
    """32-bit hashes of the n-grams of each record."""
    texts = [(record.anchor, record.positive, *record.negatives) for record in records]
    keys = [decontamination_key(text) or text for sides in texts for text in sides]  # of digits: the text itself
    ngrams = character_ngrams(keys, characters)
    counts = np.array([len(sides) for sides in texts], np.int64)
    side = np.arange(len(keys)) - np.repeat(np.cumsum(counts) - counts, counts)
    marked = mix(ngrams.hashes ^ np.repeat(side, np.diff(ngrams.starts)).astype(np.uint64), _SIDE) >> np.uint64(32)
    starts = ngrams.starts[np.append(0, np.cumsum(counts))].tolist()
    values = marked.tolist()
    return [values[start:end] for start, end in itertools.pairwise(starts)]


def _minima(ngrams: Sequence[list[int]], hashes: int) -> np.ndarray:
    """uint32 [N, K], by datasketch with our hashes and constants, so that no other version changes them."""
    try:
        from datasketch import MinHash
    except ModuleNotFoundError:
        raise UserError(
            "data.near_duplicates needs the package datasketch: pip install 'jaxemb[near-duplicates]'"
        ) from None
    index = np.arange(hashes)
    factor, summand = (mix(index, salt).astype(np.uint32) for salt in (_FACTOR, _SUMMAND))
    permutations = (factor | np.uint32(1), summand)
    sketch = MinHash(num_perm=hashes, hashfunc=int, permutations=permutations, scheme="affine32")
    minima = np.empty((len(ngrams), hashes), np.uint32)
    for row, values in enumerate(ngrams):
        sketch.clear()
        sketch.update_batch(values)
        minima[row] = sketch.hashvalues
    return minima
